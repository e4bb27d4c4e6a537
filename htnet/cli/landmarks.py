"""``--landmarks`` and ``--face``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from htnet.core.errors import InputError

if TYPE_CHECKING:
    from htnet.data import Manifest
    from htnet.preprocess import Landmarker


def chosen_landmarks(args: argparse.Namespace, manifest: Manifest | None = None) -> str | Landmarker:
    """``--landmarks`` as it was written or, with ``--face``, the detector that takes this face.

    Raises:
        InputError: ``--face`` is given, and no detector looks for faces: ``--landmarks`` names none, or each sample of
            the manifest has its own points or a flow that is made already.
    """
    if args.face is None:
        return str(args.landmarks)
    from htnet.preprocess import make_landmarker

    if manifest is not None and not any(s.landmarks is None and (s.clip or (s.onset and not s.flow)) for s in manifest):
        raise InputError(
            f"--face {args.face} chooses among the faces that a detector finds, but each of the {len(manifest)} "
            "samples has its own points, or a flow that was made before. Leave --face out, or the column landmarks."
        )
    return make_landmarker(args.landmarks, face=args.face)
