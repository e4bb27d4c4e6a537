"""Every reader of files from strangers, with samples of our own making."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save as safetensors_of

from benchmarks.trust.reader import File, Reader, of
from benchmarks.trust.runs import run_readers, write_runs
from benchmarks.trust.tables import table_readers
from benchmarks.trust.work import works
from htnet.core.errors import VideoError
from htnet.core.hints import door_of
from htnet.core.shared_files import check_files
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.data import Manifest, Sample, read_manifest, read_recordings
from htnet.data.prepare import prepare
from htnet.data.prepare.keys import source_key
from htnet.hub import load_pretrained
from htnet.hub.folder import _is_half_saved
from htnet.hub.weights import find_files
from htnet.models import create_model, reference_state
from htnet.models.converters.convert import converted_checkpoint
from htnet.palsy import prepare_faces
from htnet.preprocess import PrecomputedLandmarks, encode_motion, open_video, read_flow_image, read_frame
from htnet.preprocess.landmarks.cached import _digest
from htnet.preprocess.landmarks.cached import _read as read_entry
from htnet.preprocess.landmarks.files import COLUMNS
from htnet.preprocess.resaved import saved_again
from htnet.preprocess.video.clip_files import read_motion
from htnet.recordings import recording_curves, recording_stream
from htnet.recordings.detector import load_detector
from htnet.recordings.faces import YuNetFaces
from htnet.recordings.kept import KeptProgress
from htnet.recordings.stream import announced_length
from htnet.recordings.table import read_curves, write_table
from htnet.training import Recipe, get_recipe
from htnet.types import Frame
from htnet.web.settings import ServeSettings
from htnet.web.worker import _check_picture, _check_video
from tests.preprocess.test_cine import write_cine
from tests.support.pairs import QUICK, face
from tests.support.videos import write_timed, write_video


def _pictures() -> Iterable[File]:
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


def _flow_images(flows: Path) -> Iterable[File]:
    for number, path in enumerate(sorted((flows / "flow").glob("*.png"))[:4]):
        ending = (".png", ".bmp", ".tiff", ".webp")[number]
        how = [cv2.IMWRITE_WEBP_QUALITY, 101] if ending == ".webp" else []
        data = cv2.imencode(ending, cv2.imread(str(path)), how)[1].tobytes()
        yield f"flow{ending}", data, "png" if ending == ".png" else "picture"


def _stream(reader: str) -> Callable[[Path, Path], object]:
    """The same with what damage has left."""

    def read(path: Path, out: Path) -> object:
        video = open_video(path, reader=reader)
        announced_length(video)
        return sum(1 for _, _ in zip(recording_stream(video), range(40), strict=False))

    return read


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
    state = write_runs(folder, every)
    weights, flows = folder / "train", folder / "flows"
    video = [face(64)] * 12
    codecs = {"avi": None, "mp4": "libx264", "webm": "libvpx", "mkv": "ffv1", "ts": "libx264"}
    for ending, codec in codecs.items():
        place = folder / f"clip.{ending}"
        if codec is None:
            write_video(place, video, 25.0)
        else:
            write_timed(place, video, np.arange(12) / 25, codec)
    write_cine(folder / "clip.cine", np.stack([frame[..., 0] for frame in video]).astype(np.uint16) << 4, 12)
    clips = of(*(folder / f"clip.{ending}" for ending in (*codecs, "cine")), kind="video")

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
    states = [
        _checkpoint({"state_dict": published, "classes": '["negative", "positive", "surprise"]'}),
        _checkpoint(published, old=True),
    ]
    states += [_checkpoint({"state_dict": published, "note": _Canary()}), pickle.dumps({"a": _Canary()}, 2)]
    states += [pickle.dumps({"a": _Canary()}, 0), safetensors_of(published)]
    kinds = ("zip", "bytes", "zip", "bytes", "bytes", "safetensors")
    recipe = json.dumps({key: value for key, value in Recipe(epochs=3).to_dict().items() if key != "name"}).encode()
    manifest = (folder / "flows" / "manifest.csv").read_bytes()
    names = [[folder / "pairs" / f"{i}_{part}.png" for part in ("onset", "apex")] for i in range(3)]
    pairs = [Sample(f"s{i}", "own", f"p{i}", EMOTIONS[i], *files) for i, files in enumerate(names)]
    Manifest(tuple(pairs), source=str(folder / "pairs")).write(folder / "pairs" / "manifest.csv")
    pair_files = {path.name: path.read_bytes() for pair in names for path in pair}
    twice = b"sample,dataset,subject,label,flow\na,own,p1,0,flow/first.png\nb,own,p2,0,flow/second.png\n"
    flow_files = {f"flow/{p.name}": p.read_bytes() for p in sorted((flows / "flow").glob("*.png"))[:40]}
    flow_files |= dict.fromkeys(("flow/first.png", "flow/second.png"), next(iter(flow_files.values())))
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
    own[".saving"] = b""

    def prepared(path: Path, out: Path) -> object:
        return prepare(read_manifest(path), out / "prepared", QUICK, "template", on_error=lambda *told: None)

    def kept(path: Path, out: Path) -> object:
        return KeptProgress(path).begin(open_video(folder / "one.avi"), _finder())

    tables = sorted(p for p in analysis.glob("*.csv") if ".frames" not in p.name and ".megc" not in p.name)
    document = ("htnet.core.limits:parse_json", "json:loads")
    rows = ("htnet.core.csv_files:CsvTable",)
    every_frame = ("cv2:imdecode",)
    opened = ("htnet.preprocess.video.open:Video",)
    other = cv2.imencode(".jpg", face(48)[..., ::-1])[1].tobytes()

    def frames(path: Path, out: Path) -> object:
        first, second = read_frame(path), read_frame(path.parent / "other.jpg")
        door_of(path)
        _check_picture(path, ServeSettings())
        return saved_again(path, path.parent / "other.jpg", first, second)

    def clip(path: Path, out: Path) -> object:
        sample = Sample("s", clip=path, label=EMOTIONS[0])
        key = source_key(sample, dataclasses.replace(QUICK, clip_frames=4), None, motion=True)
        if key is None:
            raise VideoError("It cannot be read.")
        return key

    def graded(path: Path, out: Path) -> object:
        faces = (Sample("a", "own", "p", "I", image=path, split="train"),)
        return prepare_faces(Manifest(faces, ("I",)), out / "faces", "template")

    def listed(path: Path, out: Path) -> object:
        found = read_manifest(path)
        check_files(found, str(path))
        return found

    def loaded(path: Path, out: Path) -> object:
        door_of(path.parent)
        _is_half_saved(path.parent)
        model = load_pretrained(path.parent)
        return model, find_files(path.parent).digests()

    def uploaded(path: Path, out: Path) -> object:
        _check_video(path)
        return open_video(path)

    return (
        Reader("frames", tuple(_pictures()), frames, every_frame, {"other.jpg": other}, weight=2),
        Reader("flow images", tuple(_flow_images(flows)), lambda path, out: read_flow_image(path), every_frame),
        Reader("video, PyAV", clips, _watch("pyav"), opened, weight=1.5),
        Reader("video, OpenCV", clips, _watch("opencv"), opened, weight=1.5),
        Reader("recording, PyAV", clips, _stream("pyav"), opened, weight=0.5),
        Reader("recording, OpenCV", clips, _stream("opencv"), opened, weight=0.5),
        Reader("upload of the page", clips[:-1], uploaded, opened, weight=0.5),
        Reader("clip of a sample", clips, clip, opened, weight=0.3),
        Reader("graded faces", tuple(_pictures()), graded, every_frame, weight=0.3),
        Reader(
            "manifest",
            (("manifest.csv", manifest, "csv"), ("twice.csv", twice, "csv")),
            listed,
            rows,
            flow_files,
            refused=("twice.csv",),
        ),
        Reader(
            "manifest, prepared",
            of(folder / "pairs" / "manifest.csv", kind="csv"),
            prepared,
            rows,
            pair_files,
            weight=0.3,
        ),
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
            loaded,
            ("htnet.core.limits:sha256_of",),
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
            lambda p, out: converted_checkpoint(p, 2, None, None),
            ("torch:load", "pickletools:genops()", "torch.serialization:_load()"),
            refused=("2.pth", "3.pth", "4.pth"),
        ),
        Reader(
            "recordings",
            (*of(*tables, kind="csv"), ("times.csv", b"recording,begin,end\na,1.5,2.5\n", "csv")),
            lambda p, out: read_recordings(p),
            rows,
            refused=("times.csv",),
        ),
        Reader("curves", of(curves_file, kind="zip"), lambda p, out: read_curves(p), ("numpy:load",)),
        Reader("progress", of(folder / ".one.part", kind="bytes"), kept, (*document,)),
        *run_readers(folder, every, state),
        *table_readers(folder),
    )


def _finder() -> Any:
    return YuNetFaces()


def _curves(video: Path, archive: Path, progress: Path) -> None:
    kept = KeptProgress(progress)
    write_table(recording_curves(open_video(video), kept=kept), archive, overwrite=True)
