"""Identity of people and data sets: whether two spellings name the same person, or the same data set.

An evaluation is valid only if no person is both trained and tested on, so people are compared by normalized names, not
by spelling. Within one data set a person must have one spelling: two spellings with the same key are refused instead of
being merged or kept apart by a guess.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

from htnet.core.errors import CorruptWeightsError, InputError, ManifestError
from htnet.core.paths import real_path
from htnet.core.types import QualityWarning
from htnet.core.words import listed

#: What people write where they do not know who it is, by `person_key`; such a sample has no subject. So has one whose
#: subject is punctuation alone.
_UNKNOWN = frozenset(
    {"nan", "none", "null", "nil", "na", "unknown", "unk", "missing", "undefined", "undef", "anonymous", "anon"}
    | {
        "anonymized",
        "anonymised",
        "unidentified",
        "unnamed",
        "notavailable",
        "notknown",
        "notapplicable",
        "tbd",
        "nobody",
    }
)
#: What a number may follow in the names of people: two ways to count them, by `person_key`.
COUNTED = (
    frozenset({"", "id", "no", "nr", "p", "pt", "pat", "patient", "participant", "person"}),
    frozenset({"", "s", "sub", "subj", "subject"}),
)
#: Letters that are not accented forms, and what replaces them where they cannot be typed.
_LETTERS = str.maketrans(
    {"\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u00f0": "d", "\u00fe": "th", "\u00e6": "ae", "\u0153": "oe"}
    | {"\u0127": "h", "\u0167": "t"}
)
#: Letters that are also written as two: "M\u00fcller" and "Mueller", "\u00d8ster" and "Oester", "\u00c5se" and "Aase".
_AS_TWO = str.maketrans({"\u00e4": "ae", "\u00f6": "oe", "\u00fc": "ue", "\u00f8": "oe", "\u00e5": "aa"})
#: Data sets that show the same people under the same names, by the key of the set they belong to. SAMM Long Videos are
#: the recordings that SAMM was cut from (Yap et al., FG 2020); HS, VIS and NIR are SMIC's three cameras.
_SAME_PEOPLE = {
    **dict.fromkeys(("sammlv", "sammlongvideos", "sammlong"), "samm"),
    **dict.fromkeys(("smichs", "smicvis", "smicnir", "smicehs", "smicevis", "smicenir", "smice"), "smic"),
}
#: CAS(ME)^2 is another data set than CASME II, which people also write CASME2.
_CASME_SQUARED = "casme^2"
#: Accents of Latin, Greek and Cyrillic letters, which one table has and another leaves out.
_ACCENTS = re.compile("[\u0300-\u036f]")
#: Letters of Cyrillic and Greek names whose capitals look like Latin ones.
_LOOKS_LIKE = str.maketrans(
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445"
    "\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7",
    "abekmhopctyx" + "abezhikmnoptyx",
)
_NUMBER_OR_REST = re.compile(r"\d+|[^\d\s]+")
#: Hexadecimal digits of a person's key in weights.
_DIGITS = 16
#: Bytes that are read at once, and that are compared before whole files are.
_BLOCK = 1 << 16
#: Fields of a sample that name a file of one person.
_FILES = ("onset", "apex", "flow", "image", "motion")
#: A sample and the path of a file that it has.
_Has = tuple[Any, str]


@lru_cache(maxsize=65536)
def person_key(name: str) -> str:
    """Key of a person's name, the same for all its spellings.

    Compatible characters of Unicode are one (NFKC), so are capitals and small letters, letters with and without accent,
    and letters of two alphabets that look alike. Blanks of any kind, characters without width, punctuation and signs
    ("-", "_", ".", "/", "'", "#", "+" and the like) count for nothing, except between two numbers, where they keep
    these apart. Letters with a stroke are the plain ones ("\u0141ukasz" and "Lukasz"). Numbers have no leading zeros
    and no decimals of zero. So "sub1", "sub01", "Sub-01" and "SUB 1" are one name, "6", "006" and "6.0" another; "1-11"
    and "11-1" are two.

    Args:
        name: as it is written.

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
    """Key of a data set's name: as `person_key`, with "II" as 2, and brackets and "^" ignored.

    "CASME II", "casme2" and "CASME-2" are one set, "CAS(ME)^3" and "casme3" another. "CAS(ME)^2" is a different set.
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

    "sub1", "s1" and "1" are one numbering of people, "P1", "patient 1" and "1" another; "Smith, Anna" is "Anna Smith",
    and "M\u00fcller" is "Mueller".
    """
    key = person_key(name)
    found = {("name", key), ("name", person_key(unicodedata.normalize("NFC", name).casefold().translate(_AS_TWO)))}
    parts = re.fullmatch(r"([^0-9]*)([0-9]+)", key)
    if parts is not None:
        found |= {(f"count {i}", parts[2]) for i, words in enumerate(COUNTED) if parts[1] in words}
    words = [person_key(word) for word in "".join(" " if _separates(c) else c for c in name).split()]
    if len(words) > 1 and all(word.isalpha() for word in words):
        found.add(("words", " ".join(sorted(words))))
    return frozenset(found)


def people_key(dataset: str) -> str:
    """The key of the people a data set shows: those of SAMM Long Videos are those of SAMM."""
    key = dataset_key(dataset)
    return _SAME_PEOPLE.get(key, key)


def person(dataset: str, subject: str) -> tuple[str, str]:
    """Key of a subject of a data set; subjects of the same name in two data sets are two people."""
    return people_key(dataset), person_key(subject)


def hashed_person(dataset: str, subject: str) -> str:
    """A person's key for weights: the first 16 hexadecimal digits of the SHA-256 of what `person` gives.

    It contains no name, but anyone who can guess the name can compute it.
    """
    return hashlib.sha256("\0".join(person(dataset, subject)).encode("utf-8")).hexdigest()[:_DIGITS]


@dataclass(frozen=True)
class TrainedPeople:
    """Record of the people that weights were trained on, without names, stored in their ``config.json``.

    Attributes:
        keys: `hashed_person` of each person's data set and subject.
        names: `hashed_person` of the subject alone, for each person with a named data set, for comparison with samples
            without one.
        complete: whether everyone is included. Training samples without subject, and starting weights without a
            record, make it False.
    """

    keys: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    complete: bool = True

    @classmethod
    def of(cls, samples: Iterable[Any]) -> TrainedPeople:
        """The people that samples show; samples have ``dataset`` and ``subject``, as `htnet.data.Sample` has them."""
        people = {(s.dataset, s.subject) for s in samples}
        named = {(dataset, subject) for dataset, subject in people if is_named(subject)}
        return cls(
            frozenset(hashed_person(*one) for one in named),
            frozenset(hashed_person("", subject) for dataset, subject in named if people_key(dataset)),
            complete=named == people,
        )

    @classmethod
    def from_dict(cls, content: object) -> TrainedPeople:
        """Inverse of `to_dict`; None is an older config without a record.

        Raises:
            CorruptWeightsError: it is not such a record.
        """
        if content is None:
            return cls(complete=False)
        found = content if isinstance(content, Mapping) else {}
        keys: Any = found.get("keys")
        names: Any = found.get("names")
        whole = found.get("complete")
        if not (_are_keys(keys) and _are_keys(names) and isinstance(whole, bool)):
            raise CorruptWeightsError(
                "trained_people is not a record of people: it needs lists of keys and names, and complete. Copy "
                "or train "
                "the weights again."
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
        """Which people of some samples these are, as text.

        Returns:
            Those of the same data set and name; and those of the same name where a data set is not named in the
            samples, in the weights or in both: one person, or two of one name.
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
    """Warnings about scores of weights on some samples because of the people that the weights were trained on.

    Args:
        trained: record of those people; None if unknown.
        datasets: the data sets that the weights were trained on, as far as they record it.
        samples: have ``dataset`` and ``subject``, as `htnet.data.Sample` has them.

    Returns:
        "trained_on_subject" if some people were trained on; "trained_people_unknown" if the record is missing or
        incomplete.
    """
    samples, trained = list(samples), trained or TrainedPeople(complete=False)
    found = []
    sure, by_name = trained.among(samples)
    if sure:
        text = f"The weights were trained on {people_in_words(sure)}: scores on them say nothing about other people."
        found.append(QualityWarning("trained_on_subject", text))
    if by_name:
        text = (
            f"The weights were trained on people of the same name as {people_in_words(by_name)}. The data set is not "
            "named on both sides, so they may be others; if they are the same, scores on them say nothing about "
            "other people."
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
    """People for a message: one by name, of several up to ten and how many they are."""
    if len(people) == 1:
        return people[0]
    shown = ", ".join(people[:10]) + (", ..." if len(people) > 10 else "")
    return f"{len(people)} people ({shown})"


def refuse_unnamed(
    samples: Iterable[Any], source: str, why: str = "people must not be on both sides of a split"
) -> None:
    """Refuse samples without subject, whose person is unknown.

    Args:
        samples: have ``sample`` and ``subject``.
        source: where they were read from.
        why: what requires the subjects.

    Raises:
        ManifestError: there are such; the message names them.
    """
    without = [s.sample for s in samples if not is_named(s.subject)]
    if without:
        raise ManifestError(f"{source}: {listed(without)} without subject. Fill the column 'subject': {why}.")


def check_identities(samples: Sequence[Any], source: str, told_apart: bool = False) -> None:
    """Refuse samples whose subject is ambiguous; every manifest is checked.

    Args:
        samples: have ``sample``, ``dataset`` and ``subject``, as `htnet.data.Sample` has them.
        source: where they were read from.
        told_apart: whether different names are known to be different people, as in a published list that names no data
            sets: sub05 of CASME II, 005 of SAMM and s05 of SMIC.

    Raises:
        ManifestError: a data set or a person is spelled in two ways, two names may be one person's (`readings`), or a
            person has a data set in one place and none in another. The message names both, samples of each and the
            cure.
    """
    _check_datasets(samples, source)
    _check_people(samples, source)
    if told_apart:
        return
    first = {(s.dataset, s.subject): s for s in reversed(samples)}
    _check_zero(first.values(), source)
    for one, other in _may_be_one((s, s.dataset, s.subject) for s in reversed(first.values())):
        raise ManifestError(
            f"{source}: the subjects {one.subject!r} (sample {one.sample!r}) and {other.subject!r} (sample "
            f"{other.sample!r}) may be the same person. Write them alike if they are; give two people names "
            "that differ "
            "in more than an order of words, an umlaut, or what a number follows (sub1, s1, 1), and people of two data "
            "sets the names of these in the column 'dataset'."
        )


def _check_zero(samples: Iterable[Any], source: str) -> None:
    """Refuse the subject 0 beside one that is not a number: people are not counted there, so it may mean unknown."""
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
            f"{source}: the subject {zero[name].subject!r} (sample {zero[name].sample!r}) stands beside "
            f"{other[name].subject!r} (sample {other[name].sample!r}) and may mean that the person is unknown. "
            "Leave it empty if so, or name the person as the others are named."
        )


def check_groups(groups: Iterable[Hashable]) -> None:
    """Refuse names of people, alone or with their data set, that differ in spelling only.

    Raises:
        InputError: two of them do; the message names both.
    """
    found: dict[Hashable, Hashable] = {}
    for group in dict.fromkeys(groups):
        other = found.setdefault(_group_key(group), group)
        if other != group:
            raise InputError(
                f"groups has {other!r} and {group!r}, which have the same name up to spelling. Write them alike."
            )
    named = [(group, *names) for group in found.values() if (names := _dataset_and_name(group)) is not None]
    for one, two in _may_be_one(named):
        raise InputError(f"groups has {one!r} and {two!r}, which may be the same person. Write them alike if they are.")


def _may_be_one(people: Iterable[tuple[Any, str, str]]) -> Iterator[tuple[Any, Any]]:
    """Pairs of things that name a person of one data set in two ways; each thing comes with data set and name."""
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
    """What names a person, alone ("" for the data set) or with a data set; None for groups of another kind."""
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
            what = "have the same name up to spelling" if same else "show the same people"
            raise ManifestError(
                f"{source}: the data sets {other.dataset!r} ({named[0]}) and {sample.dataset!r} ({named[1]}) {what}. "
                "Write them alike in the column 'dataset'; two sets of different people need names that differ "
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
                "have the same name up to spelling. Write them alike if they are one person; give two people "
                "names that differ in more than "
                "capitals, blanks, punctuation and leading zeros."
            )
        other = loose.setdefault(key[1], sample)
        if (not other.dataset) != (not sample.dataset):
            raise ManifestError(
                f"{source}: the samples {other.sample!r} (subject {_full(other)}) and {sample.sample!r} (subject "
                f"{_full(sample)}) may show the same person: one names a data set, the other does not. Fill the column "
                "'dataset' everywhere, or nowhere."
            )


def check_files(samples: Iterable[Any], source: str) -> None:
    """Refuse one file, or two files with equal bytes, under two people or two data sets; every split is checked.

    Args:
        samples: have ``sample``, ``dataset``, ``subject`` and files, as `htnet.data.Sample` has them.
        source: where they were read from.

    Raises:
        ManifestError: there is such a file; the message names it and both samples.
    """
    by_name: dict[tuple[str, ...], list[_Has]] = {}
    by_size: dict[tuple[Any, ...], list[_Has]] = {}
    for sample in samples:
        files: list[tuple[str, ...]] = [
            (str(getattr(sample, name)),) for name in _FILES if getattr(sample, name, None) is not None
        ]
        if getattr(sample, "clip", None) is not None:
            files.append((str(sample.clip), sample.clip_first, sample.clip_last))
        for path, *part in files:
            by_name.setdefault((_one_file(path), *part), []).append((sample, path))
            if (size := _size(path)) is not None:
                by_size.setdefault((size, *part), []).append((sample, path))
    for members in by_name.values():
        if (pair := _apart(members)) is not None:
            (one, path), (other, _) = pair
            raise ManifestError(shared(source, one, other, f"have the file {path}"))
    # Files are read only where their size occurs under two people, and whole only where they begin alike.
    alike = [members for members in by_size.values() if _apart(members)]
    for whole in (False, True):
        alike = [group for members in alike for group in _by_content(members, whole) if _apart(group)]
    for members in alike:
        if (pair := _apart(members)) is not None:
            (one, path), (other, copy) = pair
            what = f"have one picture or recording: {path} and {copy} are equal, byte for byte"
            raise ManifestError(shared(source, one, other, what))


def _apart(members: Sequence[_Has]) -> tuple[_Has, _Has] | None:
    """Two samples that may land on two sides of a split, each with its file; None if there are none."""
    people: dict[tuple[str, str], _Has] = {}
    for member in members:
        people.setdefault(person(member[0].dataset, member[0].subject), member)
    return next(((a, b) for a, b in combinations(people.values(), 2) if differ(a[0], b[0])), None)


def _by_content(members: Sequence[_Has], whole: bool) -> list[list[_Has]]:
    groups: dict[str, list[_Has]] = {}
    for sample, path in members:
        if (digest := _digest_of(path, whole)) is not None:
            groups.setdefault(digest, []).append((sample, path))
    return list(groups.values())


def _size(path: str) -> int | None:
    """Bytes in a file; None for a folder, an empty file and one that is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size or None if stat.S_ISREG(found.st_mode) else None


def _digest_of(path: str, whole: bool) -> str | None:
    """The hash of a file or of its beginning; None if it cannot be read, which the code that needs it reports."""
    try:
        found = os.stat(path)
        return _hash(path, whole, found.st_size, found.st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=65536)
def _hash(path: str, whole: bool, size: int, changed: int) -> str:
    """The hash, kept for as long as the file is the same: an evaluation splits its samples many times."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            if not whole:
                break
    return digest.hexdigest()


def _one_file(path: str) -> str:
    """The same text for all names of a file: a link to it is the file."""
    real = real_path(path)
    try:
        found = os.stat(real)
    except OSError:  # it need not exist
        return real
    return f"{found.st_dev}:{found.st_ino}" if found.st_ino else real


def differ(one: Any, other: Any) -> bool:
    """Whether two samples may land on two sides of a split: they are of two people, or of two data sets."""
    if people_key(one.dataset) != people_key(other.dataset):
        return True
    named = is_named(one.subject) and is_named(other.subject)
    return named and person_key(one.subject) != person_key(other.subject)


def shared(source: str, one: Any, other: Any, what: str) -> str:
    """The message about two samples of two people that are one recording."""
    return (
        f"{source}: the samples {one.sample!r} (subject {_full(one)}) and {other.sample!r} (subject {_full(other)}) "
        f"both {what}, so one person could be on both sides of a split. Correct the subject or the files, or "
        "delete one of them."
    )


def counts(samples: Iterable[Any]) -> tuple[dict[tuple[str, str], int], int]:
    """Samples of each person, by (data set, subject) in order, and the number of samples without subject."""
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
    )  # the "i" without dot of Turkish names
    text = unicodedata.normalize("NFC", _ACCENTS.sub("", text)).translate(_LOOKS_LIKE)
    kept = (c for c in text if unicodedata.category(c) not in ("Cf", "Cc") or c in "\t\n\r")
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in kept)


def _separates(character: str) -> bool:
    return character.isspace() or unicodedata.category(character)[0] in "ZPS"


def _full(sample: Any) -> str:
    return f"{sample.subject!r}" + (f" of {sample.dataset!r}" if sample.dataset else "")


def _in_words(samples: Sequence[Any]) -> str:
    return listed([s.sample for s in samples])
