"""Degenerate pairs, which cannot show an expression: the rules of all readers and commands.

A pair is degenerate if its apex is the onset or a frame before it, or if its clip ends before it begins. Readers of
annotation sheets use the middle frame instead of an impossible apex (`choose_apex`). Any other degenerate pair is
refused, or left out and named (`htnet.preprocess.pairs.pair_fault`). Equal frames, and flow images without motion, can
be detected only after reading: see `htnet.data.reader.degenerate`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from htnet.core.errors import ManifestError
from htnet.core.fields import one_of

#: How a reader handles degenerate pairs: refuse the data, leave the pairs out and list them, or keep them for flagging.
CHOICES = ("raise", "skip", "keep")


@dataclass(frozen=True)
class ApexChoice:
    """The apex frame of an annotated clip.

    Attributes:
        number: number of the apex frame; None if there is none.
        middle: whether it is the middle frame between onset and offset instead of an annotated apex.
        fault: why the annotated apex cannot be used and no frame can replace it; "" otherwise.
    """

    number: int | None
    middle: bool = False
    fault: str = ""


def choose_apex(onset: int, apex: int | None, offset: int, frames: Collection[int]) -> ApexChoice:
    """Choose the apex frame of a clip.

    An apex that is not after the onset counts as not annotated. So does an apex after the offset, unless its frame
    exists: then the offset is assumed to be mistyped. A missing apex is replaced by the frame nearest to the middle
    between onset and offset, the earlier one if two are equally near, but never by the onset itself.

    Args:
        onset: number of the first frame.
        apex: number of the annotated apex; None if there is none.
        offset: number of the last frame.
        frames: numbers of the frames that exist.
    """
    if apex is not None and onset < apex and (apex <= offset or apex in frames):
        return ApexChoice(apex)
    if offset <= onset:
        said = "no apex" if apex is None else f"the apex {apex}"
        return ApexChoice(None, fault=f"onset {onset}, {said} and offset {offset}: there is no later frame to use")
    inside = [number for number in frames if onset < number <= offset]
    middle = (onset + offset) / 2
    nearest = min(inside, key=lambda number: (abs(number - middle), number), default=max(int(middle), onset + 1))
    return ApexChoice(nearest, middle=True)


def replaced_note(replaced: Sequence[str]) -> tuple[str, ...]:
    """Note for the user on annotated apexes that cannot be used: one sentence or none.

    Args:
        replaced: for each such apex, a text with the sample and its annotated frames.
    """
    if not replaced:
        return ()
    return (
        "The annotated apex is not after the onset or is outside the clip, so the middle frame was used instead: "
        f"{', '.join(replaced)}.",
    )


def check_choice(name: str, value: str) -> None:
    """Check that ``value`` is one of `CHOICES`; ``name`` is that of the argument."""
    one_of(CHOICES).check(name, value, ManifestError)


def refuse_degenerate(faults: Sequence[str], source: str, cure: str) -> None:
    """Raise an error that names every degenerate sample.

    Args:
        faults: one text per sample: its name and its fault.
        source: where the samples were read from.
        cure: what the user can do.
    """
    if faults:
        what = f"{len(faults)} samples show" if len(faults) > 1 else "1 sample shows"
        raise ManifestError(f"{source}: {what} no expression. {cure}\n  " + "\n  ".join(faults))
