"""The samples with the largest loss in an evaluation, and pictures of their flow."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike

import numpy as np

from htnet.core.errors import HtnetError, InputError
from htnet.core.saved_spec import saved_spec
from htnet.core.types import PreprocessSpec
from htnet.data import Manifest, Sample, open_data
from htnet.data.prepared import resolve_spec
from htnet.data.reader import SampleReader
from htnet.evaluation import SampleResult
from htnet.evaluation.calibration import SMALLEST
from htnet.evaluation.finished import FinishedRun
from htnet.pipeline.event_pairs import encoded, flow_picture
from htnet.preprocess import read_flow_image

# Side of a picture of the flow between two frames, px.
_SIDE = 224


@dataclass(frozen=True)
class WorstSample:
    """A sample and its predictions.

    Attributes:
        sample: result of the first seed.
        probabilities: probability of each class, mean over the seeds.
        answers: indexes of the classes that were predicted, each once.
        loss: mean over the seeds of -log of the true class's probability.
    """

    sample: SampleResult
    probabilities: tuple[float, ...]
    answers: tuple[int, ...]
    loss: float


def worst_samples(seeds: Sequence[Sequence[SampleResult]], count: int) -> list[WorstSample]:
    """The ``count`` samples with the largest loss, the largest first.

    Args:
        seeds: the results of each seed.
        count: largest number of samples to return.
    """
    found: dict[tuple[str, str], list[SampleResult]] = {}
    for one in (sample for of_seed in seeds for sample in of_seed):
        found.setdefault((one.dataset, one.sample), []).append(one)
    every = []
    for answers in found.values():
        chances = np.array([one.probabilities for one in answers])
        truth = answers[0].truth
        loss = float(-np.log(np.maximum(chances[:, truth], SMALLEST)).mean())
        own = tuple(dict.fromkeys(one.prediction for one in answers))
        every.append(WorstSample(answers[0], tuple(chances.mean(0).tolist()), own, loss))
    return sorted(every, key=lambda one: -one.loss)[:count]


class Pictures:
    """Pictures of the flow of samples, if their data are available."""

    def __init__(self, samples: dict[str, Sample], reader: SampleReader | None, said: str) -> None:
        self._samples, self._reader = samples, reader
        #: The sentence about the pictures in the report.
        self.said = said

    @classmethod
    def of(cls, run: FinishedRun, data: Manifest | str | PathLike[str] | None) -> Pictures:
        """Open the data of a run: ``data`` if given, otherwise those that its summary names.

        Raises:
            InputError: ``data`` lacks samples of the run.
            ManifestError: ``data`` cannot be read.
        """
        named = str(run.summary.get("data") or "")
        place = run.path_of(named)
        if data is None and not (named and os.path.exists(place)):
            return cls._none(f"the data of the run, {named}, do not exist" if named else "the run names no data")
        try:
            manifest = data if isinstance(data, Manifest) else open_data(data or place)
        except HtnetError:
            if data is not None:
                raise
            return cls._none(f"the data of the run, {named}, cannot be read")
        known = {(s.dataset, s.subject, s.sample, run.classes[s.truth]) for s in run.samples}
        own = {s.sample: s for s in manifest if (s.dataset, s.subject, s.sample, s.label) in known}
        source = escape(manifest.source)
        if len(own) < len({s.sample for s in run.samples}):
            if data is not None:
                raise InputError(
                    f"{manifest.source} holds {len(own)} of the {run.summary['samples']} samples of {run.root}, with "
                    "their labels and subjects. Give the data that were evaluated."
                )
            return cls._none(f"{manifest.source} holds {len(own)} of the {run.summary['samples']} samples of the run")
        spec = saved_spec(run.summary["run"]["preprocess"]) if run.trained else PreprocessSpec()
        reader = SampleReader(resolve_spec(manifest, spec), "yunet")
        said = (
            f"Flow images of {source}: u, v and strain as red, green and blue, each channel from its smallest to its "
            "largest value."
        )
        if any(sample.flow is None for sample in own.values()):
            said += (
                " For samples with frames only: the flow on the aligned face, length (color) and direction (arrows)."
            )
        return cls(own, reader, said)

    @classmethod
    def _none(cls, why: str) -> Pictures:
        return cls({}, None, f"Pictures of their flow are missing: {escape(why)}. Give the data: --data.")

    def html(self, sample: SampleResult) -> str:
        """The picture of a sample as HTML, or why there is none; empty if no sample has one."""
        if self._reader is None:
            return ""
        own = self._samples[sample.sample]
        try:
            kind, content = self._picture(own, self._reader)
        except HtnetError as error:
            return f'<p class="none">No picture: {escape(str(error))}</p>'
        data = base64.b64encode(content).decode()
        return f'<img alt="flow of {escape(sample.sample)}" src="data:image/{kind};base64,{data}">'

    def _picture(self, own: Sample, reader: SampleReader) -> tuple[str, bytes]:
        if own.flow is not None:
            return "png", encoded(read_flow_image(own.flow, reader.spec.size), ".png")
        made = reader.from_frames(own)
        if made.flow is None:
            raise InputError("it has no flow field.")
        return "jpeg", flow_picture(made.flow, _SIDE)
