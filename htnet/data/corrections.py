"""Known typos in official annotation sheets, and their corrections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Correction:
    """One mistyped frame number.

    Attributes:
        dataset: name in `htnet.data.DATASETS`.
        subject: the row's subject.
        filename: the row's file name.
        written: onset, apex and offset in the sheet; the correction applies only if all three match.
        meant: the correct onset, apex and offset.
        source: the evidence for the correction.
    """

    dataset: str
    subject: str
    filename: str
    written: tuple[int, int, int]
    meant: tuple[int, int, int]
    source: str


CORRECTIONS = (
    Correction(
        "casme3",
        "spNO.216",
        "d",
        (3647, 2668, 2694),
        (2647, 2668, 2694),
        "the onset is about 1000 frames after apex and offset; public frame extractors also read 2647",
    ),
)


def find_correction(
    dataset: str, subject: str, filename: str, onset: int | None, apex: int | None, offset: int | None
) -> Correction | None:
    """The correction of a row; None if it needs none."""
    row = (dataset, subject.casefold(), filename.casefold(), (onset, apex, offset))
    for known in CORRECTIONS:
        if row == (known.dataset, known.subject.casefold(), known.filename.casefold(), known.written):
            return known
    return None


def describe(sample: str, known: Correction) -> str:
    """A note on a corrected row."""
    names = ("onset", "apex", "offset")
    changed = [
        f"{name} {meant} instead of {written}"
        for name, written, meant in zip(names, known.written, known.meant, strict=True)
        if written != meant
    ]
    return f"{sample}: corrected a mistyped number of the sheet, {', '.join(changed)} ({known.source})."
