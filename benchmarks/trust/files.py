"""Mutated files for every reader: each ends in a result or an error of htnet, in bounded time and memory."""

from __future__ import annotations

import faulthandler
import importlib
import json
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.trust.mutate import mutate
from benchmarks.trust.reader import Reader
from benchmarks.trust.readers import readers
from benchmarks.trust.sites import EXEMPT, reached, sites
from htnet.core.errors import HtnetError

#: Mutants of the full run, and of one in tests.
TOTAL, QUICK = 20_000, 1_000
#: Seconds of processor time, and bytes beyond what the process has before it reads.
SECONDS, MEMORY = 10.0, 2 << 30
#: Mutants that one process reads.
_BATCH = 100
#: Events of the interpreter that change files, and where their paths are.
_CHANGES = {
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
}
_STARTS = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect")


def run(quick: bool, names: Sequence[str] = (), kept: Path | None = None) -> dict[str, Any]:
    """Read mutants; ``names`` are some readers, and a file keeps what was done, to go on after an interruption."""
    total = QUICK if quick else TOTAL
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "inputs").mkdir()
        every = readers(Path(place) / "inputs")
        weight = sum(reader.weight for reader in every)
        chosen = [reader for reader in every if not names or reader.name in names]
        figures = {}
        code = {} if names else _code(every, Path(place) / "box")
        for reader in chosen:
            count = round(total * reader.weight / weight)
            figure = figures[reader.name] = _Run(reader, Path(place) / "box", kept).all(count)
            errors, beyond = sum(figure["errors"].values()), figure["beyond_header"]
            print(
                f"{reader.name}: {count} mutants, {beyond:.0%} beyond the header, {figure['results']} results, "
                f"{errors} errors, {len(figure['faults'])} faults",
                flush=True,
            )
    mutants = sum(figure["mutants"] for figure in figures.values())
    faults = [f"{name}: {fault}" for name, figure in figures.items() for fault in figure["faults"]]
    faults += [f"no reader comes to {place}" for place in code.get("without_reader", ())]
    faults += [f"{sample} is refused: {why}" for sample, why in code.get("whole_but_refused", {}).items()]
    limits = {"seconds": SECONDS, "memory_bytes": MEMORY}
    return {"mutants": mutants, **limits, "code": code, "readers": figures, "faults": len(faults)}


def _code(every: Sequence[Reader], box: Path) -> dict[str, Any]:
    """The places in the code that read files, those that no reader comes to, and the samples that are refused."""
    file, name = tempfile.mkstemp()
    os.close(file)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            warnings.simplefilter("ignore")
            refused: dict[str, str] = {}
            places = [_whole(reader, sample, box, refused) for reader in every for sample in reader.samples]
            seen = reached(places)
            known = sites()
            found = {
                "places": len(known),
                "without_reader": sorted(known - seen - set(EXEMPT)),
                "exempt": {place: EXEMPT[place] for place in sorted(EXEMPT) if place in known},
                "whole_but_refused": refused,
            }
            Path(name).write_text(json.dumps(found), "utf-8")
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    found = json.loads(Path(name).read_text("utf-8"))
    os.unlink(name)
    return found


def _whole(reader: Reader, sample: tuple[str, bytes, str], box: Path, refused: dict[str, str]) -> Callable[[], None]:
    """Reads a sample as it is, and notes why it is refused."""

    def read() -> None:
        path = _laid_out(reader, sample[0], sample[1], box)
        os.chdir(box / "out")
        try:
            reader.read(path, box / "out")
        except Exception as error:
            if sample[0] not in reader.refused:
                refused[f"{reader.name}, {sample[0]}"] = f"{type(error).__name__}: {str(error)[:300]}"

    return read


class _Run:
    """All mutants of one reader, in processes that may die."""

    def __init__(self, reader: Reader, box: Path, kept: Path | None) -> None:
        self._reader, self._box, self._kept = reader, box, kept
        self._shared = mmap.mmap(-1, 16)
        self._done: dict[int, dict[str, Any]] = {}
        if kept is not None and kept.is_file():
            for line in kept.read_text("utf-8").splitlines():
                found = json.loads(line)
                if found["reader"] == reader.name:
                    self._done[found["number"]] = found

    def all(self, count: int) -> dict[str, Any]:
        todo = [number for number in range(count) if number not in self._done]
        while todo:
            for found in self._batch(todo[:_BATCH]):
                self._done[found["number"]] = found
                if self._kept is not None:
                    with self._kept.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(found) + "\n")
            todo = [number for number in todo if number not in self._done]
        ends = [self._done[number] for number in range(count)]
        errors = Counter(found["end"] for found in ends if found["end"] != "result" and not found["faults"])
        return {
            "mutants": count,
            "results": sum(found["end"] == "result" for found in ends),
            "beyond_header": sum(found["beyond"] for found in ends) / max(count, 1),
            "errors": dict(sorted(errors.items())),
            "slowest_s": round(max((found["seconds"] for found in ends), default=0.0), 2),
            "faults": [f"mutant {found['number']}: {fault}" for found in ends for fault in found["faults"]],
        }

    def _batch(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """What became of mutants; where the process died or hung, up to the one that it was reading."""
        self._shared[:8] = struct.pack("<q", -1)
        file, name = tempfile.mkstemp()
        os.close(file)
        pid = os.fork()
        if pid == 0:
            _child(self._reader, self._box, numbers, self._shared, name)
        fault = self._watch(pid)
        found = [json.loads(line) for line in Path(name).read_text("utf-8").splitlines()]
        os.unlink(name)
        if fault:
            at = struct.unpack("<q", self._shared[:8])[0]
            at = numbers[0] if at < 0 else at
            blank = {"reader": self._reader.name, "number": at, "end": fault, "beyond": True, "seconds": 0.0}
            found.append({**blank, "faults": [fault]})
        return found

    def _watch(self, pid: int) -> str:
        """Wait for the end of a process; returns why it was bad, "" if it was not."""
        last, spent = -2, 0.0
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                return "" if code == 0 else f"ended by signal {-code}" if code < 0 else f"ended with status {code}"
            time.sleep(0.02)
            at = struct.unpack("<q", self._shared[:8])[0]
            used = _processor_time(pid)
            if at != last:
                last, spent = at, used
            elif used - spent > SECONDS and at >= 0:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return f"still reading after {SECONDS:g} s of processor time"


def _processor_time(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child(reader: Reader, box: Path, numbers: Sequence[int], shared: mmap.mmap, answers: str) -> None:
    """Read mutants, and note after each what became of it."""
    status = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        faulthandler.disable()
        warnings.simplefilter("ignore")
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        seen: list[str] = []
        _listen(box, seen, answers)
        beyond = _mark(reader)
        with open(answers, "a", encoding="utf-8") as file:
            for number in numbers:
                shared[:8] = struct.pack("<q", number)
                file.write(json.dumps(_read(reader, box, number, seen, beyond)) + "\n")
                file.flush()
        status = 0
    finally:
        os._exit(status)


def _mark(reader: Reader) -> list[bool]:
    """Have a flag set when one of the functions is called that work behind the header."""
    flag = [False]

    def marked(function: Any, early: bool) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            flag[0] = flag[0] or early
            found = function(*args, **kwargs)
            flag[0] = True
            return found

        return call

    for place in reader.beyond:
        early = place.endswith("()")
        module, name = place.removesuffix("()").split(":")
        try:
            owner = importlib.import_module(module)
            old = getattr(owner, name)
        except (ImportError, AttributeError):
            continue
        if isinstance(old, type):
            old.__init__ = marked(old.__init__, early)  # type: ignore[misc]
            continue
        for other in list(sys.modules.values()):
            if getattr(other, "__name__", "").startswith(("htnet", module)) and getattr(other, name, None) is old:
                setattr(other, name, marked(old, early))
    return flag


def _listen(box: Path, seen: list[str], answers: str) -> None:
    """Note each file that is written, and each program that is started, outside of the folder for output."""
    allowed = (str(box / "out"), os.devnull, answers)

    def outside(path: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        full = os.path.abspath(os.fsdecode(path))
        if not full.startswith(allowed) and _WATCHING[0]:
            seen.append(f"writes {full.replace(str(box), 'BOX')}")

    def hear(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            mode, flags = args[1], args[2]
            writes = (
                any(letter in mode for letter in "wax+") if isinstance(mode, str) else flags & (os.O_WRONLY | os.O_RDWR)
            )
            if writes:
                outside(args[0])
        elif event in _CHANGES:
            for at in _CHANGES[event]:
                outside(args[at])
        elif event in _STARTS and _WATCHING[0]:
            seen.append(f"{event} {str(args)[:100]}")

    sys.addaudithook(hear)


#: Whether a reader is at work.
_WATCHING = [False]


def _laid_out(reader: Reader, name: str, data: bytes, box: Path) -> Path:
    """Write a file and what lies beside it; returns its path."""
    os.chdir("/")
    shutil.rmtree(box, ignore_errors=True)
    for folder in ("in", "out", "elsewhere"):
        (box / folder).mkdir(parents=True)
    outside = str(box / "elsewhere").encode()
    for other, content in {**reader.beside, name: data.replace(b"OUTSIDE", outside)}.items():
        (box / "in" / other).parent.mkdir(parents=True, exist_ok=True)
        (box / "in" / other).write_bytes(content)
    return box / "in" / name


def _read(reader: Reader, box: Path, number: int, seen: list[str], beyond: list[bool]) -> dict[str, Any]:
    rng = random.Random(f"{reader.name} {number}")
    name, data, kind = rng.choice(reader.samples)
    path = _laid_out(reader, name, mutate(kind, data, rng), box)
    if reader.beside and rng.random() < 0.05:  # a link, as archives can hold
        target = rng.choice((box / "elsewhere" / "target", Path("/dev/zero"), Path("/proc/self/mem"), box / "in", path))
        (box / "elsewhere" / "target").write_bytes(data)
        path.unlink()
        path.symlink_to(target)
    os.chdir(box / "out")
    seen.clear()
    beyond[0] = False
    faults: list[str] = []
    before = time.process_time()
    _WATCHING[0] = True
    try:
        reader.read(path, box / "out")
        end = "result"
    except HtnetError as error:
        end = type(error).__name__
    except BaseException as error:
        end = type(error).__name__
        faults.append(f"{end}: {error}"[:300] + "\n" + "".join(traceback.format_exc()[-1200:]))
    finally:
        _WATCHING[0] = False
    seconds = time.process_time() - before
    if seconds > SECONDS:
        faults.append(f"took {seconds:.1f} s")
    faults += sorted(set(seen))
    faults += [f"wrote {p.name}" for p in box.iterdir() if p.name not in ("in", "out", "elsewhere")]
    faults += [f"wrote elsewhere/{p.name}" for p in (box / "elsewhere").iterdir() if p.name != "target"]
    return {
        "reader": reader.name,
        "number": number,
        "end": end,
        "beyond": beyond[0] or end == "result",
        "seconds": round(seconds, 3),
        "faults": faults,
    }
