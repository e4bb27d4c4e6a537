"""``htnet palsy`` from a folder of graded images to a scored model, with scores on unseen people.

Two parts, on faces whose palsy is known (`benchmarks.palsy_faces`):

- flow: the commands prepare, train, evaluate, predict, visualize and asymmetry on 120 images, timed.
- accuracy: the same commands on more images; tested on people who were never in training.

Run ``python -m benchmarks.palsy_end_to_end --pictures out/palsy``; ``--part`` picks one part.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, provenance
from benchmarks.palsy_faces import STEP, write_fnp
from htnet.data import read_manifest
from htnet.evaluation.store import to_json, write_atomic
from htnet.palsy import grade_scores

RESULT = ROOT / "benchmarks" / "results" / "palsy_end_to_end.json"
MODEL = "htnet_palsy_tiny"
#: People and images of each: 120 images for the flow; the accuracy's training set, and its test set of other people.
FLOW, TRAIN, TEST = (24, 5), (240, 5), (60, 5)
#: Epochs of the accuracy's training; the recipe's own are meant for sets of a few hundred images.
EPOCHS = 40
#: Seeds of the people; 0 and 50 were looked at while the recipe was chosen.
FLOW_SEED, TRAIN_SEED, TEST_SEED = 100, 101, 102


def htnet(*words: object) -> float:
    """Run a command in a process of its own, as a user does; seconds it took."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "htnet", "palsy", *map(str, words)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"htnet palsy {' '.join(map(str, words))}: {done.stderr[-2000:]}")
    print(done.stdout, flush=True)
    return round(time.perf_counter() - start, 2)


def flow(work: Path, pictures: Path | None) -> dict[str, Any]:
    """Every command on a folder of 120 images; seconds of each."""
    rows = write_fnp(work / "fnp", *FLOW, seed=FLOW_SEED)
    image = rows[5]["path"]
    data, weights, scores, out = (work / name for name in ("data", "weights", "scores", "pictures"))
    template = ("--landmarks", "template")
    seconds = {
        "prepare": htnet("prepare", work / "fnp", "--out", data, *template),
        "train": htnet("train", "--data", data, "--out", weights, "--model", MODEL),
        "evaluate": htnet("evaluate", "--data", data, "--weights", weights, "--out", scores),
        "predict": htnet("predict", image, "--weights", weights, *template, "--plot", out / "grade.png"),
        "predict_folder": htnet("predict", image.parent, "--weights", weights, *template, "--out", out / "folder"),
        "visualize": htnet("visualize", image, "--weights", weights, *template, "--out", out / "maps.png"),
        "asymmetry": htnet("asymmetry", image, *template, "--plot", out / "asymmetry.png"),
    }
    if pictures is not None:
        shutil.copytree(out, pictures, dirs_exist_ok=True)
        shutil.copy(scores / "confusion.png", pictures / "confusion_120_images.png")
    return {
        "images": len(rows),
        "patients": FLOW[0],
        "seconds": seconds,
        "total_minutes": round(sum(seconds.values()) / 60, 2),
        "macro_f1": _summary(scores)["macro_f1"],
    }


def accuracy(work: Path, pictures: Path | None) -> dict[str, Any]:
    """Train on many people, test on others; scores over all, and for drawn people and renderings of the portrait."""
    write_fnp(work / "train", *TRAIN, seed=TRAIN_SEED)
    rows = write_fnp(work / "test", *TEST, seed=TEST_SEED)
    template = ("--landmarks", "template")
    htnet("prepare", work / "train", "--out", work / "train-data", *template, "--test", 0)
    htnet("prepare", work / "test", "--out", work / "test-data", *template, "--test", 1)
    words = ("--model", MODEL, "--epochs", EPOCHS)
    seconds = htnet("train", "--data", work / "train-data", "--out", work / "weights", *words)
    htnet("evaluate", "--data", work / "test-data", "--weights", work / "weights", "--out", work / "scores")
    summary = _summary(work / "scores")
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        shutil.copy(work / "scores" / "confusion.png", pictures / "confusion.png")
    measures = ("accuracy", "macro_f1", "kappa", "mean_absolute_error")
    return {
        "trained_on": {"images": TRAIN[0] * TRAIN[1], "patients": TRAIN[0], "epochs": EPOCHS},
        "tested_on": {"images": summary["num_samples"], "patients": summary["num_patients"]},
        "train_minutes": round(seconds / 60, 2),
        **{name: round(summary[name], 4) for name in measures},
        "intervals": summary["intervals"],
        "confusion": summary["confusion"],
        "by_kind": _by_kind(work, rows),
    }


def _summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text("utf-8"))
    return found


def _by_kind(work: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Scores of drawn people, and of renderings of the portrait."""
    kinds = {f"grade_{row['grade']}/{row['path'].stem}": row["kind"] for row in rows}
    classes = read_manifest(work / "test-data" / "manifest.csv").classes
    with (work / "scores" / "predictions.csv").open(encoding="utf-8") as file:
        answers = list(csv.DictReader(file))
    found = {}
    for kind in sorted(set(kinds.values())):
        of = [row for row in answers if kinds[row["sample"]] == kind]
        truth, given = ([classes.index(row[name]) for row in of] for name in ("truth", "prediction"))
        scores = grade_scores(truth, given, [row["patient"] for row in of], classes)
        found[kind] = {
            "images": len(of),
            "macro_f1": round(scores.macro_f1, 4),
            "mean_absolute_error": round(scores.mean_absolute_error, 4),
        }
    return found


PARTS = {"flow": flow, "accuracy": accuracy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=list(PARTS), help="run one part and keep the other's figures (default: both)")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures")
    args = parser.parse_args()
    result: dict[str, Any] = json.loads(RESULT.read_text("utf-8")) if RESULT.is_file() and args.part else {}
    for name in [args.part] if args.part else PARTS:
        machine = provenance()
        with tempfile.TemporaryDirectory() as folder:
            found = PARTS[name](Path(folder), args.pictures)
        result[name] = {"provenance": machine, "model": MODEL, "step_px": STEP, **found}
    write_atomic(RESULT, to_json(result))
    print(json.dumps({name: {k: v for k, v in part.items() if k != "provenance"} for name, part in result.items()}))


if __name__ == "__main__":
    main()
