"""Losses that are no numbers, bytes that orders and processes may not change, and scores that are the stored ones."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.trust.work import content
from htnet.cli import main
from htnet.core.assets import ASSETS
from htnet.core.errors import HtnetError, NonFiniteLossError
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.data import Manifest, Sample, read_manifest
from htnet.evaluation import holdout, kfold, loso
from htnet.hub import list_pretrained, load_pretrained
from htnet.palsy import train_palsy
from htnet.palsy.faces import FaceSet
from htnet.pipeline import Predictor, diagnose, doctor
from htnet.pipeline.estimators import HTNetClassifier
from htnet.preprocess.landmarks import detector
from htnet.training import (
    Recipe,
    Training,
    TrainingJob,
    load_flow_set,
    train_model,
    train_on_generated,
    train_vmapped,
    train_weights,
)
from tests.support.flows import write_flow_set
from tests.support.pairs import face_pair, save

#: A step so large that the next loss is none.
WILD = Recipe(epochs=3, batch_size=4, lr=1e30, schedule="constant", ema_decay=0.0)


def run(quick: bool, names: Sequence[str] = ()) -> dict[str, Any]:
    """Look at numbers; ``names`` are some parts, all by default."""
    figures: dict[str, Any] = {}
    for name, look in _LOOKS.items():
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory() as place:
            figures[name] = look(Path(place), quick)
        print(f"{name}: {figures[name]}", flush=True)
    return {**figures, "faults": sum(len(found["faults"]) for found in figures.values())}


def _losses(folder: Path, quick: bool) -> dict[str, Any]:
    """Every trainer with a loss that is none: it is stopped, names the samples, and leaves no weights."""
    manifest = write_flow_set(folder / "set", 3, 4)
    split = dataclasses.replace(
        manifest,
        samples=tuple(dataclasses.replace(s, split="test" if s.subject == "s2" else "train") for s in manifest),
    )
    known = {sample.sample for sample in manifest}
    data = load_flow_set(manifest, PreprocessSpec())
    motion = torch.zeros(len(data), 8, 64)
    motion[5, 0, 0] = float("nan")
    moved = dataclasses.replace(data, motion=motion, spec=dataclasses.replace(data.spec, clip_frames=8))
    calm = dataclasses.replace(WILD, lr=1e-3)
    faces = torch.zeros(len(manifest), 3, 28, 28, dtype=torch.uint8) + torch.arange(12, dtype=torch.uint8).view(
        -1, 1, 1, 1
    )
    face_set = FaceSet(
        faces, data.labels, len(EMOTIONS), PreprocessSpec(layout="whole"), tuple(s.sample for s in manifest)
    )
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 3)).astype(np.uint8)
    start = TrainingJob("htnet_small", WILD, start="synthetic")
    palsy = TrainingJob("htnet_palsy_tiny", dataclasses.replace(WILD, augmentation=None), settings={"image_size": 28})
    options = {"progress": False, "recipe": WILD}
    trainers: dict[str, Callable[[Path], object]] = {
        "train": lambda out: train_weights(manifest, data, out, TrainingJob("htnet_tiny", WILD)),
        "train, motion that is none": lambda out: train_model("htnet_dual_stream", moved, calm),
        "fine-tuning": lambda out: train_weights(manifest, data, out, start),
        "loso": lambda out: loso(manifest, "htnet_tiny", out=out, **options),
        "loso, 2 workers": lambda out: loso(manifest, "htnet_tiny", out=out, workers=2, **options),
        "loso, vmapped": lambda out: loso(manifest, "htnet_tiny", out=out, vmap_folds=3, **options),
        "kfold": lambda out: kfold(manifest, "htnet_tiny", folds=3, out=out, **options),
        "holdout": lambda out: holdout(split, "htnet_tiny", out=out, **options),
        "many at once": lambda out: train_vmapped("htnet_tiny", [Training(data, k) for k in range(2)], WILD),
        "pretrain": lambda out: train_on_generated(out, TrainingJob("htnet_small", WILD), count=16),
        "palsy train": lambda out: train_palsy(manifest, face_set, out, palsy),
        "estimator": lambda out: HTNetClassifier("htnet_tiny", recipe=WILD).fit(images, [0, 1, 2] * 4),
    }
    if quick:
        trainers = {name: trainers[name] for name in ("train", "loso", "palsy train")}
    faults: list[str] = []
    told: dict[str, int] = {}
    for number, (name, train) in enumerate(trainers.items()):
        out = folder / str(number)
        try:
            train(out)
            faults.append(f"{name}: it was not stopped")
        except NonFiniteLossError as error:
            told[name] = len(error.samples)
            named = all(repr(sample) in str(error) for sample in error.samples)
            own = name in ("pretrain", "estimator") or set(error.samples) <= known
            if not error.samples or not named or not own:
                faults.append(f"{name}: {error}")
        except Exception as error:
            faults.append(f"{name}: {type(error).__name__}: {error}")
        left = [str(path.relative_to(out)) for path in out.rglob("*") if path.suffix in (".safetensors", ".pt")]
        faults += [f"{name}: {one} is left" for one in left]
    return {"trainers": len(trainers), "samples_named": told, "faults": faults}


def _bytes(folder: Path, quick: bool) -> dict[str, Any]:
    """Every command again, with other numbers of workers, and with the rows of the manifest in other orders."""
    torch.set_num_threads(2)  # as a process has them that nobody told otherwise
    rng = np.random.default_rng(0)
    pairs = []
    for k in range(8 if quick else 20):
        paths = (
            save(folder / "pairs" / f"{k}{n}.png", rgb) for n, rgb in zip("oa", face_pair(k % 3, 96, rng), strict=True)
        )
        pairs.append(Sample(f"s{k}", "own", f"p{k % 4}", EMOTIONS[k % 3], *paths))
    frames = folder / "pairs" / "manifest.csv"
    Manifest(tuple(pairs), source=str(frames)).write(frames)
    flows = folder / "flows"
    write_flow_set(flows, 4, 5, datasets=("a", "b"))
    of_flows = flows / "manifest.csv"
    recipe = folder / "recipe.json"
    recipe.write_text(json.dumps({"name": "short", "epochs": 3, "batch_size": 8}), "utf-8")
    short = ["--recipe", str(recipe), "--model", "htnet_small"]
    prepare = ["prepare", "manifest", "--root", str(frames), "--landmarks", "template"]
    commands: dict[str, tuple[list[str], Path, bool]] = {
        "prepare": (prepare, frames, True),
        "predict": (["predict", "--manifest", str(frames), "--landmarks", "template"], frames, False),
        "predict, flow images": (["predict", "--manifest", str(of_flows)], of_flows, False),
        "evaluate": (
            ["evaluate", "--data", str(flows), "--weights", "composite", "--against", "synthetic"],
            of_flows,
            False,
        ),
        "train": (["train", "--data", str(flows), *short], of_flows, False),
        "loso": (["loso", "--data", str(flows), *short, "--protocol", "last", "nested"], of_flows, True),
        "kfold": (["kfold", "--data", str(flows), *short], of_flows, True),
    }
    if quick:
        commands = {name: commands[name] for name in ("predict, flow images", "evaluate", "train")}
    figures: dict[str, Any] = {"commands": {}, "faults": []}
    for name, (words, table, has_workers) in commands.items():
        rows = table.read_text("utf-8").splitlines()
        shuffled = rows[1:]
        random.Random(name).shuffle(shuffled)
        ways = {"again": (rows[1:], []), "reversed": (rows[:0:-1], []), "shuffled": (shuffled, [])}
        if has_workers:
            ways |= {"2 workers": (rows[1:], ["--workers", "2"]), "2 workers, shuffled": (shuffled, ["--workers", "2"])}
        first = _output(words + ["--workers", "1"] * has_workers, folder / "out", name)
        same = {}
        for way, (order, more) in ways.items():
            table.write_text("\n".join([rows[0], *order, ""]), "utf-8")
            found = _output(words + (more or ["--workers", "1"] * has_workers), folder / "out", name)
            differ = sorted(one for one in {*first, *found} if first.get(one) != found.get(one))
            same[way] = not differ
            figures["faults"] += [f"{name}, {way}: other bytes in {', '.join(differ)}"] if differ else []
        table.write_text("\n".join([*rows, ""]), "utf-8")
        figures["commands"][name] = {"files": len(first), "bytes": sum(map(len, first.values())), "same": same}
    return figures


def _output(words: Sequence[str], out: Path, name: str) -> dict[str, bytes]:
    """The files that a command writes; rows that stand in the order of the manifest are sorted."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    file = out / "answers.jsonl" if name.startswith("predict") else out / "made"
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main([*words, "--out", str(file)])
    if status:
        raise RuntimeError(f"{name}: {said.getvalue()[-1500:]}")
    found = content(out)
    ordered = ("answers.jsonl",) if name.startswith("predict") else ("made/manifest.csv", "made/predictions.csv")
    for one in ordered:
        if one in found and name in ("prepare", "evaluate", "predict", "predict, flow images"):
            found[one] = b"\n".join(sorted(found[one].splitlines()))
    return found


def _scores(folder: Path, quick: bool) -> dict[str, Any]:
    """The stored scores of all bundled weights, and weights, detectors and builds that are not what they were."""
    faults: list[str] = []
    found = diagnose()
    with patch.object(doctor, "installed_opencv", lambda: {"opencv-python-headless": "5.0"}):
        differences = {one.name: one.text for one in doctor._weights()}
    bundled = {spec.name for spec in list_pretrained() if spec.bundled}
    missing = bundled - differences.keys()
    faults += [f"{name}: no score is stored" for name in sorted(missing)]
    faults += [f"{one.topic}, {one.name}: {one.text}" for one in found.faults if one.topic in ("weights", "flow")]
    seen: dict[str, str] = {}

    def expect(what: str, look: Callable[[], str]) -> None:
        seen[what] = said = look()
        if not said:
            faults.append(f"{what} is not found")

    def of_doctor(topic: str, name: str) -> str:
        return next((one.text for one in diagnose().faults if (one.topic, one.name) == (topic, name)), "")

    builds = {"opencv-python": "4.12.0.1", "opencv-python-headless": "4.12.0.1"}
    with patch.object(doctor, "installed_opencv", lambda: builds):
        expect("a second build of OpenCV", lambda: of_doctor("OpenCV", "opencv"))
    with patch.object(doctor, "OLDEST_OPENCV", (99, 0)):
        expect("an OpenCV that is too old", lambda: of_doctor("OpenCV", "opencv"))
    moved = folder / "yunet.onnx"
    moved.write_bytes(detector.BUNDLED_MODEL.read_bytes()[:-1] + b"\1")
    with patch.object(detector, "BUNDLED_MODEL", moved), patch.object(doctor, "BUNDLED_MODEL", moved):
        expect("a changed face detector", lambda: of_doctor("OpenCV", "OpenCV"))
    expect("a changed flow", lambda: _with_other_flow(of_doctor))
    expect("changed weights", lambda: _with_other_weights(folder))
    expect("a prepared picture that was changed", lambda: _stale(folder / "a"))
    expect("a prepared set of another spec", lambda: _other_spec(folder / "b"))
    expect("a set whose frames changed since", lambda: _stale_source(folder / "c"))
    return {"stored": len(bundled - missing), "differences": differences, "found": seen, "faults": faults}


def _with_other_flow(of_doctor: Callable[[str, str], str]) -> str:
    with patch.object(doctor, "FLOW_TOLERANCE", -1.0):
        return of_doctor("flow", "sample pair")


def _with_other_weights(folder: Path) -> str:
    """A parameter of bundled weights is another number: their file has another hash."""
    copied = shutil.copytree(ASSETS / "weights" / "synthetic", folder / "weights")
    file = copied / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    try:
        load_pretrained(copied)
    except HtnetError as error:
        return str(error)
    return ""


def _prepared(folder: Path, *more: str) -> Path:
    rng = np.random.default_rng(0)
    samples = []
    for k in range(4):
        paths = (save(folder / f"{k}{n}.png", rgb) for n, rgb in zip("oa", face_pair(k % 3, 96, rng), strict=True))
        samples.append(Sample(f"s{k}", "own", f"p{k % 2}", EMOTIONS[k % 3], *paths))
    table = folder / "manifest.csv"
    Manifest(tuple(samples), source=str(table)).write(table)
    words = ["prepare", "manifest", "--root", str(table), "--landmarks", "template", "--out", str(folder / "made")]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([*words, *more]) == 0
    return folder / "made"


def _stale(folder: Path) -> str:
    """A prepared picture is that of another sample."""
    made = _prepared(folder)
    pictures = sorted((made / "flow").glob("*.png"))
    shutil.copy(pictures[1], pictures[0])
    try:
        load_flow_set(read_manifest(made / "manifest.csv"), PreprocessSpec())
    except HtnetError as error:
        return str(error)
    return ""


def _other_spec(folder: Path) -> str:
    """Weights are asked about flow images of another method than theirs."""
    made = _prepared(folder, "--flow", "dis")
    try:
        list(Predictor("synthetic").manifest(read_manifest(made / "manifest.csv")))
    except HtnetError as error:
        return str(error)
    return ""


def _stale_source(folder: Path) -> str:
    """`prepare` computes again what was made of other frames."""
    made = _prepared(folder)
    before = content(made)
    shutil.copy(folder / "1a.png", folder / "0a.png")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main(
            [
                "prepare",
                "manifest",
                "--root",
                str(folder / "manifest.csv"),
                "--landmarks",
                "template",
                "--out",
                str(made),
            ]
        )
    changed = [name for name, data in content(made).items() if before.get(name) != data and name.startswith("flow/")]
    return f"computed again: {', '.join(changed)}" if changed else ""


_LOOKS = {"losses": _losses, "bytes": _bytes, "scores": _scores}
