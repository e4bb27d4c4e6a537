"""Preparing graded faces: aligned faces, splits and a manifest, computed once."""

from __future__ import annotations

import dataclasses
import os
import pickle
from collections.abc import Callable, Iterable
from functools import cached_property
from os import PathLike
from pathlib import Path

from htnet.data import Manifest, Sample
from htnet.errors import FrameError, HtnetError, InputError, LandmarkError, ManifestError, about_sample
from htnet.evaluation.store import to_json, write_atomic
from htnet.jobs import choose_jobs, locked, run_tasks
from htnet.palsy.splits import split_patients, split_table
from htnet.prepare import MANIFEST_FILE, REPORT_FILE, SPEC_FILE, Report, prepared_spec
from htnet.prepare.store import check_names, file_name
from htnet.preprocess import FrameSource, Landmarker, fit_alignment, make_landmarker, read_frame
from htnet.types import TEMPLATE_28, TEMPLATE_SIZE, Frame, Landmarks, PreprocessSpec

FACES = "faces"
#: Shown on each side of the template's square, as a share of it: brows and chin, which the square cuts.
MARGIN = 0.12


def _symmetric_template() -> tuple[tuple[float, float], ...]:
    """`TEMPLATE_28` with its two halves made equal, and `MARGIN` around."""
    partner = (1, 0, 2, 4, 3)
    points = []
    for (x, y), other in zip(TEMPLATE_28, partner, strict=True):
        mirrored = TEMPLATE_SIZE - TEMPLATE_28[other][0]
        place = ((x + mirrored) / 2, (y + TEMPLATE_28[other][1]) / 2)
        points.append(tuple((v + TEMPLATE_SIZE * MARGIN) / (1 + 2 * MARGIN) for v in place))
    return tuple((round(x, 4), round(y, 4)) for x, y in points)


#: How faces are aligned unless told otherwise: a 224 px face, its template the same on both sides.
PALSY_SPEC = PreprocessSpec(layout="whole", size=224, face_size=224, template=_symmetric_template())


def align_face(
    image: FrameSource, landmarker: Landmarker, spec: PreprocessSpec, sample: str = ""
) -> tuple[Frame, Landmarks]:
    """One face, moved by the similarity that takes its five points nearest to the spec's template.

    A similarity moves both sides alike, so an asymmetry stays.

    Args:
        image: an image file or an RGB array.
        landmarker: finds the five points. `htnet.preprocess.TemplateLandmarks` is for faces that are cropped
            already: the template's points are then where the spec wants them, and the image is only resized.
        spec: template and ``face_size``.
        sample: identifier, to look points up by.

    Returns:
        The face, (face_size, face_size, 3), and the points found, px of the image.

    Raises:
        FrameError: the image cannot be read.
        LandmarkError: there is no face, or its points cannot be used.
    """
    frame = read_frame(image)
    points = landmarker(frame, sample)
    alignment = fit_alignment(points, template=spec.template, size=spec.face_size, frame=frame.source)
    return alignment.warp(frame), points


def palsy_landmarker(text: str, spec: PreprocessSpec) -> Landmarker:
    """`htnet.preprocess.make_landmarker`; "template" stretches the spec's own template, so that a face stays put."""
    from htnet.preprocess import TemplateLandmarks

    return TemplateLandmarks(spec.template) if text == "template" else make_landmarker(text)


def prepare_faces(
    manifest: Manifest,
    out: str | PathLike[str],
    landmarks: Landmarker | str = "yunet",
    *,
    spec: PreprocessSpec = PALSY_SPEC,
    test: float = 0.2,
    val: float = 0.0,
    seed: int = 0,
    jobs: int | None = 1,
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = lambda samples: samples,
) -> Manifest:
    """Align all faces once and split them by patient.

    Images that cannot be read or show no face are left out and listed in the report; the rest is done. Splits that
    the manifest names are kept; otherwise all patients are split before any image is looked at, so that repairing an
    image moves nobody.

    Args:
        manifest: samples with ``image``, label and subject, from `read_palsy`.
        out: folder; gets ``faces/*.png``, ``manifest.csv``, ``preprocess.json`` and ``report.json`` (see
            `htnet.prepare.Report`; its ``splits`` are those of `split_table`). Each file appears whole.
        landmarks: finds the five points: a landmarker, or a text for `palsy_landmarker`.
        spec: template and side of the aligned face.
        test: share of the images to test on, see `split_patients`.
        val: share of the images to validate on.
        seed: of the splits.
        jobs: processes; None takes one a core (at most 8). More than one needs the caller to be guarded by
            ``if __name__ == "__main__":``.
        progress: wraps the iteration over samples, for a progress bar.

    Returns:
        The prepared samples, in the order of ``manifest``.

    Raises:
        ManifestError: no image could be prepared, some samples name a split and others none, or two samples would
            share a file.
        RunError: another process is preparing into ``out``.
        HtnetError: nothing can be prepared in this way, as with a detector whose model cannot be found.
    """
    out = Path(out)
    check_names(manifest)
    manifest = _with_splits(manifest, test, val, seed)
    failed: dict[str, str] = {}
    with locked(out):
        if prepared_spec(out) not in (None, spec):
            raise ManifestError(f"{out} holds faces aligned with another spec ({SPEC_FILE}). Choose another --out.")
        write_atomic(out / SPEC_FILE, to_json(spec.to_dict()))
        jobs = choose_jobs(jobs, len(manifest))
        maker = _Maker(spec, landmarks)
        if jobs > 1:
            _check_sendable(landmarks)
        tasks = [(sample,) for sample in manifest]
        results = ((sample, found) for (sample,), found in run_tasks(_make, maker, tasks, jobs))
        by_name = dict[str, HtnetError | bytes]()
        for sample in progress(_keep(results, by_name)):
            found = by_name.pop(sample.sample)
            if isinstance(found, HtnetError):
                failed[sample.sample] = str(found)
            else:
                _write(_face_file(out, sample), found)
        done = tuple(dataclasses.replace(s, image=_face_file(out, s)) for s in manifest if s.sample not in failed)
        prepared = dataclasses.replace(manifest, samples=done, source=str(out / MANIFEST_FILE))
        in_order = {s.sample: failed[s.sample] for s in manifest if s.sample in failed}
        report = Report.of(manifest, prepared, in_order)
        write_atomic(out / REPORT_FILE, to_json({**report.to_dict(), "splits": split_table(prepared)}))
        if not done:
            raise ManifestError(
                f"{manifest.source}: no image could be prepared (listed in {out / REPORT_FILE}).\n{report.notes()}"
            )
        prepared.write(out / MANIFEST_FILE)
    return prepared


def gaps(manifest: Manifest) -> list[str]:
    """What is missing for a fair training and test, one line each: classes without images, or with none in a split."""
    table = split_table(manifest)
    present = {s.label for s in manifest}
    lines = [
        f"class {name}: no images at all; no model trained on this can be expected to answer it"
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
        ManifestError: it is no folder of `prepare_faces`.
    """
    found = prepared_spec(folder)
    if found is None:
        raise ManifestError(f"{folder} is no folder of prepared faces: it has no {SPEC_FILE}. Run htnet palsy prepare.")
    return found


def _with_splits(manifest: Manifest, test: float, val: float, seed: int) -> Manifest:
    without = [s.sample for s in manifest if not s.split]
    if len(without) == len(manifest):
        return split_patients(manifest, test=test, val=val, seed=seed)
    if without:
        raise ManifestError(f"{manifest.source}: sample {without[0]!r} has no split, but others have. Fill in all.")
    return manifest


def _face_file(out: Path, sample: Sample) -> Path:
    return out / FACES / f"{file_name(sample)}.png"


def _keep(
    results: Iterable[tuple[Sample, bytes | HtnetError]], into: dict[str, HtnetError | bytes]
) -> Iterable[Sample]:
    """The samples as they come, their results laid by: progress bars wrap samples."""
    for sample, found in results:
        into[sample.sample] = found
        yield sample


class _Maker:
    """What a process needs to align faces; a landmarker given as text is built there."""

    def __init__(self, spec: PreprocessSpec, landmarks: Landmarker | str) -> None:
        self.spec = spec
        self.landmarks = landmarks

    @cached_property
    def landmarker(self) -> Landmarker:
        return palsy_landmarker(self.landmarks, self.spec) if isinstance(self.landmarks, str) else self.landmarks


def _make(maker: _Maker, sample: Sample) -> bytes | HtnetError:
    """The PNG of a sample's aligned face, or what is wrong with it."""
    import cv2

    try:
        if sample.image is None:
            raise ManifestError("it has no image of a face.")
        face, _ = align_face(sample.image, maker.landmarker, maker.spec, sample.sample)
    except (FrameError, LandmarkError, ManifestError) as error:  # others would hit every sample
        return about_sample(sample.sample, error)
    return bytes(cv2.imencode(".png", face.pixels[..., ::-1])[1].tobytes())


def _check_sendable(landmarks: Landmarker | str) -> None:
    try:
        pickle.dumps(landmarks)
    except Exception as error:  # pickle raises what it likes
        raise InputError(
            f"The landmarker {landmarks!r} cannot be sent to other processes ({error}). Give its name, or use jobs=1."
        ) from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_bytes(content)
    os.replace(partial, path)
