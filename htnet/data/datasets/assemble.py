"""Assembly of a manifest from annotated samples and their folders of frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from htnet.core.errors import ManifestError, did_you_mean
from htnet.core.fields import Checked, checked, one_of
from htnet.core.types import EMOTIONS
from htnet.data.corrections import describe, find_correction
from htnet.data.datasets.clips import Clip, Tree, read_clip
from htnet.data.datasets.sheets import ALIASES, SheetRow
from htnet.data.degenerate import ApexChoice, choose_apex, replaced_note
from htnet.data.manifest import Manifest, Sample
from htnet.data.published import with_differences
from htnet.data.tables import refuse_missing


@dataclass(frozen=True)
class Labels:
    """The labels of a data set and its two class maps.

    Attributes:
        three: map from labels to `htnet.types.EMOTIONS`; samples with other labels are left out.
        own: the data set's own classes, in order; samples with other labels are left out.
        other: labels that are in neither map.
        same: map from other spellings to labels.
    """

    three: Mapping[str, str]
    own: tuple[str, ...]
    other: tuple[str, ...] = ()
    same: Mapping[str, str] = field(default_factory=dict)

    def classes(self, kind: str) -> tuple[str, ...]:
        """The class names of map "3" or "own", in order."""
        return EMOTIONS if kind == "3" else self.own

    def of(self, text: str, kind: str, where: str) -> str | None:
        """The class of an annotated label; None if the map leaves it out.

        Raises:
            ManifestError: the data set has no such label.
        """
        label = text.strip().casefold()
        label = self.same.get(label, label)
        known = {*self.three, *self.own, *self.other}
        if label not in known:
            raise ManifestError(f"{where}: {text!r} is not a label of this data set. {did_you_mean(label, known)}")
        if kind == "3":
            return self.three.get(label)
        return label if label in self.own else None


@dataclass(frozen=True)
class Annotated:
    """The annotation of one sample.

    Attributes:
        sample: name of the sample.
        subject: the person.
        label: the annotated label.
        clip: key of its folder of frames.
        expected: path of that folder within the tree, for messages.
        where: file and row, for messages.
        onset: number of the first frame; None for the first in the folder.
        apex: number of the apex frame; None if there is none.
        offset: number of the last frame; None for the last in the folder.
        action_units: the annotated action units; "" if they are not annotated or cannot be parsed.
        notes: notes on this row for the user, shown if the sample is used.
        doubtful_units: see `SheetRow.doubtful_units`.
        filename: the annotated file name, for known corrections.
        fault: why the row does not give a sample; "" if it does.
    """

    # No field has a default, so that a reader that forgets one fails.
    sample: str
    subject: str
    label: str
    clip: str
    expected: str
    where: str
    onset: int | None
    apex: int | None
    offset: int | None
    action_units: str
    notes: tuple[str, ...]
    doubtful_units: str
    filename: str
    fault: str

    @classmethod
    def of(
        cls,
        row: SheetRow | None,
        *,
        sample: str,
        subject: str,
        label: str,
        clip: str,
        expected: str,
        where: str = "",
        needs_onset: bool = True,
    ) -> Annotated:
        """The annotation in a row of a sheet; every reader uses this.

        Args:
            row: the row, with onset, apex, offset and action units as far as the sheet has them; None if there is no
                sheet.
            sample: name of the sample.
            subject: the person, as named in the manifest.
            label: the annotated label.
            clip: key of the folder of frames.
            expected: path of that folder.
            where: file and row, for messages; by default those of ``row``.
            needs_onset: whether a row without onset gives no sample. If False, the onset is then the clip's first
                frame.
        """
        units, notes = row.action_units(sample) if row else ("", ())
        if row:
            notes += row.not_read("apex", sample) + row.not_read("offset", sample)
        return cls(
            sample=sample,
            subject=subject,
            label=label,
            clip=clip.casefold(),
            expected=expected,
            where=where or (row.where if row else ""),
            onset=row.number("onset") if row else None,
            apex=row.number("apex") if row else None,
            offset=row.number("offset") if row else None,
            action_units=units,
            notes=notes,
            doubtful_units=row.doubtful_units if row and units else "",
            filename=row.text["filename"] if row else expected.rsplit("/", 1)[-1],
            fault=row.onset_fault(needs_onset) if row else "",
        )

    @classmethod
    def from_row(cls, row: SheetRow, subject: str, label: str | None = None) -> Annotated:
        """The annotation in a row of a sheet whose clips are named by the columns subject and filename.

        Args:
            row: the row, with filename, emotion, onset, apex and offset.
            subject: the person, as named in the manifest.
            label: the label; by default that in the column emotion.
        """
        name = row.text["filename"]
        return cls.of(
            row,
            sample=f"{subject}_{name}",
            subject=subject,
            label=row.text["emotion"] if label is None else label,
            clip=f"{subject}/{name}",
            expected=f"{subject}/{name}",
        )


@dataclass(frozen=True)
class Choices(Checked):
    """The options of `read_dataset`."""

    classes: str = checked("3", one_of(("3", "own")))
    missing: str = checked("raise", one_of(("raise", "skip")))
    no_apex: str = checked("middle", one_of(("middle", "exclude")))

    _error = ManifestError


def assemble(
    dataset: str,
    rows: Sequence[Annotated],
    tree: Tree,
    labels: Labels,
    choices: Choices,
    source: str,
) -> Manifest:
    """Build the manifest of all samples whose label belongs to a class and whose frames exist.

    Raises:
        ManifestError: a label is unknown, a sample is annotated with two labels, or files are missing and
            ``choices.missing`` is "raise".
    """
    samples: list[Sample] = []
    excluded, skipped, absent, middle, replaced, early, late = [], [], [], [], [], [], []
    notes: list[str] = []
    doubts: list[str] = []
    seen: dict[str, Annotated] = {}
    folders: dict[str, Clip] = {}
    for row in rows:
        label = labels.of(row.label, choices.classes, row.where)
        if row.sample in seen:
            first = seen[row.sample]
            if first.label != row.label:
                raise ManifestError(
                    f"{row.where}: {row.sample!r} is {row.label!r} here and {first.label!r} above. Delete a row."
                )
            same = (row.onset, row.apex, row.offset) == (first.onset, first.apex, first.offset)
            what = "repeated row" if same else "repeated row with other frames, the first counts"
            excluded.append((row.sample, f"{row.label} ({what})"))
            continue
        seen[row.sample] = row
        if label is None:
            excluded.append((row.sample, row.label))
            continue
        if row.fault:
            excluded.append((row.sample, f"{row.label} ({row.fault})"))
            continue
        if row.clip in tree.clips and row.clip not in folders:
            try:
                folders[row.clip] = read_clip(tree.clips[row.clip])
            except ManifestError as error:
                if choices.missing == "raise":
                    raise
                notes.append(f"Sample {row.sample!r} is left out. {error}")
                absent.append(str(tree.clips[row.clip]))
                skipped.append(row.sample)
                continue
        clip = folders.get(row.clip)
        if clip is None or not clip.files:
            absent.append(str(tree.folder / row.expected if clip is None else clip.folder))
            skipped.append(row.sample)
            continue
        row, corrected = _corrected(dataset, row)
        notes += [corrected] if corrected else []
        onset, choice = _frames(row, clip)
        guessed = choice.middle or choice.number is None
        if guessed and choices.no_apex == "exclude":
            excluded.append((row.sample, f"{row.label} (no apex)"))
            continue
        if choice.number is None:
            excluded.append((row.sample, f"{row.label} ({choice.fault})"))
            continue
        apex = choice.number
        lost = [clip.expected(number) for number in (onset, apex) if number not in clip.files]
        if lost:
            absent += lost
            skipped.append(row.sample)
            continue
        if guessed:
            middle.append(row.sample)
            if row.apex is not None:
                last_number = "" if row.offset is None else f", offset {row.offset}"
                replaced.append(f"{row.sample} (onset {onset}, apex {row.apex}{last_number})")
        if row.offset is not None and row.offset < onset:
            early.append(row.sample)
        elif row.offset is not None and row.offset < apex:
            late.append(f"{row.sample} (apex {apex}, offset {row.offset})")
        last = _last_frame(row, clip, apex)
        notes += row.notes
        doubts += [row.doubtful_units] if row.doubtful_units else []
        samples.append(
            Sample(
                sample=row.sample,
                dataset=dataset,
                subject=row.subject,
                label=label,
                onset=clip.files[onset],
                apex=clip.files[apex],
                clip=clip.folder,
                clip_first=clip.files[onset].name,
                clip_last=clip.files[last].name,
                action_units=row.action_units,
                apex_source="middle" if guessed else "",
            )
        )
    absent = list(dict.fromkeys(absent))
    if choices.missing == "raise" or not samples:
        cure = f"Complete {tree.folder}" + (", or leave these samples out: missing='skip'." if samples else ".")
        refuse_missing(absent, source, cure)
    if early:
        notes.append(f"The offset is before the onset, so these clips end at the apex: {', '.join(early)}.")
    if late:
        notes.append(f"The offset is before the apex, so these clips end at the apex: {', '.join(late)}.")
    notes += replaced_note(replaced)
    if samples and dataset != "smic" and not any(sample.action_units for sample in samples):
        names = ", ".join(ALIASES["action_units"])
        notes.append(f"{source}: no action units were read. Their column must have one of these names: {names}.")
    found = Manifest(
        tuple(samples),
        labels.classes(choices.classes),
        source,
        skipped=tuple(skipped),
        missing_files=tuple(absent),
        excluded=tuple(excluded),
        middle_apex=tuple(middle),
        notes=(*notes, *_doubt(doubts, source)),
    )
    return with_differences(found, (dataset,))


def _doubt(cells: Sequence[str], source: str) -> tuple[str, ...]:
    """Note for the user on action units that are multiples of ten: one sentence or none."""
    if not cells:
        return ()
    shown = ", ".join(cells[:10]) + (f" and {len(cells) - 10} more" if len(cells) > 10 else "")
    return (
        f"{source}: {shown} contain action units as numbers, which are read unchanged. A spreadsheet program also "
        "turns 2E+1 into 20; check these cells if the sheet was edited.",
    )


def _corrected(dataset: str, row: Annotated) -> tuple[Annotated, str]:
    """The row with its known mistake corrected, and a note on it ("" if there is none)."""
    known = find_correction(dataset, row.subject, row.filename, row.onset, row.apex, row.offset)
    if known is None:
        return row, ""
    onset, apex, offset = known.meant
    return replace(row, onset=onset, apex=apex, offset=offset), describe(row.sample, known)


def _frames(row: Annotated, clip: Clip) -> tuple[int, ApexChoice]:
    """Number of the onset frame, and the choice of the apex frame."""
    onset = min(clip.files) if row.onset is None else row.onset
    # A clip with a single frame is incomplete, unless the sheet states that it ends there.
    offset = max(*clip.files, onset + 1) if row.offset is None else row.offset
    return onset, choose_apex(onset, row.apex, offset, clip.files)


def _last_frame(row: Annotated, clip: Clip, apex: int) -> int:
    """Number of the last frame of the expression: the offset, or the last existing frame before it."""
    last = max(clip.files) if row.offset is None else row.offset
    return max(number for number in clip.files if number <= max(last, apex))
