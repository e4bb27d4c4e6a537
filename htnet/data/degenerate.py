"""Degenerate pairs, which cannot show an expression: the rule of all readers and commands.

A pair is degenerate if its apex is its onset or lies before it, or if its clip ends before it begins. Readers of
annotation sheets take the middle frame instead of an impossible apex (`choose_apex`); any other degenerate pair is
refused, or left out and named (`htnet.preprocess.pairs.pair_fault`). Pictures that turn out to be equal, and flow
images without motion, are seen only once they are read: see `htnet.data.reader.degenerate`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from htnet.core.errors import ManifestError
from htnet.core.fields import one_of

#: What a reader can do with degenerate pairs: refuse the whole, leave them out by name, or pass them on to be flagged.
CHOICES = ("raise", "skip", "keep")


@dataclass(frozen=True)
class ApexChoice:
    """The apex frame of an annotated clip.

    Attributes:
        number: its number; None if no rule gives one.
        middle: whether it is only the middle between onset and offset.
        fault: why the annotated apex cannot be used and no frame can take its place; "" otherwise.
    """

    number: int | None
    middle: bool = False
    fault: str = ""


def choose_apex(onset: int, apex: int | None, offset: int, frames: Collection[int]) -> ApexChoice:
    """Choose the apex with which a clip is read.

    An apex that is not after the onset counts as not annotated, and so does one after the offset, unless its frame is
    there: then it is the offset that is mistyped. The frame nearest to the middle between onset and offset takes its
    place, the earlier of two, never the onset itself.

    Args:
        onset: number of the first frame.
        apex: number of the annotated apex, None if there is none.
        offset: number of the last frame.
        frames: numbers of the frames that are there.
    """
    if apex is not None and onset < apex and (apex <= offset or apex in frames):
        return ApexChoice(apex)
    if offset <= onset:
        said = "no apex" if apex is None else f"the apex {apex}"
        return ApexChoice(None, fault=f"onset {onset}, {said} and the offset {offset}: no later frame to use")
    inside = [number for number in frames if onset < number <= offset]
    middle = (onset + offset) / 2
    nearest = min(inside, key=lambda number: (abs(number - middle), number), default=max(int(middle), onset + 1))
    return ApexChoice(nearest, middle=True)


def replaced_note(replaced: Sequence[str]) -> tuple[str, ...]:
    """Note for the user on annotated apexes that cannot be used: none or one sentence.

    Args:
        replaced: a text each: the sample and its annotated frames.
    """
    if not replaced:
        return ()
    return (
        "An annotated apex that is not after the onset, or lies outside the clip, cannot be used, and the "
        f"middle frame was used: {', '.join(replaced)}.",
    )


def check_choice(name: str, value: str) -> None:
    """Refuse an unknown way to deal with degenerate pairs."""
    one_of(CHOICES).check(name, value, ManifestError)


def refuse_degenerate(faults: Sequence[str], source: str, cure: str) -> None:
    """Raise an error that names every degenerate sample.

    Args:
        faults: one text per sample: its name and what is wrong.
        source: where they are from.
        cure: what to do.
    """
    if faults:
        what = f"{len(faults)} samples show" if len(faults) > 1 else "1 sample shows"
        raise ManifestError(f"{source}: {what} no expression. {cure}\n  " + "\n  ".join(faults))
