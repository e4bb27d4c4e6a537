"""What differs between releases of OpenCV in what htnet does: ``python -m benchmarks.opencv_versions FOLDER ...``.

Each folder holds one release (``pip install --no-deps --target FOLDER opencv-python-headless==...``). The one that is
installed is compared with each, in processes of their own, on pictures that are made without OpenCV.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import map_coordinates, rotate, zoom
from skimage import data as pictures

from benchmarks.measure import ROOT, provenance
from benchmarks.run import RESULTS
from htnet.evaluation.store import to_json, write_atomic

Array = npt.NDArray[Any]
#: What is told of each kind, and in what unit.
UNITS = {
    "resize_area_uint8": "gray levels",
    "resize_linear_uint8": "gray levels",
    "resize_cubic_uint8": "gray levels",
    "resize_area_float": "gray levels",
    "resize_linear_float": "gray levels",
    "warp_uint8": "gray levels",
    "warp_float": "gray levels",
    "remap_float": "gray levels",
    "blur_float": "gray levels",
    "gray": "gray levels",
    "clahe": "gray levels",
    "jpeg": "gray levels",
    "phase_correlation": "px",
    "yunet_points": "px",
    "yunet_score": "of 1",
    "flow_tvl1": "px",
    "flow_farneback": "px",
    "flow_dis": "px",
    "flow_image": "gray levels",
    "flow_image_aligned": "gray levels",
    "probability": "of 1",
    "probability_aligned": "of 1",
    "label": "number of the class",
    "label_aligned": "number of the class",
}
#: Pairs of each strength of motion whose answers are compared, and pairs in all whose flow is.
PAIRS, FLOWS = 20, 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare releases, or compute with the one that is imported (``--compute``)."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.opencv_versions", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="each with another release of OpenCV")
    parser.add_argument("--compute", type=Path, metavar="FILE.npz", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS / "opencv_versions.json", help="the result")
    args = parser.parse_args(arguments)
    if args.compute is not None:
        np.savez(args.compute, **computed())
        return 0
    with tempfile.TemporaryDirectory() as place:
        reference, version = _with(None, Path(place))
        differences, exact = {}, {version: _from_exact(reference)}
        for folder in args.folders:
            found, name = _with(folder, Path(place))
            differences[name] = {kind: _difference(reference, found, kind) for kind in UNITS}
            exact[name] = _from_exact(found)
            print(f"{name}: {json.dumps(differences[name])}", flush=True)
    text = {"benchmark": "opencv_versions", **provenance(), "reference": version, "units": UNITS}
    write_atomic(args.out, to_json({**text, "differences": differences, "warp_from_exact_gray_levels": exact}))
    return 0


def _with(folder: Path | None, place: Path) -> tuple[dict[str, Array], str]:
    """What a release computes, and its version."""
    file = place / "found.npz"
    paths = os.pathsep.join([*([str(folder.resolve())] if folder else []), str(ROOT)])
    command = [sys.executable, "-m", "benchmarks.opencv_versions", "--compute", str(file)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}, cwd=ROOT, check=True)
    with np.load(file) as found:
        content = {name: found[name] for name in found.files}
    return content, str(content.pop("version"))


def _difference(reference: dict[str, Array], other: dict[str, Array], kind: str) -> dict[str, float]:
    """Mean and largest absolute difference over all values of a kind."""
    names = [name for name in reference if name.partition("/")[0] == kind]
    apart = np.concatenate(
        [np.abs(reference[n].astype(np.float64) - other[n].astype(np.float64)).ravel() for n in names]
    )
    return {
        "values": apart.size,
        "mean": float(f"{apart.mean():.3g}"),
        "largest": float(f"{apart.max():.3g}"),
        "share_that_differs": float(f"{(apart > 0).mean():.3g}"),
    }


def _from_exact(found: dict[str, Array]) -> dict[str, float]:
    """How far the warped pictures, as float32, are from bilinear interpolation in double precision."""
    names = [name for name in found if name.startswith("warp_float/")]
    apart = np.concatenate([np.abs(found[n] - found[n.replace("float", "exact")]).ravel() for n in names])
    return {"mean": float(f"{apart.mean():.3g}"), "largest": float(f"{apart.max():.3g}")}


def faces() -> Iterator[Array]:
    """Pictures with one face, (H, W, 3) uint8: crops, sizes and turns of one photograph, and other light."""
    whole = pictures.astronaut()
    for size in (160, 256, 384, 512):
        yield _scaled(whole[:400, 60:460], size)
    for angle in (-20, -10, 10, 20):
        yield rotate(whole[:400, 60:460], angle, reshape=False, order=1, mode="nearest").astype(np.uint8)
    for light in (0.4, 0.7, 1.3):
        yield np.clip(whole[20:340, 80:400] * light, 0, 255).astype(np.uint8)
    for top, left in ((0, 40), (10, 90), (30, 70)):
        yield np.ascontiguousarray(whole[top : top + 330, left : left + 330])


def pairs() -> Iterator[tuple[Array, Array]]:
    """Onset and apex, (H, W, 3) uint8, that differ by smooth motions of up to 0.5 to 3 px."""
    rng = np.random.default_rng(0)
    onset = _scaled(rotate(pictures.astronaut()[:320, 70:390], 4, reshape=False, order=1, mode="nearest"), 224)
    y, x = np.mgrid[:224, :224].astype(np.float64)
    for most in (0.5, 1.0, 1.5, 2.0, 3.0) * PAIRS:
        move = np.zeros((2, 224, 224))
        for _ in range(4):
            cx, cy, dx, dy = (*rng.uniform(60, 164, 2), *rng.uniform(-1, 1, 2))
            move += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 500) * np.array([dx, dy])[:, None, None]
        move *= most / np.hypot(*move).max()
        at = np.stack([y - move[1], x - move[0]])
        apex = np.stack(
            [map_coordinates(onset[..., c].astype(float), at, order=3, mode="nearest") for c in range(3)], -1
        )
        yield onset, np.clip(np.rint(apex), 0, 255).astype(np.uint8)


def computed() -> dict[str, Array]:
    """All that is compared, with the OpenCV that is imported."""
    import torch

    from htnet import Predictor
    from htnet.preprocess import YuNetLandmarker, compute_flow, read_frame
    from htnet.preprocess.opencv import load_opencv
    from htnet.types import FLOW_METHODS

    cv2 = load_opencv()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    found: dict[str, Array] = {"version": np.array(cv2.__version__)}
    for number, picture in enumerate(faces()):
        low = picture.astype(np.float32)
        for name, how in (("area", cv2.INTER_AREA), ("linear", cv2.INTER_LINEAR), ("cubic", cv2.INTER_CUBIC)):
            for size in ((28, 28), (112, 112), (224, 224)):
                found[f"resize_{name}_uint8/{number}/{size[0]}"] = cv2.resize(picture, size, interpolation=how)
                if name != "cubic":
                    found[f"resize_{name}_float/{number}/{size[0]}"] = cv2.resize(low, size, interpolation=how)
        turn = cv2.getRotationMatrix2D((picture.shape[1] / 2 + 0.3, picture.shape[0] / 2 - 0.2), 7.3, 0.61)
        found[f"warp_uint8/{number}"] = cv2.warpAffine(picture, turn, (224, 224), flags=cv2.INTER_LINEAR)
        y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        inner = gray.astype(np.float32)
        back = cv2.invertAffineTransform(turn)
        at = back[:, :2] @ np.stack(np.meshgrid(np.arange(224), np.arange(224))).reshape(2, -1) + back[:, 2:]
        found[f"warp_float/{number}"] = cv2.warpAffine(inner, turn, (224, 224), flags=cv2.INTER_LINEAR)
        exact = map_coordinates(inner.astype(np.float64), at[::-1], order=1, cval=0.0, mode="grid-constant")
        found[f"warp_exact/{number}"] = exact.reshape(224, 224)
        found[f"gray/{number}"] = gray
        found[f"remap_float/{number}"] = cv2.remap(
            gray.astype(np.float32), x * 0.97 + 1.37, y * 0.98 + 0.61, cv2.INTER_LINEAR
        )
        found[f"blur_float/{number}"] = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1.7)
        found[f"clahe/{number}"] = cv2.createCLAHE(2.0, (8, 8)).apply(gray)
        found[f"jpeg/{number}"] = read_frame(_jpeg(picture)).pixels
        points = YuNetLandmarker()(read_frame(picture))
        found[f"yunet_points/{number}"], found[f"yunet_score/{number}"] = points.points, np.array([points.score])
    # Faces that fill the frame are not warped, those that are found are.
    predictors = {"": Predictor(landmarks="template"), "_aligned": Predictor()}
    for number, (onset, apex) in enumerate(pairs()):
        if number < FLOWS:
            grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (onset, apex)]
            for method in FLOW_METHODS:
                found[f"flow_{method}/{number}"] = compute_flow(*grays, method=method).uv
            shift, _ = cv2.phaseCorrelate(*(gray.astype(np.float64) for gray in grays))
            found[f"phase_correlation/{number}"] = np.array(shift)
        for name, predictor in predictors.items():
            answer = predictor.pair(onset, apex)
            found[f"flow_image{name}/{number}"] = answer.input.image
            chances = np.array(list(answer.probabilities.values()))
            found[f"probability{name}/{number}"], found[f"label{name}/{number}"] = (
                chances,
                chances.argmax(keepdims=True),
            )
    return found


def _scaled(picture: Array, size: int) -> Array:
    share = size / picture.shape[0]
    return np.clip(np.rint(zoom(picture.astype(float), (share, share, 1), order=1)), 0, 255).astype(np.uint8)


def _jpeg(picture: Array) -> bytes:
    memory = io.BytesIO()
    Image.fromarray(picture).save(memory, "JPEG", quality=90)
    return memory.getvalue()


if __name__ == "__main__":
    sys.exit(main())
