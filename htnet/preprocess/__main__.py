"""``python -m htnet.preprocess onset.png apex.png --out flow.png``: two frames to the published flow image."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from htnet.core.command_line import (
    HEAD_MOTION_HELP,
    add_bit_depth,
    add_face_option,
    add_overwrite,
    show_error,
    show_warnings,
)
from htnet.core.deprecated import renamed_options
from htnet.core.errors import HtnetError, InputError
from htnet.core.files import check_outputs, whole_file, write_bytes
from htnet.core.hints import as_command
from htnet.core.types import FLOW_METHODS, HEAD_MOTIONS, ByteArray
from htnet.preprocess.flow.color import color_wheel
from htnet.preprocess.flow.compute import write_flow_image
from htnet.preprocess.landmarks import make_landmarker
from htnet.preprocess.opencv import load_opencv
from htnet.preprocess.published import published_input


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    args = build_parser().parse_args(renamed_options(words, "python -m htnet.preprocess"))
    try:
        with as_command():
            _run(args)
    except (HtnetError, OSError) as error:
        show_error("htnet.preprocess", error)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m htnet.preprocess",
        description="Compute the published 28x28 image (u, v, strain) of two frames.",
        allow_abbrev=False,
    )
    parser.add_argument("onset", help="onset frame: the neutral face")
    parser.add_argument("apex", help="apex frame: the strongest expression")
    parser.add_argument("--out", required=True, help="PNG to write; its RGB is (u, v, strain)")
    parser.add_argument(
        "--landmarks",
        default="yunet",
        help="yunet, yunet:MODEL.onnx, face-alignment, template, a .json or .csv file of points, or none to use "
        "cropped faces as they are (default: %(default)s)",
    )
    add_bit_depth(parser)
    add_face_option(parser)
    parser.add_argument("--flow", choices=FLOW_METHODS, default="tvl1")
    parser.add_argument("--head-motion", choices=HEAD_MOTIONS, default="none", help=HEAD_MOTION_HELP)
    parser.add_argument("--clahe", action="store_true", help="equalize the contrast of the faces before computing flow")
    parser.add_argument("--size", type=int, default=28, help="side of the image, px (default: %(default)s)")
    add_overwrite(parser)
    parser.add_argument("--uv", metavar="FILE.npy", help="also write the flow itself: (2, H, W) float32, px")
    parser.add_argument("--color", metavar="FILE.png", help="also write a color wheel picture of the flow")
    return parser


def _run(args: argparse.Namespace) -> None:
    for name, ending in (("out", ".png"), ("uv", ".npy"), ("color", ".png")):
        given = getattr(args, name)
        if given is not None and Path(given).suffix.lower() != ending:
            raise InputError(f"--{name} is {given!r}; give a name that ends in {ending}.")
    inputs = (args.onset, args.apex, args.landmarks)
    check_outputs(args.out, args.uv, args.color, overwrite=args.overwrite, inputs=inputs)
    landmarks = None if args.landmarks == "none" else args.landmarks
    if args.face is not None:
        if landmarks is None:
            raise InputError(f"--face {args.face} chooses among faces, but --landmarks none detects no face.")
        landmarks = make_landmarker(args.landmarks, face=args.face)
    settings = {name: getattr(args, name) for name in ("flow", "head_motion", "clahe", "size")}
    made = published_input(args.onset, args.apex, landmarks, bit_depth=args.bit_depth, **settings)
    assert made.flow is not None  # it was made from frames
    write_flow_image(args.out, made.flow_image, overwrite=args.overwrite)
    length = np.hypot(*made.flow.uv)
    height, width = length.shape
    show_warnings(made.doubts)
    print(f"{args.out}: {args.size}x{args.size} px, RGB = (u, v, strain)")
    print(f"  flow of {width}x{height} px: mean {length.mean():.2f} px, largest {length.max():.2f} px")
    if args.uv is not None:
        # An open file, not a name: NumPy would add an ending to the name and could overwrite a file unchecked.
        with whole_file(args.uv) as place, place.open("wb") as file:
            np.save(file, made.flow.uv)
        print(f"  flow: {args.uv}")
    if args.color is not None:
        _write_rgb(Path(args.color), color_wheel(made.flow.uv))
        print(f"  color wheel: {args.color} (full hue at {length.max():.2f} px)")


def _write_rgb(path: Path, picture: ByteArray) -> None:
    cv2 = load_opencv()
    try:
        made, content = cv2.imencode(path.suffix or ".", picture[..., ::-1])
    except cv2.error:
        made = False
    if not made:
        raise InputError(f"No picture can be written as {str(path)!r}; give a name that ends in .png.")
    write_bytes(path, content.tobytes())


if __name__ == "__main__":
    sys.exit(main())
