"""The work that is disturbed: every command that writes many files, on small inputs of our own making."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from htnet.core.types import EMOTIONS
from htnet.data import Manifest, Sample
from htnet.data.prepare import prepare
from htnet.evaluation import loso
from htnet.hub import load_pretrained, save_pretrained
from htnet.models import create_model
from htnet.pipeline import analysis_files
from htnet.recordings import kept
from htnet.training import Recipe, TrainingJob, load_flow_set, state, train_weights
from htnet.types import Event, PreprocessSpec
from tests.support.flows import write_flow_set
from tests.support.pairs import QUICK, face, face_pair, save
from tests.support.videos import write_video


@dataclass(frozen=True)
class Work:
    """One command.

    Attributes:
        name: of the command.
        run: does it, into a folder; a second call goes on where the first was ended.
        finished: patterns of files that, once they are there, are not written again.
        growing: names of files that become longer while it runs.
        check: looks at the folder after a disturbance; returns what is wrong, "" if nothing is.
    """

    name: str
    run: Callable[[Path], object]
    finished: tuple[str, ...] = ()
    growing: tuple[str, ...] = ()
    check: Callable[[Path], str] = lambda out: ""


def works(folder: Path) -> tuple[Work, ...]:
    """Write the inputs into a folder; returns all work."""
    rng = np.random.default_rng(0)
    samples = []
    for i in range(24):
        onset, apex = (
            save(folder / "pairs" / f"{i}_{name}.png", rgb)
            for name, rgb in zip(("onset", "apex"), face_pair(i % 3, rng=rng), strict=True)
        )
        samples.append(Sample(f"s{i}", "own", f"p{i % 3}", EMOTIONS[i % 3], onset, apex))
    pairs = Manifest(tuple(samples), source=str(folder / "pairs"))
    flows = write_flow_set(folder / "flows", 3, 4)
    data = load_flow_set(flows, PreprocessSpec())
    for name in ("one", "two"):
        write_video(folder / f"{name}.avi", [face(120)] * 60, 30.0)
    recordings = [str(folder / f"{name}.avi") for name in ("one", "two")]
    models = [create_model("htnet_tiny") for _ in range(2)]
    for model in models:
        model.preprocess_spec = PreprocessSpec()
    state.Checkpoint.__init__.__defaults__ = (0.0, True)  # after every epoch
    kept.EVERY, kept._SHARE = 0.05, 1
    analysis_files.load_detector = lambda path=None: _events

    def analyze(out: Path) -> None:
        job = analysis_files.AnalysisJob(out, emotions=False)
        faults = [done.fault for done in analysis_files.analyze_files(recordings, job) if done.fault]
        if faults:
            raise analysis_files.InputError("; ".join(faults))

    def save_twice(out: Path) -> None:
        for _ in range(8):
            for model in models:
                save_pretrained(model, out, overwrite=True)

    def whole(out: Path) -> str:
        if not (out / "config.json").is_file() or (out / ".saving").exists():
            return ""
        load_pretrained(out)
        return ""

    job = TrainingJob("htnet_tiny", Recipe(epochs=12, batch_size=6))
    loso_options = {"recipe": Recipe(epochs=3), "seeds": 2, "protocols": ["last", "nested"], "checkpoint_every": 0.0}
    return (
        Work("prepare", lambda out: prepare(pairs, out, QUICK, "template"), ("keys/*.json",)),
        Work("train", lambda out: train_weights(flows, data, out, job, overwrite=True), growing=("training.csv",)),
        Work(
            "loso",
            lambda out: loso(flows, "htnet_tiny", out=out, workers=1, progress=False, **loso_options),
            ("folds/*/*.json",),
        ),
        Work("analyze", analyze, ("*.html",)),
        Work("save_pretrained", save_twice, check=whole),
    )


def _events(curves: object) -> list[Event]:
    """A detector that finds one event in the face of every recording."""
    return [Event("macro", 20, 30, 45, track=track.number) for track in curves.tracks]


def content(out: Path) -> dict[str, bytes]:
    """The files of a folder, without locks, and without the dates that some formats ask for."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.name != ".lock":
            data = path.read_bytes()
            found[str(path.relative_to(out))] = re.sub(rb' DATE="[^"]*"', b"", data) if path.suffix == ".eaf" else data
    return found


def whole(work: Work, out: Path, calm: Mapping[str, bytes]) -> list[str]:
    """What is wrong in a folder after a disturbance: finished files that are not those of an undisturbed run."""
    wrong = [work.check(out)] if work.check(out) else []
    if work.name == "save_pretrained":
        return wrong  # alternates between two models
    for name, data in content(out).items():
        path = Path(name)
        if path.name.startswith(".") or path.match("partial/*"):
            continue
        expected = calm.get(name)
        same = expected is not None and (data == expected or (path.name in work.growing and expected.startswith(data)))
        if not same:
            wrong.append(f"{name} is not that of an undisturbed run")
    return wrong


def times(work: Work, out: Path) -> dict[str, int]:
    """When each finished file was written, ns."""
    return {str(p): p.stat().st_mtime_ns for pattern in work.finished for p in out.glob(pattern)}


def left(out: Path) -> list[str]:
    """What a killed process has left half written."""
    return [str(path) for path in out.rglob("*") if path.suffix in (".tmp", ".part") or path.match("partial/*.pt")]


def fresh(out: Path) -> None:
    """An empty place."""
    shutil.rmtree(out, ignore_errors=True)


def told(figures: Mapping[str, object]) -> str:
    """Figures in one line."""
    return json.dumps(figures, ensure_ascii=False)
