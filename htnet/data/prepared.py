"""The settings with which the flow images of a prepared folder were computed."""

from __future__ import annotations

import dataclasses
import os
from os import PathLike
from pathlib import Path

from htnet.core.errors import HtnetError, ManifestError, SpecError, cause
from htnet.core.limits import read_json, sha256_of
from htnet.core.paths import as_path
from htnet.core.saved_spec import saved_spec
from htnet.core.types import PreprocessSpec
from htnet.data.manifest import Manifest

SPEC_FILE = "preprocess.json"
#: Subfolder with the flow images of a prepared folder.
FLOW_FOLDER = "flow"
#: Subfolder with the inputs that each sample was computed from, and the hashes of its files.
KEYS = "keys"


def prepared_spec(folder: str | PathLike[str]) -> PreprocessSpec | None:
    """The spec that the flow images of a prepared folder were computed with; None for any other folder.

    Raises:
        ManifestError: the folder is a prepared folder, but its spec is damaged.
    """
    # The path may not exist, for example the source of a manifest that was created in memory.
    path = as_path(folder, "folder")
    path = (path.parent if os.path.isfile(path) else path) / SPEC_FILE
    if not os.path.isfile(path):
        return None
    try:
        return saved_spec(read_json(path))
    except (HtnetError, OSError, ValueError, TypeError) as error:
        raise ManifestError(f"{path} cannot be read ({cause(error)}). Prepare again into an empty folder.") from error


def check_unchanged(flow: Path) -> None:
    """Refuse a flow image of a prepared folder whose hash is not the one recorded when it was prepared.

    Raises:
        ManifestError: the image has changed.
    """
    key = flow.parent.parent / KEYS / f"{flow.stem}.json"
    if flow.parent.name != FLOW_FOLDER or not os.path.isfile(key) or not os.path.isfile(flow):
        return
    try:
        noted = read_json(key).get(FLOW_FOLDER)
        found = sha256_of(flow)
    except (OSError, ValueError, AttributeError):  # `htnet prepare` recomputes samples without a key
        return
    if noted is not None and found != noted:
        raise ManifestError(
            f"the flow image {flow} has changed since it was prepared: its hash is not that in {key}. Prepare the data "
            "again, which recomputes this image; for your own images give a manifest outside the folder."
        )


def image_spec(flow: Path) -> PreprocessSpec | None:
    """The spec that a flow image was computed with if it is in a prepared folder; None otherwise."""
    return prepared_spec(flow.parent.parent) if flow.parent.name == FLOW_FOLDER else None


def resolve_spec(data: str | PathLike[str] | Manifest, spec: PreprocessSpec) -> PreprocessSpec:
    """Return ``spec`` with those fields replaced that are fixed by the flow images of a prepared folder.

    Weights trained on the folder then record how their input was computed.

    Args:
        data: a folder, its manifest file, or a manifest. A manifest may have been created in memory or written
            elsewhere: only the location of its flow images counts. For other data ``spec`` is returned unchanged.
        spec: settings of the model's input.

    Raises:
        SpecError: the samples' flow images were computed with different settings.
    """
    if not isinstance(data, Manifest):
        made = prepared_spec(data)
    else:
        made = prepared_spec(data.source) if os.path.exists(Path(data.source)) else None
        made = made or _spec_of_images(data)
    return spec if made is None else dataclasses.replace(spec, **made.part("image"))


def _spec_of_images(manifest: Manifest) -> PreprocessSpec | None:
    """The spec of the prepared folders that contain the samples' flow images; None if there are none."""
    flows = {sample.flow.parent: sample.flow for sample in manifest if sample.flow is not None}
    made = {folder.parent: spec for folder, flow in flows.items() if (spec := image_spec(flow)) is not None}
    if not made:
        return None
    (folder, first), *others = made.items()
    for other, spec in others:
        if differences := first.differences(spec, "image"):
            said = "; ".join(f"{name} is {one!r} and {two!r}" for name, (one, two) in differences.items())
            raise SpecError(
                f"{manifest.source}: the flow images in {folder} and in {other} were computed with different settings: "
                f"{said}. Prepare all samples with the same settings."
            )
    return first
