"""Preparation of a data set in one or several processes."""

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
from htnet.core.hints import how
from htnet.core.paths import as_path
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, Sample
from htnet.data.prepare.keys import describe, source_key
from htnet.data.prepare.store import PreparedFolder, doubts_as_json
from htnet.data.prepare.workers import Preparation
from htnet.data.reader import SampleReader, degenerate
from htnet.preprocess import Landmarker, encode_motion
from htnet.preprocess.opencv import load_opencv

#: What one bad sample raises. Any other error (no detector's model, an unknown setting) would hit every sample.
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
    """Compute flow images and landmarks of all samples once, and optionally the motion of their clips.

    The call can be interrupted at any moment and repeated. Samples whose files are complete and were made from
    the same frames, points, settings and version of htnet are kept; all others, including failed ones, are recomputed.
    The files are byte-identical to those of an uninterrupted call, independent of the number of workers.

    Args:
        manifest: samples with onset and apex frames.
        out: folder; gets ``manifest.csv``, ``preprocess.json``, ``flow/*.png``, ``landmarks/*.json``
            (five points in px of the flow image), ``motion/*.safetensors`` (with motion), ``keys/*.json`` (what each
            was made from) and ``report.json`` (see `Report`).
        spec: preprocessing specification.
        landmarker: source of the points of samples without a landmarks file; or a text for
            `htnet.preprocess.make_landmarker`.
        motion: also compute `htnet.preprocess.motion_features` of the samples' clips, ``spec.clip_frames`` moments
            each; a sample without clip cannot be prepared then.
        workers: processes of one core each; None takes one per core (at most 8), fewer for a few samples. More than
            one needs the caller to be guarded by ``if __name__ == "__main__":``, because they are forked on Linux only,
            and there not always.
        engine: "local"; or "ray" for the nodes of a Ray cluster, which must have the frames under the same paths, see
            docs/clusters.md. The files are the same, and written by this process alone.
        address: HOST:PORT of the Ray cluster; None for what the variable RAY_ADDRESS names.
        on_error: called with each sample that cannot be prepared, which is then left out; without it
            the first such sample ends the call.
        progress: wraps the iteration over samples as they are done, for a progress bar.
        overwrite: replace other samples, or other labels, in ``out``.
        bit_depth: bits of the frames' values if 16-bit files use fewer; see `htnet.preprocess.read_frame`.

    Returns:
        The manifest of the prepared samples, in the order of ``manifest``.

    Raises:
        OverwriteError: ``out`` contains other samples, or the same with other labels, and ``overwrite`` is not given.
        ManifestError: ``out`` contains flow made with another spec, a sample has no frames or shows no expression (see
            `htnet.data.reader.degenerate`), two samples would share a file, or no sample could be prepared.
        SpecError: ``motion`` is requested and ``spec.clip_frames`` is 0.
        HtnetError: a sample cannot be read (the message names it), or the settings are impossible.
        RunError: another process is preparing into ``out``, a process was killed, or the Ray cluster cannot be used.
        MissingExtraError: Ray is not installed.
        InputError: the landmarker cannot be sent to other processes.
    """
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
    folder = PreparedFolder(as_path(out, "out"), kinds)
    reader = SampleReader(spec, landmarker, extras=("motion",) if motion else (), bit_depth=bit_depth)
    points = cache(lambda: describe(reader.landmarks.get()))
    preparation = Preparation(
        folder,
        spec,
        reader.landmarks,
        reader,
        _make,
        # A detector that no sample needs is not asked who it is: its model may have to be fetched.
        key=lambda sample: source_key(sample, spec, points() if sample.landmarks is None else None, motion, bit_depth),
        prepared=lambda sample: _prepared(sample, folder),
    )
    return preparation.run(manifest, ran_by, on_error, progress, overwrite)


def _prepared(sample: Sample, folder: PreparedFolder) -> Sample:
    raw = dataclasses.replace(sample, onset=None, apex=None, clip=None, clip_first="", clip_last="", motion=None)
    files: dict[str, Any] = {kind: folder.path(kind, sample) for kind in folder.kinds}
    return dataclasses.replace(raw, **files)


def _make(reader: SampleReader, sample: Sample) -> dict[str, bytes] | HtnetError:
    """The content of a sample's files, or what is wrong with it."""
    cv2 = load_opencv()
    try:
        _refuse(degenerate(sample))
        with _one_thread():
            made = reader.from_frames(sample)
        _refuse(degenerate(sample, made))
    except _OF_ONE_SAMPLE as error:
        return about_sample(sample.sample, error)
    points = json.dumps(np.asarray(made.points).round(3).tolist()).encode()
    doubts = made.warnings if made.landmarks is None else (*made.landmarks.warnings, *made.warnings)
    files = {"flow": cv2.imencode(".png", made.flow_image)[1].tobytes(), "landmarks": points, **doubts_as_json(doubts)}
    return files if made.motion is None else {**files, "motion": encode_motion(made.motion, reader.spec)}


def _refuse(fault: str) -> None:
    """Raise an error if there is a fault: no flow image of a pair without expression is stored."""
    if fault:
        raise ManifestError(f"{fault}. Correct it or leave it out; for your own manifest, --skip-errors leaves it out.")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one core: sums split over threads are rounded otherwise, and the result may not depend on workers."""
    cv2 = load_opencv()
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
