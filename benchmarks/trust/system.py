"""What a process needs and lacks: open files, processes, a folder to itself, a home, a cache, a clock that goes on."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.trust.child import Child, End
from benchmarks.trust.work import Work, content, fresh, whole, works
from htnet.core.types import EMOTIONS
from htnet.data import Manifest, Sample, read_manifest
from htnet.data.prepare import prepare
from htnet.evaluation import loso
from htnet.pipeline.analysis_files import AnalysisJob, analyze_files
from tests.support.pairs import QUICK

_NO_HOME = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


def run(quick: bool, names: Sequence[str] = ()) -> dict[str, Any]:
    """Take one thing after the other away; ``names`` are some of them, all by default."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o777)
        every = works(folder)
        for name, look in _LOOKS.items():
            if not names or name in names:
                figures[name] = look(folder, every[:2] if quick else every, quick)
                print(f"{name}: {figures[name]['runs']} runs, {len(figures[name]['faults'])} faults", flush=True)
    return {**figures, "faults": sum(len(found["faults"]) for found in figures.values())}


def _descriptors(folder: Path, every: Sequence[Work], quick: bool) -> dict[str, Any]:
    """So many more open files than the process has are allowed."""
    return _judged(
        (f"{work.name} with {more} open files", work, _limit_files(more))
        for work in every
        for more in ((0, 3) if quick else (0, 1, 2, 3, 5, 8))
    )(folder / "out")


def _limit_files(more: int) -> Callable[[], None]:
    def limit() -> None:
        # The listing has one open itself. Numbers below it that are free would be taken first.
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        while (taken := os.open(os.devnull, os.O_RDONLY)) < highest:
            pass
        os.close(taken)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + more, highest + more))

    return limit


def _processes(folder: Path, every: Sequence[Work], quick: bool) -> dict[str, Any]:
    """Two workers are asked for, and so many more processes and threads are allowed."""
    pairs = read_manifest(_manifest(folder))
    flows = folder / "flows" / "manifest.csv"
    videos = [str(folder / name) for name in ("one.avi", "two.avi")]

    def analyze(out: Path) -> None:
        list(analyze_files(videos, AnalysisJob(out, emotions=False), workers=2))

    asked = [Work("prepare", lambda out: prepare(pairs, out, QUICK, "template", workers=2))]
    if not quick:
        asked.append(Work("loso", lambda out: loso(flows, "htnet_tiny", out=out, workers=2, progress=False)))
        asked.append(Work("analyze", analyze))
    return _judged(
        (f"{work.name} --workers 2 with {allowed} more processes and threads", work, _limit_processes(allowed))
        for work in asked
        for allowed in ((0, 2) if quick else (0, 1, 2, 4))
    )(folder / "out")


def _manifest(folder: Path) -> Path:
    samples = [
        Sample(
            f"s{i}",
            "own",
            f"p{i % 3}",
            EMOTIONS[i % 3],
            *(folder / "pairs" / f"{i}_{n}.png" for n in ("onset", "apex")),
        )
        for i in range(24)
    ]
    path = folder / "pairs" / "manifest.csv"
    Manifest(tuple(samples), source=str(folder)).write(path, overwrite=True)
    return path


def _limit_processes(allowed: int) -> Callable[[], None]:
    """Refuse processes and threads after so many, as the system does by RLIMIT_NPROC, which never meets root."""
    left = [allowed]

    def counted(start: Callable[..., Any], error: Exception) -> Callable[..., Any]:
        def begin(*args: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise error
            return start(*args)

        return begin

    def limit() -> None:
        import _posixsubprocess

        none = BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        os.fork = counted(os.fork, none)
        _posixsubprocess.fork_exec = counted(_posixsubprocess.fork_exec, none)
        # Python 3.13 starts threads by another function.
        start = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
        setattr(threading, start, counted(getattr(threading, start), RuntimeError("can't start new thread")))

    return limit


def _locks(folder: Path, every: Sequence[Work], quick: bool) -> dict[str, Any]:
    """Two processes on one folder: the second is refused, also one that is stopped; a killed one leaves no lock.

    Once with the locks of the system, and once where the disk has none, so that a file with the process's number is the
    lock.
    """
    runs, faults = 0, []
    out = folder / "out"
    for work in every[:1] if quick else every:
        if work.name == "save_pretrained":  # whole files at any moment, and no run that lasts
            continue
        fresh(out)
        Child(lambda work=work: work.run(out)).end()
        calm = content(out)
        for kind, limit in (("locks of the system", lambda: None), ("files as locks", _no_flock)):
            what = f"{work.name}, {kind}"
            runs += 1
            fresh(out)
            first = Child(lambda work=work: work.run(out), limit)
            while not first.writing()[0] and not first.ended():
                time.sleep(0.001)
            os.kill(first.pid, signal.SIGSTOP)
            second = Child(lambda work=work: work.run(out), limit).end(60)
            if second.kind != "RunError" or "Another process" not in second.message:
                faults.append(f"{what}: the second is not refused: {_named(second)}: {second.message}")
            first.kill()
            first.end()
            again = Child(lambda work=work: work.run(out), limit).end()
            if again.status:
                faults.append(f"{what}: after the first was killed: {again.kind}: {again.message}")
                continue
            found = content(out)
            if limit is _no_flock:  # where nothing tells that nobody writes it, what was begun stays
                found = {name: data for name, data in found.items() if not name.endswith(".tmp")}
            if found != calm:
                differ = sorted(name for name in {*calm, *found} if calm.get(name) != found.get(name))
                faults.append(f"{what}: other bytes in {', '.join(differ)}")
    return {"runs": runs, "faults": faults}


def _no_flock() -> None:
    """A disk without locks, as some that are mounted from elsewhere."""
    import fcntl

    def none(*args: Any) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    fcntl.flock = none


def _clock(folder: Path, every: Sequence[Work], quick: bool) -> dict[str, Any]:
    """The clock is set back by years between two runs of one command, and after half of the first."""
    runs, faults = 0, []
    real = time.time

    def in_2001() -> None:
        time.time = lambda: real() - 25 * 365.25 * 86400

    out = folder / "out"
    for work in every:
        fresh(out)
        Child(lambda work=work: work.run(out)).end()
        calm = content(out)
        for first in (lambda: None, in_2001):
            runs += 1
            fresh(out)
            child = Child(lambda work=work: work.run(out), first)
            time.sleep(0.3)
            if not child.ended():
                child.kill()
            child.end()
            end = Child(lambda work=work: work.run(out), in_2001).end()
            if end.status:
                faults.append(f"{work.name}: {end.kind}: {end.message}")
            elif content(out) != calm:
                faults.append(f"{work.name}: other bytes")
    return {"runs": runs, "faults": faults}


def _homes(folder: Path, every: Sequence[Work], quick: bool) -> dict[str, Any]:
    """Commands in a new interpreter without a home, or with one and caches that cannot be written, by nobody."""
    closed = "/proc/nowhere"  # where not even root can make a folder
    caches = {"HF_HOME": closed, "XDG_CACHE_HOME": closed, "MPLCONFIGDIR": closed, "NUMBA_CACHE_DIR": closed}
    cases: dict[str, Mapping[str, str]] = {
        "HOME unset": {},
        "HOME that is not there": {"HOME": closed},
        "HOME and caches that cannot be written": {"HOME": closed, **caches},
    }
    commands = [["demo", "--out", "OUT/demo"]]
    if not quick:
        commands += [["list"], ["doctor"], ["predict", "ON.png", "AP.png", "--weights", "nobody/nothing"]]
    runs, faults = 0, []
    for case, more in cases.items():
        for words in commands:
            out = folder / "open"
            fresh(out)
            out.mkdir()
            places = {"OUT": str(out), "ON.png": str(folder / "pairs/0_onset.png"), "AP.png": "pairs/0_apex.png"}
            command = [sys.executable, "-m", "htnet", *words]
            for old, new in places.items():
                command = [word.replace(old, new) for word in command]
            done = subprocess.run(
                command,
                env={**_NO_HOME, "HF_HUB_OFFLINE": "1", **more},
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            runs += 1
            if done.returncode not in (0, 2) or "Traceback" in done.stderr:
                faults.append(f"{case}, htnet {' '.join(words)}: status {done.returncode}: {done.stderr[-1500:]}")
            elif words[0] == "demo" and not (out / "demo" / "prediction.json").is_file():
                faults.append(f"{case}, htnet demo: no result: {done.stderr[-1500:]}")
    return {"runs": runs, "faults": faults}


def _judged(runs: Iterator[tuple[str, Work, Callable[[], None]]]) -> Callable[[Path], dict[str, Any]]:
    """Runs under limits: each ends in a result or in an error of htnet, and a run without the limit completes it."""

    def judge(out: Path) -> dict[str, Any]:
        ends: dict[str, int] = {}
        faults: list[str] = []
        count = 0
        calm: dict[str, dict[str, bytes]] = {}
        for what, work, limit in runs:
            if work.name not in calm:
                fresh(out)
                Child(lambda work=work: work.run(out)).end()
                calm[work.name] = content(out)
            fresh(out)
            out.mkdir()
            out.chmod(0o777)
            end = Child(lambda work=work: work.run(out), limit).end(120)
            count += 1
            ends[_named(end)] = ends.get(_named(end), 0) + 1
            if end.status and not end.typed:
                faults.append(f"{what}: {_named(end)}: {end.message}\n{end.where}")
            faults += [f"{what}: {fault}" for fault in whole(work, out, calm[work.name])]
            again = Child(lambda work=work: work.run(out)).end()
            if again.status:
                faults.append(f"{what}, run again: {again.kind}: {again.message}")
        shutil.rmtree(out, ignore_errors=True)
        return {"runs": count, "ends": dict(sorted(ends.items())), "faults": faults}

    return judge


def _named(end: End) -> str:
    return end.kind if end.kind else "result" if end.status == 0 else f"status {end.status}"


_LOOKS = {
    "descriptors": _descriptors,
    "processes": _processes,
    "locks": _locks,
    "clock": _clock,
    "homes": _homes,
}
