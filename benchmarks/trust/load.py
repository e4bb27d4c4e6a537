"""Many clients of one predictor, of a service of one's own and of the web page; many pairs in one call."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import htnet
from benchmarks.measure import ROOT
from benchmarks.trust.clients import (
    Asking,
    Client,
    asked_of_page,
    asked_of_service,
    everything,
    fetch_left,
    leave_some,
    load,
    until_ready,
)
from benchmarks.trust.memory import Resident
from benchmarks.trust.service import PLACES
from htnet.core.errors import HtnetError
from htnet.core.schema import to_json
from htnet.data import Manifest, Sample
from htnet.pipeline import Predictor
from tests.support.pairs import face_pair, save
from tests.support.videos import write_video

#: Threads that share one predictor, and clients of a server.
THREADS, CLIENTS = 8, 50
#: Seconds that clients ask for, of which the first are for warming up; and those of a share for tests.
SECONDS, WARM, QUICK_SECONDS, QUICK_WARM = 300.0, 60.0, 12.0, 6.0
#: Pairs of one call, and those after which memory may not rise.
PAIRS, WARM_PAIRS, QUICK_PAIRS, QUICK_WARM_PAIRS = 20_000, 2_000, 200, 100
#: By how much resident memory may be more than after warming up.
RISE = 0.1
#: Seconds within which a stopped server ends: its answers, and 10 s in which they may be fetched.
_STOP = 90.0
_BOX = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.55], [0.35, 0.75], [0.65, 0.75]])


def run(quick: bool, names: Sequence[str] = ()) -> dict[str, Any]:
    """Load everything; ``names`` are some parts, all by default."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        for name, look in _LOOKS.items():
            if not names or name in names:
                folder = Path(place) / name
                folder.mkdir()
                figures[name] = look(folder, quick)
                print(f"{name}: {len(figures[name]['faults'])} faults", flush=True)
    return {**figures, "faults": sum(len(found["faults"]) for found in figures.values())}


def _threads(folder: Path, quick: bool) -> dict[str, Any]:
    """Threads that share one predictor, also at its first use in a process, beside one thread alone."""
    figures: dict[str, Any] = {"threads": THREADS, "runs": {}, "faults": []}
    alone = _shared(folder, 1, 1, 1)
    # PyTorch's threads, and how often each thread asks every question. In each a new process begins with all at once.
    for own, rounds in ((1, 1),) if quick else ((1, 3), (2, 3)):
        reference = alone if own == 1 else _shared(folder, 1, 1, own)
        together = _shared(folder, THREADS, rounds, own)
        clients = {}
        for number, answers in enumerate(together):
            same = sum(found == reference[0][at % len(reference[0])] for at, found in enumerate(answers))
            clients[str(number)] = {"answers": len(answers), "equal": same}
            print(f"thread {number}: {same} of {len(answers)} answers are those of one thread", flush=True)
            if same < len(answers) or not answers:
                figures["faults"].append(f"{own} threads of PyTorch, thread {number}: {len(answers) - same} differ")
        figures["runs"][f"PyTorch with {own} thread{'s' * (own > 1)}"] = {"clients": clients}
    figures["questions"] = len(alone[0])
    figures["errors_of_htnet"] = sum(not found.startswith("{") for found in alone[0])
    return figures


def _shared(folder: Path, threads: int, rounds: int, own: int) -> list[list[str]]:
    """Answers of each thread, in a new process."""
    code = (
        "import json, sys; from pathlib import Path; from benchmarks.trust.load import shared_answers; "
        "print(json.dumps(shared_answers(Path(sys.argv[1]), *map(int, sys.argv[2:]))))"
    )
    words = [sys.executable, "-c", code, str(folder), str(threads), str(rounds), str(own)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(own), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=1800, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def shared_answers(folder: Path, threads: int, rounds: int, own: int) -> list[list[str]]:
    """What a predictor answers to each of the threads that share it, in the order of the questions."""
    import torch

    torch.set_num_threads(own)
    questions = _questions(folder)
    shared = Predictor("synthetic")
    gate = threading.Barrier(threads)

    def ask(number: int) -> list[str]:
        found = {}
        chance = random.Random(f"thread {number}")
        order = [(again, at) for again in range(rounds) for at in range(len(questions))]
        if threads > 1:
            chance.shuffle(order)
        gate.wait()
        for again, at in order:
            found[again, at] = _said(lambda at=at: questions[at](shared))
        return [found[key] for key in sorted(found)]

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(ask, range(threads)))


def _said(ask: Callable[[], Any]) -> str:
    """An answer with everything that belongs to it, or an error of htnet; all else is raised."""
    try:
        found = ask()
    except HtnetError as error:
        return f"{type(error).__name__}: {error}"
    each = found if isinstance(found, list) else [found]
    return "".join(to_json(one.to_dict()) + one.input.flow_image.tobytes().hex() for one in each)


def _questions(folder: Path) -> list[Callable[[Predictor], Any]]:
    """What a shared predictor is asked: each kind of source, and what cannot be used."""
    rng = np.random.default_rng(1)
    pairs = [face_pair(k % 3, 112 + 16 * k, rng) for k in range(3)]
    files = []
    for number, pair in enumerate(pairs):
        paths = [folder / f"{number}{name}.png" for name in ("onset", "apex")]
        files.append(tuple(path if path.is_file() else save(path, rgb) for path, rgb in zip(paths, pair, strict=True)))
    film = folder / "clip.avi"
    if not film.is_file():
        write_video(film, [pairs[0][0]] * 5 + [pairs[0][1]] * 5, 50.0)
    points = [_BOX * len(onset) for onset, _ in pairs]
    sample = Path(htnet.__file__).parent / "assets" / "sample"
    manifest = Manifest(
        tuple(Sample(f"s{k}", "own", f"p{k}", None, onset, apex) for k, (onset, apex) in enumerate(files))
    )
    bad = bytes(100)
    return [
        *(lambda p, k=k: p.pair(*files[k]) for k in range(3)),
        *(lambda p, k=k: p.pair(*pairs[k], points[k]) for k in range(3)),
        lambda p: p.pair(*(path.read_bytes() for path in files[0])),
        lambda p: p.pair(sample / "onset.png", sample / "apex.png"),
        lambda p: p.pairs(pairs, points, ["a", "b", "c"]),
        lambda p: list(p.manifest(manifest)),
        lambda p: p.video(film),
        lambda p: p.video([pairs[1][0]] * 4 + [pairs[1][1]] * 5, points[1]),
        lambda p: p.flow_image(pairs[0][0][:28, :28].copy()),
        lambda p: p.pair(bad, pairs[0][1]),
        lambda p: p.pair(pairs[0][0], pairs[1][1]),
        lambda p: p.pair(np.zeros((120, 120, 3), np.uint8), np.zeros((120, 120, 3), np.uint8)),
        lambda p: p.pair(*pairs[0], points[0] * np.nan),
        lambda p: p.video(folder / "missing.avi"),
    ]


def _pairs(folder: Path, quick: bool) -> dict[str, Any]:
    """One long call: a manifest by the command, and pairs that a program makes on the way."""
    count, warm = (QUICK_PAIRS, QUICK_WARM_PAIRS) if quick else (PAIRS, WARM_PAIRS)
    figures: dict[str, Any] = {"faults": []}
    for name, ask in (("manifest", _long_manifest), ("made_on_the_way", _long_stream)):
        if name == "made_on_the_way":
            count, warm = count // 20, warm // 20
        began = time.monotonic()
        found, own, memory = ask(folder, count, warm)
        rise = max(memory) / memory[0] - 1 if memory else 0.0
        figures[name] = {
            "pairs": found,
            "different_pairs": len(own),
            "answers_to_each": max(map(len, own.values()), default=0),
            "seconds": round(time.monotonic() - began),
            "resident_mib_after_warming_up": round(memory[0] / 2**20, 1) if memory else None,
            "rise": round(rise, 4),
        }
        print(f"pairs, {name}: {figures[name]}", flush=True)
        if found != count:
            figures["faults"].append(f"{name}: {found} answers for {count} pairs")
        if rise > RISE or not memory:
            figures["faults"].append(f"{name}: resident memory rose by {rise:.1%}")
        if any(len(texts) != 1 for texts in own.values()):
            figures["faults"].append(f"{name}: the same pair was answered differently")
    return figures


#: Number of answers, the different ones for each kind of pair, and resident bytes from the end of warming up on.
Long = tuple[int, dict[int, set[str]], list[int]]
_KINDS = 16


def _distinct(folder: Path) -> list[tuple[str, str]]:
    """Onset and apex of each kind."""
    rng = np.random.default_rng(2)
    pairs = (face_pair(kind % 3, 96, rng) for kind in range(_KINDS))
    return [
        (str(save(folder / f"{kind}o.png", onset)), str(save(folder / f"{kind}a.png", apex)))
        for kind, (onset, apex) in enumerate(pairs)
    ]


def _long_manifest(folder: Path, count: int, warm: int) -> Long:
    """``htnet predict --manifest`` in a process of its own, which is watched."""
    made = _distinct(folder)
    chance = random.Random("manifest")
    kinds = [chance.randrange(_KINDS) for _ in range(count)]
    rows = [f"n{k},p{k % 50}," + ",".join(made[kind]) for k, kind in enumerate(kinds)]
    (folder / "pairs.csv").write_text("\n".join(["sample,subject,onset,apex", *rows, ""]), "utf-8")
    out = folder / "answers.jsonl"
    words = [sys.executable, "-m", "htnet", "predict", "--manifest", str(folder / "pairs.csv"), "--out", str(out)]
    words += ["--landmarks", "template"]
    memory: list[int] = []
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        watch = Resident(process.pid)
        lines = 0
        while process.poll() is None:
            time.sleep(1.0)
            part = next(iter(folder.glob(".*.tmp")), None)
            if lines < warm and part is not None:
                with suppress(OSError):
                    lines = part.read_bytes().count(b"\n")
            if lines >= warm and (now := watch.bytes()):
                memory.append(now)
        if process.returncode:
            raise RuntimeError(process.stderr.read()[-2000:] if process.stderr else "")
    own: dict[int, set[str]] = {}
    count = 0
    with out.open(encoding="utf-8") as file:
        for line in file:
            count += 1
            said = json.loads(line)
            kind = kinds[int(said["sample"][1:])]
            text = {k: v for k, v in said.items() if k not in ("sample", "files")}
            own.setdefault(kind, set()).add(json.dumps(text))
    return count, own, memory


def _long_stream(folder: Path, count: int, warm: int) -> Long:
    """Arrays that exist only while they are asked about."""
    rng = np.random.default_rng(3)
    pairs = [face_pair(kind % 3, 96, rng) for kind in range(_KINDS)]
    predictor = Predictor("synthetic", landmarks="template")
    watch = Resident(os.getpid())
    own: dict[int, set[str]] = {}
    memory: list[int] = []
    number = 0

    def made() -> Iterator[tuple[Any, Any]]:
        for k in range(count):
            onset, apex = pairs[k % _KINDS]
            # Larger than is needed, so that frames which are kept would show.
            yield np.pad(onset, ((0, 200), (0, 200), (0, 0))), np.pad(apex, ((0, 200), (0, 200), (0, 0)))

    for number, found in enumerate(predictor.iter_pairs(made()), 1):
        own.setdefault((number - 1) % _KINDS, set()).add(to_json(found.to_dict()))
        if number >= warm and number % 5 == 0:
            memory.append(watch.bytes())
    return number, own, memory


def _service(folder: Path, quick: bool) -> dict[str, Any]:
    """A server of one's own, whose threads share one predictor."""
    words = [sys.executable, "-m", "benchmarks.trust.service"]
    return _loaded(folder, words, asked_of_service(folder), "/", PLACES, quick)


def _page(folder: Path, quick: bool) -> dict[str, Any]:
    """``htnet serve``."""
    words = [sys.executable, "-m", "htnet", "serve", "--port", "0", "--weights", "synthetic", "--weights", "composite"]
    words += ["--max-upload", "2", "--workers", "1", "--queue", "8"]
    return _loaded(folder, words, asked_of_page(folder), "/api/health", 9, quick)


def _loaded(
    folder: Path, words: Sequence[str], asking: Sequence[Asking], health: str, places: int, quick: bool
) -> dict[str, Any]:
    """Clients ask a server, which is then stopped with requests in it."""
    seconds, warm = (QUICK_SECONDS, QUICK_WARM) if quick else (SECONDS, WARM)
    uploads, log = folder / "uploads", folder / "log.txt"
    uploads.mkdir()
    environment = {**os.environ, "TMPDIR": str(uploads), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    stopping = threading.Event()
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=ROOT) as server,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().split()[0].rpartition(":")[2])
            until_ready(port, "/api/options" if health != "/" else health)
            watch, began = Resident(server.pid), time.monotonic()
            clients = [Client(number, port, asking) for number in range(CLIENTS)]
            limit = began + seconds + 60 + _STOP
            running = [pool.submit(client.ask_until_stopped, stopping, limit) for client in clients]
            memory, most = [], 0
            while (now := time.monotonic() - began) < seconds:
                memory.append((now, watch.bytes()))
                most = max(most, load(port, health))
                time.sleep(1.0)
            left = leave_some(port, asking, 3) if health != "/" else []
            stopping.set()
            server.terminate()
            stopped = time.monotonic()
            faults = fetch_left(port, left, stopped + _STOP)
            status = server.wait(max(1.0, stopped + _STOP - time.monotonic()))
            took = time.monotonic() - stopped
            for done in running:
                done.result(_STOP)
        finally:
            stopping.set()
            server.kill()
    for client in clients:
        faults += client.faults
        print(
            f"client {client.number}: {client.equal} of {client.answers} answers are those of one thread alone, "
            f"{client.busy} times told to come again",
            flush=True,
        )
    after = [size for at, size in memory if at >= warm]
    rise = max(after) / after[0] - 1
    answers, busy, finished = (sum(getattr(c, n) for c in clients) for n in ("answers", "busy", "after_stop"))
    faults += [f"resident memory rose by {rise:.1%} after warming up"] if rise > RISE else []
    faults += [f"the server ended with the status {status}"] if status else []
    faults += [f"{most} requests were in the server, which has {places} places"] if most > places else []
    faults += [f"left behind: {path.name}" for path in uploads.iterdir()]
    said = log.read_text("utf-8")
    faults += [f"the server's log: {said[-1500:]}"] if "Traceback" in said else []
    faults += [f"{answers} answers, {busy} times busy"] if not answers or not busy else []
    return {
        "clients": {str(client.number): everything(client) for client in clients},
        "kinds_of_requests": len(asking),
        "seconds": seconds,
        "warming_up_s": warm,
        "answers": answers,
        "equal": sum(client.equal for client in clients),
        "refused_busy": busy,
        "statuses": dict(sorted(sum((client.told for client in clients), Counter()).items())),
        "most_in_the_server": most,
        "places": places,
        "resident_mib_after_warming_up": round(after[0] / 2**20, 1),
        "rise": round(rise, 4),
        "answered_later_than_the_stop": finished + len(left),
        "stopped_after_s": round(took, 1),
        "faults": faults,
    }


_LOOKS = {"shared": _threads, "pairs": _pairs, "service": _service, "page": _page}
