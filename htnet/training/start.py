"""Training that starts from other weights."""

from __future__ import annotations

import hashlib
from os import PathLike

from htnet.hub import load_pretrained
from htnet.models import EmotionModel, TransferReport, transfer_weights


class StartFrom:
    """Gives a fresh model what fits of other weights; for ``start`` of `train_model`.

    Attributes:
        source: the weights.
        report: what the last transfer took over and what not.
    """

    def __init__(self, source: str | PathLike[str] | EmotionModel, labels: tuple[str, ...] | None = None) -> None:
        """Load the weights.

        Args:
            source: for `htnet.load_pretrained`, or a loaded model.
            labels: class names of the models to be trained; the classifier is taken over only if the source's are the
                same. Their own unless given.

        Raises:
            WeightsError: the source cannot be loaded.
        """
        self.source = source if isinstance(source, EmotionModel) else load_pretrained(source)
        self.labels = labels
        self.report: TransferReport | None = None

    def __call__(self, fresh: EmotionModel) -> str:
        """Change the fresh model's weights; the answer tells the source from any other."""
        if self.labels is not None:
            fresh.labels = self.labels
        self.report = transfer_weights(fresh, self.source)
        return self.digest()

    def digest(self) -> str:
        """SHA-256 of the source's weights and labels."""
        found = hashlib.sha256(repr(self.source.labels).encode())
        for name, tensor in sorted(self.source.state_dict().items()):
            found.update(name.encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()
