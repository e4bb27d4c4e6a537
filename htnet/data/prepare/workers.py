"""Computation of the files of many samples: resumable, in one or more processes, with a report."""

from __future__ import annotations

import dataclasses
import math
import os
import pickle
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from htnet.core.engines import Engine, LocalEngine
from htnet.core.errors import HtnetError, InputError, ManifestError, cause
from htnet.core.fields import flag, function, optional
from htnet.core.identity import differ
from htnet.core.parallel import choose_workers, locked
from htnet.core.types import PreprocessSpec, QualityWarning
from htnet.core.words import listed
from htnet.data import Manifest, Sample
from htnet.data.manifest import files_of
from htnet.data.prepare.keys import Parts
from htnet.data.prepare.report import NEW, REPORT_FILE, Report
from htnet.data.prepare.store import MANIFEST_FILE, PreparedFolder, check_names
from htnet.preprocess import LazyLandmarker, PrecomputedLandmarks, TemplateLandmarks, YuNetLandmarker
from htnet.preprocess.landmarks.peers import PeerLandmarks

#: Minimum number of samples per process: fewer take less time than the start of a process.
_WORTH_A_PROCESS = 16
#: Landmarkers that work in a forked process; others may hold threads, locks or a GPU.
_FORKABLE = (YuNetLandmarker, TemplateLandmarks, PrecomputedLandmarks, PeerLandmarks)

Progress = Callable[[Iterable[Sample]], Iterable[Sample]]


@dataclass(frozen=True, eq=False)
class Preparation:
    """How the samples of a data set are prepared.

    Attributes:
        folder: the output folder.
        spec: the spec to store in the folder.
        landmarks: landmarker for samples without a landmark file.
        shared: first argument of ``make``, sent to each process.
        make: module-level function that returns a sample's files by kind, or the error if it cannot be prepared.
        key: returns the inputs that a sample's files are computed from; None if they cannot be read.
        prepared: returns the sample as it is written to the new manifest.
        more: returns additional fields of the report, given the new manifest.
        noun: name of a sample in messages.
    """

    folder: PreparedFolder
    spec: PreprocessSpec
    landmarks: LazyLandmarker
    shared: Any
    make: Callable[[Any, Sample], dict[str, bytes] | HtnetError]
    key: Callable[[Sample], Parts | None]
    prepared: Callable[[Sample], Sample]
    more: Callable[[Manifest], Mapping[str, Any]] = lambda prepared: MappingProxyType({})
    noun: str = "sample"

    def run(
        self,
        manifest: Manifest,
        engine: Engine,
        on_error: Callable[[Sample, HtnetError], None] | None,
        progress: Progress,
        overwrite: bool = False,
    ) -> Manifest:
        """Compute all files that are missing or outdated; see `htnet.data.prepare.prepare`."""
        optional(function()).check("on_error", on_error)
        flag().check("overwrite", overwrite)
        check_names(manifest)
        folder, failed = self.folder, dict[str, str]()

        def fail(sample: Sample, error: HtnetError) -> None:
            if on_error is None:
                raise error
            on_error(sample, error)
            failed[sample.sample] = str(error)

        with locked(folder.root):
            folder.check_same(manifest, overwrite)
            folder.begin(self.spec)
            made_anew: dict[str, list[str]] = {}
            keys: dict[str, Parts | None] = {}
            with closing(self._make_all(manifest, engine, fail, made_anew, keys)) as steps:
                made = {sample.sample for sample in progress(steps)} - failed.keys()
            done = tuple(self.prepared(sample) for sample in manifest if sample.sample in made)
            prepared = dataclasses.replace(manifest, samples=done, source=str(folder.root / MANIFEST_FILE))
            in_order = {sample.sample: failed[sample.sample] for sample in manifest if sample.sample in failed}
            report = Report.of(manifest, prepared, in_order)
            notes = (*report.notes, *_same_frames(manifest, keys))
            doubts = _doubts({sample.sample: folder.doubts(sample) for sample in manifest if sample.sample in made})
            report = dataclasses.replace(report, notes=notes, made_again=made_anew, doubts=doubts)
            folder.write_report(report, self.more(prepared))
            if not done:
                raise ManifestError(
                    f"{manifest.source}: no {self.noun} could be prepared, {report.left_out} left out (listed in "
                    f"{folder.root / REPORT_FILE}).\n{report.text()}".rstrip()
                )
            if os.path.islink(folder.root / MANIFEST_FILE):
                (folder.root / MANIFEST_FILE).unlink()  # the target of the link is not in the folder
            prepared.write(folder.root / MANIFEST_FILE, overwrite=True)
        return prepared

    def _make_all(
        self,
        manifest: Manifest,
        engine: Engine,
        fail: Callable[[Sample, HtnetError], None],
        made_anew: dict[str, list[str]],
        keys: dict[str, Parts | None],
    ) -> Generator[Sample, None, None]:
        """Yield the samples as they are finished, starting with up-to-date ones; record why others are recomputed."""
        todo = []
        for sample in manifest:
            keys[sample.sample] = self.key(sample)
            why = self.folder.outdated(sample, keys[sample.sample])
            if why is None:
                yield sample
            else:
                todo.append((sample,))
                if why != NEW:
                    made_anew.setdefault(why, []).append(sample.sample)
        if isinstance(engine, LocalEngine):
            worth = len(todo) if engine.workers is not None else math.ceil(len(todo) / _WORTH_A_PROCESS)
            engine = LocalEngine(choose_workers(engine.workers, worth))
        finder = None
        if engine != LocalEngine(1):
            _check_sendable(self.landmarks)
            # A model that cannot be downloaded fails once here, instead of in every process.
            if any(sample.landmarks is None for (sample,) in todo):
                finder = self.landmarks.get()
                getattr(finder, "ready", lambda: None)()
        # Everything else in a task computes on one thread, with OpenCV, PyTorch and compiled loops.
        forks = finder is None or isinstance(getattr(finder, "inner", finder), _FORKABLE)
        running = engine.run(
            self.make,
            self.shared,
            todo,
            forks=forks,
            files=lambda task: (*files_of(task[0]), *self.landmarks.files()),
        )
        with closing(running) as ran:
            for (sample,), made in ran:
                if isinstance(made, HtnetError):
                    fail(sample, made)
                else:
                    self.folder.write(sample, keys[sample.sample], made)
                yield sample


def _doubts(found: Mapping[str, Iterable[QualityWarning]]) -> tuple[QualityWarning, ...]:
    """One warning per code: the samples concerned, and the message for the first of them."""
    seen: dict[str, dict[str, str]] = {}
    for name, doubts in found.items():
        for doubt in doubts:
            seen.setdefault(doubt.code, {})[name] = doubt.message
    return tuple(
        QualityWarning(code, f"{listed(list(messages))}: {next(iter(messages.values()))}")
        for code, messages in seen.items()
    )


def _same_frames(manifest: Manifest, keys: Mapping[str, Parts | None]) -> tuple[str, ...]:
    """A note on equal frames under two people: they show one recording, whatever the names of the files."""
    found: dict[tuple[Any, ...], Sample] = {}
    pairs = []
    for sample in manifest:
        parts = keys.get(sample.sample) or {}
        pictures = tuple(parts.get(name) for name in ("onset", "apex", "image"))
        if any(pictures):
            other = found.setdefault(pictures, sample)
            if other is not sample and differ(other, sample):
                pairs.append(f"{sample.sample} as {other.sample}")
    if not pairs:
        return ()
    shown = ", ".join(pairs[:5]) + (f" and {len(pairs) - 5} more" if len(pairs) > 5 else "")
    return (
        f"Samples of one person have the same frames, byte for byte, as those of another: {shown}. One recording on "
        "both sides of a split is a leak: correct the subjects or the files.",
    )


def _check_sendable(landmarks: LazyLandmarker) -> None:
    try:
        pickle.dumps(landmarks)
    except Exception as error:  # pickle raises errors of many types
        raise InputError(
            f"The landmarker {landmarks.given!r} cannot be sent to other processes ({cause(error)}). Give its name, "
            "such as 'yunet', for make_landmarker, or use workers=1."
        ) from error
