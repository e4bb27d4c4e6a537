"""Validation of the fields of frozen dataclasses and of arguments.

Bounds are named as in pydantic and annotated-types: ``ge``, ``gt``, ``le``, ``lt``.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, TypeVar, cast

from htnet.core.errors import HtnetError, InputError, did_you_mean, refuse_unknown

Self = TypeVar("Self", bound="Checked")

#: Lowest and highest frames per second: from a frame in 17 minutes to above the fastest cameras. Beyond them, times or
#: numbers of frames leave the range of floats and integers.
FPS = (0.001, 1e6)


@dataclass(frozen=True)
class Rule:
    """Rule for the values of a field.

    Attributes:
        allows: returns whether a value is allowed.
        wanted: the allowed values in words, for messages: "a number from 0 to 1".
        names: the allowed names, if the value must be one of several names.
    """

    allows: Callable[[Any], bool]
    wanted: str
    names: tuple[str, ...] = ()

    def check(self, name: str, value: Any, error: type[HtnetError] = InputError) -> Any:
        """The value, numbers as `native` makes them; raises ``error`` about ``name`` unless it is allowed."""
        plain = value if isinstance(value, list) else native(value)
        try:
            allowed = self.allows(plain)
        except (TypeError, ValueError, OverflowError):  # a value of another type, which the rule cannot evaluate
            allowed = False
        if not allowed:
            cure = f". {did_you_mean(value, self.names)}" if self.names else f"; give {self.wanted}."
            raise error(f"{name} is {value!r}{cure}")
        return plain


def one_of(names: Iterable[Any]) -> Rule:
    """One of the given values."""
    known = tuple(names)

    def allows(value: Any) -> bool:  # types are compared too, because 8.0 == 8 and True == 1
        return any(
            isinstance(value, type(name)) and isinstance(value, bool) == isinstance(name, bool) and value == name
            for name in known
        )

    return Rule(allows, f"one of {', '.join(map(str, known))}", tuple(name for name in known if isinstance(name, str)))


def real(*, ge: float | None = None, gt: float | None = None, le: float | None = None, lt: float | None = None) -> Rule:
    """A finite number within bounds."""
    return _bounded(lambda value: isinstance(value, Real) and _is_finite(value), "number", ge, gt, le, lt)


def whole(ge: int | None = 1, le: int | None = None, *, lt: int | None = None, even: bool = False) -> Rule:
    """An integer within bounds."""
    return _bounded(
        lambda value: isinstance(value, int) and not (even and value % 2),
        "even whole number" if even else "whole number",
        ge,
        None,
        le,
        lt,
    )


def seed_number() -> Rule:
    """A seed, as PyTorch and NumPy take it. Every seed is checked by this rule."""
    return Rule(
        lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64,
        "a whole number from 0 to 2^64 - 1",
    )


def flag() -> Rule:
    """True or False."""
    return Rule(lambda value: isinstance(value, bool), "True or False")


def text() -> Rule:
    """A text."""
    return Rule(lambda value: isinstance(value, str), "a text")


def function() -> Rule:
    """A callable."""
    return Rule(callable, "a function")


def optional(rule: Rule) -> Rule:
    """A value that the rule allows, or None."""
    return Rule(lambda value: value is None or rule.allows(value), f"{rule.wanted}, or None", rule.names)


def each(rule: Rule, count: int | None = None) -> Rule:
    """A tuple of values that the rule allows; ``count`` is its length, None for any length."""
    return Rule(
        lambda values: (
            isinstance(values, tuple) and (count is None or len(values) == count) and all(map(rule.allows, values))
        ),
        f"a tuple{'' if count is None else f' of {count} values'}, each {rule.wanted}",
    )


def checked(default: Any, rule: Rule, **metadata: Any) -> Any:
    """A field of a `Checked` dataclass with its default and rule."""
    return dataclasses.field(default=default, metadata={"rule": rule, **metadata})


def named_numbers(given: Any, said: str, error: type[HtnetError]) -> tuple[tuple[str, Any], ...]:
    """(name, number) pairs of a mapping or of pairs, sorted, because their order has no meaning."""
    try:
        pairs = [(name, value) for name, value in (given.items() if isinstance(given, Mapping) else given)]
    except (TypeError, ValueError):
        pairs = [(None, None)]
    if isinstance(given, (str, bytes)):  # an empty text would be no pairs
        pairs = [(None, None)]
    if not all(isinstance(name, str) for name, _ in pairs) or len(dict(pairs)) < len(pairs):
        raise error(f"{said} is {given!r}; give (name, value) pairs, each name once.")
    return tuple(sorted((name, real().check(f"{said}[{name!r}]", value, error)) for name, value in pairs))


def check_fields(owner: object, rules: Mapping[str, Rule], whose: str, error: type[HtnetError]) -> None:
    """Check fields of a frozen dataclass that has no rules of its own, and convert NumPy's numbers to Python's."""
    for name, rule in rules.items():
        object.__setattr__(owner, name, rule.check(f"{name} of {whose}", getattr(owner, name), error))


class Checked:
    """Base class of frozen dataclasses with validated fields, see `checked`.

    Lists are converted to tuples, and NumPy's numbers to Python's. JSON has neither tuples nor NumPy's numbers, so a
    saved and reloaded object then equals the original.
    """

    #: The exception type, the noun for a field in "unknown name" errors, and the prefix of field names in messages.
    _error: ClassVar[type[HtnetError]] = InputError
    _noun: ClassVar[str] = "field"
    _prefix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = native(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            if (rule := self._rule(field.name)) is not None:
                rule.check(f"{self._prefix}{field.name}", value, self._error)

    @classmethod
    def check_field(cls, name: str, value: Any, said: str) -> None:
        """Refuse a value that the field ``name`` does not allow; the message calls it ``said``, such as an option."""
        if (rule := cls._rule(name)) is not None:
            rule.check(said, native(value), cls._error)

    @classmethod
    def _rule(cls, name: str) -> Rule | None:
        """The rule of a field; a field that only overrides the default inherits the rule of the base class."""
        for base in cls.__mro__:
            field = vars(base).get("__dataclass_fields__", {}).get(name)
            if field is not None and "rule" in field.metadata:
                return cast("Rule", field.metadata["rule"])
        return None

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The names of all fields, in order."""
        return tuple(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls: type[Self], data: Mapping[str, Any]) -> Self:
        """Build an object from field names and values, for example from JSON; unknown fields are refused."""
        refuse_unknown(data, cls.field_names(), cls._noun, cls._error)
        return cls(**data)


def native(value: Any) -> Any:
    """Convert lists, and lists inside them, to tuples, and NumPy's numbers and fractions to numbers of JSON."""
    if isinstance(value, (list, tuple)):
        return tuple(native(part) for part in value)
    numpy = sys.modules.get("numpy")  # not imported: then nothing is of its types
    if numpy is not None and isinstance(value, numpy.generic):
        value = value.item()
    if not isinstance(value, Real) or isinstance(value, (int, float)):
        return value
    try:
        return float(value)  # a fraction, or a long double of NumPy, which item() does not convert
    except OverflowError:
        return value


def checked_fps(fps: object, name: str = "fps", error: type[HtnetError] = InputError) -> float | None:
    """Check frames per second.

    Args:
        fps: the rate, or None for an unknown one.
        name: whose it is, for the message.
        error: raised unless it is a number within `FPS`.
    """
    found = optional(real(ge=FPS[0], le=FPS[1])).check(name, fps, error)
    return None if found is None else float(found)


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer or a fraction beyond the largest float
        return False


def _bounded(
    is_kind: Callable[[Any], bool],
    kind: str,
    ge: float | None,
    gt: float | None,
    le: float | None,
    lt: float | None,
) -> Rule:
    def allows(value: Any) -> bool:
        return (
            not isinstance(value, bool)
            and is_kind(value)
            and (ge is None or value >= ge)
            and (gt is None or value > gt)
            and (le is None or value <= le)
            and (lt is None or value < lt)
        )

    low, high = (ge if gt is None else gt), (le if lt is None else lt)
    article = "an" if kind.startswith("e") else "a"
    if high is None:
        where = "" if low is None else f" of {low:g} or more" if gt is None else f" above {low:g}"
    elif gt is None and lt is None and low is not None:
        where = f" from {low:g} to {high:g}"
    else:
        opening = "(-inf" if low is None else f"{'[' if gt is None else '('}{low:g}"
        where = f" in {opening}, {high:g}{']' if lt is None else ')'}"
    return Rule(allows, f"{article} {kind}{where}")
