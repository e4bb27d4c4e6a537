"""How the flow images of a prepared folder were made."""

from __future__ import annotations

import dataclasses
import os
from os import PathLike
from pathlib import Path

from htnet.core.errors import HtnetError, ManifestError, SpecError, cause
from htnet.core.limits import read_json, sha256_of
from htnet.core.paths import as_path
from htnet.core.types import PreprocessSpec
from htnet.data.manifest import Manifest

SPEC_FILE = "preprocess.json"
#: Holds the flow images of a prepared folder.
FLOW_FOLDER = "flow"
#: Holds what each sample of a prepared folder was made from, and the hashes of its files.
KEYS = "keys"


def prepared_spec(folder: str | PathLike[str]) -> PreprocessSpec | None:
    """The spec that the flow images of a prepared folder were made with, None for any other folder.

    Raises:
        ManifestError: the folder is a prepared one, but its spec is damaged.
    """
    # What does not exist, such as the source of a manifest made in memory, lies in no folder.
    path = as_path(folder, "folder")
    path = (path.parent if os.path.isfile(path) else path) / SPEC_FILE
    if not os.path.isfile(path):
        return None
    try:
        return PreprocessSpec.from_dict(read_json(path))
    except (HtnetError, OSError, ValueError, TypeError) as error:
        raise ManifestError(f"{path} cannot be read ({cause(error)}). Prepare again into an empty folder.") from error


def check_unchanged(flow: Path) -> None:
    """Refuse a flow image of a prepared folder that is not the one that was prepared, by the hash in its key.

    Raises:
        ManifestError: it has changed.
    """
    key = flow.parent.parent / KEYS / f"{flow.stem}.json"
    if flow.parent.name != FLOW_FOLDER or not os.path.isfile(key) or not os.path.isfile(flow):
        return
    try:
        noted = read_json(key).get(FLOW_FOLDER)
        found = sha256_of(flow)
    except (OSError, ValueError, AttributeError):  # `htnet prepare` recomputes what has no key
        return
    if noted is not None and found != noted:
        raise ManifestError(
            f"the flow image {flow} has changed since it was prepared: its hash is not that in {key}. Prepare the data "
            "again, which recomputes this image; for your own images give a manifest outside the folder."
        )


def image_spec(flow: Path) -> PreprocessSpec | None:
    """The spec that a flow image was made with, if it lies in a prepared folder; None otherwise."""
    return prepared_spec(flow.parent.parent) if flow.parent.name == FLOW_FOLDER else None


def resolve_spec(data: str | PathLike[str] | Manifest, spec: PreprocessSpec) -> PreprocessSpec:
    """Return ``spec`` with the fields that are fixed in a prepared folder's flow images taken from that folder.

    Weights trained on the folder then record how their input was made.

    Args:
        data: a folder, its manifest file, or a manifest, also one made in memory or written elsewhere: what counts
            is where its flow images lie. For any other data ``spec`` is right as it is.
        spec: what the model reads.

    Raises:
        SpecError: the samples' flow images were made in different ways.
    """
    if not isinstance(data, Manifest):
        made = prepared_spec(data)
    else:
        made = prepared_spec(data.source) if os.path.exists(Path(data.source)) else None
        made = made or _spec_of_images(data)
    return spec if made is None else dataclasses.replace(spec, **made.part("image"))


def _spec_of_images(manifest: Manifest) -> PreprocessSpec | None:
    """The spec of the prepared folders that the samples' flow images lie in; None if they lie in none."""
    flows = {sample.flow.parent: sample.flow for sample in manifest if sample.flow is not None}
    made = {folder.parent: spec for folder, flow in flows.items() if (spec := image_spec(flow)) is not None}
    if not made:
        return None
    (folder, first), *others = made.items()
    for other, spec in others:
        if differences := first.differences(spec, "image"):
            said = "; ".join(f"{name} is {one!r} and {two!r}" for name, (one, two) in differences.items())
            raise SpecError(
                f"{manifest.source}: the flow images in {folder} and in {other} were made in different ways: {said}. "
                "Prepare all samples with the same settings."
            )
    return first
