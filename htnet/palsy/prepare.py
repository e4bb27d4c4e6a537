"""Preparation of graded faces: aligned faces, splits and a manifest, computed once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from os import PathLike
from typing import Any, cast

from htnet.core.deprecated import renamed_arguments
from htnet.core.described import describe
from htnet.core.engines import LocalEngine
from htnet.core.errors import FrameError, HtnetError, InputError, LandmarkError, ManifestError, about_sample
from htnet.core.global_state import usual_settings
from htnet.core.hints import door_of, hint, how, missing
from htnet.core.lazy import loading
from htnet.core.limits import sha256_of
from htnet.core.paths import as_path
from htnet.core.shared_files import check_files
from htnet.core.types import TEMPLATE_28, TEMPLATE_SIZE, Frame, Landmarks, PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.data.manifest import check_manifest
from htnet.data.prepare import prepared_spec
from htnet.data.prepare.keys import Parts, as_json, libraries
from htnet.data.prepare.store import PreparedFolder, doubts_as_json
from htnet.data.prepare.workers import Preparation
from htnet.palsy.splits import check_split, split_patients, split_table
from htnet.preprocess import (
    FrameSource,
    Landmarker,
    LazyLandmarker,
    fit_alignment,
    make_landmarker,
    read_frame,
    verified,
)
from htnet.preprocess.depth import check_bit_depth
from htnet.preprocess.landmarks.base import found_by
from htnet.preprocess.landmarks.factory import check_landmarker
from htnet.preprocess.opencv import load_opencv
from htnet.training.augment import MIRRORED_POINTS

FACES = "faces"
#: Default fraction of the images to test on.
TEST = 0.2
#: Margin on each side of the template's square, as a fraction of it, to show brows and chin, which the square cuts.
MARGIN = 0.12


def _symmetric_template() -> tuple[tuple[float, float], ...]:
    """`TEMPLATE_28`, made symmetric, with `MARGIN` around it."""
    points = []
    for (x, y), other in zip(TEMPLATE_28, MIRRORED_POINTS, strict=True):
        mirrored = TEMPLATE_SIZE - TEMPLATE_28[other][0]
        place = ((x + mirrored) / 2, (y + TEMPLATE_28[other][1]) / 2)
        points.append(tuple((v + TEMPLATE_SIZE * MARGIN) / (1 + 2 * MARGIN) for v in place))
    return tuple((round(x, 4), round(y, 4)) for x, y in points)


#: Default alignment: a face of 224 px, with a symmetric template.
PALSY_SPEC = PreprocessSpec(layout="whole", size=224, face_size=224, template=_symmetric_template())


@usual_settings(device=False)
def align_face(
    image: FrameSource, landmarker: Landmarker, spec: PreprocessSpec, sample: str = "", bit_depth: int | None = None
) -> tuple[Frame, Landmarks]:
    """Align one face with the similarity transform that brings its five points closest to the spec's template.

    A similarity transforms both sides alike, so an asymmetry is preserved.

    Args:
        image: an image file or an RGB array.
        landmarker: finds the five points. `htnet.preprocess.TemplateLandmarks` is for faces that are cropped
            already: the template's points are then where the spec wants them, and the image is only resized.
        spec: template and ``face_size``.
        sample: identifier under which the landmarker looks up points.
        bit_depth: bits of the image's values, if a 16-bit file uses fewer; see `htnet.preprocess.read_frame`.

    Returns:
        The face, (face_size, face_size, 3), and the points found, px of the image.

    Raises:
        FrameError: the image cannot be read.
        LandmarkError: there is no face, or its points cannot be used.
        PoseError: the face lies on its side or upside down, or is a profile.
    """
    frame = read_frame(image, bit_depth)
    points = verified(found_by(landmarker, frame, sample, Landmarks), frame)
    alignment = fit_alignment(points, template=spec.template, size=spec.face_size, frame=frame.source)
    return alignment.warp(frame), points


def palsy_landmarker(text: str, spec: PreprocessSpec, *, face: str | int | None = None) -> Landmarker:
    """Like `htnet.preprocess.make_landmarker`, but "template" uses the spec's own template, so a face is not moved."""
    with loading():
        from htnet.preprocess import TemplateLandmarks

    found = make_landmarker(text, face=face)
    return TemplateLandmarks(spec.template) if text == "template" else found


@renamed_arguments
@usual_settings(device=False)
def prepare_faces(
    manifest: Manifest,
    out: str | PathLike[str],
    landmarks: Landmarker | str = "yunet",
    *,
    spec: PreprocessSpec = PALSY_SPEC,
    test: float = TEST,
    val: float = 0.0,
    seed: int = 0,
    workers: int | None = 1,
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = lambda samples: samples,
    overwrite: bool = False,
    bit_depth: int | None = None,
) -> Manifest:
    """Align all faces once and split them by patient.

    Images that cannot be read or show no face are left out and listed in the report; the rest is done. Splits that
    the manifest names are kept; otherwise all patients are split before any image is read, so repairing an
    image moves no patient to another split. As with `htnet.data.prepare.prepare`, the call can be interrupted and
    repeated: complete faces that were made from the same image, points, settings and version of htnet are kept.

    Args:
        manifest: samples with ``image``, label and subject, from `read_palsy`.
        out: folder; gets ``faces/*.png``, ``manifest.csv``, ``preprocess.json``, ``keys/*.json`` (what each face was
            made from) and ``report.json`` (see `htnet.data.prepare.Report`; its ``splits`` are those of `split_table`).
        landmarks: finds the five points: a landmarker, or its name for `palsy_landmarker`.
        spec: template and side of the aligned face.
        test: fraction of the images to test on, see `split_patients`.
        val: fraction of the images to validate on.
        seed: seed of the splits.
        workers: number of processes; None for one per core (at most 8). With more than one, the calling script must be
            guarded by ``if __name__ == "__main__":``.
        progress: wraps the iteration over samples, for a progress bar.
        overwrite: replace other samples, grades or splits that ``out`` contains.
        bit_depth: bits of the images' values, if 16-bit files use fewer; see `htnet.preprocess.read_frame`.

    Returns:
        The prepared samples, in the order of ``manifest``.

    Raises:
        InputError: a fraction or the seed is impossible.
        OverwriteError: ``out`` contains other samples, grades or splits, and ``overwrite`` is not given.
        ManifestError: no image could be prepared, some samples name a split and others none, two samples would share
            a file, or two patients share a picture.
        InputError: ``test``, ``val`` or ``seed`` is impossible, or given although the samples name their splits.
        RunError: another process is preparing into ``out``.
        HtnetError: nothing can be prepared in this way, for example because the model of a detector cannot be found.
    """
    check_manifest(manifest)
    check_bit_depth(bit_depth)
    test, val, seed = check_split(test, val, seed)
    check_landmarker(landmarks)
    folder = PreparedFolder(as_path(out, "out"), {FACES: ".png"}, "faces aligned")
    finder = LazyLandmarker(landmarks, partial(palsy_landmarker, spec=spec))
    points = cache(lambda: describe(finder.get()))
    preparation = Preparation(
        folder,
        spec,
        finder,
        _Aligner(spec, finder, bit_depth),
        _make,
        key=lambda sample: _key(sample, spec, points(), bit_depth),
        prepared=lambda sample: dataclasses.replace(sample, image=folder.path(FACES, sample)),
        more=lambda prepared: {"splits": split_table(prepared)},
        noun="image",
    )
    # Split before any image is read.
    return preparation.run(
        _with_splits(manifest, test, val, seed), LocalEngine(workers), lambda sample, error: None, progress, overwrite
    )


def gaps(manifest: Manifest) -> list[str]:
    """Gaps that prevent a fair training and test, one line each: classes without images, or with none in a split."""
    table = split_table(manifest)
    present = {s.label for s in manifest}
    lines = [
        f"class {name}: no images at all; a model trained on these images cannot be expected to predict it"
        for name in manifest.classes
        if name not in present
    ]
    for split, row in table.items():
        lines += [
            f"class {name}: no images in {split}" for name in manifest.classes if name in present and not row[name]
        ]
    return lines


def face_spec(folder: str | PathLike[str]) -> PreprocessSpec:
    """How the faces of a prepared folder were aligned.

    Raises:
        ManifestError: the folder was not written by `prepare_faces`.
    """
    if not os.path.exists(as_path(folder, "folder")):
        raise ManifestError(missing(folder))
    found = prepared_spec(folder)
    door = door_of(folder)
    if found is None or (door is not None and door.kind != "faces"):
        way = hint(folder) or f" Prepare the data: {how('htnet palsy prepare SOURCE --out OUT', 'prepare_faces')}"
        raise ManifestError(f"{folder} is not a folder of prepared faces.{way}")
    return found


def _with_splits(manifest: Manifest, test: float, val: float, seed: int) -> Manifest:
    without = [s.sample for s in manifest if not s.split]
    if len(without) == len(manifest):
        return split_patients(manifest, test=test, val=val, seed=seed)
    if without:
        raise ManifestError(f"{manifest.source}: sample {without[0]!r} has no split, but others have. Fill in all.")
    if (test, val, seed) != (TEST, 0.0, 0):
        raise InputError(
            f"{manifest.source} names the split of each sample, so test={test}, val={val} and seed={seed} (--test, "
            "--val, --seed) would change nothing. Leave them out, or remove the splits."
        )
    check_files(manifest, manifest.source)
    return manifest


@dataclass(frozen=True, eq=False)
class _Aligner:
    """What a process needs to align faces."""

    spec: PreprocessSpec
    landmarks: LazyLandmarker
    bit_depth: int | None


def _key(sample: Sample, spec: PreprocessSpec, points: Any, bit_depth: int | None) -> Parts | None:
    """Everything that an aligned face depends on, part by part; None if its image cannot be read."""
    try:
        image = None if sample.image is None else sha256_of(sample.image)
    except OSError:
        return None
    made_from = {"spec": spec.to_dict(), "sample": sample.sample, "image": image, "points": points}
    if bit_depth is not None:
        made_from["bit_depth"] = bit_depth
    return as_json({**made_from, "libraries": libraries()})


def _make(aligner: _Aligner, sample: Sample) -> dict[str, bytes] | HtnetError:
    """The PNG of a sample's aligned face, or the error."""
    cv2 = load_opencv()
    try:
        if sample.image is None:
            raise ManifestError("it has no image of a face.")
        finder = cast(Landmarker, aligner.landmarks.get())  # `prepare_faces` takes no None
        face, points = align_face(sample.image, finder, aligner.spec, sample.sample, aligner.bit_depth)
    except (FrameError, LandmarkError, ManifestError) as error:  # other errors would occur for every sample
        return about_sample(sample.sample, error)
    encoded = bytes(cv2.imencode(".png", face.pixels[..., ::-1])[1].tobytes())
    return {FACES: encoded, **doubts_as_json(points.warnings)}
