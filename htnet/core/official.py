"""Patterns that recognize official data sets by the names of their annotation sheets and of their folders of frames.

The readers find their annotation sheets by these patterns, and `htnet.core.hints` recognizes folders by them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from htnet.core.errors import did_you_mean, respelled


@dataclass(frozen=True)
class OfficialSet:
    """How an official data set is recognized.

    Attributes:
        name: name of the set in ``htnet prepare``.
        title: full name of the set.
        sheets: patterns of the annotation's file name, in lowercase; empty for a set without annotation sheet.
        clip: regular expression for the last parts of the path of a folder of frames, in lowercase.
    """

    name: str
    title: str
    sheets: tuple[str, ...]
    clip: str


#: The official sets in order of priority: the first that matches is used.
OFFICIAL = (
    OfficialSet("smic", "SMIC", (), r"/micro/(negative|positive|surprise)/[^/]*_(ne|po|sur)_\d+$"),
    OfficialSet("samm", "SAMM", ("samm_micro_facs_codes*",), r"/0*(\d+)/0*\1_\d+_\d+$"),
    OfficialSet("mmew", "MMEW", ("mmew_micro_exp*",), r"/s\d+-\d+-\d+$"),
    OfficialSet(
        "casme3",
        "CAS(ME)^3 part A",
        ("cas(me)3_part_a*", "cas(me)^3_part_a*", "casme3_part_a*"),
        r"/spno\.\d+(/[a-z]+/color|_[a-z]+_\d+)$",
    ),
    OfficialSet(
        "casme_sq",
        "CAS(ME)^2",
        ("cas(me)^2code*", "cas(me)2code*", "casme_sq*", "code_final*"),
        r"/s\d+/\d+_\d+[a-z]+$",
    ),
    OfficialSet("casme2", "CASME II", ("casme2-coding*",), r"/sub\d+/ep\d+_\d+[a-z]?$"),
    OfficialSet("casme", "CASME", ("casme.*", "casme1.*", "casme[-_ ]coding*"), r"/sub\d+/ep\d+_\d+$"),
    OfficialSet("4dme", "4DME", ("4dme_labelling_micro*",), r"/gray_micro/[^/]+/[^/]+$"),
    OfficialSet("dfme", "DFME", ("*training_full_with_au*", "*test*_full_with_au*", "dfme*"), r"/sub\d+_\d+$"),
)


def official(name: str) -> OfficialSet:
    """The entry of a set by its name."""
    return next(known for known in OFFICIAL if known.name == name)


def did_you_mean_set(name: object, known: Iterable[str]) -> str:
    """`did_you_mean` for names of data sets, which may be given as in papers: "CAS(ME)^2" is not "casme2".

    Args:
        name: what the user wrote.
        known: the accepted names.
    """
    names = sorted(known)
    key = unicodedata.normalize("NFKC", str(name)).replace("^", "")  # "\u00b3" is a 3
    titles = {one.name: one.title.replace("^", "") for one in OFFICIAL if one.name in names}
    meant = [one for one, title in titles.items() if respelled(key, [title, title.partition(" part ")[0]])]
    return did_you_mean(meant[0] if meant else name, names)


#: Sets of long recordings, for spotting, by their names in `htnet.data.read_intervals`. "casme_sq" also has clips.
LONG_SETS: Mapping[str, str] = MappingProxyType(
    {
        "samm_lv": "SAMM Long Videos",
        "casme_sq": "CAS(ME)^2",
        "casme3a": "CAS(ME)^3 part A",
        "casme3c": "CAS(ME)^3 part C",
    }
)


def long_recordings(name: object) -> str:
    """What to do with the name of a set of long recordings where a set of clips is needed; "" for any other name.

    Args:
        name: what the user wrote, in any spelling: "SAMM-LV", "SAMM Long Videos".
    """
    titles = {title: key for key, title in LONG_SETS.items() if key not in {one.name for one in OFFICIAL}}
    found = respelled(name, titles.values()) or [titles[title] for title in respelled(name, titles)]
    if not found:
        return ""
    (key,) = found
    clips = " The clips of its micro-expressions are the set 'casme3'." if key == "casme3a" else ""
    return (
        f"{str(name)!r} is a set of long recordings, for spotting: score events with htnet evaluate-spotting --truth "
        f"FOLDER --dataset {key}, or read them with htnet.data.read_intervals({key!r}, FOLDER).{clips}"
    )
