"""Recognise the emotion and the action units between two frames: the bundled pair, or two files of your own.

    python examples/recognise_pair.py
    python examples/recognise_pair.py onset.png apex.png --out answer.png

The onset is the neutral face, the apex the strongest expression. The bundled pair comes with its
facial points; for your own frames YuNet finds them (its model is fetched once), or give a file.
"""

import argparse
from pathlib import Path

import htnet
from htnet.errors import MissingExtraError
from htnet.facs import SHOWN_UNITS
from htnet.plots import plot_prediction

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"


def main() -> None:
    parser = argparse.ArgumentParser(description="Recognise the emotion between two frames.")
    parser.add_argument("frames", nargs="*", type=Path, metavar="FRAME", help="onset and apex; none: the bundled pair")
    parser.add_argument("--landmarks", help="yunet, template, or a .json or .csv file of points")
    parser.add_argument("--out", type=Path, default=Path("out/recognise_pair.png"), help="picture to save")
    args = parser.parse_args()
    if len(args.frames) not in (0, 2):
        parser.error("give two frames, onset and apex, or none")

    onset, apex = args.frames or (SAMPLE / "onset.png", SAMPLE / "apex.png")
    landmarks = args.landmarks or ("yunet" if args.frames else SAMPLE / "landmarks.json")
    prediction = htnet.predict(onset, apex, landmarks=landmarks)

    print(f"emotion: {prediction.label}")
    for name, probability in prediction.probabilities.items():
        print(f"  {name:<10} {probability:.3f}")
    for unit in prediction.action_units:
        if unit.probability >= SHOWN_UNITS:
            print(f"  AU{unit.number} {unit.name} {unit.probability:.2f}, {unit.side}")
    try:
        print(f"picture: {plot_prediction(prediction, onset, apex, args.out)}")
    except MissingExtraError as error:
        print(f"no picture: {error}")


if __name__ == "__main__":
    main()
