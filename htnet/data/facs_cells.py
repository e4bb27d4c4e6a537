"""Parser of the cells of annotation sheets that contain codes of the Facial Action Coding System (FACS)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from htnet.core.errors import InputError, refuse_type
from htnet.core.facs import ACTION_UNITS, DESCRIBED, DESCRIPTORS, MOVEMENTS

#: Cells that mean that the sample is not annotated. CASME II (2014) has "?", CAS(ME)^2 "NULL" and "null".
NOT_ANNOTATED = frozenset({"", "?", "??", "-", "--", "/", ".", "null", "nan", "n/a", "na", "unknown"})
#: Cells that mean that the coder saw no action unit.
NO_UNIT = frozenset({"none", "no au", "no aus", "no unit", "no units", "no action unit", "no action units"})
#: Maximum length of an annotation in characters, and maximum nesting of its parentheses.
_LONGEST, _DEEPEST = 300, 8

#: ASCII equivalents of punctuation from keyboards of several languages, and of special and invisible blanks.
_PLAIN = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},  # full-width forms
    **dict.fromkeys(map(ord, "\ufe62\u2795"), "+"),
    **dict.fromkeys(map(ord, "\u3001\u060c"), ","),
    **dict.fromkeys(map(ord, "\u061b"), ";"),
    **dict.fromkeys(map(ord, "\u2044\u2215"), "/"),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-"),
    **dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2009\u202f\u3000\t"), " "),
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\ufeff"), None),
}
_SIDES = {"L": "left", "R": "right"}
_LETTERS = r"[LRATB](?:\s*/\s*[LRATB])*"
_BEFORE = rf"(?:{_LETTERS}|\(\s*{_LETTERS}\s*\))"
_INTENSITY = r"(?:[A-E](?:/[A-E])*|\(\s*[A-E](?:\s*/\s*[A-E])*\s*\))"
_SIDE = r"(?:[LR]|\([LR]\))"
_SUFFIX = rf"(?:{_SIDE}?{_INTENSITY}|{_INTENSITY}?{_SIDE})"
#: The part after a number: its intensity and a side, in either order, then marks. Letters after a blank belong to the
#: next number if there is one.
_AFTER = (
    rf"(?P<after>(?:{_SUFFIX}(?![0-9])|\s+{_SUFFIX}(?!\s*[0-9]))?)"
    r"(?=OR[\s(0-9LRATB]|[^A-Z]|$)(?P<marks>(?:\s*(?:\?|\(K\)))*)"
)
_CODE = re.compile(
    rf"(?P<before>{_BEFORE})?\s*(?P<kind>AU|AD|M)?[\s_.]*(?P<between>{_BEFORE})?\s*(?P<number>[0-9]+)(?:{_AFTER})?"
)
_SEPARATOR = re.compile(r"\s*(?:[+,;&\n]|AND\b)\s*")
_OR = re.compile(r"\s*(?:OR(?=[\s(0-9LRATBM])|/)\s*")
_OPEN = re.compile(rf"(?P<before>REF|{_LETTERS})?\s*\(\s*")
_CLOSE = re.compile(rf"\s*\){_AFTER}")
#: Parts that are not codes: remarks in SAMM's sheets, and 4DME's mark on its own.
_REMARK = re.compile(r"SOFT FOCUS|GLARE|\(K\)")
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?(?:[ T].*)?|\d\d?:\d\d(?::\d\d)?")
_HOW = (
    "Write units as 12, L12, 12L, R6A or 10A/B, joined by +, alternatives as (R6 or R12), descriptors as AD31 and "
    "movements as M57."
)
#: The cure for a cell that a spreadsheet program has converted.
AS_TEXT = "Format the column as text and type the units again"


@dataclass(frozen=True)
class ActionUnit:
    """One action unit of an annotation.

    Attributes:
        number: its number in FACS.
        side: "left" or "right" side of the subject's face; None for both sides, or if not stated.
        intensity: "A" (trace) to "E" (maximum), several letters if the coder was unsure ("AB"); "" if not stated.
        mark: a mark after the code in the sheet: "?" (SAMM: its end is not clear) or "k" (4DME; its meaning is not
            published); usually "".
    """

    number: int
    side: str | None = None
    intensity: str = ""
    mark: str = ""


@dataclass(frozen=True)
class ActionDescriptor:
    """A FACS code that is not an action unit, for example an action descriptor, or a head or eye movement.

    Attributes:
        number: its number in FACS.
        kind: a key of `htnet.core.facs.DESCRIPTORS`.
        side: as for `ActionUnit`.
        intensity: as for `ActionUnit`.
        mark: as for `ActionUnit`.
    """

    number: int
    kind: str
    side: str | None = None
    intensity: str = ""
    mark: str = ""


Code = ActionUnit | ActionDescriptor


@dataclass(frozen=True)
class Annotation:
    """The content of an annotation.

    Attributes:
        annotated: False if the sample is not annotated ("", "?", "null"); True without ``units`` if the coder saw none
            ("none").
        units: the action units. Each term between separators has one entry with its alternatives, usually only one.
        descriptors: action descriptors and movements, in the same form.
    """

    annotated: bool
    units: tuple[tuple[ActionUnit, ...], ...] = ()
    descriptors: tuple[tuple[ActionDescriptor, ...], ...] = ()


def parse_annotation(text: str) -> Annotation:
    """Parse an annotation such as ``4+7+L10``, ``R6A+R12``, ``(R6 or R12)+R15``, ``AU12, AD38`` or ``12L``.

    Terms are joined by "+", ",", ";", "&", "and", a line break or blanks; alternatives are joined by "or" or "/", which
    bind tighter. L and R before or after a number are the subject's sides. A (asymmetric), T and B (top and bottom lip)
    may also precede a number; they state no side. A to E after a number are intensities. SAMM's "ref(...)" is replaced
    by its content. If an alternative consists of several units, as in "(8+25) or 50", each of them counts as an
    alternative. Case is ignored.

    `htnet.core.facs` defines which numbers are units, descriptors and movements. The prefix AD makes a number a
    descriptor, and M makes it a movement.

    Raises:
        InputError: a term has another form, or FACS has no such code; the message says what to write. This includes
            cells that a spreadsheet program has converted to a number or a date, such as "2.00E+01".
    """
    refuse_type("An annotation of action units", text, str, "a text such as '4+7' or 'L12'")
    plain = text.translate(_PLAIN).strip()
    if plain.casefold() in NOT_ANNOTATED:
        return Annotation(annotated=False)
    if plain.casefold() in NO_UNIT:
        return Annotation(annotated=True)
    _refuse_numbers(text, plain)
    terms = _Reader(text, re.sub(r"^([0-9]+)\.0+$", r"\1", plain)).all()
    units = tuple(tuple(c for c in term if isinstance(c, ActionUnit)) for term in terms)
    others = tuple(tuple(c for c in term if isinstance(c, ActionDescriptor)) for term in terms)
    return Annotation(True, tuple(filter(None, units)), tuple(filter(None, others)))


def parse_action_units(text: str) -> tuple[tuple[ActionUnit, ...], ...]:
    """The action units of an annotation, without its descriptors and movements; see `parse_annotation`.

    Returns:
        One entry for each term, with its alternatives, usually only one. Empty if the sample is not annotated, and if
        the coder saw no unit.

    Raises:
        InputError: as `parse_annotation` does.
    """
    return parse_annotation(text).units


def keep_readable(text: str, where: str, sample: str, spoiled: str = "") -> tuple[str, tuple[str, ...]]:
    """The annotation to store in a sample, and a note for the user if it cannot be parsed.

    Every reader of action units uses this, so a bad cell never ends a run and is never ignored silently.

    Args:
        text: content of the cell.
        where: location of the cell, for the note.
        sample: the sample that the cell annotates.
        spoiled: how a spreadsheet program has changed the cell, with the fix; "" if it has not.

    Returns:
        The annotation ("" if there is none or it cannot be parsed), and the notes (one or none).
    """
    try:
        if spoiled:
            raise InputError(spoiled)
        return (text.strip() if parse_annotation(text).annotated else ""), ()
    except InputError as error:
        return "", (f"{where}: the action units of sample {sample!r} are left out. {error}",)


class _Reader:
    """Parser of one annotation; ``place`` is the position in ``plain``."""

    def __init__(self, text: str, plain: str) -> None:
        self.text, self.plain, self.place, self.depth = text, plain.upper(), 0, 0

    def all(self) -> list[tuple[Code, ...]]:
        """All terms, to the end."""
        if len(self.plain) > _LONGEST:
            raise InputError(
                f"An annotation of {len(self.plain)} characters ({self.text[:40]!r}...) is too long. {_HOW}"
            )
        found = self.terms()
        if self.place < len(self.plain):
            raise self.wrong()
        return found

    def terms(self) -> list[tuple[Code, ...]]:
        """Terms up to a closing parenthesis or the end."""
        found = list(self.term())
        while self.place < len(self.plain) and not self.plain[self.place :].lstrip().startswith(")"):
            if not self.take(_SEPARATOR):
                # The separator is a blank, or nothing after a parenthesis, as in "ref(7)12E".
                blank = self.plain[self.place].isspace()
                if not blank and self.plain[self.place - 1] != ")":
                    raise self.wrong()
                self.place += len(self.plain[self.place :]) - len(self.plain[self.place :].lstrip())
            found += self.term()
        return found

    def term(self) -> list[tuple[Code, ...]]:
        """One term with its alternatives; several terms if parentheses contain several and no alternative follows."""
        found = self.part()
        if not (after := self.take(_OR)):
            return found
        alternatives = [code for term in found for code in term]
        while after:
            alternatives += [code for term in self.part() for code in term]
            after = self.take(_OR)
        return [tuple(alternatives)]

    def part(self) -> list[tuple[Code, ...]]:
        if self.take(_REMARK):
            return []
        if found := self.take(_CODE):
            return [(self.code(found),)]
        if found := self.take(_OPEN):
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self.wrong("has too many nested brackets")
            inside = self.terms()
            closing = self.take(_CLOSE)
            if closing is None:
                raise self.wrong("has brackets that do not match")
            self.depth -= 1
            letters = "" if found["before"] in (None, "REF") else found["before"]
            side, (after_side, intensity) = _side(letters), _after(closing["after"])
            return [tuple(_with(code, side or after_side, intensity) for code in term) for term in inside]
        if self.plain.startswith(")", self.place):
            raise self.wrong("has brackets that do not match")
        raise self.wrong()

    def code(self, found: re.Match[str]) -> Code:
        number, kind = int(found["number"]), found["kind"]
        after_side, intensity = _after(found["after"] or "")
        letters = [name for name in ("before", "between") if found[name]]
        if found["after"] is None or len(letters) > 1:
            self.place = found.start()
            raise self.wrong()
        before = _side(found[letters[0]]) if letters else None
        if before and after_side and before != after_side:
            self.place = found.start()
            raise self.wrong("names two sides")
        mark = "".join(sorted(set(re.findall("[?K]", found["marks"])))).lower()
        written = f"{kind or ''}{number}"
        known = {"AD": dict.fromkeys(DESCRIBED, "action"), "M": {n: name for name, ns in MOVEMENTS.items() for n in ns}}
        every = {n: name for name, ns in DESCRIPTORS.items() for n in ns}
        what = known.get(kind, every).get(number)
        side = before or after_side
        if what is None and kind in (None, "AU") and number in ACTION_UNITS:
            return ActionUnit(number, side, intensity, mark)
        if what is None or len(found["number"]) > 2:
            raise InputError(f"The annotation {self.text!r} has {written}, and FACS has no such code. {_HOW}")
        return ActionDescriptor(number, what, side, intensity, mark)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Match the pattern at the current position, and move past the match if there is one."""
        found = pattern.match(self.plain, self.place)
        if found:
            self.place = found.end()
        return found

    def wrong(self, what: str = "") -> InputError:
        rest = self.plain[self.place :].strip()
        problem = what or (f"cannot be read from {rest[:20]!r} on" if rest else "ends where a unit should follow")
        return InputError(f"The annotation {self.text!r} of action units {problem}. {_HOW}")


def _side(letters: str) -> str | None:
    """The side that the letters before a number state, if they agree."""
    sides = {_SIDES.get(letter) for letter in re.findall("[A-Z]", letters)}
    return sides.pop() if len(sides) == 1 else None


def _after(text: str) -> tuple[str | None, str]:
    """Side and intensity in the letters after a number."""
    sides = re.findall("[LR]", text)
    return (_SIDES[sides[0]] if sides else None), "".join(re.findall("[A-E]", text))


def _with(code: Code, side: str | None, intensity: str) -> Code:
    return replace(code, side=code.side or side, intensity=code.intensity or intensity)


def _refuse_numbers(text: str, plain: str) -> None:
    """Refuse an annotation that a spreadsheet program has converted to a number or a date.

    It reads "2E+1" (unit 2 at intensity E, and unit 1) as twenty, and "4.7" as a decimal number.

    Raises:
        InputError: ``plain`` is such a number or date; the message states the fix.
    """
    number = re.fullmatch(r"([0-9]+)(\.[0-9]+)?(?:E([+-]?)([0-9]+))?", plain)
    if number is not None:
        whole, fraction, sign, power = number.groups()
        exponent = power is not None and (fraction is not None or sign != "+" or power.startswith("0"))
        rounded = power is None and fraction is not None and (int(fraction[1:]) != 0 or whole.endswith("0"))
        if exponent or rounded or len(whole) > 2:
            raise InputError(
                f"{text!r} is a number that a spreadsheet program or a script wrote, perhaps from an annotation such "
                f"as 2E+1. {AS_TEXT}."
            )
    if _DATE.fullmatch(plain):
        raise InputError(f"{text!r} is a date or time that a spreadsheet program made from an annotation. {AS_TEXT}.")
