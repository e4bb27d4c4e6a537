"""Readers of folders that htnet has written: runs, states of trainings, prepared sets, results of recordings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from benchmarks.trust.reader import Reader, of
from benchmarks.trust.work import Work
from htnet.cli.predict import _is_of_demo
from htnet.core.hints import door_of
from htnet.data import read_events
from htnet.data.layouts import open_data
from htnet.data.prepare.report import read_report
from htnet.data.prepare.store import prepared_notes
from htnet.evaluation.summary import read_summary
from htnet.hub import plan_push
from htnet.pipeline import read_analysis
from htnet.pipeline.evaluation_report import report
from htnet.training import load_flow_set
from htnet.training.state import Checkpoint, TrainingState
from htnet.types import PreprocessSpec

_DOCUMENT = ("htnet.core.limits:parse_json", "json:loads")
_ROWS = ("htnet.core.csv_files:CsvTable",)
_STATE = ("torch.serialization:_load()",)


def write_runs(folder: Path, every: Mapping[str, Work]) -> str:
    """Let the commands write their folders; returns the name of the state of an unfinished fold, kept beside them."""
    save, kept = TrainingState.save_now_and_then, []

    def keep(self: TrainingState) -> None:
        save(self)
        if self.checkpoint is not None and not kept and self.checkpoint.path.parent.name == "partial":
            kept.append(shutil.copy(self.checkpoint.path, folder))

    TrainingState.save_now_and_then = keep  # type: ignore[method-assign]
    try:
        for name in ("prepare", "train", "loso", "analyze"):
            every[name].run(folder / name)
    finally:
        TrainingState.save_now_and_then = save  # type: ignore[method-assign]
    return Path(kept[0]).name


def run_readers(folder: Path, every: Mapping[str, Work], state: str) -> tuple[Reader, ...]:
    """All of them; the folders are those of `write_runs`."""
    loso, prepared, analysis = folder / "loso", folder / "prepare", folder / "analyze"
    folds = sorted(loso.glob("folds/*/*.json"))
    tables = sorted(p for p in analysis.glob("*.csv") if ".frames" not in p.name)
    documents = sorted(analysis.glob("*.json"))
    notes = ("preprocess.json", "report.json", "manifest.csv")
    keys = sorted((prepared / "keys").glob("*.json"))[:2]
    images = sorted((prepared / "flow").glob("*.png"))[:2]
    unfinished = state.split("-")[2]  # seed-0-FOLD-STAGE.pt

    def copy(path: Path, out: Path, source: Path, place: str) -> Path:
        shutil.copytree(source, out / "run")
        (out / "run" / place).parent.mkdir(exist_ok=True)
        shutil.copy(path, out / "run" / place)
        return out / "run"

    def resumed(path: Path, out: Path) -> object:
        place = "run.json" if path.name == "run.json" else str(folds[0].relative_to(loso))
        return every["loso"].run(copy(path, out, loso, place))

    def state_of_fold(path: Path, out: Path) -> object:
        run = copy(path, out, loso, f"partial/{path.name}")
        for fold in run.glob(f"folds/*/{unfinished}.json"):
            fold.unlink()
        return every["loso"].run(run)

    def reported(path: Path, out: Path) -> object:
        door_of(out)
        return report(copy(path, out, loso, path.name), out / "report.html", worst=2)

    def again(path: Path, out: Path) -> object:
        place = path.name if path.name in notes else f"{'flow' if path.suffix == '.png' else 'keys'}/{path.name}"
        copied = copy(path, out, prepared, place)
        read_report(copied)
        prepared_notes(copied)
        return load_flow_set(open_data(copied), PreprocessSpec())

    def continued(path: Path, out: Path) -> object:
        place = path.name if path.name in notes else f"keys/{path.name}"
        copied = copy(path, out, prepared, place)
        return every["prepare"].run(copied)

    def analyzed(path: Path, out: Path) -> object:
        door_of(path)
        return every["analyze"].run(copy(path, out, analysis, path.name))

    def pushed(path: Path, out: Path) -> object:
        plan = plan_push(copy(path, out, folder / "train", path.name), "nobody/nothing")
        return plan.lines()

    what = torch.load(folder / state, weights_only=True)["what"]

    def state_of_training(path: Path, out: Path) -> object:
        return TrainingState(Checkpoint(path), what, {}, 1)

    made = of(*(prepared / name for name in notes[:2]), *keys, kind="json")
    made = (*made, *of(prepared / notes[2], kind="csv"))
    return (
        Reader("run folder", of(loso / "run.json", folds[0], kind="json"), resumed, _DOCUMENT, weight=0.15),
        Reader("state of a fold", of(folder / state, kind="zip"), state_of_fold, _STATE, weight=0.15),
        Reader("state of a training", of(folder / state, kind="zip"), state_of_training, _STATE),
        Reader("summary", of(loso / "summary.json", kind="json"), lambda p, out: read_summary(p), _DOCUMENT),
        Reader(
            "report",
            (
                *of(loso / "summary.json", kind="json"),
                *of(loso / "predictions.csv", loso / "training.csv", kind="csv"),
            ),
            reported,
            ("htnet.core.csv_files:CsvTable", "htnet.evaluation.finished:_stated"),
            weight=0.3,
        ),
        Reader("prepared folder", (*made, *of(*images, kind="png")), again, (*_DOCUMENT, *_ROWS), weight=0.5),
        Reader("prepared folder, continued", made, continued, (*_DOCUMENT, *_ROWS), weight=0.15),
        Reader("analysis", of(*documents, kind="json"), lambda p, out: (_is_of_demo(p), read_analysis(p)), _DOCUMENT),
        Reader("analysis, continued", of(*documents, kind="json"), analyzed, _DOCUMENT, weight=0.1),
        Reader(
            "events",
            (*of(*documents, kind="json"), *of(*tables, kind="csv")),
            lambda p, out: read_events(p),
            (*_DOCUMENT, *_ROWS),
        ),
        Reader(
            "weights folder to push",
            of(folder / "train" / "README.md", kind="text"),
            pushed,
            ("htnet.hub.folder:load_files",),
            weight=0.1,
        ),
    )
