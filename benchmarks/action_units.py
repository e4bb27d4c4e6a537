"""Known facial movements: displacement fields in the form of action units, and a face to move.

``--make-sample`` writes the sample pair that ships with htnet; ``--report`` shows what the default
weights answer for each unit at several strengths.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.measure import ROOT, SHARED, provenance
from htnet.core.errors import InputError, did_you_mean
from htnet.core.types import ByteArray, FloatArray, Landmarks
from htnet.evaluation.store import to_json, write_atomic
from htnet.preprocess.flow.warp import displace

SAMPLE = ROOT / "htnet" / "assets" / "sample"
DETECTOR = SHARED / "models"
STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0)
SAMPLE_UNIT, SAMPLE_PEAK = "AU12", 1.5
#: Square in scikit-image's astronaut (left, top, side, px) that puts the five points near the template.
CROP = (169, 71, 104)
FACE_SIZE = 224

#: Center (x, y), direction (x, y) and radius, in units of the inter-ocular distance; y points downward.
Bump = tuple[tuple[float, float], tuple[float, float], float]


def _both_sides(*bumps: tuple[str, Bump]) -> Callable[[FloatArray], list[Bump]]:
    """Bumps on both sides of the face, placed from an eye or a mouth corner; x points outward."""

    def place(points: FloatArray) -> list[Bump]:
        placed: list[Bump] = []
        for part, ((cx, cy), (dx, dy), radius) in bumps:
            for side, k in ((-1, 0), (1, 1)):
                x, y = points[k if part == "eye" else 3 + k]
                placed.append(((x + side * cx, y + cy), (side * dx, dy), radius))
        return placed

    return place


def _open_mouth_and_raised_brows(points: FloatArray) -> list[Bump]:
    x, y = (points[3] + points[4]) / 2
    brows = _both_sides(
        ("eye", ((-0.15, -0.35), (0.0, -0.8), 0.17)),
        ("eye", ((0.15, -0.35), (0.0, -0.8), 0.17)),
    )
    lips: list[Bump] = [((x, y + 0.2), (0.0, 1.0), 0.2), ((x, y - 0.12), (0.0, -0.45), 0.14)]
    return brows(points) + lips


#: unit: what it does.
UNITS: dict[str, Callable[[FloatArray], list[Bump]]] = {
    # Lip corners outward and up; the cheeks follow.
    "AU12": _both_sides(
        ("mouth", ((0.02, 0.0), (0.6, -0.8), 0.2)),
        ("mouth", ((0.08, -0.45), (0.1, -0.4), 0.22)),
    ),
    # Brows down and together, most at their inner ends.
    "AU4": _both_sides(
        ("eye", ((-0.2, -0.33), (-0.6, 0.8), 0.15)),
        ("eye", ((0.1, -0.35), (-0.2, 0.5), 0.18)),
    ),
    # Inner and outer brows up, lower lip down, upper lip slightly up.
    "AU1+2+25": _open_mouth_and_raised_brows,
    # Lip corners down.
    "AU15": _both_sides(("mouth", ((0.0, 0.0), (0.15, 1.0), 0.18))),
    # Lip corners outward, the cheek beside them inward: a dimple.
    "AU14": _both_sides(
        ("mouth", ((-0.02, 0.0), (1.0, 0.0), 0.14)),
        ("mouth", ((0.3, 0.0), (-0.5, 0.0), 0.12)),
    ),
}


def displacement(unit: str, points: npt.ArrayLike, shape: tuple[int, int], peak_px: float) -> FloatArray:
    """Smooth displacement field of one action unit: a sum of Gaussian bumps.

    Args:
        unit: a key of `UNITS`.
        points: (5, 2), px: left eye, right eye, nose, left mouth corner, right mouth corner, left
            and right as in the image. The field turns with the line between the eyes.
        shape: (H, W) of the frame.
        peak_px: length of the longest displacement, px.

    Returns:
        (2, H, W) float32: x to the right, y downward.
    """
    if unit not in UNITS:
        raise InputError(f"Unknown action unit: {unit!r}. {did_you_mean(unit, UNITS)}")
    pixels = Landmarks(np.asarray(points, dtype=np.float32), "points").points.astype(np.float64)
    across = pixels[1] - pixels[0]
    distance = float(np.hypot(*across))
    if not (distance > 0 and across[0] > 0):
        raise InputError(f"Eyes lie at {pixels[0]} and {pixels[1]}; give the image-left eye first.")
    cos, sin = across / distance
    turn = np.array([[cos, sin], [-sin, cos]])  # image to face
    face_points = (pixels - pixels[0]) @ turn.T / distance
    grid = np.stack(np.meshgrid(np.arange(shape[1]), np.arange(shape[0])), axis=-1)
    face = (grid - pixels[0]) @ turn.T / distance
    field = np.zeros((*shape, 2))
    for center, direction, radius in UNITS[unit](face_points.astype(np.float32)):
        weight = np.exp(-0.5 * ((face - center) ** 2).sum(-1) / radius**2)
        field += weight[..., None] * np.asarray(direction)
    field = field @ turn  # face to image
    field *= peak_px / np.hypot(field[..., 0], field[..., 1]).max()
    return np.ascontiguousarray(field.transpose(2, 0, 1), dtype=np.float32)


def _crop() -> ByteArray:
    import cv2
    from skimage.data import astronaut

    left, top, side = CROP
    face = astronaut()[top : top + side, left : left + side]
    return cv2.resize(face, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC)


def face_crop() -> tuple[ByteArray, FloatArray]:
    """The astronaut's face, (224, 224, 3) uint8 RGB, and its five points, (5, 2) float32 px."""
    points = json.loads((SAMPLE / "landmarks.json").read_text())
    return _crop(), np.asarray(points, dtype=np.float32)


def _detect(face: ByteArray) -> list[list[float]]:
    """The five points by YuNet. Its order (the person's right eye first) is ours, seen in the image."""
    import cv2

    model = next(iter(sorted(DETECTOR.glob("face_detection_yunet*.onnx"))), None)
    if model is None:
        raise InputError(f"No face_detection_yunet*.onnx in {DETECTOR}; put YuNet there to make the sample.")
    detector = cv2.FaceDetectorYN.create(str(model), "", (FACE_SIZE, FACE_SIZE))
    _, faces = detector.detect(np.ascontiguousarray(face[..., ::-1]))
    if faces is None or len(faces) != 1:
        raise InputError(f"YuNet found {0 if faces is None else len(faces)} faces in the crop {CROP}; want 1.")
    return [[round(float(v), 2) for v in point] for point in faces[0, 4:14].reshape(5, 2)]


README = """\
# Sample pair

- `onset.png`: face of the NASA portrait of astronaut Eileen Collins. The portrait is in the public domain and
  ships with scikit-image (`skimage.data.astronaut`). Square of {side} px at ({left}, {top}), enlarged to
  {size} x {size} px by cubic interpolation.
- `apex.png`: `onset.png` moved by a smooth displacement in the form of {unit} (lip corners outward
  and up), longest {peak} px. It is synthetic, not a real smile.
- `landmarks.json`: five [x, y] in px of the onset, found by YuNet: left eye, right eye, nose, left mouth
  corner, right mouth corner; left and right as in the image.

Remade by `python -m benchmarks.action_units --make-sample`; the true flow is
`benchmarks.action_units.displacement("{unit}", landmarks, ({size}, {size}), {peak})`.
"""


def make_sample(folder: Path = SAMPLE) -> None:
    """Write onset.png, apex.png, landmarks.json and README.md."""
    import cv2

    onset = _crop()
    points = _detect(onset)
    apex = displace(onset, displacement(SAMPLE_UNIT, points, onset.shape[:2], SAMPLE_PEAK))
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "onset.png"), onset[..., ::-1])
    cv2.imwrite(str(folder / "apex.png"), apex[..., ::-1])
    (folder / "landmarks.json").write_text(json.dumps(points) + "\n")
    left, top, side = CROP
    text = README.format(left=left, top=top, side=side, size=FACE_SIZE, unit=SAMPLE_UNIT, peak=SAMPLE_PEAK)
    (folder / "README.md").write_text(text)


def report(weights: str) -> list[dict[str, object]]:
    """Answers of some weights for each unit at each strength: from frames, and from the true flow.

    The second tells a wrong flow from a wrong model: it skips warping, alignment and TV-L1.
    """
    import torch

    import htnet
    from htnet.core.types import Flow
    from htnet.preprocess import Preprocessor, flow_image

    model = htnet.load_pretrained(weights)
    spec = model.preprocess_spec
    onset, points = face_crop()
    rows: list[dict[str, object]] = []
    for unit in UNITS:
        for peak in STRENGTHS:
            field = displacement(unit, points, onset.shape[:2], peak)
            answer = htnet.predict(onset, displace(onset, field), weights=model, landmarks=points)
            exact = Preprocessor(spec).flow_picture(
                flow_image(Flow(field, "true"), spec.size, spec.resize), points * spec.size / len(onset)
            )
            with torch.no_grad():
                odds = model(torch.from_numpy(exact.image)[None]).softmax(1)[0]
            rows.append(
                {
                    "unit": unit,
                    "peak_px": peak,
                    "prediction": answer.label,
                    "probabilities": {name: round(p, 4) for name, p in answer.probabilities.items()},
                    "prediction_from_true_flow": model.labels[int(odds.argmax())],
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--make-sample", action="store_true", help=f"write the bundled pair into {SAMPLE}")
    task.add_argument("--report", metavar="JSON", help="classify every unit at every strength and write the answers")
    parser.add_argument("--weights", nargs="+", default=["synthetic", "composite", "composite-htnet"])
    args = parser.parse_args()
    if args.make_sample:
        make_sample()
        return
    found = {name: report(name) for name in args.weights}
    for name, row in ((name, row) for name, rows in found.items() for row in rows):
        odds = "  ".join(f"{label} {p:.2f}" for label, p in row["probabilities"].items())
        print(f"{name:15} {row['unit']:9} peak {row['peak_px']:.1f} px: {row['prediction']:9} {odds}", end="  ")
        print(f"(true flow: {row['prediction_from_true_flow']})")
    write_atomic(Path(args.report), to_json({"provenance": provenance(), "answers": found}))


if __name__ == "__main__":
    main()
