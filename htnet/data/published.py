"""Published lists and sizes of known data sets, and comparison of a manifest with them.

Identifiers, people and labels are in ``htnet/assets/lists``. For sets of which only the size is published, the size is
in this module. The documentation's page on data sets lists the sources.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from htnet.core.assets import ASSETS
from htnet.core.identity import dataset_key, person_key
from htnet.core.types import EMOTIONS
from htnet.core.words import counted, people_counted
from htnet.data.manifest import Manifest, Sample

LISTS = ASSETS / "lists"
#: The data sets in the composite, in the order of its published list.
COMPOSITE = ("casme2", "smic", "samm")
#: Samples of CASME II whose label has one of the three classes, but which the composite of MEGC 2019 leaves out.
OMITTED: Mapping[str, str] = {
    "sub04_EP12_01f": "its sheet states no apex",
    "sub05_EP09_05f": "its onset and its apex are the same frame, 69",
}
#: Labels of CASME II that differ in the edition of 2019; in that of 2014, which the composite follows, all three are
#: sadness.
RELABELED_2019: Mapping[str, str] = {
    "sub24_EP07_01": "surprise",
    "sub24_EP07_04f": "surprise",
    "sub24_EP10_03": "surprise",
}
#: Replaces labels that are not compared.
_ANY = "?"


@dataclass(frozen=True)
class Known:
    """One sample of a published list: identifier, person, and class in the list ("" if it has none)."""

    sample: str
    subject: str
    label: str


@dataclass(frozen=True)
class Reference:
    """The published list or size of a data set.

    Attributes:
        title: name of the set in notes.
        count: number of samples that have a class.
        subjects: number of people in these samples; None if it is not published.
        samples: the list by identifier in lowercase; empty if only the size is published.
        whole: whether the count includes all annotated samples, also those without a class and those left out. Such a
            count can be compared only if the annotation itself was read.
    """

    title: str
    count: int
    subjects: int | None = None
    samples: Mapping[str, Known] = field(default_factory=dict)
    whole: bool = False


#: Titles of the sets whose lists are included, by file name.
_LISTED: Mapping[str, str] = {
    "casme2": "CASME II, edition of 2014",
    "samm": "SAMM",
    "smic": "SMIC (HS)",
    "casme3_edited": "CAS(ME)^3 part A, edited list",
}
#: Published sizes of other sets: of the samples with one of the three classes, and of all samples.
_SIZES: Mapping[str, tuple[Reference, Reference]] = {
    "casme3": (
        Reference("CAS(ME)^3 part A, official sheet v2, three classes", 699, 88),
        Reference("CAS(ME)^3 part A, official sheet v2", 860),
    ),
    "mmew": (Reference("MMEW, three classes", 234), Reference("MMEW", 300)),
    "casme": (Reference("CASME", 195, whole=True),) * 2,
    "casme_sq": (Reference("CAS(ME)^2, micro-expressions", 57, whole=True),) * 2,
    "dfme": (Reference("DFME", 7526, whole=True),) * 2,
}
#: Names of the lists that `differences` can compare with.
_NAMES = ("composite", *_LISTED, *_SIZES)
#: Sets with a reader whose published size could not be looked up.
UNKNOWN_SIZE = ("4dme",)
#: The names used here, by `dataset_key`; SMIC's list is that of its high-speed camera.
_BY_KEY: Mapping[str, str] = {
    **{dataset_key(name): name for name in (*COMPOSITE, *_SIZES)},
    dataset_key("SMIC-HS"): "smic",
    dataset_key("CAS(ME)^3 part A"): "casme3",
}


@cache
def read_list(name: str) -> tuple[tuple[Known, str], ...]:
    """The samples of an included list: each with its class of the three of MEGC 2019, and its original label."""
    with (LISTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple((Known(row["sample"], row["subject"], row["three"]), row["own"]) for row in csv.DictReader(file))


def composite_list() -> dict[str, Known]:
    """The 442 samples of the composite of MEGC 2019, by identifier."""
    found = [known for name in COMPOSITE for known, _ in read_list(name)]
    return {known.sample: known for known in found if known.label and known.sample not in OMITTED}


def differences(manifest: Manifest, names: Sequence[str] = ()) -> tuple[str, ...]:
    """Differences of a manifest from the published list of its set, one sentence per kind; empty if there are none.

    Every sample that is missing, is not in the published list, or has another label or person there is named.

    Args:
        manifest: the manifest.
        names: the lists to compare with: "composite", or data sets; the most similar list is used. By default the sets
            in the column ``dataset``, in any spelling, provided that some of their identifiers are in the published
            list.
    """
    if names:
        return _compare(manifest, manifest.samples, [r for name in names for r in _references(name, manifest)])
    found: list[str] = []
    name_of = {sample.dataset: _known_name(sample.dataset) for sample in manifest}
    datasets = set(name_of.values())
    whole = datasets >= set(COMPOSITE) and manifest.classes == EMOTIONS
    groups = [("composite",), *((d,) for d in sorted(datasets - set(COMPOSITE)))] if whole else [(d,) for d in datasets]
    for group in sorted(groups):
        members = COMPOSITE if group == ("composite",) else group
        samples = [sample for sample in manifest if name_of[sample.dataset] in members]
        wanted = ("casme3", "casme3_edited") if group == ("casme3",) else group
        references = [r for name in wanted for r in _references(name, manifest) if not r.whole]
        listed = {key for reference in references for key in reference.samples}
        if not listed or any(sample.sample.casefold() in listed for sample in samples):
            found += _compare(manifest, samples, references)
    return tuple(found)


def _known_name(dataset: str) -> str:
    """The name used in this module for a data set that may be spelled differently, such as "CASME II"."""
    return _BY_KEY.get(dataset_key(dataset), dataset)


def with_differences(manifest: Manifest, names: Sequence[str] = ()) -> Manifest:
    """Return the manifest with its `differences` as notes, which replace earlier ones.

    Args:
        manifest: the manifest.
        names: the lists to compare with, see `differences`. By default those of the earlier comparison, stored in a
            prepared folder's report, because samples alone cannot distinguish two editions of one set.
    """
    if not names and (names := _remembered(manifest)) and any(r.whole for n in names for r in _references(n, manifest)):
        return manifest  # the annotation is no longer available for counting, so the earlier notes remain
    told = differences(manifest, names)
    others = tuple(note for note in manifest.notes if note not in manifest.differences)
    return replace(manifest, notes=(*others, *told), differences=told, compared_with=tuple(names))


def _remembered(manifest: Manifest) -> tuple[str, ...]:
    """The lists that a manifest was compared with, unless its samples now belong to other sets."""
    sets = {_known_name(sample.dataset) for sample in manifest}
    of = {name: set(COMPOSITE) if name == "composite" else {name.removesuffix("_edited")} for name in _NAMES}
    names = manifest.compared_with
    return names if names and sets <= {"", *(s for name in names for s in of.get(name, ()))} else ()


def _references(name: str, manifest: Manifest) -> list[Reference]:
    """The published references of a name, with labels that can be compared with the manifest's classes."""
    three = manifest.classes == EMOTIONS
    if name == "composite":
        return [_reference("composite of MEGC 2019", composite_list().values(), three)]
    if name in _LISTED:
        rows = [known if three else replace(known, label=own) for known, own in read_list(name)]
        comparable = {known.label for known in rows if known.label} <= set(manifest.classes)
        if not comparable:  # the caller's own classes: only identifiers and people can be compared
            rows = [known for known, _ in read_list(name)]
        found = [_reference(_LISTED[name], rows, comparable)]
        if name == "casme2":
            later = [replace(known, label=RELABELED_2019.get(known.sample, known.label)) for known in rows]
            found.append(_reference("CASME II, edition of 2019", later, comparable))
        return found
    return [_SIZES[name][0 if three else 1]] if name in _SIZES else []


def _reference(title: str, rows: Iterable[Known], comparable: bool) -> Reference:
    labeled = [known if comparable else replace(known, label=_ANY) for known in rows if known.label]
    people = len({known.subject for known in labeled})
    return Reference(title, len(labeled), people, {known.sample.casefold(): known for known in labeled})


def _compare(manifest: Manifest, samples: Sequence[Sample], references: Sequence[Reference]) -> tuple[str, ...]:
    """Notes on the differences from the most similar reference."""
    found = [(reference, _differ(manifest, samples, reference)) for reference in references]
    if not found:
        return ()
    reference, (notes, _) = min(found, key=lambda pair: pair[1][1])
    if reference.title == "CASME II, edition of 2019":
        moved = sorted({s.sample for s in samples} & RELABELED_2019.keys())
        notes = [
            f"Published editions of CASME II differ: these labels are those of 2019, in which {', '.join(moved)} are "
            "surprise; in the edition of 2014, which the composite of MEGC 2019 follows, they are sadness.",
            *notes,
        ]
    return tuple(notes)


def _differ(manifest: Manifest, samples: Sequence[Sample], reference: Reference) -> tuple[list[str], int]:
    """Notes on the differences from one reference, and their number."""
    why = dict.fromkeys(manifest.skipped, "files missing") | dict(manifest.excluded)
    if not reference.samples:
        return _differ_in_size(samples, reference, why)
    here, there = {s.sample.casefold(): s for s in samples}, reference.samples
    both = [(there[key], sample) for key, sample in here.items() if key in there]
    groups = {
        "not in it": [f"{s.sample} ({s.label})" if s.label else s.sample for k, s in here.items() if k not in there],
        "missing here": [
            f"{known.sample} ({why[known.sample]})" if known.sample in why else known.sample
            for key, known in there.items()
            if key not in here
        ],
        "labeled differently": [
            f"{known.sample} ({known.label} there, {sample.label} here)"
            for known, sample in both
            if known.label != _ANY and sample.label not in (None, known.label)
        ],
        "of a different person": [
            f"{known.sample} ({known.subject} there, {sample.subject} here)"
            for known, sample in both
            if sample.subject and person_key(sample.subject) != person_key(known.subject)
        ],
    }
    head = f"Published list of {reference.title} ({counted(reference.count, 'sample')}), here {len(samples)}: "
    notes = [f"{head}{len(names)} {what}: {', '.join(sorted(names))}." for what, names in groups.items() if names]
    return notes, sum(map(len, groups.values()))


def _differ_in_size(samples: Sequence[Sample], reference: Reference, why: Mapping[str, str]) -> tuple[list[str], int]:
    people = len({s.subject for s in samples if s.subject})
    wrong = reference.subjects is not None and people != reference.subjects
    annotated = len(samples) + (len(why) if reference.whole else 0)
    if annotated == reference.count and not wrong:
        return [], 0
    published = counted(reference.count, "sample")
    published += f" of {people_counted(reference.subjects)}" if reference.subjects else ""
    # Samples whose label belongs to no class are reported elsewhere; these are samples that should be here.
    left_out = [f"{name} ({reason})" for name, reason in sorted(why.items()) if "missing" in reason or "(" in reason]
    named = f" Left out: {', '.join(left_out)}." if left_out else ""
    here = f"annotated here: {annotated}, of which read: {len(samples)}" if reference.whole else f"here: {len(samples)}"
    note = (
        f"Published size of {reference.title}: {published}; {here}, of {people_counted(people)}. htnet has no list of "
        f"this set, so it cannot name the differing samples.{named}"
    )
    return [note], abs(annotated - reference.count) + wrong
