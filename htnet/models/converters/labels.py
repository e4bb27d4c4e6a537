"""Order of the classes, if a checkpoint contains it besides the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        *("classtoidx", "classtoindex", "classtoid", "class2idx", "class2id", "class2index"),
        *("idxtoclass", "indextoclass", "idtoclass", "idx2class", "id2class", "index2class"),
        *("labels", "labelnames", "labelmap", "labelmapping", "labeldict", "labelorder", "labelencoder"),
        *("id2label", "idx2label", "idtolabel", "idxtolabel", "label2id", "label2idx", "labeltoid", "labeltoidx"),
        *("emotions", "emotionnames", "emotionlabels", "emotionmap", "emotiontoidx", "emotion2idx", "idx2emotion"),
        *("emotionclasses", "targetnames", "categories", "categorynames"),
    }
)
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
    for place, value in _places(content):
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


def _places(content: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Entries of a checkpoint whose names suggest a list of classes, each with its path."""
    if isinstance(content, Unread):
        content = getattr(content, "state", None)
    if depth > _DEPTH or not isinstance(content, Mapping) or "param_groups" in content:
        return
    for key, value in content.items():
        place = f"{name}.{key}" if name else str(key)
        if "".join(c for c in str(key).casefold() if c.isalnum()) in _KEYS:
            yield place, value
        else:
            yield from _places(value, place, depth + 1)


def _order(value: Any, count: int) -> list[str] | None:
    """Names by output; None if a value does not define their order, such as a number of classes.

    Raises:
        CheckpointError: the value describes the order in a way that cannot be read.
    """
    if isinstance(value, (torch.Tensor, np.ndarray)):
        value = value.tolist()
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = parse_json(value)
        except ValueError:
            return None
    elif isinstance(value, str) and "," in value:
        value = [part.strip() for part in value.split(",")]
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


def _number(value: Any) -> int | None:
    if isinstance(value, (torch.Tensor, np.generic)) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return int(value) if isinstance(value, (int, float)) and int(value) == value else None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
