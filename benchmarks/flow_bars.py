"""Optical flow, prediction and preparation beside OpenCV's DualTVL1 and an earlier commit of htnet, kind by kind.

Each side is a process of its own, and the sides take turns. The commit comes from a worktree that is made for the
run and removed; ``HTNET_EARLIER`` may name one that is there. What cannot be measured is told under "not_measured".
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from benchmarks.action_units import UNITS, displacement, face_crop
from benchmarks.flow_cases import eight_bit, gray_face, moved, smooth_field
from benchmarks.flow_contrib import contrib_python
from benchmarks.flow_sides import Side
from benchmarks.measure import ROOT, bar
from htnet.core.errors import InputError
from htnet.core.native import numba_obstacle
from htnet.core.parallel import cores

COMMIT = "570cf1a"
#: Largest motion of an action unit, px of a face of 224 px, with how many times as fast as OpenCV flow must be.
KINDS = ((0.5, 8.0), (1.0, 8.0), (1.5, 8.0), (3.0, 12.0))
TIMES_THE_COMMIT = 8.0
#: Rounding moves the mean error by less than this share.
ROUNDING = 1.005
SAMPLE = ROOT / "htnet" / "assets" / "sample"
PREPARED = 442


def run(quick: bool) -> dict[str, Any]:
    """All bars; ``quick`` takes one action unit, one round and two pairs to prepare."""
    if why := numba_obstacle():
        raise InputError(f"The benchmark flow_bars measures htnet[fast], but {why}.")
    # The commit would fetch its face detector.
    os.environ.setdefault("HTNET_YUNET_MODEL", str(next((ROOT / "htnet" / "assets" / "models").glob("*.onnx"))))
    rounds, units = (1, 1) if quick else (9, len(UNITS))
    missing: dict[str, str] = {}
    with ExitStack() as stack:
        earlier = stack.enter_context(_worktree())
        sides = {name: Side("htnet", path=path) for name, path in (("htnet", ROOT), ("earlier", earlier))}
        try:
            sides["opencv"] = Side("opencv", contrib_python())
        except (OSError, subprocess.SubprocessError) as error:
            missing["opencv"] = f"opencv-contrib could not be installed ({type(error).__name__})"
        for side in sides.values():
            stack.callback(side.close)
        versions = {name: side.ask("version") for name, side in sides.items()}
        found = {str(length): _kind(sides, length, units, rounds) for length, _ in KINDS}
        parts = {
            "one_pair": found,
            "batch": _batch(sides["htnet"], rounds, 4 if quick else 32),
            "predict": _predict(sides, rounds),
            "fresh_process": _fresh(2 if quick else 7),
            "first_call_with_an_empty_cache": _first_call(),
            "prepare": _prepare(earlier, 2 if quick else PREPARED),
        }
    return {
        "device": "cpu",
        "commit_beside": COMMIT,
        "versions": {**versions["htnet"], **versions.get("opencv", {})} | {"htnet": "this commit"},
        "bars": _bars(parts),
        "not_measured": missing,
        **parts,
    }


@contextmanager
def _worktree() -> Iterator[Path]:
    """A checkout of the earlier commit."""
    if given := os.environ.get("HTNET_EARLIER"):
        yield Path(given).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "earlier"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(place), COMMIT], cwd=ROOT, check=True)
        try:
            yield place
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=ROOT, check=True)


def _turns(calls: dict[str, Callable[[], dict[str, float]]], rounds: int) -> dict[str, Any]:
    """Medians of the clock and of the processor, after one round that does not count."""
    times: dict[str, list[dict[str, float]]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name in list(calls) if number % 2 else list(calls)[::-1]:
            told = calls[name]()
            if number:
                times[name].append(told)
    return {
        name: {clock: float(f"{median(told[clock] for told in rows):.4g}") for clock in ("wall", "cpu")}
        for name, rows in times.items()
    }


def _times_as_fast(ms: dict[str, Any], name: str, other: str) -> dict[str, float]:
    return {clock: float(f"{ms[other][clock] / ms[name][clock]:.4g}") for clock in ("wall", "cpu")}


def _kind(sides: dict[str, Side], length: float, units: int, rounds: int) -> dict[str, Any]:
    """Errors, and milliseconds a pair, of a face moved by so many action units, by splines."""
    points, face = face_crop()[1], gray_face(0)
    fields = [displacement(unit, points, face.shape, length) for unit in list(UNITS)[:units]]
    onsets = [eight_bit(face)] * units
    apexes = [eight_bit(moved(face, field)) for field in fields]
    errors, flows = {}, {}
    for name, side in sides.items():
        side.load(onsets, apexes)
        flows[name] = side.flows()
        error = [np.hypot(*(flow - field)).mean() for flow, field in zip(flows[name], fields, strict=True)]
        errors[name] = round(float(np.mean(error)), 5)
    ms = _turns({name: lambda side=side: side.ask("singly") for name, side in sides.items()}, rounds)
    ms = {name: {clock: float(f"{t / units:.4g}") for clock, t in row.items()} for name, row in ms.items()}
    apart = np.hypot(*(flows["htnet"] - flows["earlier"]).transpose(1, 0, 2, 3))
    return {
        "ms_a_pair": ms,
        "times_as_fast_as": {other: _times_as_fast(ms, "htnet", other) for other in sides if other != "htnet"},
        "mean_end_point_error_px": errors,
        "from_the_earlier_commit_px": {"mean": float(f"{apart.mean():.2g}"), "most": float(f"{apart.max():.2g}")},
    }


def _batch(side: Side, rounds: int, number: int) -> dict[str, Any]:
    """A batch on one thread and on all."""
    rng = np.random.default_rng(5)
    face = gray_face(1)
    side.load([eight_bit(face)] * number, [eight_bit(moved(face, smooth_field(rng, 0.5)))] * number)

    def once(threads: int) -> dict[str, float]:
        side.ask("threads", threads)
        told: dict[str, float] = side.ask("batch")
        return told

    both = {"one": lambda: once(1), "all": lambda: once(cores())}
    ms = _turns(both, rounds)
    return {"pairs": number, "threads": cores(), "ms": ms, "times_as_fast": _times_as_fast(ms, "all", "one")}


def _predict(sides: dict[str, Side], rounds: int) -> dict[str, Any]:
    """`htnet.predict` of a warm pair, its points detected, and given."""
    files = [str(SAMPLE / name) for name in ("onset.png", "apex.png")]
    found: dict[str, Any] = {}
    for points in ("yunet", str(SAMPLE / "landmarks.json")):
        calls = {
            name: lambda side=side, points=points: side.ask("predict", *files, points)
            for name, side in sides.items()
            if name != "opencv"
        }
        ms = _turns(calls, rounds)
        found["points detected" if points == "yunet" else "points given"] = {
            "ms": ms,
            "times_as_fast": _times_as_fast(ms, "htnet", "earlier"),
        }
    return found


def _program(code: str, path: Path, **environment: str) -> dict[str, float]:
    """Milliseconds of a fresh interpreter and its children."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        given = {**os.environ, "PYTHONPATH": str(path), **environment}
        given.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process compiles every file of htnet again
        subprocess.run([sys.executable, "-c", code], check=True, env=given, cwd=folder, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall * 1e3, "cpu": cpu * 1e3}


def _fresh(rounds: int) -> dict[str, Any]:
    """The first answer of a process, points given, beside ``import torch``."""
    given = ", ".join(repr(str(SAMPLE / name)) for name in ("onset.png", "apex.png"))
    answer = f"import htnet; htnet.predict({given}, landmarks={str(SAMPLE / 'landmarks.json')!r})"
    return _turns({name: lambda code=code: _program(code, ROOT) for name, code in
                   (("import torch", "import torch"), ("first answer", answer))}, rounds)  # fmt: skip


def _first_call() -> dict[str, float]:
    """Milliseconds of the first flow where no code is kept: numba compiles."""
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "from pathlib import Path; from htnet.core import native; import numpy as np\n"
            f"native.folders = lambda: [Path({folder!r})]\n"
            "from htnet.preprocess import tvl1_flow; tvl1_flow(*np.zeros((2, 64, 64), np.uint8))"
        )
        return {clock: round(t) for clock, t in _program(code, ROOT).items()}


def _prepare(earlier: Path, number: int) -> dict[str, Any]:
    """Pairs a second of ``htnet prepare`` with landmarks, whole processes, all cores."""
    onset, apex = (cv2.imread(str(SAMPLE / name)) for name in ("onset.png", "apex.png"))
    found: dict[str, Any] = {"pairs": number}
    with tempfile.TemporaryDirectory() as folder:
        rows = ["sample,dataset,subject,label,onset,apex"]
        for i in range(number):
            # No two alike: the frames are moved and the light differs.
            shift = np.array([[1, 0, i % 7 - 3], [0, 1, i // 7 % 7 - 3]], dtype=np.float32)
            for name, frame in (("onset", onset), ("apex", apex)):
                image = cv2.warpAffine(frame, shift, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
                lit = np.clip(image.astype(np.float32) * (0.85 + 0.03 * (i // 49 % 10)), 0, 255).astype(np.uint8)
                cv2.imwrite(f"{folder}/{i}{name}.png", lit)
            rows.append(f"s{i},generated,p{i % 20},positive,{i}onset.png,{i}apex.png")
        Path(folder, "samples.csv").write_text("\n".join(rows) + "\n", "utf-8")
        for name, path in (("earlier", earlier), ("htnet", ROOT)):
            words = ["prepare", "manifest", "--root", f"{folder}/samples.csv", "--out", f"{folder}/{name}"]
            code = f"import sys; from htnet.cli import main; sys.exit(main({words!r}))"
            # Every process needs the guard, because workers import what started them.
            script = Path(folder, f"{name}.py")
            script.write_text(f"if __name__ == '__main__':\n    {code}\n", "utf-8")
            run_it = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
            ms = _program(run_it, path)
            made = len(list(Path(folder, name).rglob("s*.png")))
            if made != number:
                raise InputError(f"htnet prepare ({name}) made {made} of {number} flow images.")
            found[name] = {"pairs_a_second": float(f"{number / ms['wall'] * 1e3:.4g}"), "ms": ms}
    found["times_as_fast"] = _times_as_fast(
        {name: found[name]["ms"] for name in ("htnet", "earlier")}, "htnet", "earlier"
    )
    return found


def _bars(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """On the clock; where the machine was busy, the processor's times say more."""
    out = []
    for length, times in KINDS:
        row = parts["one_pair"][str(length)]
        fast, errors = row["times_as_fast_as"], row["mean_end_point_error_px"]
        wanted = {"opencv": times, "earlier": TIMES_THE_COMMIT}
        for other, ratio in fast.items():
            out.append(bar(f"one pair, {length:g} px, times as fast as {other}", wanted[other], ratio["wall"]))
            what = f"one pair, {length:g} px, error as a share of that of {other}"
            most = ROUNDING if other == "earlier" else 1.0
            out.append(bar(what, most, errors["htnet"] / errors[other], at_most=True))
    if parts["batch"]["threads"] == 2:
        out.append(bar("batch, 2 cores, times as fast as one", 1.8, parts["batch"]["times_as_fast"]["wall"]))
    out.append(bar("prepare, times as fast as the earlier commit", 5, parts["prepare"]["times_as_fast"]["wall"]))
    for points, row in parts["predict"].items():
        out.append(bar(f"predict, {points}, times as fast as earlier", 5, row["times_as_fast"]["wall"]))
    fresh, warm = parts["fresh_process"], parts["predict"]["points given"]["ms"]["htnet"]["wall"]
    most = 1.3 * fresh["import torch"]["wall"] + warm
    what = "first answer of a process, as a share of 1.3 x import torch + a warm answer"
    out.append(bar(what, 1.0, fresh["first answer"]["wall"] / most, at_most=True))
    return out
