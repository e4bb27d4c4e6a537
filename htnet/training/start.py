"""Training that starts from other weights."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from os import PathLike

import torch

from htnet.core.errors import InputError, WeightsError
from htnet.core.identity import TrainedPeople, people_in_words
from htnet.core.paths import as_path
from htnet.core.provenance import Provenance
from htnet.data import Manifest
from htnet.hub import load_pretrained
from htnet.models import EmotionModel, TransferReport, transfer_weights
from htnet.models.base import model_of

#: Changes a fresh model's weights before training, and returns a text that identifies them.
Start = Callable[[EmotionModel], str]


class StartFrom:
    """Copies matching tensors of other weights into a fresh model; for ``start`` of `train_model`.

    Attributes:
        name: name of the weights: their registered name, Hub repository or folder.
        source: the weights.
        report: report of the last transfer.
    """

    def __init__(self, source: str | PathLike[str] | EmotionModel, labels: tuple[str, ...] | None = None) -> None:
        """Load the weights.

        Args:
            source: for `htnet.load_pretrained`, or a loaded model.
            labels: class names of the models to be trained; by default, their own. The classifier is copied only if
                the source has the same class names.

        Raises:
            WeightsError: the source cannot be loaded.
        """
        self.name = _name_of(source)
        try:
            self.source = model_of(source) or load_pretrained(source)  # type: ignore[arg-type]
        except WeightsError as error:
            raise type(error)(
                f"{error}\nWeights to start from are a folder written by htnet train, a Hub repository (owner/repo) or "
                "a name that htnet list shows, such as synthetic. Leave them out to train from scratch."
            ) from error
        self.labels = labels
        self.report: TransferReport | None = None
        self._learned: tuple[str, ...] = ()

    def __call__(self, fresh: EmotionModel) -> str:
        """Copy matching tensors into the fresh model; the returned text identifies the source.

        Raises:
            InputError: at most the classifier fits, so the rest of the model would stay untrained.
        """
        if self.labels is not None:
            fresh.labels = self.labels
        self.report = transfer_weights(fresh, self.source)
        self._learned = () if fresh.classifier_replaced else self.source.labels
        last = {id(tensor) for tensor in fresh.classifier.parameters()}
        body = {name for name, tensor in fresh.named_parameters() if id(tensor) not in last}
        if not body & {*self.report.loaded, *self.report.interpolated}:
            raise InputError(
                f"{self.name} ({self.source.name}) has no layer that fits {fresh.name}. Start from weights of the same "
                "architecture and width; htnet list shows them."
            )
        return self.digest()

    def provenance(self, own: Provenance) -> Provenance:
        """Provenance of weights that are trained from these.

        Args:
            own: provenance of the training alone, without the start.
        """
        begun = dataclasses.replace(own, started_from=self.name, started_from_sha256=self.digest())
        return begun.after(self.source.provenance or Provenance(), self._learned)

    def people(self, own: TrainedPeople) -> TrainedPeople:
        """People that weights trained from these have been trained on: ``own``, and those of the source."""
        return own.joined(self.source.trained_people)

    def refuse_known(self, manifest: Manifest, disjoint: bool = False) -> None:
        """Refuse weights that may have been trained on people of a test set.

        Args:
            manifest: the test set.
            disjoint: the user's assertion that they were not, for cases that the record of the weights does not decide.

        Raises:
            InputError: the record contains people of the test set, whatever ``disjoint`` says (people who only share a
                name, without a data set on both sides, may be different people: there ``disjoint`` decides); or the
                weights were trained on anything but generated data, and ``disjoint`` is not given.
        """
        sure, by_name = (self.source.trained_people or TrainedPeople()).among(manifest)
        if sure or (by_name and not disjoint):
            cure = "Start from weights that were trained without them, such as those of generated data ('synthetic')"
            if sure:
                raise InputError(
                    f"{self.name} was trained on {people_in_words(sure)}, who are in this evaluation: the "
                    f"scores would be worthless. {cure}."
                )
            raise InputError(
                f"{self.name} was trained on people of the same name as {people_in_words(by_name)} in this evaluation. "
                "Without a data set on both sides, htnet cannot tell whether they are the same people. "
                f"{cure}, or give start_is_disjoint (--start-is-disjoint) if you know that they are different people."
            )
        if disjoint or (self.source.provenance is not None and self.source.provenance.only_generated):
            return
        sets = ", ".join(sorted({s.dataset for s in manifest if s.dataset})) or "your own manifest"
        seen = self.source.trained_on or "unknown data"
        raise InputError(
            f"{self.name} was trained on {seen}, and the evaluation is on {sets}: test subjects may be among the "
            "people it was trained on, and the scores would be worthless. Start from weights of generated data "
            "('synthetic'), or "
            "give start_is_disjoint (--start-is-disjoint) if you know that they are not."
        )

    def digest(self) -> str:
        """SHA-256 of the source's weights and labels."""
        digest = hashlib.sha256(repr(self.source.labels).encode())
        for name, tensor in sorted(self.source.state_dict().items()):
            digest.update(name.encode())
            plain = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(plain.view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
        return digest.hexdigest()


def load_start(
    start: Start | str | PathLike[str] | EmotionModel | None, labels: tuple[str, ...] | None = None
) -> Start | None:
    """Load the start of a training if it is given by name, folder or model; otherwise return it unchanged."""
    given = model_of(start) if start is not None else None
    if given is not None:
        return StartFrom(given, labels)
    if isinstance(start, (str, PathLike)):
        return StartFrom(start, labels)
    if start is not None and not callable(start):
        raise WeightsError(
            f"start is of type {type(start).__name__}. Give a weights folder, a name that htnet list shows, owner/repo "
            "or a loaded model, or leave it out to train from scratch."
        )
    return start


def _name_of(source: str | PathLike[str] | EmotionModel) -> str:
    """Name for a model card; for a folder only its last part, since the rest is a private path."""
    if not isinstance(source, (str, PathLike)):
        model = model_of(source)
        return (model or as_path(source, "source")).name  # type: ignore[arg-type]
    folder = as_path(source, "source")
    return folder.name if os.path.isdir(folder) else str(source)
