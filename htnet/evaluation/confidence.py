"""Parts of the summary about the left-out predictions: calibration, and bootstrap intervals over people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from htnet.core.types import Float64Array
from htnet.evaluation.bootstrap import RESAMPLES, interval, resampled_confusions, why_no_draws
from htnet.evaluation.calibration import (
    BINS,
    Reliability,
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
    left_out_temperatures,
    log_loss,
    reliability,
)
from htnet.evaluation.metrics import uar_of_each, uf1_of_each

_WHAT = (
    "Of the raw probabilities, and of those after the temperature that was fitted, for every {tested}, on the left-out "
    "predictions of the other {tested}s with the same seed; mean over the seeds. 'temperature' is fitted on all of "
    "them: the one for weights trained on everyone by the same recipe."
)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """The left-out predictions of one protocol and one seed.

    Attributes:
        truth: (N,) true class indexes.
        probabilities: (N, C), output of the models.
        folds: (N,) fold of each sample: the subject or data set that it leaves out.
        people: (N,) person of each sample; None if unknown.
    """

    truth: npt.NDArray[np.int64]
    probabilities: Float64Array
    folds: Sequence[Any]
    people: Sequence[Any]

    def calibrated(self) -> Float64Array:
        """The probabilities, rescaled by the temperatures that were fitted on the other folds."""
        # By number: the names of folds are different already, and need not be names of people.
        numbers = {name: k for k, name in enumerate(dict.fromkeys(self.folds))}
        temperatures = left_out_temperatures(self.truth, self.probabilities, [numbers[name] for name in self.folds])
        return apply_temperature(self.probabilities, temperatures)


def calibration_of(seeds: Sequence[LeftOut], tested: str) -> dict[str, Any]:
    """The summary's part on calibration, JSON-ready.

    Args:
        seeds: the predictions of each seed.
        tested: noun for what a fold leaves out, such as "subject".
    """
    return {
        "what": _WHAT.format(tested=tested),
        "bins": BINS,
        "raw": _errors(seeds, [seed.probabilities for seed in seeds]),
        # If only one subject is tested, as a fixed split may do, there are no others to fit on.
        "after_temperature": _errors(seeds, [seed.calibrated() for seed in seeds]) if _several(seeds) else None,
        "temperature": fit_temperature(
            np.concatenate([seed.truth for seed in seeds]), np.concatenate([seed.probabilities for seed in seeds])
        ),
    }


def intervals_of(seeds: Sequence[LeftOut], num_classes: int) -> dict[str, Any]:
    """The summary's part with the 95 % intervals of UF1 and UAR over all samples, JSON-ready.

    Each draw uses the same people for all seeds. Its score is the mean over the seeds, like the reported score. There
    are no intervals if samples have no subject, or if all are of one person.
    """
    if reason := why_no_draws(seeds[0].people):
        cure = "Fill the column 'subject'." if None in seeds[0].people else "Test two people or more."
        return {"what": f"none: {reason}, so a bootstrap over people is impossible. {cure}"}
    drawn = [resampled_confusions(seed.truth, seed.probabilities.argmax(1), seed.people, num_classes) for seed in seeds]
    return {
        "what": "95 %, of the mean over the seeds; bootstrap over people",
        "resamples": RESAMPLES,
        "full": {
            name: list(interval(np.mean([measure(confusions) for confusions in drawn], axis=0)))
            for name, measure in (("uf1", uf1_of_each), ("uar", uar_of_each))
        },
    }


def reliability_of(seeds: Sequence[LeftOut]) -> dict[str, Reliability]:
    """Reliability of the raw and the calibrated probabilities over all seeds, for `htnet.plots.plot_reliability`."""
    truth = np.concatenate([seed.truth for seed in seeds])
    ways = {"raw": [seed.probabilities for seed in seeds]}
    if _several(seeds):
        ways["after temperature"] = [seed.calibrated() for seed in seeds]
    return {name: reliability(truth, np.concatenate(chances)) for name, chances in ways.items()}


def _several(seeds: Sequence[LeftOut]) -> bool:
    return all(len(set(seed.folds)) > 1 for seed in seeds)


def _errors(seeds: Sequence[LeftOut], probabilities: Sequence[Float64Array]) -> dict[str, float]:
    pairs = [(seed.truth, chances) for seed, chances in zip(seeds, probabilities, strict=True)]
    return {
        "expected_calibration_error": float(np.mean([expected_calibration_error(*pair) for pair in pairs])),
        "log_loss": float(np.mean([log_loss(*pair) for pair in pairs])),
    }
