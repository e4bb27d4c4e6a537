"""Order of the classes, if a checkpoint contains it besides the weights."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch

from htnet.core.emotions import KNOWN_EMOTIONS, emotion_name
from htnet.core.errors import CheckpointError
from htnet.core.limits import parse_json
from htnet.models.converters.files import Unread

#: Names of the class list in training scripts, in lowercase without punctuation.
_KEYS = frozenset(
    {
        *("classes", "classnames", "classlabels", "classlist", "classorder", "classmap", "classmapping"),
        *("labels", "labelnames", "labelmap", "labelmapping", "labeldict", "labelorder", "labelencoder"),
        *("emotions", "emotionnames", "emotionlabels", "emotionmap"),
        *("emotionclasses", "targetnames", "categories", "categorynames"),
    }
)
_NAME = r"(class|classes|cls|label|emotion|expression|category|target|name)s?"
_NUMBER = r"(idx|index|indices|id|ids|num|number|int|code)"
#: Names of dictionaries between class names and numbers, such as class_to_idx and id2label, spelled as in `_KEYS`.
_MAPS = re.compile(rf"{_NAME}(to|2){_NUMBER}|{_NUMBER}(to|2){_NAME}")
_DEPTH = 8
_CURE = (
    "Name the class of each output, in order: labels=('negative', 'positive', 'surprise') (htnet convert --labels "
    "negative,positive,surprise)."
)


def stored_labels(content: Any, default: Sequence[str]) -> tuple[str, ...] | None:
    """Return the class names in output order, if a checkpoint contains them.

    Args:
        content: see `htnet.models.converters.files.read_checkpoint`.
        default: default names of the model, one per output.

    Returns:
        The names; None if the checkpoint contains none.

    Raises:
        CheckpointError: the class list cannot be read as one order of known names, or there are two orders.
    """
    found: dict[str, tuple[str, ...]] = {}
    for place, value in _places(content, default):
        names = _order(value, len(default))
        if names is None:
            continue
        own = {name.casefold(): name for name in default}
        read = tuple(own.get(emotion_name(name), emotion_name(name)) for name in names)
        unknown = [name for name in read if name not in own.values() and name not in KNOWN_EMOTIONS]
        what = ""
        if len(names) != len(default):
            what = f"{len(names)} names for {len(default)} outputs"
        elif len(set(read)) < len(read):
            what = "a class occurs twice"
        elif unknown:
            what = f"{unknown[0]!r} is not a known class"
        if what:
            raise CheckpointError(f"{place} in this checkpoint is {_shown(value)}: {what}. {_CURE}")
        found[place] = read
    one = next(iter(found), "")
    for other, read in found.items():
        if read != found[one]:
            raise CheckpointError(
                f"{one} in this checkpoint says {', '.join(found[one])}, {other} says {', '.join(read)}. {_CURE}"
            )
    return next(iter(found.values()), None)


def _places(content: Any, default: Sequence[str], name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Entries of a checkpoint that are lists of classes by their name or their content, each with its path."""
    if isinstance(content, Unread):
        content = getattr(content, "state", None)
    if depth > _DEPTH or not isinstance(content, Mapping) or "param_groups" in content:
        return
    for key, value in content.items():
        place = f"{name}.{key}" if name else str(key)
        plain = "".join(c for c in str(key).casefold() if c.isalnum())
        if plain in _KEYS or _MAPS.fullmatch(plain) or _lists_classes(value, default):
            yield place, value
        else:
            yield from _places(value, default, place, depth + 1)


def _lists_classes(value: Any, default: Sequence[str]) -> bool:
    """Whether a value is a list of classes whatever its name: as many known classes as outputs, each once.

    Names with numbers do not count: they may be the numbers of samples.
    """
    if isinstance(value, Mapping) and any(isinstance(key, str) and _number(key) is None for key in value):
        return False
    try:
        names = _order(value, len(default))
    except CheckpointError:
        return False
    known = KNOWN_EMOTIONS | {name.casefold() for name in default}
    return names is not None and len({emotion_name(n) for n in names} & known) == len(names) == len(default)


def _order(value: Any, count: int) -> list[str] | None:
    """Names by output; None if a value does not define their order, such as a number of classes.

    Raises:
        CheckpointError: the value describes the order in a way that cannot be read.
    """
    if isinstance(value, (torch.Tensor, np.ndarray)):
        value = value.tolist()
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, Set) and any(isinstance(v, str) for v in value):
        raise CheckpointError(f"The classes in this checkpoint are {_shown(value)}, which gives no order. {_CURE}")
    if isinstance(value, Mapping):
        if not value:
            return None
        pairs = list(value.items())
        if all(_number(v) is not None for _, v in pairs) and all(_number(k) is None for k, _ in pairs):
            pairs = [(v, k) for k, v in pairs]
        numbered = {_number(k): v for k, v in pairs}
        named = all(isinstance(v, str) and _number(v) is None for v in numbered.values())
        if named and set(numbered) == set(range(len(pairs))):
            return [str(numbered[i]) for i in range(len(pairs))]
        raise CheckpointError(f"The classes in this checkpoint are {_shown(value)}, which gives no order. {_CURE}")
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(v, str) and _number(v) is None for v in value):
            return list(value)
        numbers = [_number(v) for v in value]
        # Labels of samples, often named `labels`, and a plain count (0, 1, 2) do not define an order.
        if len(value) != count or numbers == list(range(count)) or not value:
            return None
        raise CheckpointError(f"The classes in this checkpoint are {_shown(value)}, not names. {_CURE}")
    return None


def _parsed(text: str) -> Any:
    """What a text contains: JSON, a Python literal, or names between separators; None for another text."""
    if text.lstrip().startswith(("[", "{", "(")):
        try:
            return parse_json(text)
        except ValueError:
            pass
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            return None
    for separator in ",;|\n":
        if separator in text.strip():
            return [part.strip() for part in text.strip().split(separator)]
    words = text.split()
    return words if len(words) > 1 and all(emotion_name(word) in KNOWN_EMOTIONS for word in words) else None


def _number(value: Any) -> int | None:
    if isinstance(value, (torch.Tensor, np.generic)) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return int(value) if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
