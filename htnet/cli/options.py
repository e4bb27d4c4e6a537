"""What the commands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from htnet.data import Manifest
    from htnet.preprocess import Landmarker

from htnet.core.errors import InputError
from htnet.core.schema import Warned
from htnet.core.types import BIT_DEPTHS, RECIPE_NAMES

#: Adds a command: its name, what runs it, one line of help.
AddCommand = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]


#: Of every command that trains.
RECIPE_HELP = f"{', '.join(RECIPE_NAMES)}, or a .json file (default: %(default)s)"


def show_warnings(warnings: Iterable[Warned]) -> None:
    """Print reasons to doubt an answer. Call it before the answer is printed."""
    for warning in warnings:
        print(f"warning: {warning.code}: {warning.message}")


def add_overwrite(command: argparse.ArgumentParser) -> None:
    """The option of every command that writes files."""
    command.add_argument("--overwrite", action="store_true", help="replace files that exist")


def add_bit_depth(command: argparse.ArgumentParser) -> None:
    """The option of every command that reads frames."""
    command.add_argument(
        "--bit-depth",
        type=int,
        choices=BIT_DEPTHS,
        help="bits of the camera's values in 16-bit frames, which may be fewer; 16 for frames that are dark",
    )


def progress_bar(items: Iterable[Any], text: str, total: int | None = None) -> Iterable[Any]:
    """``items``, counted on a progress bar."""
    from huggingface_hub.utils import tqdm

    return tqdm(items, desc=text, unit="sample", total=total)


def moment(text: str) -> float:
    """Seconds of a time as players show it: 83.5, 1:23.5 or 0:01:23.5; for argparse."""
    parts = text.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    whole = all(value == int(value) for value in values[:-1]) if all(map(math.isfinite, values)) else False
    if not values or len(values) > 3 or not whole or min(values) < 0 or max(values[1:], default=0) >= 60:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds (83.5), MM:SS (1:23.5) or H:MM:SS")
    seconds = 0.0
    for value in values:
        seconds = 60 * seconds + value
    return seconds


def add_face_option(command: argparse.ArgumentParser) -> None:
    """Option of every command whose landmarks may come from a detector."""
    command.add_argument(
        "--face",
        metavar="largest|only|N",
        help="which face to take of several: the largest, none unless it is the only one, or the N-th from the image's "
        "left (default: largest, with a warning)",
    )


def add_sample_option(command: argparse.ArgumentParser) -> None:
    """Option of the commands that read one pair or video."""
    command.add_argument(
        "--sample",
        default="",
        metavar="NAME",
        help="name by which a table of landmarks knows this pair or video; frame:N for frame N of a table that "
        "OpenFace or py-feat wrote",
    )


def chosen_landmarks(args: argparse.Namespace, manifest: Manifest | None = None) -> str | Landmarker:
    """``--landmarks`` as it was written or, with ``--face``, the detector that takes this face.

    Raises:
        InputError: ``--face`` is given, and no detector looks for faces: ``--landmarks`` names none, or each sample of
            the manifest has its own points or a flow that is made already.
    """
    if args.face is None:
        return str(args.landmarks)
    from htnet.preprocess import make_landmarker

    if manifest is not None and not any(s.landmarks is None and (s.onset or s.clip) for s in manifest):
        raise InputError(
            f"--face {args.face} chooses among the faces that a detector finds, but each of the {len(manifest)} "
            "samples has its own points, or a flow that was made before. Leave --face out, or the column landmarks."
        )
    return make_landmarker(args.landmarks, face=args.face)
