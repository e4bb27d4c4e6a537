"""Patterns that recognize official data sets by the names of their annotation sheets and of their folders of frames.

The readers find their annotation sheets by these patterns, and `htnet.core.hints` recognizes folders by them.
"""

from __future__ import annotations

from dataclasses import dataclass


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
