"""Reader of an evaluation's ``summary.json``, for the scores and temperature of weights trained in the same way."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.errors import InputError, cause
from htnet.core.hints import hint, how, missing
from htnet.core.limits import read_json
from htnet.core.paths import as_path
from htnet.core.saved_spec import saved_spec
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest
from htnet.training import Recipe, StartFrom, TrainingJob

#: Name of each kind of evaluation on a model card.
_KINDS = {"subject": "LOSO", "dataset": "LODO", "fold": "k-fold", "split": "fixed split"}


@dataclass(frozen=True)
class CardScores:
    """Scores and temperature of an evaluation, to be stored with weights.

    Attributes:
        metrics: UF1 and UAR of the protocols that do not leak, by name.
        temperature: divisor of the weights' scores before the softmax.
        note: reason for this temperature.
        leaking: UF1 and UAR of the protocols that leak, by name.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    note: str = ""
    leaking: dict[str, float] = field(default_factory=dict)

    @property
    def card(self) -> dict[str, dict[str, float]]:
        """The scores, in the form for the argument ``training`` of `htnet.hub.save_pretrained`."""
        both = {"metrics": self.metrics, "leaking_metrics": self.leaking}
        return {name: scores for name, scores in both.items() if scores}


@dataclass(frozen=True)
class Summary:
    """Content of a ``summary.json``.

    Attributes:
        path: path of the file.
        content: the parsed JSON.
        metrics: UF1 and UAR of the protocols that do not leak, by name.
        leaking: UF1 and UAR of the protocols that leak, by name.
    """

    path: Path
    content: dict[str, Any]
    metrics: dict[str, float]
    leaking: dict[str, float]

    def for_weights(self, job: TrainingJob, spec: PreprocessSpec, manifest: Manifest) -> CardScores:
        """Scores and temperature for weights trained on all samples. There is no temperature if the training differs.

        Args:
            job: the training of the weights.
            spec: preprocessing of the weights.
            manifest: training samples of the weights.

        Raises:
            InputError: the evaluation started from weights that were trained on people of the manifest.
        """
        start = job.start.digest() if isinstance(job.start, StartFrom) else None
        if isinstance(job.start, StartFrom) and self._start(start) == start:
            job.start.refuse_known(manifest, disjoint=True)  # runs of older versions did not check this
        calibration, run = self.content["protocols"].get("last", {}).get("calibration"), self.content["run"]
        if calibration is None:
            note = f"no temperature is stored: {self.path} contains none for the protocol last"
            return CardScores(self.metrics, note=note, leaking=self.leaking)
        evaluated = {
            "model": run["model"],
            "recipe": Recipe.from_dict(run["recipe"]),
            "preprocessing": saved_spec(run["preprocess"]),
            "start": self._start(start),
            "set of classes": tuple(self.content["classes"]),
            "kind of folds": self.content.get("leave", "subject"),
        }
        own = (job.model, job.recipe, spec, start, manifest.classes, "subject")
        if differ := [what for (what, value), mine in zip(evaluated.items(), own, strict=True) if value != mine]:
            note = f"no temperature is stored: {self.path} is of a run with another {', '.join(differ)}"
            return CardScores(self.metrics, note=note, leaking=self.leaking)
        temperature = calibration["temperature"]
        note = f"temperature {temperature:.4g} of {self.path} is stored with the weights"
        return CardScores(self.metrics, temperature, note, self.leaking)

    def _start(self, own: str | None) -> str | None:
        """Digest of the weights that the run started from; with one per seed, ``own`` if it is among them."""
        started = self.content["run"].get("started_from") or []
        digests = [one["sha256"] for one in (started if isinstance(started, list) else [started])]
        if not digests:
            return None
        return own if own in digests else digests[0]


def read_summary(path: str | PathLike[str]) -> Summary:
    """Read ``summary.json`` of `loso` or `lodo`.

    Raises:
        InputError: the file is not such a summary; if it is a known kind of file, the message says what reads it.
    """
    path = as_path(path, "path")
    way = how(
        "--metrics takes RUN/summary.json, which htnet loso --data DATA --model MODEL --out RUN writes.",
        "htnet.evaluation.loso(data, model, out=RUN) writes RUN/summary.json.",
    )
    if not os.path.exists(path):
        raise InputError(f"{missing(path)}\n{way}")
    if os.path.isdir(path):
        inside = path / "summary.json"
        instead = f" Give the file in it: {inside}" if os.path.isfile(inside) else hint(path)
        raise InputError(f"{path} is a folder.{instead}\n{way}")
    try:
        content = read_json(path)
        kind = _KINDS[content.get("leave", "subject")]
        metrics, leaking = (
            {
                f"{kind} {protocol}, {group}, {metric}": scores[metric]
                for protocol, entry in content["protocols"].items()
                if bool(entry["leaks"]) == leaks
                for group, scores in entry["mean"].items()
                for metric in ("uf1", "uar")
            }
            for leaks in (False, True)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f" ({cause(error)})" if isinstance(error, OSError) else ""
        raise InputError(f"{path} is not a summary.json of htnet loso{why}.{hint(path)}\n{way}") from error
    return Summary(path, content, metrics, leaking)
