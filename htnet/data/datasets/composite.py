"""The composite of MEGC 2019, assembled from CASME II, SAMM and SMIC."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

from htnet.core.errors import ManifestError
from htnet.core.types import EMOTIONS
from htnet.core.words import listed
from htnet.data.datasets.keep import names_to_keep
from htnet.data.manifest import Manifest, Sample, check_manifest
from htnet.data.published import COMPOSITE, OMITTED, RELABELED_2019, composite_list, with_differences


def merge_composite(
    casme2: Manifest,
    samm: Manifest,
    smic: Manifest,
    *,
    keep: str | PathLike[str] | Iterable[str] | None = None,
) -> Manifest:
    """Merge the composite set of MEGC 2019: the 442 samples of 68 subjects of its published list, if all files exist.

    The sheet of CASME II may be the edition of 2014 or that of 2019. Other samples with one of the three classes are
    left out and listed in ``excluded``, and ``notes`` states the reasons: in both editions these are sub04_EP12_01f and
    sub05_EP09_05f; in that of 2019 also three samples of sub24 that were sadness in 2014. ``notes`` also names each
    sample of the list that is missing, or that has another label in the sheet.

    Args:
        casme2: CASME II, as `read_dataset` reads it with ``classes="3"``.
        samm: SAMM, read in the same way.
        smic: SMIC (HS), read in the same way.
        keep: use exactly these samples instead: their names; or a CSV file with the column ``sample``, or with ``sub``
            and ``filename_o`` as in the published list; or the list of MEGC 2019 without header
            (``combined_3class_gt.csv``: data set, subject, file name, label).

    Returns:
        The samples in the order of the published list: CASME II, SMIC, SAMM. Samples left out of the parts
        are also listed here.

    Raises:
        ManifestError: a part is another data set or has other classes, a name to keep is in none of the parts, or
            the file of names does not have one of these forms.
    """
    given = {"casme2": casme2, "smic": smic, "samm": samm}
    parts = {name: given[name] for name in COMPOSITE}
    for name, part in parts.items():
        check_manifest(part, name)
        others = sorted({s.dataset for s in part} - {name})
        if others or part.classes != EMOTIONS:
            raise ManifestError(
                f"{part.source} is given as {name}, but "
                + (f"contains samples of {others[0]!r}." if others else f"has the classes {', '.join(part.classes)}.")
                + f" Give read_dataset({name!r}, ..., classes='3')."
            )
    samples = [sample for part in parts.values() for sample in part]
    skipped = tuple(name for part in parts.values() for name in part.skipped)
    wanted, kept_notes = _published(samples), tuple[str, ...]()
    if keep is not None:
        wanted, kept_notes = names_to_keep(keep, parts)
    unknown = sorted(wanted - {s.sample for s in samples} - set(skipped))
    if unknown:
        raise ManifestError(f"{listed(unknown)} in keep are in none of the three data sets. Correct keep.")
    list_named = "composite" if keep is None else "list to keep"
    left_out = tuple((s.sample, f"{s.label} (not in the {list_named})") for s in samples if s.sample not in wanted)
    notes = [note for part in parts.values() for note in part.notes if note not in part.differences]
    notes += _left_out(name for name, _ in left_out) if keep is None else []
    notes += _units_of(casme2)
    found = Manifest(
        tuple(s for s in samples if s.sample in wanted),
        EMOTIONS,
        ", ".join(part.source for part in parts.values()),
        skipped,
        tuple(file for part in parts.values() for file in part.missing_files),
        tuple(pair for part in parts.values() for pair in part.excluded) + left_out,
        tuple(name for part in parts.values() for name in part.middle_apex if name in wanted),
        (*notes, *kept_notes),
        identities_from="; ".join(part.identities_from for part in parts.values()),
    )
    return with_differences(found, ("composite",))


def _published(samples: Iterable[Sample]) -> set[str]:
    """The samples that are in the published list, in the spelling used here."""
    known = {name.casefold() for name in composite_list()}
    return {s.sample for s in samples if s.sample.casefold() in known}


def _units_of(casme2: Manifest) -> list[str]:
    """Note on the edition of CASME II that the action units are from: they differ, while frame numbers do not."""
    of_2019 = any(s.sample in RELABELED_2019 for s in casme2)
    of_2014 = any(name in RELABELED_2019 and label.casefold() == "sadness" for name, label in casme2.excluded)
    if of_2019 == of_2014 or not any(s.action_units for s in casme2):
        return []
    mine, other = ("2019", "2014") if of_2019 else ("2014", "2019")
    return [
        f"The action units of CASME II are those of its edition of {mine}; 57 of the 255 annotations differ in the "
        f"edition of {other}."
    ]


def _left_out(names: Iterable[str]) -> list[str]:
    """Notes on samples of the three classes that are not in the published list, with the reason if it is known."""
    names = set(names)
    others = sorted(names - OMITTED.keys() - RELABELED_2019.keys())
    notes = [f"Left out because they are not in the published list: {', '.join(others)}."] if others else []
    notes += [f"{name} is left out, as in the published list: {OMITTED[name]}." for name in OMITTED if name in names]
    later = [name for name in RELABELED_2019 if name in names]
    if later:
        notes.append(
            f"The sheet of CASME II is the edition of 2019, which labels {', '.join(later)} as surprise. They are left "
            "out because they are sadness in the edition of 2014, which the published list follows."
        )
    return notes
