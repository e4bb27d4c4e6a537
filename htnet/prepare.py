"""Computing the flow images of a whole data set once, into a folder that training reads."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path

from htnet.data import Manifest, Sample
from htnet.errors import HtnetError, ManifestError, about_sample
from htnet.preprocess import Landmarker, Preprocessor
from htnet.types import ModelInput, PreprocessSpec

SPEC_FILE = "preprocess.json"
MANIFEST_FILE = "manifest.csv"
#: Fields of the spec that the flow image depends on; the others are applied when it is read.
_BAKED = ("size", "face_size", "template", "flow", "flow_parameters", "resize")


def prepared_spec(folder: str | PathLike[str]) -> PreprocessSpec | None:
    """The spec that the flow images of a prepared folder were made with, None for any other folder.

    Raises:
        ManifestError: the folder is a prepared one, but its spec is damaged.
    """
    path = Path(folder)
    path = (path if path.is_dir() else path.parent) / SPEC_FILE
    if not path.is_file():
        return None
    try:
        return PreprocessSpec.from_dict(json.loads(path.read_text("utf-8")))
    except (HtnetError, OSError, ValueError, TypeError) as error:
        raise ManifestError(f"{path} cannot be read ({error}). Prepare the data again into an empty folder.") from error


def resolve_spec(data: str | PathLike[str], spec: PreprocessSpec) -> PreprocessSpec:
    """``spec`` with what is baked into a prepared folder's flow images taken from that folder.

    Weights trained on the folder then say how their input was really made.
    """
    baked = prepared_spec(data)
    if baked is None:
        return spec
    return dataclasses.replace(spec, **{name: getattr(baked, name) for name in _BAKED})


def prepare(
    manifest: Manifest,
    out: str | PathLike[str],
    spec: PreprocessSpec | None = None,
    landmarker: Landmarker | None = None,
    *,
    on_error: Callable[[Sample, HtnetError], None] | None = None,
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = lambda samples: samples,
) -> Manifest:
    """Compute flow images and landmarks of all samples; a second call goes on where the first stopped.

    Args:
        manifest: samples with onset and apex frames.
        out: folder; gets ``manifest.csv``, ``preprocess.json``, ``flow/*.png`` and ``landmarks/*.json``
            (five points in px of the flow image).
        spec: how flow is made.
        landmarker: finds the points of samples without a landmarks file.
        on_error: called with each sample that cannot be prepared, which is then left out; without it
            the first error ends the call.
        progress: wraps the iteration, for a progress bar.

    Returns:
        The manifest of the prepared samples.

    Raises:
        ManifestError: ``out`` holds flow made in another way, a sample has no frames, or two samples would share
            a file.
        HtnetError: a sample cannot be read; the message names it.
    """
    out, spec = Path(out), spec or PreprocessSpec()
    found = prepared_spec(out)
    if found is not None and found != spec:
        raise ManifestError(f"{out} holds flow made with another spec ({SPEC_FILE}). Choose another --out.")
    names: dict[str, str] = {}
    for sample in manifest:
        # Some file systems do not tell capitals apart.
        other = names.setdefault(_stem(sample).casefold(), sample.sample)
        if other != sample.sample:
            raise ManifestError(
                f"The samples {other!r} and {sample.sample!r} differ in special characters or capitals only, so that "
                "their files would have one name; rename one."
            )
    (out / "flow").mkdir(parents=True, exist_ok=True)
    (out / "landmarks").mkdir(exist_ok=True)
    _write(out / SPEC_FILE, json.dumps(spec.to_dict(), indent=1).encode())
    preprocessor = Preprocessor(spec, landmarker)
    done = []
    for sample in progress(manifest.samples):
        stem = _stem(sample)
        flow, landmarks = out / "flow" / f"{stem}.png", out / "landmarks" / f"{stem}.json"
        try:
            if not (flow.is_file() and landmarks.is_file()):
                _prepare_one(preprocessor, sample, flow, landmarks)
        except HtnetError as error:
            named = about_sample(sample.sample, error)
            if on_error is None:
                raise named from error
            on_error(sample, named)
            continue
        done.append(dataclasses.replace(sample, onset=None, apex=None, flow=flow, landmarks=landmarks))
    prepared = dataclasses.replace(manifest, samples=tuple(done), source=str(out / MANIFEST_FILE))
    prepared.write(out / MANIFEST_FILE)
    return prepared


def _stem(sample: Sample) -> str:
    """Name of a sample's files."""
    return re.sub(r"[^\w.-]", "_", sample.sample)


def _prepare_one(preprocessor: Preprocessor, sample: Sample, flow: Path, landmarks: Path) -> None:
    import cv2

    if sample.onset is None or sample.apex is None:
        raise ManifestError("it has no onset and apex frames to compute flow from.")
    made: ModelInput = preprocessor.pair(sample.onset, sample.apex, sample.landmarks, sample.sample)
    _write(flow, cv2.imencode(".png", made.flow_image)[1].tobytes())
    if made.points is not None:
        _write(landmarks, json.dumps(made.points.round(3).tolist()).encode())


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    partial.write_bytes(content)
    os.replace(partial, path)
