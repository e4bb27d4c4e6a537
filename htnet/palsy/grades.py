"""House-Brackmann grades, and the classes of a model.

House and Brackmann, "Facial nerve grading system", Otolaryngology - Head and Neck Surgery 93(2), 1985.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from htnet.core.errors import HtnetError, ManifestError

#: The six grades by their Roman numerals, in order, and their names.
GRADES: Mapping[str, str] = MappingProxyType(
    {
        "I": "normal",
        "II": "slight dysfunction",
        "III": "moderate dysfunction",
        "IV": "moderately severe dysfunction",
        "V": "severe dysfunction",
        "VI": "total paralysis",
    }
)
_NUMERALS = tuple(GRADES)


@dataclass(frozen=True)
class GradeScheme:
    """Grades, in order from normal to worst, grouped into classes.

    Attributes:
        classes: class name to the grades (1 to 6) in it; the order of the classes is that of the grades.
    """

    classes: Mapping[str, tuple[int, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, from normal to worst."""
        return tuple(self.classes)

    def class_of(self, text: str, where: str) -> str:
        """The class of a grade as people write it: 1 to 6, I to VI, or a class name such as "I-II".

        Args:
            text: the grade.
            where: where it is written, for the message.

        Raises:
            ManifestError: ``text`` is none of these.
        """
        written = text.strip()
        if written in self.classes:
            return written
        number = _number(written)
        if number is None:
            given = "is empty" if not written else f"is {written!r}"
            raise ManifestError(
                f"{where}: the grade {given}; give a House-Brackmann grade, 1 to 6 or I to VI"
                + (f", or one of {', '.join(self.names)}." if len(self.names) < len(GRADES) else ".")
            )
        return next(name for name, grades in self.classes.items() if number in grades)


#: The schemes by their number of classes. Six: each grade is a class. Three: normal to slight (I-II), moderate to
#: moderately severe (III-IV), severe to total (V-VI).
SCHEMES: Mapping[int, GradeScheme] = MappingProxyType(
    {
        6: GradeScheme(MappingProxyType({name: (i,) for i, name in enumerate(_NUMERALS, 1)})),
        3: GradeScheme(MappingProxyType({"I-II": (1, 2), "III-IV": (3, 4), "V-VI": (5, 6)})),
    }
)


def grade_scheme(classes: int) -> GradeScheme:
    """The classes of `SCHEMES`.

    Raises:
        ManifestError: no scheme has that number of classes.
    """
    if classes not in SCHEMES:
        raise ManifestError(f"classes is {classes!r}; give 6 (each House-Brackmann grade) or 3 (I-II, III-IV, V-VI).")
    return SCHEMES[classes]


def check_order(names: Sequence[str], whose: str, error: type[HtnetError] = ManifestError) -> None:
    """Refuse grades in another order than from normal to worst, or that overlap; classes of other names may be any.

    Args:
        names: class names in the order of the outputs.
        whose: whose they are, for the message.
        error: raised if their order is wrong.
    """
    spans = [span for span in map(_span, names) if span is not None]
    flat = [grade for span in spans for grade in dict.fromkeys(span)]
    if flat != sorted(set(flat)):
        raise error(
            f"The classes of {whose} are {', '.join(names)}, which are grades in another order than from normal to "
            "worst. The probabilities would be given to other grades. Restore the order: "
            f"{' or '.join(', '.join(scheme.names) for scheme in SCHEMES.values())}."
        )


def _span(name: str) -> tuple[int, int] | None:
    """The first and the last grade of a class; None for a class that is named otherwise."""
    first, _, last = name.partition("-")
    if first not in GRADES or (last and last not in GRADES):
        return None
    return _NUMERALS.index(first) + 1, _NUMERALS.index(last or first) + 1


def describe_class(name: str) -> str:
    """A class as text: "House-Brackmann III (moderate dysfunction)"; any other name is returned unchanged.

    Args:
        name: a class name of `SCHEMES`.
    """
    if _span(name) is None:
        return name
    first, _, last = name.partition("-")
    words = GRADES[first] + (f" to {GRADES[last]}" if last else "")
    return f"House-Brackmann {name} ({words})"


def _number(text: str) -> int | None:
    """1 to 6 for a number or a Roman numeral, None for anything else."""
    if text.upper() in GRADES:
        return _NUMERALS.index(text.upper()) + 1
    try:
        value = float(text.replace(",", ".", 1))  # tables written by spreadsheets contain 3.0, or 3,0
    except ValueError:
        return None
    return int(value) if value in range(1, len(GRADES) + 1) else None
