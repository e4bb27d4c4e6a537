"""Recognize the emotion and the action units between two frames: the bundled pair, or two of your own files.

    python examples/recognize_pair.py
    python examples/recognize_pair.py onset.png apex.png --out answer.png

The onset is the neutral face, the apex the strongest expression. The bundled pair comes with its
facial points; for your own frames YuNet, which ships with htnet, finds them, or give a file.
"""

import argparse
import sys
from pathlib import Path

import htnet
from htnet.core.facs import SHOWN_UNITS
from htnet.core.files import check_outputs
from htnet.errors import HtnetError, MissingExtraError
from htnet.plots import plot_prediction

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"


def main() -> None:
    parser = argparse.ArgumentParser(description="Recognize the emotion between two frames.")
    parser.add_argument("frames", nargs="*", type=Path, metavar="FRAME", help="onset and apex; none: the bundled pair")
    parser.add_argument("--landmarks", help="yunet, template, or a .json or .csv file of points")
    parser.add_argument("--out", type=Path, default=Path("out/recognize_pair.png"), help="picture to save")
    parser.add_argument("--overwrite", action="store_true", help="replace a picture that exists")
    args = parser.parse_args()
    if len(args.frames) not in (0, 2):
        parser.error("give two frames, onset and apex, or none")

    check_outputs(args.out, overwrite=args.overwrite, inputs=args.frames)  # before any work
    onset, apex = args.frames or (SAMPLE / "onset.png", SAMPLE / "apex.png")
    landmarks = args.landmarks or ("yunet" if args.frames else SAMPLE / "landmarks.json")
    prediction = htnet.predict(onset, apex, landmarks=landmarks)

    for warning in prediction.warnings:  # reasons to doubt the answer come before it
        print(f"warning: {warning.code}: {warning.message}")
    print(f"emotion: {prediction.label}")
    for name, probability in prediction.probabilities.items():
        print(f"  {name:<10} {probability:.3f}")
    for unit in prediction.action_units:
        if unit.probability >= SHOWN_UNITS:
            print(f"  AU{unit.number} {unit.name} {unit.probability:.2f}, {unit.side}")
    try:
        plot_prediction(prediction, onset, apex, args.out, overwrite=args.overwrite)
        print(f"picture: {args.out}")
    except MissingExtraError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    try:
        main()
    except HtnetError as error:  # its message says what to do
        sys.exit(f"recognize_pair.py: {error}")
