"""The disk is full while every command that writes many files runs; then there is room, and it is run again."""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.trust.child import Child
from benchmarks.trust.work import Work, content, fresh, left, whole, works

_PAGE = 4096


def run(quick: bool, names: Sequence[str] = ()) -> dict[str, Any]:
    """Fill the disk under every command; ``names`` are those to disturb, all by default."""
    shares = (0.3, 0.9) if quick else (0.02, 0.2, 0.4, 0.6, 0.8, 0.95)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        mounts = _can_mount(Path(place) / "disk")
        for work in works(Path(place)):
            if not names or work.name in names:
                figures[work.name] = _filled(work, Path(place), shares, mounts)
    faults = [fault for found in figures.values() for fault in found["faults"]]
    kind = "a small tmpfs" if mounts else "a limit on the size of a file (RLIMIT_FSIZE)"
    return {"full_by": kind, "disk_full": figures, "faults": len(faults)}


def _filled(work: Work, place: Path, shares: Sequence[float], mounts: bool) -> dict[str, Any]:
    faults: list[str] = []
    told: dict[str, int] = {}
    finished = 0
    with _disk(place / "disk", 256 << 20, mounts) as grow:
        out = place / "disk" / "out"
        Child(lambda: work.run(out)).end()
        calm = content(out)
        size = sum(-(-path.stat().st_size // _PAGE) * _PAGE + _PAGE for path in out.rglob("*"))
        largest = max(path.stat().st_size for path in out.rglob("*") if path.is_file())
    for share in shares:
        room = max(_PAGE, round(size * share))
        with _disk(place / "disk", room, mounts) as grow:
            fresh(out)
            limit = 1 + round(largest * share)
            end = Child(lambda: work.run(out), (lambda: None) if mounts else _file_limit(limit)).end()
            where = f"at {share:.0%}"
            if end.status == 0:
                finished += 1
            elif not end.typed:
                faults.append(f"{where}: {end.kind}: {end.message}\n{end.where}")
            elif str(out) not in end.message:
                faults.append(f"{where}: the message names no path: {end.message}")
            else:
                message = end.message.split("(")[-1].split(")")[0]
                told[message] = told.get(message, 0) + 1
            faults += [f"{where}: {fault}" for fault in whole(work, out, calm)] if out.is_dir() else []
            grow()
            again = Child(lambda: work.run(out)).end()
            if again.status:
                faults.append(f"{where}, with room again: {again.kind}: {again.message}")
            elif content(out) != calm:
                differ = [n for n in {*calm, *content(out)} if calm.get(n) != content(out).get(n)]
                faults.append(f"{where}, with room again: other bytes in {', '.join(sorted(differ))}")
            faults += [f"{where}: {name} is left" for name in left(out)]
    print(f"{work.name}: {len(shares)} sizes, {len(faults)} faults", flush=True)
    return {"sizes": len(shares), "told": told, "had_room": finished, "faults": faults}


def _file_limit(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _can_mount(place: Path) -> bool:
    place.mkdir()
    if shutil.which("mount") is None or _mount(place, 1 << 20):
        return False
    subprocess.run(["umount", str(place)], check=True)
    return True


def _mount(place: Path, size: int, *more: str) -> int:
    options = ",".join([*more, f"size={size}"])
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode


@contextmanager
def _disk(place: Path, size: int, mounts: bool) -> Iterator[Callable[[], object]]:
    """A disk of a size; yields what makes it larger."""
    if not mounts:
        yield lambda: None
        return
    assert _mount(place, size) == 0
    try:
        yield lambda: _mount(place, 256 << 20, "remount")
    finally:
        subprocess.run(["umount", str(place)], check=True)
