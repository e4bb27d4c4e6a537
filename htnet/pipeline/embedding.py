"""Features of samples, the input of a model's last layer, for your own classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from htnet.core.csv_files import CsvWriter
from htnet.core.errors import HtnetError, InputError
from htnet.core.files import check_outputs, whole_file
from htnet.core.paths import as_path
from htnet.core.progress import progress_bar
from htnet.core.types import DEFAULT_WEIGHTS, FloatArray
from htnet.data import Manifest, Sample, open_data
from htnet.data.reader import refuse_unused_depth
from htnet.models import EmotionModel
from htnet.pipeline.predictor import Predictor
from htnet.preprocess import Landmarker

#: Endings of the files that `Embeddings.write` writes.
EMBEDDING_ENDINGS = (".npz", ".csv")


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Features of samples.

    Attributes:
        samples: the samples; `arrays` returns their names, labels, subjects and datasets.
        features: (N, D) float32.
        weights: name of the weights that computed them.
        errors: (name, message) of each sample that was left out.
        license_expression: terms of use of the weights as an SPDX license expression; "" for a fresh model.
    """

    samples: tuple[Sample, ...]
    features: FloatArray
    weights: str
    errors: tuple[tuple[str, str], ...] = ()
    license_expression: str = ""

    def arrays(self) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
        """The content of an NPZ file: ``features`` (N, D), and the strings ``sample``, ``dataset``, ``subject`` and
        ``label`` (N,), "" if unknown.
        """
        fields = ("sample", "dataset", "subject", "label")
        texts = {name: np.array([getattr(s, name) or "" for s in self.samples], dtype=np.str_) for name in fields}
        return {"features": self.features, **texts}

    def write(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write an NPZ file, which `numpy.load` reads, or a table (.csv) with the columns feature_0, feature_1, ...

        Raises:
            InputError: the file has another ending.
            OverwriteError: it exists and ``overwrite`` is not given.
        """
        check_embedding_name(path)
        check_outputs(path, overwrite=overwrite)
        path = as_path(path, "path")
        with whole_file(path) as place:
            if path.suffix.lower() == ".npz":
                with place.open("wb") as raw:
                    np.savez_compressed(raw, **self.arrays())  # type: ignore[arg-type]
                return path
            with place.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                writer = CsvWriter(file, "\r\n")
                numbers = (f"feature_{k}" for k in range(self.features.shape[1]))
                writer.writerow(["sample", "dataset", "subject", "label", *numbers])
                for s, values in zip(self.samples, self.features, strict=True):
                    # Nine significant digits restore a float32 exactly.
                    texts = (f"{value:.9g}" for value in values.tolist())
                    writer.writerow([s.sample, s.dataset, s.subject, s.label or "", *texts])
        return path


def check_embedding_name(path: str | PathLike[str]) -> None:
    """Check that the ending of a file is one of `EMBEDDING_ENDINGS`.

    Raises:
        InputError: it is not.
    """
    if as_path(path, "path").suffix.lower() not in EMBEDDING_ENDINGS:
        raise InputError(f"{path} does not end in {' or '.join(EMBEDDING_ENDINGS)}: .npz for NumPy, .csv for a table.")


def embed(
    data: Manifest | str | PathLike[str],
    weights: str | PathLike[str] | EmotionModel = DEFAULT_WEIGHTS,
    *,
    landmarks: str | PathLike[str] | Landmarker = "yunet",
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    bit_depth: int | None = None,
    batch_size: int = 64,
    skip_errors: bool = False,
    progress: bool = True,
) -> Embeddings:
    """Compute the features of samples: the input of a model's last layer.

    Args:
        data: the samples: a manifest, or a path for `htnet.data.open_data`. Labels are optional.
        weights: registered weights, a weights folder, a Hub repository or a loaded model.
        landmarks: source of landmarks for frames that come without them, see `Predictor`.
        device: where the model runs.
        dtype: floating-point type of the model, see `Predictor`.
        bit_depth: bits per value in 16-bit frames, see `htnet.preprocess.read_frame`.
        batch_size: number of samples read at a time: one forward pass on a GPU; the CPU computes 16 at a time.
        skip_errors: leave out samples that cannot be read, and list them in ``errors``.
        progress: show a progress bar on terminals.

    Raises:
        InputError: there are no samples, none can be read, or ``bit_depth`` is given although all have flow images.
        SpecError: the flow images were not made in the way that the weights were trained with.
        HtnetError: a sample cannot be read; the message names it.
    """
    manifest = data if isinstance(data, Manifest) else open_data(data)
    refuse_unused_depth(bit_depth, manifest)
    predictor = Predictor(weights, landmarks=landmarks, device=device, dtype=dtype, bit_depth=bit_depth)
    errors: list[tuple[str, str]] = []

    def note(sample: Sample, error: HtnetError) -> None:
        errors.append((sample.sample, str(error)))

    found = predictor.embed(manifest, batch_size=batch_size, on_error=note if skip_errors else None)
    pairs = list(progress_bar(found, "embedding", len(manifest), show=progress))
    if not pairs:
        raise InputError(f"{manifest.source} has no readable sample, so there is nothing to embed. Check the data.")
    samples, features = zip(*pairs, strict=True)
    return Embeddings(
        tuple(samples), np.stack(features), predictor.name, tuple(errors), predictor.model.license_expression
    )
