"""Preparation of a data set in one or more processes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from os import PathLike
from typing import Any

import numpy as np
import torch

from htnet.core.deprecated import renamed_arguments
from htnet.core.described import describe
from htnet.core.engines import make_engine
from htnet.core.errors import (
    FlowError,
    FrameError,
    HtnetError,
    LandmarkError,
    ManifestError,
    SpecError,
    VideoError,
    about_sample,
)
from htnet.core.files import refuse_same_folder
from htnet.core.hints import how
from htnet.core.paths import as_path
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.data.manifest import check_manifest
from htnet.data.prepare.keys import source_key
from htnet.data.prepare.store import PreparedFolder, doubts_as_json
from htnet.data.prepare.workers import Preparation
from htnet.data.reader import SampleReader, degenerate
from htnet.preprocess import Landmarker, encode_motion
from htnet.preprocess.opencv import load_opencv

#: Errors that concern a single sample. Any other error (a missing detector model, an unknown setting) would occur for
#: every sample.
_OF_ONE_SAMPLE = (FrameError, FlowError, LandmarkError, ManifestError, VideoError)


@renamed_arguments
def prepare(
    manifest: Manifest,
    out: str | PathLike[str],
    spec: PreprocessSpec | None = None,
    landmarker: Landmarker | str | None = None,
    *,
    motion: bool = False,
    workers: int | None = 1,
    engine: str = "local",
    address: str | None = None,
    on_error: Callable[[Sample, HtnetError], None] | None = None,
    progress: Callable[[Iterable[Sample]], Iterable[Sample]] = lambda samples: samples,
    overwrite: bool = False,
    bit_depth: int | None = None,
) -> Manifest:
    """Compute flow images and landmarks of all samples once, and optionally the motion features of their clips.

    The call can be interrupted at any time and repeated. Samples whose files are complete and were computed from the
    same frames, points, settings and version of htnet are kept; all others, including failed ones, are recomputed. The
    files are byte-identical to those of an uninterrupted call, and do not depend on the number of workers.

    Args:
        manifest: samples with onset and apex frames.
        out: output folder for ``manifest.csv``, ``preprocess.json``, ``flow/*.png``, ``landmarks/*.json``
            (five points in px of the flow image), ``motion/*.safetensors`` (with motion), ``keys/*.json`` (the inputs
            of each sample) and ``report.json`` (see `Report`).
        spec: preprocessing settings.
        landmarker: source of the points of samples without a landmark file: a landmarker, or a string for
            `htnet.preprocess.make_landmarker`.
        motion: also compute `htnet.preprocess.motion_features` of the samples' clips at ``spec.clip_frames`` time
            points; samples without clip cannot be prepared then.
        workers: number of processes, each on one core; None for one per core (at most 8), or fewer if there are few
            samples. With more than one, the calling script needs the guard ``if __name__ == "__main__":``, because
            processes are forked only on Linux, and not always there.
        engine: "local", or "ray" for the nodes of a Ray cluster, which must have the frames under the same paths; see
            docs/clusters.md. The results are the same, and only this process writes files.
        address: HOST:PORT of the Ray cluster; None for the address in the environment variable RAY_ADDRESS.
        on_error: called with each sample that cannot be prepared, which is then left out. By default the first such
            sample ends the call.
        progress: wraps the iteration over finished samples, for a progress bar.
        overwrite: replace other samples, or other labels, in ``out``.
        bit_depth: bits per value of the frames if 16-bit files use fewer; see `htnet.preprocess.read_frame`.

    Returns:
        The manifest of the prepared samples, in the order of ``manifest``.

    Raises:
        OverwriteError: ``out`` contains other samples, or the same with other labels, and ``overwrite`` is not given.
        ManifestError: ``out`` contains flow computed with another spec, a sample has no frames or shows no expression
            (see `htnet.data.reader.degenerate`), two samples would share a file, or no sample could be prepared.
        SpecError: ``motion`` is requested and ``spec.clip_frames`` is 0.
        HtnetError: a sample cannot be read (the message names it), or the settings are impossible.
        RunError: another process is preparing into ``out``, a process was killed, or the Ray cluster cannot be used.
        MissingExtraError: Ray is not installed.
        InputError: the landmarker cannot be sent to other processes, or ``out`` is the folder of the manifest.
    """
    check_manifest(manifest)
    ran_by = make_engine(engine, address, workers)
    spec = spec or PreprocessSpec()
    if motion and not spec.clip_frames:
        raise SpecError("motion is requested, but PreprocessSpec.clip_frames is 0. Give 2 or more, such as 16.")
    if len(manifest) and all(s.flow is not None and s.onset is None and s.apex is None for s in manifest):
        use = how(f"htnet train --data {manifest.source}", f"htnet.data.open_data({manifest.source!r})")
        raise ManifestError(
            f"{manifest.source} contains flow images and no frames: it is already prepared. Use it: {use}"
        )
    kinds = {"flow": ".png", "landmarks": ".json", **({"motion": ".safetensors"} if motion else {})}
    refuse_same_folder(out, manifest.source)
    folder = PreparedFolder(as_path(out, "out"), kinds)
    reader = SampleReader(spec, landmarker, extras=("motion",) if motion else (), bit_depth=bit_depth)
    points = cache(lambda: describe(reader.landmarks.get()))
    preparation = Preparation(
        folder,
        spec,
        reader.landmarks,
        reader,
        _make,
        # The detector is created only if a sample needs it, because its model may have to be downloaded.
        key=lambda sample: source_key(sample, spec, points() if sample.landmarks is None else None, motion, bit_depth),
        prepared=lambda sample: _prepared(sample, folder),
    )
    return preparation.run(manifest, ran_by, on_error, progress, overwrite)


def _prepared(sample: Sample, folder: PreparedFolder) -> Sample:
    raw = dataclasses.replace(sample, onset=None, apex=None, clip=None, clip_first="", clip_last="", motion=None)
    files: dict[str, Any] = {kind: folder.path(kind, sample) for kind in folder.kinds}
    return dataclasses.replace(raw, **files)


def _make(reader: SampleReader, sample: Sample) -> dict[str, bytes] | HtnetError:
    """The content of a sample's files, or the error of a sample that cannot be prepared."""
    cv2 = load_opencv()
    try:
        _refuse(degenerate(sample))
        with _one_thread():
            made = reader.from_frames(sample)
        _refuse(degenerate(sample, made))
    except _OF_ONE_SAMPLE as error:
        return about_sample(sample.sample, error)
    points = json.dumps(np.asarray(made.points).round(3).tolist()).encode()
    doubts = made.doubts
    files = {"flow": cv2.imencode(".png", made.flow_image)[1].tobytes(), "landmarks": points, **doubts_as_json(doubts)}
    return files if made.motion is None else {**files, "motion": encode_motion(made.motion, reader.spec)}


def _refuse(fault: str) -> None:
    """Raise an error if there is a fault, so that no flow image of a degenerate pair is stored."""
    if fault:
        raise ManifestError(f"{fault}. Correct it or leave it out; for your own manifest, --skip-errors leaves it out.")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one core: sums over several threads round differently, and results must not depend on ``workers``."""
    cv2 = load_opencv()
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
