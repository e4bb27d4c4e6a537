"""Every reader of files from strangers, with samples of our own making."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.trust.work import works
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.data import Manifest, Sample, read_events, read_manifest, read_recordings
from htnet.data.datasets.sheets import read_sheet
from htnet.data.layouts import open_data
from htnet.data.prepare import prepare
from htnet.data.prepare.report import read_report
from htnet.evaluation.summary import read_summary
from htnet.hub import load_pretrained
from htnet.models import create_model, reference_state
from htnet.models.converters.convert import converted_checkpoint
from htnet.pipeline import read_analysis
from htnet.preprocess import PrecomputedLandmarks, encode_motion, open_video, read_frame
from htnet.preprocess.landmarks.cached import _digest
from htnet.preprocess.landmarks.cached import _read as read_entry
from htnet.preprocess.landmarks.files import COLUMNS
from htnet.preprocess.video.clip_files import read_motion
from htnet.recordings import recording_curves
from htnet.recordings.detector import load_detector
from htnet.recordings.faces import YuNetFaces
from htnet.recordings.kept import KeptProgress
from htnet.recordings.table import read_curves, write_table
from htnet.training import Recipe, get_recipe
from htnet.training.state import Checkpoint, TrainingState
from htnet.types import Frame
from tests.support.pairs import QUICK, face
from tests.support.videos import write_timed, write_video


@dataclass(frozen=True)
class Reader:
    """One way to read.

    Attributes:
        name: what is read.
        samples: names and contents of files, and how each is built.
        read: reads a file; may write into the second folder.
        beyond: functions, as "module:name", that are called once the header of a file was accepted.
        beside: files that lie beside the sample.
        weight: how many mutants, relative to others.
    """

    name: str
    samples: tuple[tuple[str, bytes, str], ...]
    read: Callable[[Path, Path], object]
    beyond: tuple[str, ...] = ()
    beside: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    weight: float = 1.0


def _pictures() -> Iterable[tuple[str, bytes, str]]:
    rgb = face(48)
    for ending, image in {
        ".png": rgb,
        ".jpg": rgb,
        ".bmp": rgb,
        ".webp": rgb,
        ".pgm": rgb[..., 0],
        ".tiff": (rgb.astype(np.uint16) * 200),
    }.items():
        data = cv2.imencode(ending, image)[1].tobytes()
        yield f"face{ending}", data, "png" if ending == ".png" else "picture"


def _watch(reader: str) -> Callable[[Path, Path], object]:
    def read(path: Path, out: Path) -> object:
        return sum(1 for _, _ in zip(open_video(path, reader=reader), range(40), strict=False))

    return read


def _checkpoint(content: Any, old: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


class _Canary:
    """What runs code when it is unpickled by a reader that lets it: it makes a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("canary-of-a-pickle",)


def readers(folder: Path) -> tuple[Reader, ...]:
    """All readers; their samples are made in a folder."""
    rng = np.random.default_rng(0)
    every = {work.name: work for work in works(folder)}
    for name in ("prepare", "train", "loso", "analyze"):
        every[name].run(folder / name)
    weights, flows = folder / "train", folder / "flows"
    video = [face(64)] * 12
    for ending, codec in {"avi": None, "mp4": "libx264", "webm": "libvpx"}.items():
        place = folder / f"clip.{ending}"
        if codec is None:
            write_video(place, video, 25.0)
        else:
            write_timed(place, video, np.arange(12) / 25, codec)
    clips = tuple((f"clip.{e}", (folder / f"clip.{e}").read_bytes(), "video") for e in ("avi", "mp4", "webm"))

    def of(*paths: Path, kind: str) -> tuple[tuple[str, bytes, str], ...]:
        return tuple((path.name, path.read_bytes(), kind) for path in paths)

    sheet = (
        (
            "Subject,Filename,OnsetFrame,ApexFrame,OffsetFrame,Action Units,Estimated Emotion\\n"
            "1,EP02_01f,46,59,86,4+L10,disgust\\n1,EP03_02,134,157,213,12,happiness\\n2,EP04_03,52,72,80,R1+2,surprise\\n"
        )
        .replace("\\n", "\n")
        .encode()
    )
    books: tuple[tuple[str, bytes, str], ...] = (("sheet.csv", sheet, "csv"),)
    try:
        import openpyxl

        book, file = openpyxl.Workbook(), io.BytesIO()
        for line in sheet.decode().splitlines():
            book.active.append([int(cell) if cell.isdigit() else cell for cell in line.split(",")])
        book.save(file)
        books += (("sheet.xlsx", file.getvalue(), "zip"),)
    except ImportError:
        pass
    points = [[20.0, 22.0], [44.0, 22.0], [32.0, 34.0], [24.0, 46.0], [40.0, 46.0]]
    table = ",".join(("sample", *COLUMNS)) + "\n"
    table += "".join(f"s{i}," + ",".join(str(v) for p in points for v in p) + "\n" for i in range(3))
    openface = "frame,face_id,timestamp,confidence,success," + ",".join(f"x_{i}" for i in range(68)) + ","
    openface += ",".join(f"y_{i}" for i in range(68)) + "\n"
    for i in range(1, 4):
        values = rng.uniform(10, 60, 136).round(2).tolist()
        openface += f"{i},0,{i / 25},0.98,1," + ",".join(map(str, values)) + "\n"
    spec = dataclasses.replace(PreprocessSpec(), clip_frames=4)
    motion = encode_motion(rng.random((4, 64), np.float32), spec)
    published = dict(reference_state(create_model("htnet_tiny", dim=8)))
    states = [_checkpoint({"state_dict": published, "epoch": 3}), _checkpoint(published, old=True)]
    states += [_checkpoint({"state_dict": published, "note": _Canary()}), pickle.dumps({"a": _Canary()}, 2)]
    kinds = ("zip", "bytes", "zip", "bytes")
    state = folder / "state.pt"
    recipe = json.dumps({key: value for key, value in Recipe(epochs=3).to_dict().items() if key != "name"}).encode()
    manifest = (folder / "flows" / "manifest.csv").read_bytes()
    pairs = [
        Sample(f"s{i}", "own", f"p{i}", EMOTIONS[i % 3], Path("0_onset.png"), Path("0_apex.png")) for i in range(3)
    ]
    Manifest(tuple(pairs), source=str(folder / "pairs")).write(folder / "pairs" / "manifest.csv")
    pair_files = {n: (folder / "pairs" / n).read_bytes() for n in ("0_onset.png", "0_apex.png")}
    flow_files = {f"flow/{p.name}": p.read_bytes() for p in sorted((flows / "flow").glob("*.png"))[:40]}
    folds = sorted((folder / "loso").glob("folds/*/*.json"))
    analysis = folder / "analyze"
    curves_file = folder / "curves.npz"
    _curves(folder / "one.avi", curves_file, folder / ".one.part")
    entry = {"points": points, "source": "x", "score": 0.9, "warnings": [], "faces": 1, "verified": True}
    cached = json.dumps({"key": "k", "sha256": _digest(entry), "entry": entry}).encode()
    detector = Path(load_detector.__code__.co_filename).parent / "weights" / "detector.safetensors"
    frame = Frame(face(64))
    own = {
        p.name: p.read_bytes() for p in weights.iterdir() if p.name in ("model.safetensors", "config.json", "README.md")
    }

    def sheet_rows(path: Path, out: Path) -> object:
        return read_sheet(path, ("subject", "filename"))

    def train_state(path: Path, out: Path) -> object:
        return TrainingState(Checkpoint(path), "this", {}, 1)

    torch.save({"format": 2, "what": "this", "epoch": 2, "records": [[1]], "curve": [[0.5, 0.1]] * 2}, state)

    def resumed(path: Path, out: Path) -> object:
        shutil.copytree(folder / "loso", out / "run")
        place = "run.json" if path.name == "run.json" else str(folds[0].relative_to(folder / "loso"))
        shutil.copy(path, out / "run" / place)
        return every["loso"].run(out / "run")

    def prepared(path: Path, out: Path) -> object:
        return prepare(read_manifest(path), out / "prepared", QUICK, "template", on_error=lambda *told: None)

    def again(path: Path, out: Path) -> object:
        shutil.copytree(folder / "prepare", out / "prepared")
        place = path.name if path.name in ("preprocess.json", "report.json", "manifest.csv") else f"keys/{path.name}"
        shutil.copy(path, out / "prepared" / place)
        read_report(out / "prepared")
        return len(open_data(out / "prepared"))

    def kept(path: Path, out: Path) -> object:
        return KeptProgress(path).begin(open_video(folder / "one.avi"), _finder())

    names = ("preprocess.json", "report.json", "manifest.csv")
    tables = sorted(p for p in analysis.glob("*.csv") if ".frames" not in p.name)
    lists = [p for p in tables if ".megc" not in p.name]
    documents = sorted(analysis.glob("*.json"))
    made = (folder / "prepare" / name for name in names[:2])
    keys = sorted((folder / "prepare" / "keys").glob("*.json"))[:2]
    document = ("htnet.core.limits:parse_json", "json:loads")
    rows = ("htnet.core.csv_files:CsvTable",)
    every_frame = ("cv2:imdecode",)
    return (
        Reader("frames", tuple(_pictures()), lambda path, out: read_frame(path), every_frame, weight=2),
        Reader("video, PyAV", clips, _watch("pyav"), ("htnet.preprocess.video.open:Video",), weight=1.5),
        Reader("video, OpenCV", clips, _watch("opencv"), ("htnet.preprocess.video.open:Video",), weight=1.5),
        Reader("manifest", (("manifest.csv", manifest, "csv"),), lambda p, out: read_manifest(p), rows, flow_files),
        Reader(
            "manifest, prepared",
            of(folder / "pairs" / "manifest.csv", kind="csv"),
            prepared,
            rows,
            pair_files,
            weight=0.3,
        ),
        Reader("sheet", books, sheet_rows, ("htnet.data.datasets.sheets:Table",)),
        Reader(
            "landmarks, table",
            (("points.csv", table.encode(), "csv"), ("openface.csv", openface.encode(), "csv")),
            lambda p, out: PrecomputedLandmarks(p)(frame, "s1" if p.name == "points.csv" else "frame:1"),
            rows,
        ),
        Reader(
            "landmarks, JSON",
            (("points.json", json.dumps(points).encode(), "json"),),
            lambda p, out: PrecomputedLandmarks(p)(frame),
            document,
        ),
        Reader("landmarks, kept", (("entry.json", cached, "json"),), lambda p, out: read_entry(p, "k"), document),
        Reader("recipe", (("recipe.json", recipe, "json"),), lambda p, out: get_recipe(p), document),
        Reader(
            "weights folder",
            tuple((n, own[n], k) for n, k in (("config.json", "json"), ("model.safetensors", "safetensors"))),
            lambda p, out: load_pretrained(p.parent),
            ("htnet.hub.folder:sha256_of",),
            own,
        ),
        Reader(
            "motion", (("motion.safetensors", motion, "safetensors"),), lambda p, out: read_motion(p, spec), document
        ),
        Reader(
            "event detector",
            (("detector.safetensors", detector.read_bytes(), "safetensors"),),
            lambda p, out: load_detector(p),
            ("htnet.recordings.detector:_digest", "json:loads", *document),
        ),
        Reader(
            "checkpoint",
            tuple((f"{i}.pth", data, kind) for i, (data, kind) in enumerate(zip(states, kinds, strict=True))),
            lambda p, out: converted_checkpoint(p, None, None, None),
            ("torch:load", "pickletools:genops()", "torch.serialization:_load()"),
        ),
        Reader("state of a training", of(state, kind="zip"), train_state, ("torch.serialization:_load()",)),
        Reader("run folder", of(folder / "loso" / "run.json", folds[0], kind="json"), resumed, document, weight=0.15),
        Reader("summary", of(folder / "loso" / "summary.json", kind="json"), lambda p, out: read_summary(p), document),
        Reader(
            "prepared folder",
            (*of(*made, *keys, kind="json"), *of(folder / "prepare" / names[2], kind="csv")),
            again,
            (*document, *rows),
            weight=0.5,
        ),
        Reader("analysis", of(*documents, kind="json"), lambda p, out: read_analysis(p), document),
        Reader(
            "events",
            (*of(*documents, kind="json"), *of(*tables, kind="csv")),
            lambda p, out: read_events(p),
            (*document, *rows),
        ),
        Reader("recordings", of(*lists, kind="csv"), lambda p, out: read_recordings(p), rows),
        Reader("curves", of(curves_file, kind="zip"), lambda p, out: read_curves(p), ("numpy:load",)),
        Reader("progress", of(folder / ".one.part", kind="bytes"), kept, (*document,)),
    )


def _finder() -> Any:
    return YuNetFaces()


def _curves(video: Path, archive: Path, progress: Path) -> None:
    kept = KeptProgress(progress)
    write_table(recording_curves(open_video(video), kept=kept), archive, overwrite=True)
