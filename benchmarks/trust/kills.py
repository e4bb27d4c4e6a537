"""Every command that writes many files is killed at random moments, and run again."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.trust.child import Child
from benchmarks.trust.work import Work, content, fresh, left, times, whole, works
from htnet.core.parallel import locked


def run(quick: bool, names: Sequence[str] = ()) -> dict[str, Any]:
    """Kill every command; ``names`` are those to kill, all by default."""
    kills = 3 if quick else 50
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        for work in works(Path(place)):
            if not names or work.name in names:
                figures[work.name] = _killed(work, Path(place) / "out", kills)
    faults = [fault for found in figures.values() for fault in found["faults"]]
    return {"kills": figures, "faults": len(faults)}


def _killed(work: Work, out: Path, kills: int) -> dict[str, Any]:
    fresh(out)
    began = time.monotonic()
    calm_child = Child(lambda: work.run(out))
    writes = 0
    while not calm_child.ended():
        writes = max(writes, calm_child.writing()[0])
        time.sleep(0.0005)
    duration = time.monotonic() - began
    end = calm_child.end()
    calm, faults = content(out), [] if end.status == 0 else [f"undisturbed: {end.kind}: {end.message}"]
    chance = random.Random(f"kill {work.name}")
    done = within = kept = 0
    written: dict[str, int] = {}
    while done < kills and not faults:
        fresh(out)
        child = Child(lambda: work.run(out))
        # Half of the moments are drawn from the time that it takes, half lie shortly after a file was begun.
        if done % 2:
            _wait_for_write(child, chance.randrange(1, writes + 1), chance.choice((0.0, chance.uniform(0, 0.0006))))
        else:
            _wait(child, chance.uniform(0, duration))
        if child.ended():
            child.end()
            continue
        _, path = child.kill()
        child.end()
        done += 1
        what = str(Path(path).relative_to(out)) if path else "between two files"
        within += bool(path)
        written[what] = written.get(what, 0) + 1
        print(f"{work.name}: kill {done} of {kills}: {what}", flush=True)
        faults += [f"killed at {what}: {fault}" for fault in whole(work, out, calm)]
        before = times(work, out)
        kept += len(before)
        if done == 1:
            faults += _second_is_refused(work, out)
        again = Child(lambda: work.run(out)).end()
        if again.status:
            faults.append(f"killed at {what}, run again: {again.kind}: {again.message}")
            continue
        after = times(work, out)
        faults += [f"{name} was written twice" for name, when in before.items() if after.get(name) != when]
        faults += [f"{name} is left" for name in left(out)]
        if content(out) != calm:
            differ = [n for n in {*calm, *content(out)} if calm.get(n) != content(out).get(n)]
            faults.append(f"killed at {what}: other bytes in {', '.join(sorted(differ))}")
    return {
        "kills": done,
        "in_the_middle_of_a_write": within,
        "written_at_the_kill": dict(sorted(written.items())),
        "finished_files_kept": kept,
        "faults": faults,
    }


def _wait(child: Child, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit and not child.ended():
        time.sleep(0.0005)


def _wait_for_write(child: Child, number: int, more: float) -> None:
    while child.writing()[0] < number and not child.ended():
        pass
    limit = time.monotonic() + more
    while time.monotonic() < limit:
        pass


def _second_is_refused(work: Work, out: Path) -> list[str]:
    """A second process on a folder in use is refused; one that was killed leaves no lock."""
    if work.name == "save_pretrained":  # whole files at any moment, and no run that lasts
        return []
    with locked(out):
        end = Child(lambda: work.run(out)).end()
    return [] if end.kind == "RunError" else [f"a second process is not refused: {end.kind}: {end.message}"]
