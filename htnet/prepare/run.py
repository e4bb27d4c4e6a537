"""Preparing a data set, in one process or in several."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from htnet.data import Manifest, Sample
from htnet.errors import FlowError, FrameError, HtnetError, InputError, LandmarkError, ManifestError, about_sample
from htnet.jobs import choose_jobs, locked, run_tasks
from htnet.prepare.keys import describe, source_key
from htnet.prepare.report import REPORT_FILE, Report
from htnet.prepare.store import MANIFEST_FILE, PreparedFolder, check_names
from htnet.preprocess import Landmarker, Preprocessor, make_landmarker
from htnet.types import PreprocessSpec

#: What one bad sample raises. Any other error (no detector's model, an unknown setting) would hit every sample.
_OF_ONE_SAMPLE = (FrameError, FlowError, LandmarkError, ManifestError)
#: Fewer samples a process than this are done sooner than the process has started.
_WORTH_A_PROCESS = 16


def prepare(
    manifest: Manifest,
    out: str | PathLike[str],
    spec: PreprocessSpec | None = None,
    landmarker: Landmarker | str | None = None,
    *,
    jobs: int | None = 1,
    on_error: Callable[[Sample, HtnetError], None] | None = None,
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = lambda samples: samples,
) -> Manifest:
    """Compute flow images and landmarks of all samples, once.

    The call can be interrupted at any moment and made again. Samples whose files are whole and were made from
    the same frames, points, settings and version of htnet are kept, all others are made again, those that failed too;
    the files are the same to the byte as without interruption, whatever the number of jobs.

    Args:
        manifest: samples with onset and apex frames.
        out: folder; gets ``manifest.csv``, ``preprocess.json``, ``flow/*.png``, ``landmarks/*.json``
            (five points in px of the flow image), ``keys/*.json`` (what each was made from) and ``report.json``
            (see `Report`).
        spec: how flow is made.
        landmarker: finds the points of samples without a landmarks file; or a text for
            `htnet.preprocess.make_landmarker`.
        jobs: processes of one core each; None takes one a core (at most 8), fewer for a few samples. More than
            one needs the caller to be guarded by ``if __name__ == "__main__":``.
        on_error: called with each sample that cannot be prepared, which is then left out; without it
            the first such sample ends the call.
        progress: wraps the iteration over samples as they are done, for a progress bar.

    Returns:
        The manifest of the prepared samples, in the order of ``manifest``.

    Raises:
        ManifestError: ``out`` holds flow made in another way, a sample has no frames, two samples would share
            a file, or no sample could be prepared.
        HtnetError: a sample cannot be read (the message names it), or nothing can be prepared in this way.
        RunError: another process is preparing into ``out``, or a process was killed.
        InputError: the landmarker cannot be sent to other processes.
    """
    folder, spec = PreparedFolder(Path(out)), spec or PreprocessSpec()
    check_names(manifest)
    failed: dict[str, str] = {}

    def fail(sample: Sample, error: HtnetError) -> None:
        if on_error is None:
            raise error
        on_error(sample, error)
        failed[sample.sample] = str(error)

    with locked(folder.root):
        folder.begin(spec)
        with closing(_prepare_all(manifest, folder, spec, landmarker, jobs, fail)) as steps:
            made = {sample.sample for sample in progress(steps)} - failed.keys()
        done = tuple(_prepared(sample, folder) for sample in manifest if sample.sample in made)
        prepared = dataclasses.replace(manifest, samples=done, source=str(folder.root / MANIFEST_FILE))
        in_order = {sample.sample: failed[sample.sample] for sample in manifest if sample.sample in failed}
        report = Report.of(manifest, prepared, in_order)
        folder.write_report(report)
        if not done:
            raise ManifestError(
                f"{manifest.source}: no sample could be prepared, {report.left_out} left out (listed in "
                f"{folder.root / REPORT_FILE}).\n{report.notes()}".rstrip()
            )
        prepared.write(folder.root / MANIFEST_FILE)
    return prepared


def _prepare_all(
    manifest: Manifest,
    folder: PreparedFolder,
    spec: PreprocessSpec,
    landmarker: Landmarker | str | None,
    jobs: int | None,
    fail: Callable[[Sample, HtnetError], None],
) -> Generator[Sample, None, None]:
    """Yield the samples as they are done, first those that were done before."""
    finder = make_landmarker(landmarker) if isinstance(landmarker, str) else landmarker
    # A detector that nobody needs is not asked who it is: its model may have to be fetched.
    points = describe(finder) if any(sample.landmarks is None for sample in manifest) else None
    keys, todo = {}, []
    for sample in manifest:
        keys[sample.sample] = source_key(sample, spec, points)
        if folder.holds(sample, keys[sample.sample]):
            yield sample
        else:
            todo.append((sample,))
    worth = len(todo) if jobs is not None else math.ceil(len(todo) / _WORTH_A_PROCESS)
    jobs = choose_jobs(jobs, worth)
    if jobs > 1:
        _check_sendable(landmarker)
    for (sample,), made in run_tasks(_make, _Maker(spec, landmarker if jobs > 1 else finder), todo, jobs):
        if isinstance(made, HtnetError):
            fail(sample, made)
        else:
            folder.write(sample, keys[sample.sample], *made)
        yield sample


def _prepared(sample: Sample, folder: PreparedFolder) -> Sample:
    flow, landmarks = folder.flow(sample), folder.landmarks(sample)
    return dataclasses.replace(sample, onset=None, apex=None, flow=flow, landmarks=landmarks)


class _Maker:
    """What a process needs to prepare samples; a landmarker given as text is built there."""

    def __init__(self, spec: PreprocessSpec, landmarker: Landmarker | str | None) -> None:
        self.spec = spec
        self.landmarker = landmarker

    @cached_property
    def preprocessor(self) -> Preprocessor:
        found = make_landmarker(self.landmarker) if isinstance(self.landmarker, str) else self.landmarker
        return Preprocessor(self.spec, found)


def _make(maker: _Maker, sample: Sample) -> tuple[bytes, bytes] | HtnetError:
    """The content of a sample's flow image and landmarks file, or what is wrong with it."""
    import cv2

    try:
        if sample.onset is None or sample.apex is None:
            raise ManifestError("it has no onset and apex frames to compute flow from.")
        with _one_thread():
            made = maker.preprocessor.pair(sample.onset, sample.apex, sample.landmarks, sample.sample)
    except _OF_ONE_SAMPLE as error:
        return about_sample(sample.sample, error)
    points = np.asarray(made.points).round(3).tolist()
    return cv2.imencode(".png", made.flow_image)[1].tobytes(), json.dumps(points).encode()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one core: sums split over threads are rounded otherwise, and the result may not depend on jobs."""
    import cv2

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _check_sendable(landmarker: Landmarker | str | None) -> None:
    try:
        pickle.dumps(landmarker)
    except Exception as error:  # pickle raises what it likes
        raise InputError(
            f"The landmarker {landmarker!r} cannot be sent to other processes ({error}). Give its name, such as "
            "'yunet', for make_landmarker, or use jobs=1."
        ) from error
