"""The pictures of the page "Figures": ``python docs/pictures/figures.py``. The face is a free one of NASA."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))
import htnet
from htnet import plots
from htnet.core.assets import ASSETS
from htnet.models import integrated_gradients
from htnet.preprocess import align_pair, read_pair

FOLDER = Path(__file__).parent / "figures"


def main() -> None:
    """Draw the flow of the sample and what the answer to it hangs on."""
    sample = ASSETS / "sample"
    files = sample / "onset.png", sample / "apex.png"
    predictor = htnet.Predictor("composite")
    found = predictor.pair(*files, sample / "landmarks.json")
    face, _, _ = align_pair(*read_pair(*files), found.landmarks, predictor.spec)
    keep(plots.plot_flow(found.input.flow, face), "flow")
    keep(plots.plot_saliency(integrated_gradients(predictor.model, found.input.image), found.input.image), "saliency")


def keep(figure: object, name: str) -> None:
    """Save a figure as a small JPEG."""
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90)
    Image.open(out).convert("RGB").save(FOLDER / f"{name}.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
