"""Comparison of what a finished analysis was made from with the inputs of a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from htnet._version import __version__


def differences(known: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """Describe how the inputs of a finished document differ from the current ones; empty if they are the same.

    Args:
        known: the document.
        made: what its part "made_from" would be now.
    """
    before = known.get("made_from")
    if not isinstance(before, Mapping) or not isinstance(before.get("options"), Mapping):
        return ["what it was made from"]
    old, new = before["options"], made["options"]
    named = [name for name in new if name not in ("weights", "detector") and name in old and old[name] != new[name]]
    others = old.keys() ^ new.keys() if old.get("emotions") == new["emotions"] else ()
    told = {
        "the recording": any(before.get(name) != made[name] for name in ("size_bytes", "modified_ns")),
        "the options": bool(others),
        f"an option ({', '.join(f'{name} was {old[name]}, is {new[name]}' for name in named)})": bool(named),
        "the weights": "weights" in old
        and "weights" in new
        and _content(before, "weights") != _content(made, "weights"),
        "the detector": _content(before, "detector") != _content(made, "detector"),
        f"the version of htnet (was {known.get('htnet_version')}, is {__version__})": known.get("htnet_version")
        != __version__,
    }
    return [name for name, differs in told.items() if differs]


def _content(made: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The SHA-256 of weights or detector in a part "made_from", without the commit: only the content counts."""
    said = made.get(name)
    return {key: value for key, value in said.items() if key != "revision"} if isinstance(said, Mapping) else {}
