"""Readings of `htnet palsy asymmetry` on faces with a known droop, and the normal range of symmetric faces.

``python -m benchmarks.asymmetry`` runs YuNet and `htnet.palsy.face_asymmetry` on every picture, as the command
does, and writes benchmarks/results/asymmetry.json:

- mouth: each face of the test, of seeds that were never looked at while the method was made, at 0, 5, 8, 12, 16 and
  20 % on one side. It counts as rising if every reading from 5 % on is larger than the one before, as named
  rightly if every one from 5 % on names the lower side. A picture in which no face is found fails both.
- others: the same counts on faces that the method was not made for: `benchmarks.palsy_faces`, whose pull drags the eye
  along, and warps of the mouth's corner alone, of three widths.
- brow: the same with the brow alone, 4, 8 and 12 %.
- normal: even faces (one half mirrored), and the two portraits as they are, in other pictures; 95 % of them read at
  most the number given, for each range of pose. The constants `htnet.palsy.asymmetry.NORMAL` are the larger of
  the two, rounded up.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import htnet
from benchmarks.droop_faces import APART, KINDS, DroopFace, Palsy, draw_picture, droop_face
from benchmarks.palsy_faces import KINDS as PALSY_KINDS
from benchmarks.palsy_faces import palsy_face
from htnet.core.errors import LandmarkError
from htnet.palsy.asymmetry import TURNS, FaceAsymmetry, face_asymmetry
from htnet.preprocess import Landmarker, YuNetLandmarker

RESULT = Path(__file__).parent / "results" / "asymmetry.json"
#: Seeds that were looked at while the method was made, and the first ones of each part of the test.
DEVELOPMENT = (
    (300, 307),
    (900, 917),
    (1000, 1029),
    (3000, 3133),
    (5000, 5017),
    (6000, 6005),
    (8000, 8015),
    (8100, 8111),
    (9000, 9005),
    # The tests of earlier methods, whose failures led to this one; and faces of later development.
    (970, 987),
    (4500, 4899),
    (7000, 7016),
    (6100, 6104),
    (8200, 8211),
    (20000, 21004),
)
TEST, BROW, EVEN = 47000, 46100, 48200
DROPS, BROW_DROPS = (0, 5, 8, 12, 16, 20), (0, 4, 8, 12)
#: From here on readings must rise and name the side, % of the distance between the eyes.
FROM, BROW_FROM = 5, 4
#: Drop of the mouth's corner, % of the distance between the eyes, at grades 1 to 6 of `benchmarks.palsy_faces`.
GRADE_DROPS = (0, 4, 8, 12, 16, 20)
#: Widths of the warps, standard deviation in distances between the eyes; the faces they are tried on.
WIDTHS, WARPED = (0.15, 0.3, 0.5), ("drawn", "shaded", "portrait", "hopper")
#: First seeds of the others. Warps take a hundred for each kind, ten for each width.
GRADED, WARPS = 41000, 43000
WARP_DROPS = (0, 5, 8, 12, 16, 20)
#: Faces of the normal range: even ones, and two healthy people as they are. They are turned further than the others.
EVEN_KINDS = ("drawn", "shaded", "portrait-even", "hopper-even")
HEALTHY_KINDS = ("portrait", "hopper")
LARGEST_YAW = 18.0


def side_of(seed: int) -> int:
    """The side that droops: -1 the image's left, 1 its right."""
    return -1 if seed % 2 else 1


def read(image: Any, landmarker: Landmarker) -> FaceAsymmetry | None:
    """The report, or None where no face is found."""
    try:
        return face_asymmetry(image, landmarker)
    except LandmarkError:
        return None


def toward(found: FaceAsymmetry | None, region: str, side: int) -> float:
    """A reading, positive if the drooping side is named: the image's right is the subject's left."""
    value = None if found is None else found.regions[region].value
    return math.nan if value is None else side * value


def judge(drops: Sequence[int], readings: Sequence[float], start: int) -> dict[str, bool]:
    """Whether the readings rise from ``start`` on, and name the side there."""
    values = np.array([reading for drop, reading in zip(drops, readings, strict=True) if drop >= start])
    return {"rises": bool((np.diff(values) > 0).all()), "side": bool((values > 0).all())}


def mouth_row(face: DroopFace, landmarker: Landmarker, drops: Sequence[int] = DROPS) -> dict[str, Any]:
    """One face at every drop."""
    side = side_of(face.seed)
    found = [read(face.show(drop, side), landmarker) for drop in drops]
    readings = [toward(report, "mouth", side) for report in found]
    doubted = [drop for drop, report in zip(drops, found, strict=True) if report is not None and report.warnings]
    return {
        "kind": face.kind,
        "seed": face.seed,
        "side": "image_left" if side < 0 else "image_right",
        "special": list(face.words),
        "picture": {k: _rounded(v) for k, v in dataclasses.asdict(face.picture).items()},
        "readings": [_rounded(reading) for reading in readings],
        "warned_at": doubted,
        **judge(drops, readings, FROM),
    }


def brow_row(face: DroopFace, landmarker: Landmarker) -> dict[str, Any]:
    """One face whose brow alone sinks: its mouth's corners are taken out of the pull."""
    side = side_of(face.seed)
    still = dataclasses.replace(face, palsy=Palsy(14, 0, 0, 0, 1.0), corners=face.corners + np.array([0.0, 1000.0]))
    readings = [toward(read(still.show(drop, side), landmarker), "brow", side) for drop in BROW_DROPS]
    return {"kind": face.kind, "seed": face.seed, "readings": [_rounded(r) for r in readings],
            **judge(BROW_DROPS, readings, BROW_FROM)}  # fmt: skip


def graded_row(identity: int, kind: str, landmarker: Landmarker) -> dict[str, Any]:
    """A person of `benchmarks.palsy_faces` at every grade."""
    side = -side_of(identity)
    images = [palsy_face(identity, grade, 0, kind, side).image for grade in range(1, 7)]
    readings = [toward(read(image, landmarker), "mouth", side) for image in images]
    return {"kind": f"palsy_faces, {kind}", "seed": identity, "readings": [_rounded(r) for r in readings],
            **judge(GRADE_DROPS, readings, GRADE_DROPS[1])}  # fmt: skip


def warped_row(seed: int, kind: str, width: float, landmarker: Landmarker) -> dict[str, Any]:
    """A face whose mouth corner alone is lowered, by a warp of this width."""
    face = dataclasses.replace(droop_face(seed, kind), palsy=Palsy(width * APART, 0, 0, 0, 0))
    row = mouth_row(face, landmarker, WARP_DROPS)
    return {"kind": f"warp {width}, {kind}", **{key: row[key] for key in ("seed", "readings", "rises", "side")}}


def other_rows(faces: int, warps: int, landmarker: Landmarker) -> list[dict[str, Any]]:
    """Faces that the method was not made for."""
    rows = [graded_row(GRADED + k, kind, landmarker) for kind in PALSY_KINDS for k in range(faces)]
    for i, kind in enumerate(WARPED):
        for j, width in enumerate(WIDTHS):
            first = WARPS + 100 * i + 10 * j
            rows += [warped_row(first + k, kind, width, landmarker) for k in range(warps)]
    return rows


def other_table(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`tally` of each kind of other faces."""
    found = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        drops = GRADE_DROPS if kind.startswith("palsy_faces") else WARP_DROPS
        found[kind] = tally([row for row in rows if row["kind"] == kind], drops)
    return found


def even_rows(kind: str, count: int, landmarker: Landmarker, pictures: int = 3) -> list[dict[str, Any]]:
    """Readings of even faces, each in several pictures."""
    rows = []
    for seed in range(EVEN, EVEN + count):
        face = droop_face(seed, kind, even=kind in EVEN_KINDS)
        rng = np.random.default_rng([seed, 99])
        for k in range(pictures):
            yaw = float(rng.uniform(-LARGEST_YAW, LARGEST_YAW))
            picture = dataclasses.replace(draw_picture(rng, kind), yaw=yaw)
            found = read(face.show(0, 1, picture, k), landmarker)
            values = {} if found is None else {n: _rounded(found.regions[n].value) for n in ("mouth", "brow")}
            turn = None if found is None else found.turn
            rows.append({"kind": kind, "seed": seed, "turn": _rounded(turn), **values})
    return rows


def normal_ranges(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Readings of even faces: 95 % lie at or below, for each range of turn."""
    readings: dict[str, list[list[float]]] = {name: [[] for _ in TURNS] for name in ("mouth", "brow")}
    beyond = missed = 0
    for row in rows:
        if row["turn"] is None:
            missed += 1
            continue
        pose = int(np.searchsorted(TURNS, abs(row["turn"])))
        if pose == len(TURNS):
            beyond += 1
            continue
        for name, bins in readings.items():
            bins[pose].append(abs(row[name]))
    return {
        "turns_up_to": list(TURNS),
        "pictures": [len(values) for values in readings["mouth"]],
        "turned_further": beyond,
        "no_face": missed,
        **{
            name: {
                str(share): [round(float(np.quantile(values, share)), 2) if values else None for values in bins]
                for share in (0.5, 0.95, 0.99)
            }
            for name, bins in readings.items()
        },
    }


def tally(rows: Sequence[dict[str, Any]], drops: Sequence[int]) -> dict[str, Any]:
    """Counts and median readings of some faces."""
    readings = np.array([[math.nan if v is None else v for v in row["readings"]] for row in rows])
    return {
        "faces": len(rows),
        "rises": sum(row["rises"] for row in rows),
        "side": sum(row["side"] for row in rows),
        "median_reading": {str(drop): round(float(np.nanmedian(readings[:, k])), 2) for k, drop in enumerate(drops)},
    }


def table(rows: Sequence[dict[str, Any]], drops: Sequence[int]) -> dict[str, Any]:
    """`tally` of all faces and of each kind."""
    kinds = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
    return {"all": tally(rows, drops), **{kind: tally(of, drops) for kind, of in kinds.items() if of}}


def of_kind(kind: str, faces: int, brows: int, even: int) -> dict[str, list[dict[str, Any]]]:
    """All rows of one kind."""
    import cv2

    cv2.setNumThreads(1)
    landmarker = YuNetLandmarker()
    return {
        "mouth": [mouth_row(droop_face(seed, kind), landmarker) for seed in range(TEST, TEST + faces)],
        "brow": [brow_row(droop_face(seed, kind), landmarker) for seed in range(BROW, BROW + brows)],
        "even": even_rows(kind, even, landmarker),
    }


def others(faces: int, warps: int) -> list[dict[str, Any]]:
    """`other_rows` in a process of its own."""
    import cv2

    cv2.setNumThreads(1)
    return other_rows(faces, warps, YuNetLandmarker())


def main() -> None:
    """Run all and write the result."""
    import cv2

    parser = argparse.ArgumentParser(description="Readings of `htnet palsy asymmetry` on faces with a known droop.")
    parser.add_argument("--faces", type=int, default=17, help="of each kind, for mouth (default: %(default)s)")
    parser.add_argument("--brows", type=int, default=5, help="of each kind, for brow (default: %(default)s)")
    parser.add_argument(
        "--even", type=int, default=12, help="of each kind, for the normal range (default: %(default)s)"
    )
    parser.add_argument("--graded", type=int, default=18, help="of each kind of palsy_faces (default: %(default)s)")
    parser.add_argument("--warps", type=int, default=3, help="of each kind and width (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {"mouth": [], "brow": [], "even": []}
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
        more = pool.submit(others, args.graded, args.warps)
        work = [pool.submit(of_kind, kind, args.faces, args.brows, args.even) for kind in KINDS]
        for kind, done in zip(KINDS, work, strict=True):
            for name, found in done.result().items():
                rows[name] += found
            print(kind, tally(rows["mouth"][-args.faces :], DROPS), flush=True)
        other = more.result()
    normal = {
        name: normal_ranges([row for row in rows["even"] if row["kind"] in kinds])
        for name, kinds in (("even", EVEN_KINDS), ("healthy", HEALTHY_KINDS))
    }
    result = {
        "about": "htnet palsy asymmetry on faces of a known droop; % of the distance between the eyes",
        "versions": {"htnet": htnet.__version__, "opencv": cv2.__version__, "numpy": np.__version__},
        "landmarks": dict(YuNetLandmarker().identity()),
        "seeds": {
            "development": [list(seeds) for seeds in DEVELOPMENT],
            "test_mouth": [TEST, TEST + args.faces - 1],
            "test_brow": [BROW, BROW + args.brows - 1],
            "graded": [GRADED, GRADED + args.graded - 1],
            "warps": [WARPS, WARPS + 100 * len(WARPED) - 1],
            "even": [EVEN, EVEN + args.even - 1],
        },
        "drops": {"mouth": list(DROPS), "brow": list(BROW_DROPS)},
        "mouth": table(rows["mouth"], DROPS),
        "brow": table(rows["brow"], BROW_DROPS),
        "others": other_table(other),
        "normal": normal,
        "mouth_faces": rows["mouth"],
        "brow_faces": rows["brow"],
        "other_faces": other,
        "even_faces": rows["even"],
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result) + "\n", encoding="utf-8")
    for name in ("mouth", "brow"):
        print(name, json.dumps(result[name], indent=1))
    print("normal", json.dumps(normal))
    print("seeds", result["seeds"], "->", args.out)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 2)
    return [_rounded(v) for v in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    main()
