"""Search for the state dict in a checkpoint: in wrappers, with prefixes, next to losses, averages and settings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from htnet.core.arrays import plain_array
from htnet.core.errors import CheckpointError
from htnet.models.converters.base import State, all_kinds, refusal
from htnet.models.converters.files import Unread, is_pickled_module, unread_kind

#: Parts of a parameter's name added by wrappers: DataParallel and DistributedDataParallel, torch.compile, FSDP,
#: activation checkpointing.
_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
#: Names that training scripts give to losses and metrics, whose tensors are not part of a model.
_LOSSES = re.compile(r"(.+_)?(criterion|loss|loss_fn|loss_func|loss_function|losses|metric|metrics|acc|accuracy|f1)")
#: Entries that tools add to a state dict: the counter of an averaged model, and the counts of thop.
_COUNTERS = frozenset({"n_averaged", "total_ops", "total_params"})
#: A parameter of htnet's own models, which need no conversion.
_OWN_MARKS = ("patch_embed.weight", "levels.0.pos_emb", "standardize.mean")
#: Depth to which dictionaries and lists are searched.
_DEPTH = 16
#: Names of two tensors that PyTorch keeps instead of a weight, and of that weight: weight normalization, in its old
#: and its new form, and pruning.
_IN_TWO = (
    (re.compile(r"(.*(?:weight|bias)\w*)_g"), r"{}_v", "{}"),
    (re.compile(r"(.+\.)?parametrizations\.(\w+)\.original0"), r"{}parametrizations.{}.original1", "{}{}"),
    (re.compile(r"(.+)_orig"), r"{}_mask", "{}"),
)
#: Names that other parametrizations leave in a state dict, such as spectral normalization.
_IN_PARTS = re.compile(r"(.+\.)?parametrizations\.\w+\..+|.*weight_orig")


@dataclass(frozen=True)
class Candidate:
    """A state dict in a checkpoint.

    Attributes:
        name: its path: keys and prefix joined by dots; "" for the whole file.
        state: its tensors by name, without prefix.
        beside: names in the same mapping that belong to no candidate.
    """

    name: str
    state: Mapping[str, Any]
    beside: tuple[str, ...] = ()


def find_state(content: Any, marks: Mapping[str, Sequence[str]], key: str | None = None) -> State:
    """Return the one state dict of a known architecture in a checkpoint.

    It may be nested in dictionaries and lists of any names (``state_dict``, ``model``, ``ema``), and its names may have
    any prefix (``module.``, ``_orig_mod.``, ``model.``): it is recognized by the parameters of a known architecture.
    Numbers, settings, optimizers, losses and metrics next to it are ignored.

    Args:
        content: see `htnet.models.converters.files.read_checkpoint`.
        marks: for each parameter that identifies an architecture, the parameters that must accompany it.
        key: the path of one of several, such as "ema" or "state_dict.model".

    Raises:
        CheckpointError: there is none; there are several and ``key`` does not choose one; or it contains anything
            other than plain tensors of finite numbers.
    """
    found = [candidate for name, mapping in _mappings(content) for candidate in _candidates(name, mapping, marks)]
    if not found:
        raise CheckpointError(_what_is_there(content, marks))
    chosen = _choose(found, key)
    if chosen.beside and key is None:
        place = chosen.name or "."
        shown = ", ".join(chosen.beside[:5]) + (", ..." if len(chosen.beside) > 5 else "")
        raise CheckpointError(
            f"Besides the model ({place}), this checkpoint contains {len(chosen.beside)} other tensors ({shown}), "
            "which may be part of the computation. If they are not, take the model alone: "
            f"key={place!r} (htnet convert --key {place})."
        )
    if key is None:
        _refuse_nameless(content, chosen)
    _refuse_parts(chosen.state)
    return {
        name: _tensor(name, value)
        for name, value in chosen.state.items()
        if not _plain(value) and not (unread_kind(value) and "." not in name)
    }


def _mappings(content: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping from names to tensors, with its path, except those of optimizers."""
    if depth > _DEPTH:
        return
    items: list[tuple[Any, Any]] = []
    if isinstance(content, Mapping):
        if "param_groups" in content:
            return
        if any(isinstance(k, str) and isinstance(v, (Tensor, np.ndarray)) for k, v in content.items()):
            yield (
                name,
                {k: v for k, v in content.items() if isinstance(k, str) and not isinstance(v, (Mapping, list, tuple))},
            )
        items = list(content.items())
    elif isinstance(content, (list, tuple)):
        items = list(enumerate(content))
    for key, value in items:
        if isinstance(value, (Mapping, list, tuple)):
            yield from _mappings(value, f"{name}.{key}" if name else str(key), depth + 1)


def _put_together(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """The mapping with whole weights in place of the two tensors per weight of weight normalization or pruning."""
    whole = dict(mapping)
    for raw, first in mapping.items():
        for pattern, other, weight in _IN_TWO:
            if (found := pattern.fullmatch(raw)) is None:
                continue
            parts = [part or "" for part in found.groups()]
            second = mapping.get(other.format(*parts))
            if not (isinstance(first, Tensor) and isinstance(second, Tensor)):
                continue
            if raw.endswith("_orig"):
                made = first * second if first.shape == second.shape else None
            else:
                made = _normalized(first, second)
            if made is not None and weight.format(*parts) not in mapping:
                del whole[raw], whole[other.format(*parts)]
                whole[weight.format(*parts)] = made
    return whole


def _normalized(length: Tensor, direction: Tensor) -> Tensor | None:
    """The weight from the two tensors of weight normalization; None if their shapes do not fit."""
    if length.ndim not in (0, direction.ndim):
        return None
    if any(one not in (1, other) for one, other in zip(length.shape, direction.shape, strict=False)):
        return None
    over = [i for i in range(direction.ndim) if length.ndim == 0 or length.shape[i] == 1]
    if not over:
        return None
    direction = direction.detach().float()
    return length.detach().float() * direction / torch.linalg.vector_norm(direction, dim=over, keepdim=True)


def _refuse_parts(names: Iterable[str]) -> None:
    """Refuse weights that are stored in parts which only the program that trained them can put together.

    Raises:
        CheckpointError: there are such weights.
    """
    parts = [name for name in names if _IN_PARTS.fullmatch(name)]
    if parts:
        raise CheckpointError(
            f"The weights are stored in parts ({parts[0]}{', ...' if len(parts) > 1 else ''}), as by spectral "
            "normalization and other parametrizations. In the program that trained them, put each weight together, "
            "then save model.state_dict():\n"
            "  torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')  # or, for the older form\n"
            "  torch.nn.utils.remove_spectral_norm(layer)"
        )


def _candidates(name: str, mapping: Mapping[str, Any], marks: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """The state dicts of known architectures in one mapping, which differ by their prefix."""
    mapping = _put_together(mapping)
    clean: dict[str, str] = {}
    for raw in mapping:
        plain = ".".join(part for part in raw.split(".") if part not in _WRAPPERS)
        if plain in clean:
            raise CheckpointError(
                f"This checkpoint contains {clean[plain]} and {raw}, which name the same parameter. Save one "
                "state dict alone."
            )
        clean[plain] = raw
    kept = [n for n in clean if n.split(".")[-1] not in _COUNTERS and not _LOSSES.fullmatch(n.split(".")[0])]
    prefixes = sorted(
        {
            n.removesuffix(mark)
            for n in kept
            for mark, others in marks.items()
            if n == mark
            or (n.endswith(("." + mark, "/" + mark)) and all(n.removesuffix(mark) + other in clean for other in others))
        },
        key=len,
        reverse=True,
    )
    # The longest prefix first: names behind it do not belong to a shorter one.
    states: dict[str, dict[str, Any]] = {prefix: {} for prefix in prefixes}
    beside = []
    for n in kept:
        prefix = next((p for p in prefixes if n.startswith(p)), None)
        if prefix is not None:
            states[prefix][n.removeprefix(prefix)] = mapping[clean[n]]
        elif not _plain(mapping[clean[n]]) and not _is_number(mapping[clean[n]]):
            beside.append(clean[n])
    return [
        Candidate(".".join(filter(None, (name, prefix.rstrip("./")))), states[prefix], tuple(beside))
        for prefix in reversed(prefixes)
    ]


def _choose(found: Sequence[Candidate], key: str | None) -> Candidate:
    names = [candidate.name or "." for candidate in found]
    if key is not None:
        wanted = ".".join(part for part in key.strip(".").split(".") if part not in _WRAPPERS) or "."
        fitting = [c for c, name in zip(found, names, strict=True) if name == wanted] or [
            c for c, name in zip(found, names, strict=True) if wanted != "." and f".{wanted}." in f".{name}."
        ]
        if len(fitting) == 1:
            return fitting[0]
        problem = "matches no state dict" if not fitting else "matches several state dicts"
        raise CheckpointError(f"key={key!r} {problem} of this checkpoint. It contains: {', '.join(names)}.")
    first = found[0]
    if all(_same(first.state, other.state) for other in found[1:]):
        return first
    raise CheckpointError(
        f"This checkpoint contains {len(found)} state dicts: {', '.join(names)}. Choose one: key={names[-1]!r} (htnet "
        f"convert --key {names[-1]}). If one is an average over training (ema), published results often belong to it."
    )


def _refuse_nameless(content: Any, chosen: Candidate) -> None:
    """Refuse to choose between a model and other weights of it in an unnamed list, as averages are often stored.

    Raises:
        CheckpointError: there is a list of tensors with the shapes of the model's and other values.
    """
    tensors = [value for value in chosen.state.values() if isinstance(value, Tensor)]
    shapes = Counter(tuple(value.shape) for value in tensors)
    for name, values in _lists(content):
        if 2 * len(values) < len(tensors) or Counter(tuple(value.shape) for value in values) - shapes:
            continue
        if all(any(v.shape == t.shape and torch.equal(v, t) for t in tensors) for v in values):
            continue
        place = chosen.name or "."
        raise CheckpointError(
            f"Besides the model ({place}), this checkpoint contains other weights of it ({name}), perhaps an average "
            "over training, as an unnamed list. For the model alone: "
            f"key={place!r} (htnet convert --key {place}). For the others: load them into the model with the program "
            "that saved them, and save model.state_dict()."
        )


def _lists(content: Any, name: str = "", depth: int = 0) -> Iterator[tuple[str, list[Tensor]]]:
    """Every list that contains only tensors, with its path, except those of optimizers."""
    if depth > _DEPTH or (isinstance(content, Mapping) and "param_groups" in content):
        return
    if isinstance(content, (list, tuple)) and content and all(isinstance(value, Tensor) for value in content):
        yield name, list(content)
    elif isinstance(content, (Mapping, list, tuple)):
        for key, value in content.items() if isinstance(content, Mapping) else enumerate(content):
            yield from _lists(value, f"{name}.{key}" if name else str(key), depth + 1)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        isinstance(a, Tensor) and isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
        for a, b in ((one[k], other[k]) for k in one)
    )


def _plain(value: object) -> bool:
    """Whether a value next to tensors is unrelated to a model's parameters: an epoch, a name, None."""
    return value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic))


def _is_number(value: object) -> bool:
    return isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0


def _tensor(name: str, value: object) -> Tensor:
    """A value of a state dict as a plain tensor of finite numbers."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        array = plain_array(value, f"{name} in this checkpoint has", CheckpointError)
        long = array.dtype.kind == "f" and array.dtype.itemsize > 8  # long double, which PyTorch has not
        value = torch.from_numpy(np.array(array, np.float64 if long else None, order="C"))
    if not isinstance(value, Tensor):
        kind = unread_kind(value) or type(value).__name__
        raise CheckpointError(
            f"{name} in this checkpoint is not a tensor but {kind}. Save tensors: model.state_dict()."
        )
    problem = ""
    if value.is_complex():
        problem = f"has complex numbers ({value.dtype}). Save real numbers"
    elif value.is_quantized or not (value.is_floating_point() or name.endswith("num_batches_tracked")):
        problem = f"is quantized ({value.dtype}). Convert the weights from before the quantization"
    elif value.layout != torch.strided:
        problem = "is sparse. Save it dense: tensor.to_dense()"
    elif value.is_meta:
        problem = "has a shape, but no numbers (device 'meta'). Save the model after its weights were loaded"
    elif not bool(torch.isfinite(value.float()).all()):
        count = int((~torch.isfinite(value.float())).sum())
        problem = f"contains {count} values that are NaN or infinite: the training diverged. Give an earlier checkpoint"
    if problem:
        raise CheckpointError(f"{name} in this checkpoint {problem}.")
    return value.detach()


def _what_is_there(content: Any, marks: Mapping[str, Sequence[str]]) -> str:
    """Why a checkpoint has no state dict of a known architecture."""
    module = _first_module(content)
    if module is not None:
        place, kind = module
        what = f"content{place}" if place else "content"
        return (
            f"It contains a whole pickled model ({kind}), which can be loaded only by running its code. In the "
            "environment it was trained in, for a file that you trust, save model.state_dict() instead:\n"
            "  import torch; content = torch.load(PATH, map_location='cpu', weights_only=False)\n"
            f"  torch.save({what}.state_dict(), 'weights.pth')"
        )
    mappings = [mapping for _, mapping in _mappings(content)]
    if mappings:
        largest = max(mappings, key=len)
        names = {".".join(part for part in n.split(".") if part not in _WRAPPERS) for n in largest}
        if any(mark in names for mark in _OWN_MARKS):
            return (
                "It contains weights in htnet's own form, which need no conversion. Pass the folder that htnet train "
                "or htnet convert wrote to htnet.load_pretrained or htnet predict --weights."
            )
        _refuse_parts(sorted(names))
        return refusal(dict.fromkeys(sorted(names)), list(marks), all_kinds())
    if isinstance(content, Mapping) and ("param_groups" in content or _has_optimizer(content)):
        return "It contains the state of an optimizer and no weights. Save model.state_dict()."
    if (nameless := next(_lists(content), None)) is not None and len(nameless[1]) > 3:
        place = f" ({nameless[0]})" if nameless[0] else ""
        return (
            f"It contains {len(nameless[1])} tensors as a list without names{place}, as averages are stored. Load "
            "them into the model with the program that saved them, and save model.state_dict()."
        )
    if _is_deep(content):
        return (
            f"Its content is nested deeper than {_DEPTH} dictionaries or lists, which htnet does not search. "
            "Save the weights alone: model.state_dict()."
        )
    kind = unread_kind(content) or type(content).__name__
    return f"It contains {kind}, not a state dict of tensors. Save model.state_dict()."


def _first_module(content: Any, place: str = "", depth: int = 0) -> tuple[str, str] | None:
    """Path, as a Python expression, and class of the first whole model in a checkpoint."""
    if is_pickled_module(content):
        return place, unread_kind(content) or ""
    if depth < _DEPTH and isinstance(content, (Mapping, list, tuple)) and not isinstance(content, Unread):
        for key, value in content.items() if isinstance(content, Mapping) else enumerate(content):
            found = _first_module(value, f"{place}[{key!r}]", depth + 1)
            if found is not None:
                return found
    return None


def _is_deep(content: Any, depth: int = 0) -> bool:
    """Whether there are dictionaries or lists below the depth that is searched."""
    if depth > _DEPTH:
        return True
    items = content.values() if isinstance(content, Mapping) else content if isinstance(content, (list, tuple)) else ()
    return any(_is_deep(value, depth + 1) for value in items)


def _has_optimizer(content: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Mapping) and "param_groups" in value for value in content.values())
