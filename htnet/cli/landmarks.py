"""The options about frames of a manifest: ``--landmarks``, ``--face`` and ``--bit-depth``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from htnet.core.errors import InputError

if TYPE_CHECKING:
    from htnet.data import Manifest
    from htnet.preprocess import Landmarker


def chosen_landmarks(args: argparse.Namespace, manifest: Manifest | None = None) -> str | Landmarker:
    """The value of ``--landmarks``; with ``--face``, a detector that selects this face.

    Raises:
        InputError: ``--face`` or ``--landmarks`` is given, but no detector would be used: ``--landmarks`` names none,
            or each sample of the manifest has its own points or an existing flow image; or ``--bit-depth`` is given,
            but no sample has frames.
    """
    if manifest is not None:
        from htnet.data.reader import refuse_unused_depth

        refuse_unused_depth(args.bit_depth, manifest)
    text = "yunet" if args.landmarks is None else str(args.landmarks)
    if manifest is not None and args.landmarks is not None:
        refuse_detector(text, manifest)
    if args.face is None:
        return text
    from htnet.preprocess import make_landmarker

    if manifest is not None and not _looked_at(manifest):
        raise InputError(
            f"--face {args.face} chooses among the faces that a detector finds, but each of the {len(manifest)} "
            "samples has its own points or an existing flow image. Leave --face out, or remove the column landmarks."
        )
    return make_landmarker(text, face=args.face)


def refuse_detector(text: str, manifest: Manifest) -> None:
    """Refuse a detector if no sample has frames in which it could detect faces.

    Raises:
        InputError: ``text`` names a detector, but each sample has an existing flow image.
    """
    detector = text.partition(":")[0] in ("yunet", "face-alignment")
    if detector and all(s.flow is not None and s.clip is None for s in manifest):
        raise InputError(
            f"--landmarks {text} detects faces in frames, but each of the {len(manifest)} samples has an existing flow "
            "image. Leave --landmarks out, or give a .csv or .json file of points."
        )


def _looked_at(manifest: Manifest) -> bool:
    """Whether a detector is used for any sample."""
    return any(s.landmarks is None and (s.clip or (s.onset and not s.flow)) for s in manifest)
