"""Weights are loaded by the real client from a Hub on this machine whose answers are wrong, late, cut or refused."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from htnet.core import network
from htnet.core.errors import HtnetError
from htnet.hub import load_pretrained, save_pretrained
from htnet.models import create_model
from htnet.types import PreprocessSpec
from tests.support.hub_faults import FAULTS, PLACES, Fault
from tests.support.hub_server import HubServer

#: Seconds without an answer, in place of the 10 that users have.
_LIMIT = 2.0
#: Seconds within which every loading ends: the silence that is waited for, and the client's own second tries.
_IN_TIME = 20.0


def run(quick: bool, names: Sequence[str] = ()) -> dict[str, Any]:
    """Every fault at every place, once and always, with and without a good copy; ``names`` are some faults."""
    chosen = [name for name in FAULTS if not names or name in names]
    chosen = ["404", "429 for 1 s", "500", "cut", "wrong", "circle"] if quick and not names else chosen
    from huggingface_hub import constants

    figures: dict[str, Any] = {}
    faults: list[str] = []
    slowest = 0.0
    with tempfile.TemporaryDirectory() as place, HubServer(Path(place) / "hub") as server:
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        model = create_model("htnet_tiny")
        model.preprocess_spec = PreprocessSpec()
        files = save_pretrained(model, Path(place) / "weights")
        server.add_repo("a/b", {path.name: path.read_bytes() for path in files.iterdir() if path.is_file()})
        with (
            patch.object(constants, "ENDPOINT", server.url),
            patch.object(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template),
            patch.object(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1),
            patch.object(network, "TIME_LIMIT", _LIMIT),
            patch("htnet.hub.weights.TIME_LIMIT", _LIMIT),
        ):
            for name in chosen:
                for where in ("weights",) if quick else PLACES:
                    for times in (1, float("inf")):
                        for good in (False, True):
                            often, copy = "once" if times == 1 else "always", "good copy" if good else "empty cache"
                            case = f"{name} at {where}, {often}, {copy}"
                            cache = Path(place) / "caches" / str(len(figures))
                            figures[case] = found = _disturbed(server, cache, Fault(name, where, times), good)
                            slowest = max(slowest, found["seconds"])
                            faults += [f"{case}: {fault}" for fault in found.pop("faults")]
                            print(f"{case}: {found}", flush=True)
    loaded = sum(found["end"] == "loaded" for found in figures.values())
    counts = {"runs": len(figures), "loaded": loaded, "told": len(figures) - loaded, "slowest_s": round(slowest, 2)}
    return {**counts, "cases": figures, "found": faults, "faults": len(faults)}


def _disturbed(server: HubServer, cache: Path, fault: Fault, good: bool) -> dict[str, Any]:
    network.forget_failures()
    faults: list[str] = []
    if good:
        server.disturb(lambda request: None)
        load_pretrained("a/b", cache_dir=cache)
    before = _files(cache)
    server.disturb(fault)
    asked, began = len(server.requests), time.monotonic()
    try:
        load_pretrained("a/b", cache_dir=cache, force_download=good)
        end, message = "loaded", ""
    except HtnetError as error:
        end, message = type(error).__name__, str(error)
    except Exception as error:
        end, message = type(error).__name__, ""
        faults.append(f"{type(error).__name__}: {error}")
    seconds = time.monotonic() - began
    requests = len(server.requests) - asked
    fault.stop.set()
    if seconds > _IN_TIME:
        faults.append(f"took {seconds:.1f} s")
    if requests > 40:
        faults.append(f"asked {requests} times")
    faults += [f"{name} in the cache is not what it is called" for name in _poisoned(cache)]
    server.disturb(lambda request: None)
    if good:
        if any(_files(cache).get(name) != data for name, data in before.items()):
            faults.append("the good copy was replaced or lost")
        try:
            load_pretrained("a/b", cache_dir=cache, local_files_only=True)
        except HtnetError as error:
            faults.append(f"the good copy is no more: {error}")
    network.forget_failures()
    # A thread of the client that was told to wait for an hour holds the client's lock until the process ends.
    if "hour" not in fault.name or end == "loaded":
        try:
            load_pretrained("a/b", cache_dir=cache)
        except HtnetError as error:
            faults.append(f"when the Hub was whole again: {error}")
    said = {"message": message} if message else {}
    return {"end": end, "seconds": round(seconds, 2), "requests": requests, **said, "faults": faults}


def _files(cache: Path) -> dict[str, bytes]:
    found = (path for path in cache.rglob("blobs/*") if path.is_file() and not path.name.endswith(".incomplete"))
    return {str(path): path.read_bytes() for path in found}


def _poisoned(cache: Path) -> list[str]:
    """Files of the cache whose content has not the hash that is their name."""
    wrong = []
    for path, data in _files(cache).items():
        name = Path(path).name
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if name not in (hashlib.sha256(data).hexdigest(), git):
            wrong.append(name)
    return wrong
