"""Identity of people and data sets: whether two spellings name the same person or the same data set.

An evaluation is valid only if no person is both trained and tested on, so people are compared by normalized names, not
by spelling. Within one data set each person must have one spelling. Two spellings with the same key are refused:
whether they mean one person or two is not guessed.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from htnet.core.emotions import KNOWN_EMOTIONS
from htnet.core.errors import CorruptWeightsError, InputError, ManifestError
from htnet.core.types import QualityWarning
from htnet.core.words import listed

#: Placeholders for an unknown person, as `person_key` returns them. Samples with such a subject, or with one that
#: consists of punctuation only, have no subject.
_UNKNOWN = frozenset(
    {"nan", "none", "null", "nil", "na", "unknown", "unk", "missing", "undefined", "undef", "anonymous", "anon"}
    | {"anonymized", "anonymised", "unidentified", "unnamed", "notavailable", "notknown", "notapplicable"}
    | {"tbd", "nobody"}
)
#: Prefixes of numbers in names of people, as `person_key` returns them, in two groups. Names with equal numbers and
#: prefixes from one group may be the same person.
COUNTED = (
    frozenset({"", "id", "no", "nr", "p", "pt", "pat", "patient", "participant", "person"}),
    frozenset({"", "s", "sub", "subj", "subject"}),
)
#: Emotions that no group of people is called.
_EMOTIONS = KNOWN_EMOTIONS - {"other", "others"}
#: Letters that have no decomposition into letter and accent, and their usual replacements.
_LETTERS = str.maketrans(
    {"\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u00f0": "d", "\u00fe": "th", "\u00e6": "ae", "\u0153": "oe"}
    | {"\u0127": "h", "\u0167": "t"}
)
#: Letters that are also written as two letters: "M\u00fcller" and "Mueller", "\u00d8ster" and "Oester", "\u00c5se" and
#: "Aase".
_AS_TWO = str.maketrans({"\u00e4": "ae", "\u00f6": "oe", "\u00fc": "ue", "\u00f8": "oe", "\u00e5": "aa"})
#: Data sets that show the same people under the same names as another set, with the key of that set. SAMM was cut from
#: the recordings of SAMM Long Videos (Yap et al., FG 2020); HS, VIS and NIR are SMIC's three cameras.
_SAME_PEOPLE = {
    **dict.fromkeys(("sammlv", "sammlongvideos", "sammlong"), "samm"),
    **dict.fromkeys(("smichs", "smicvis", "smicnir", "smicehs", "smicevis", "smicenir", "smice"), "smic"),
}
#: Key of CAS(ME)^2, which is a different data set from CASME II, often written CASME2.
_CASME_SQUARED = "casme^2"
#: Combining accents of Latin, Greek and Cyrillic letters, which some tables omit.
_ACCENTS = re.compile("[\u0300-\u036f]")
#: Cyrillic and Greek letters whose capitals look like Latin capitals.
_LOOKS_LIKE = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445"
    "\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7",
    "abekmhopctyx" + "abezhikmnoptyx",
)
_NUMBER_OR_REST = re.compile(r"\d+|[^\d\s]+")
#: Number of hexadecimal digits of a person's key in weights.
_DIGITS = 16
#: A long number as spreadsheet programs show it, rounded to a few digits.
_ROUNDED = re.compile(r"\s*[0-9](?:[.,][0-9]+)?[eE]\+[0-9]{2,3}\s*")
_NO_NAME = (
    "is a long number that a spreadsheet program has rounded: several people may have it. Format the column as text "
    "there, and enter the numbers again."
)


@lru_cache(maxsize=65536)
def person_key(name: str) -> str:
    """Key of a person's name, the same for all its spellings.

    Unicode compatibility characters are unified (NFKC), and so are capital and small letters, letters with and without
    accent or stroke ("\u0141ukasz" and "Lukasz"), and letters of different alphabets that look alike. Blanks of any
    kind, zero-width characters, punctuation and symbols ("-", "_", ".", "/", "'", "#", "+" and the like) are removed,
    but still separate two numbers. Leading zeros of numbers and decimals of zero are removed. So "sub1", "sub01",
    "Sub-01" and "SUB 1" are one name, and "6", "006" and "6.0" are one; "1-11" and "11-1" are two.

    Args:
        name: the name as it is written.

    Returns:
        The key; empty if nothing is left.
    """
    text = _plain(name)
    text = re.sub(r"(?<=\d)[.,]0+$", "", text.strip())
    text = "".join(" " if _separates(c) else c for c in text)
    out = ""
    for part in _NUMBER_OR_REST.findall(text):
        number = part.isdecimal()
        if number:
            part = part.lstrip("0") or "0"
        out += f"-{part}" if number and out[-1:].isdecimal() else part
    return out


@lru_cache(maxsize=4096)
def dataset_key(name: str) -> str:
    """Key of a data set's name: as `person_key`, but "II" is read as 2, and brackets and "^" are ignored.

    "CASME II", "casme2" and "CASME-2" are one set, and "CAS(ME)^3" and "casme3" are one. "CAS(ME)^2" is a third set.
    """
    text = _plain(name.replace("²", "^2").replace("³", "^3"))
    squared = re.sub(r"[\s_.-]", "", text)
    if re.fullmatch(r"cas(\(me\)\^?2|me(\^2|sq(uared?)?))", squared):
        return _CASME_SQUARED
    text = re.sub(r"[()\[\]{}^]", "", text)
    text = re.sub(r"(?<=[a-z\s_.-])(iii|ii)$", lambda found: str(len(found[1])), text)
    return person_key(text)


def is_named(subject: str) -> bool:
    """Whether a subject identifies a person; "", "nan", "unknown", "N.A.", "anonymous", "?" and the like do not."""
    key = person_key(subject)
    return bool(key) and key not in _UNKNOWN


@lru_cache(maxsize=65536)
def readings(name: str) -> frozenset[tuple[str, str]]:
    """Possible readings of a name: two names that share a reading may belong to one person.

    "sub1", "s1" and "1" share a reading, and so do "P1", "patient 1" and "1"; "Smith, Anna" and "Anna Smith";
    "M\u00fcller" and "Mueller"; the dates "1.2.26", "01.02.2026" and "2026-02-01 00:00:00".
    """
    key = person_key(name)
    found = {("name", key), ("name", person_key(unicodedata.normalize("NFC", name).casefold().translate(_AS_TWO)))}
    parts = re.fullmatch(r"([^0-9]*)([0-9]+)", key)
    if parts is not None:
        found |= {(f"count {i}", parts[2]) for i, words in enumerate(COUNTED) if parts[1] in words}
    words = [person_key(word) for word in "".join(" " if _separates(c) else c for c in name).split()]
    if len(words) > 1 and all(word.isalpha() for word in words):
        found.add(("words", " ".join(sorted(words))))
    return frozenset(found | _dates(name.strip()))


def _dates(name: str) -> set[tuple[str, str]]:
    """The dates that a name may be, as spreadsheet programs write them, day or month first if the year is last."""
    found = re.fullmatch(r"([0-9]+)([-./])([0-9]+)\2([0-9]+)(?:[ T]0?0:00(?::00)?)?", name)
    first, separator, middle, last = found.groups() if found else ("",) * 4
    if len(first) == 4:
        return {("date", f"{first}-{int(middle):02}-{int(last):02}")}
    kind = "date" if separator == "." else "date, day or month first"
    years = {4: [last], 2: ["19" + last, "20" + last]}.get(len(last), [])
    return {(kind, f"{year}-{int(middle):02}-{int(first):02}") for year in years}


def people_key(dataset: str) -> str:
    """Key of the group of people that a data set shows; SAMM Long Videos and SAMM have the same key."""
    key = dataset_key(dataset)
    return _SAME_PEOPLE.get(key, key)


def person(dataset: str, subject: str) -> tuple[str, str]:
    """Key of a subject of a data set; equal names in two data sets are two people."""
    return people_key(dataset), person_key(subject)


def hashed_person(dataset: str, subject: str) -> str:
    """Key of a person that is stored in weights: the first 16 hexadecimal digits of the SHA-256 of `person`'s result.

    It contains no name, but anyone who guesses the name can compute it.
    """
    return hashlib.sha256("\0".join(person(dataset, subject)).encode("utf-8")).hexdigest()[:_DIGITS]


@dataclass(frozen=True)
class TrainedPeople:
    """Record, without names, of the people that weights were trained on; it is stored in their ``config.json``.

    Attributes:
        keys: `hashed_person` of each person's data set and subject.
        names: `hashed_person` of the subject alone, for each person whose data set is named. It is compared with
            samples that name no data set.
        complete: whether everyone is included. False if training samples had no subject, or if the starting weights
            had no record.
    """

    keys: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    complete: bool = True

    @classmethod
    def of(cls, samples: Iterable[Any]) -> TrainedPeople:
        """The people that samples show; each sample has ``dataset`` and ``subject``, as `htnet.data.Sample` does."""
        people = {(s.dataset, s.subject) for s in samples}
        named = {(dataset, subject) for dataset, subject in people if is_named(subject)}
        return cls(
            frozenset(hashed_person(*one) for one in named),
            frozenset(hashed_person("", subject) for dataset, subject in named if people_key(dataset)),
            complete=named == people,
        )

    @classmethod
    def from_dict(cls, content: object) -> TrainedPeople:
        """Inverse of `to_dict`; None stands for an older config without a record.

        Raises:
            CorruptWeightsError: ``content`` is not such a record.
        """
        if content is None:
            return cls(complete=False)
        found = content if isinstance(content, Mapping) else {}
        keys: Any = found.get("keys")
        names: Any = found.get("names")
        whole = found.get("complete")
        if not (_are_keys(keys) and _are_keys(names) and isinstance(whole, bool)):
            raise CorruptWeightsError(
                "trained_people is not a record of people: it needs the lists keys and names, and the flag complete. "
                "Copy or train the weights again."
            )
        return cls(frozenset(keys), frozenset(names), whole)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"keys": sorted(self.keys), "names": sorted(self.names), "complete": self.complete}

    def joined(self, other: TrainedPeople | None) -> TrainedPeople:
        """Union with another record; None means an unknown record."""
        other = other or TrainedPeople(complete=False)
        return TrainedPeople(self.keys | other.keys, self.names | other.names, self.complete and other.complete)

    def among(self, samples: Iterable[Any]) -> tuple[list[str], list[str]]:
        """The people in ``samples`` who are in this record, as text.

        Returns:
            The people with the same data set and name; and the people with the same name where the samples, the weights
            or both name no data set, so that they may be the same person or only have the same name.
        """
        sure: dict[str, None] = {}
        by_name: dict[str, None] = {}
        for sample in samples:
            if not is_named(sample.subject):
                continue
            key, name = (hashed_person(dataset, sample.subject) for dataset in (sample.dataset, ""))
            if key != name and key in self.keys:
                sure[_full(sample)] = None
            elif name in self.keys or (key == name and name in self.names):
                by_name[_full(sample)] = None
        return list(sure), list(by_name)


def _are_keys(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def trained_doubts(
    trained: TrainedPeople | None, datasets: Sequence[str], samples: Iterable[Any]
) -> tuple[QualityWarning, ...]:
    """Warnings that scores on ``samples`` may be invalid because the weights were trained on people in them.

    Args:
        trained: record of the people that the weights were trained on; None if unknown.
        datasets: data sets that the weights are recorded to be trained on.
        samples: the samples, with ``dataset`` and ``subject``, as `htnet.data.Sample` has them.

    Returns:
        "trained_on_subject" if the weights were trained on some of the people; "trained_people_unknown" if the record
        is missing or incomplete.
    """
    samples, trained = list(samples), trained or TrainedPeople(complete=False)
    found = []
    sure, by_name = trained.among(samples)
    if sure:
        text = f"The weights were trained on {people_in_words(sure)}: scores on them say nothing about other people."
        found.append(QualityWarning("trained_on_subject", text))
    if by_name:
        text = (
            f"The weights were trained on people with the same names as {people_in_words(by_name)}. The weights, the "
            "samples or both name no data set, so they may be different people; if they are the same, scores on them "
            "say nothing about other people."
        )
        found.append(QualityWarning("trained_on_subject", text))
    if not trained.complete:
        text = (
            "The weights do not record everyone they were trained on, so people of these samples may be among "
            f"them. Data sets that they record: {', '.join(datasets) or 'none'}."
        )
        known = {people_key(name) for name in datasets}
        if same := sorted({s.dataset for s in samples if s.dataset and people_key(s.dataset) in known}):
            text += (
                f" Samples of {', '.join(same)} are in these data sets: assume that the weights were trained on them."
            )
        found.append(QualityWarning("trained_people_unknown", text))
    return tuple(found)


def people_in_words(people: Sequence[str]) -> str:
    """People for a message: a single person's name; for several people, their number and up to ten names."""
    if len(people) == 1:
        return people[0]
    shown = ", ".join(people[:10]) + (", ..." if len(people) > 10 else "")
    return f"{len(people)} people ({shown})"


def refuse_unnamed(
    samples: Iterable[Any], source: str, why: str = "people must not be on both sides of a split"
) -> None:
    """Refuse samples without subject.

    Args:
        samples: the samples, with ``sample`` and ``subject``.
        source: where they were read from.
        why: why subjects are required.

    Raises:
        ManifestError: some samples have no subject; the message names them.
    """
    without = [s.sample for s in samples if not is_named(s.subject)]
    if without:
        raise ManifestError(f"{source}: {listed(without)} without subject. Fill the column 'subject': {why}.")


def check_identities(samples: Sequence[Any], source: str, told_apart: bool = False) -> None:
    """Refuse samples whose subject is ambiguous; every manifest is checked.

    Args:
        samples: the samples, with ``sample``, ``dataset`` and ``subject``, as `htnet.data.Sample` has them.
        source: where they were read from.
        told_apart: whether different names are known to be different people. This holds for a published list that
            names no data sets: sub05 of CASME II, 005 of SAMM and s05 of SMIC.

    Raises:
        ManifestError: a subject is a rounded number, a data set or a person is spelled in two ways, two names may
            belong to one person (`readings`), a person has a data set in one sample and none in another, or the
            subjects are names of emotions. The message names both, samples of each, and the cure.
    """
    for sample in samples:
        if _ROUNDED.fullmatch(sample.subject):
            raise ManifestError(f"{source}: the subject {sample.subject!r} (sample {sample.sample!r}) {_NO_NAME}")
    _check_swapped(samples, source)
    _check_datasets(samples, source)
    _check_people(samples, source)
    if told_apart:
        return
    first = {(s.dataset, s.subject): s for s in reversed(samples)}
    _check_zero(first.values(), source)
    for one, other in _may_be_one((s, s.dataset, s.subject) for s in reversed(first.values())):
        raise ManifestError(
            f"{source}: the subjects {one.subject!r} (sample {one.sample!r}) and {other.subject!r} (sample "
            f"{other.sample!r}) may be the same person. If they are, use one spelling. If not, give them names that "
            "differ in more than the order of words, an umlaut, or the prefix of a number (sub1, s1, 1); if they are "
            "from two data sets, name these in the column 'dataset'."
        )


def _check_swapped(samples: Iterable[Any], source: str) -> None:
    """Refuse subjects that are all names of emotions, as where the columns of subject and label are swapped."""
    subjects = sorted({sample.subject for sample in samples if is_named(sample.subject)})
    if len(subjects) > 1 and all(person_key(name) in _EMOTIONS for name in subjects):
        raise ManifestError(
            f"{source}: the subjects are names of emotions ({', '.join(subjects[:5])}), so the columns 'subject' and "
            "'label' may be swapped. Write the person into 'subject'."
        )


def _check_zero(samples: Iterable[Any], source: str) -> None:
    """Refuse the subject 0 if other subjects are not numbers: people are not numbered then, so 0 may mean unknown."""
    zero: dict[str, Any] = {}
    other: dict[str, Any] = {}
    for sample in samples:
        key = person_key(sample.subject)
        if key == "0":
            zero[people_key(sample.dataset)] = sample
        elif is_named(sample.subject) and not key[:1].isdecimal():
            other[people_key(sample.dataset)] = sample
    for name in zero.keys() & other.keys():
        raise ManifestError(
            f"{source}: the subject {zero[name].subject!r} (sample {zero[name].sample!r}) may mean that the person is "
            f"unknown, because others are not numbers: {other[name].subject!r} (sample {other[name].sample!r}). "
            "Leave it empty if so, or name the person as the others are named."
        )


def check_groups(groups: Iterable[Hashable], who: str = "groups has") -> None:
    """Refuse names of people, alone or with their data set, that differ only in spelling or are placeholders.

    Raises:
        InputError: two names do, or may be the same person; the message states both. A name is "unknown" or the like,
            or a rounded number.
    """
    found: dict[Hashable, Hashable] = {}
    for group in dict.fromkeys(groups):
        other = found.setdefault(_group_key(group), group)
        if other != group:
            raise InputError(f"{who} {other!r} and {group!r}, which differ only in spelling. Use one spelling.")
    named = [(group, *names) for group in found.values() if (names := _dataset_and_name(group)) is not None]
    for group, _, name in named:
        if not is_named(name):
            raise InputError(
                f"{who} {group!r}, which is a placeholder. Leave out samples without a person, or give a name."
            )
        if _ROUNDED.fullmatch(name):
            raise InputError(f"{who} {group!r}, which {_NO_NAME}")
    for one, two in _may_be_one(named):
        raise InputError(f"{who} {one!r} and {two!r}, which may be the same person. Use one spelling if they are.")


def _may_be_one(people: Iterable[tuple[Any, str, str]]) -> Iterator[tuple[Any, Any]]:
    """Pairs of items that may name the same person of one data set in two ways; each item has a data set and a name."""
    found: dict[tuple[str, str, str], tuple[Any, str]] = {}
    for thing, dataset, name in people:
        if not is_named(name):
            continue
        for reading in sorted(readings(name)):
            other, before = found.setdefault((people_key(dataset), *reading), (thing, name))
            if person_key(before) != person_key(name):
                yield other, thing


def _group_key(group: Hashable) -> Hashable:
    if isinstance(group, str):
        return person_key(group) or group
    names = _dataset_and_name(group)
    return group if names is None else person(*names)


def _dataset_and_name(group: Hashable) -> tuple[str, str] | None:
    """Data set ("" if there is none) and name of a group that names a person; None for groups of another kind."""
    if isinstance(group, str):
        return "", group
    if isinstance(group, tuple) and len(group) == 2 and all(isinstance(part, str) for part in group):
        return group[0], group[1]
    return None


def _check_datasets(samples: Sequence[Any], source: str) -> None:
    found: dict[str, Any] = {}
    for sample in samples:
        other = found.setdefault(people_key(sample.dataset), sample)
        if other.dataset != sample.dataset:
            named = [_in_words([s for s in samples if s.dataset == name]) for name in (other.dataset, sample.dataset)]
            same = dataset_key(other.dataset) == dataset_key(sample.dataset)
            what = "differ only in spelling" if same else "show the same people"
            raise ManifestError(
                f"{source}: the data sets {other.dataset!r} ({named[0]}) and {sample.dataset!r} ({named[1]}) {what}. "
                "Use one spelling in the column 'dataset'; two sets of different people need names that differ "
                "in more than spelling."
            )


def _check_people(samples: Sequence[Any], source: str) -> None:
    found: dict[tuple[str, str], Any] = {}
    loose: dict[str, Any] = {}
    for sample in samples:
        if not is_named(sample.subject):
            continue
        key = person(sample.dataset, sample.subject)
        other = found.setdefault(key, sample)
        if other.subject != sample.subject:
            pairs = [(other.dataset, other.subject), (sample.dataset, sample.subject)]
            named = [_in_words([s for s in samples if (s.dataset, s.subject) == pair]) for pair in pairs]
            raise ManifestError(
                f"{source}: the subjects {other.subject!r} ({named[0]}) and {sample.subject!r} ({named[1]}) "
                "differ only in spelling. Use one spelling if they are one person; give two people names that differ "
                "in more than capitals, blanks, punctuation and leading zeros."
            )
        other = loose.setdefault(key[1], sample)
        if (not other.dataset) != (not sample.dataset):
            raise ManifestError(
                f"{source}: the samples {other.sample!r} (subject {_full(other)}) and {sample.sample!r} (subject "
                f"{_full(sample)}) may show the same person: one names a data set, the other does not. Fill the column "
                "'dataset' everywhere, or nowhere."
            )


def differ(one: Any, other: Any) -> bool:
    """Whether two samples may be on different sides of a split: they are of two people, or of two data sets."""
    if people_key(one.dataset) != people_key(other.dataset):
        return True
    named = is_named(one.subject) and is_named(other.subject)
    return named and person_key(one.subject) != person_key(other.subject)


def shared(source: str, one: Any, other: Any, what: str) -> str:
    """The message about two samples that show the same recording under two people."""
    return (
        f"{source}: the samples {one.sample!r} (subject {_full(one)}) and {other.sample!r} (subject {_full(other)}) "
        f"both {what}, so one person could be on both sides of a split. Correct the subject or the files, or "
        "delete one of them."
    )


def counts(samples: Iterable[Any]) -> tuple[dict[tuple[str, str], int], int]:
    """Number of samples of each person, by (data set, subject) in order, and of samples without subject."""
    found: Counter[tuple[str, str]] = Counter()
    without = 0
    for sample in samples:
        if is_named(sample.subject):
            found[sample.dataset, sample.subject] += 1
        else:
            without += 1
    return dict(sorted(found.items())), without


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    text = unicodedata.normalize("NFD", text.translate(_LETTERS)).replace(
        "\u0131", "i"
    )  # the dotless "i" of Turkish names
    text = unicodedata.normalize("NFC", _ACCENTS.sub("", text)).translate(_LOOKS_LIKE)
    kept = (c for c in text if unicodedata.category(c) not in ("Cf", "Cc") or c in "\t\n\r")
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in kept)


def _separates(character: str) -> bool:
    return character.isspace() or unicodedata.category(character)[0] in "ZPS"


def _full(sample: Any) -> str:
    return f"{sample.subject!r}" + (f" of {sample.dataset!r}" if sample.dataset else "")


def _in_words(samples: Sequence[Any]) -> str:
    return listed([s.sample for s in samples])
