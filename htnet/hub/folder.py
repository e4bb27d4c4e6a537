"""The weights folder: ``model.safetensors``, ``config.json`` and a ``README.md`` card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from htnet._version import __version__
from htnet.acceleration import OptimizedModel, optimized_like
from htnet.core.deprecated import TRAINING_KEYS, new_keys, warn_renamed
from htnet.core.errors import (
    CorruptWeightsError,
    HtnetError,
    InputError,
    LimitError,
    ModelError,
    WeightsError,
    cause,
    refuse_short_memory,
)
from htnet.core.fields import native, one_of, real
from htnet.core.files import check_folder, remove_partial, whole_file, write_bytes
from htnet.core.global_state import usual_settings
from htnet.core.hints import hint
from htnet.core.identity import TrainedPeople
from htnet.core.lazy import loading
from htnet.core.limits import check_safetensors, read_json, sha256_of
from htnet.core.optional import named_dtype, usable_device
from htnet.core.paths import as_path
from htnet.core.provenance import Provenance, translated
from htnet.core.rng import OwnRng
from htnet.core.saved_spec import refuse_missing, saved_spec
from htnet.hub.card import model_card
from htnet.models import EmotionModel, build_model
from htnet.models.base import ModelConfig, not_finite, parametrized_weights, refuse_unusable_weights
from htnet.models.labels import checked_labels
from htnet.models.registry import defining_module
from htnet.models.single_input import checked_model

FORMAT = 1
#: Format of folders with an optimized model, which older versions refuse.
OPTIMIZED_FORMAT = 2
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"
FILES = (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE)
#: Exists while the files are renamed into place. If the process is killed then, they may belong to two models.
_SAVING_FILE = ".saving"
#: Settings that were added after the first weights were written; without them, the default is meant.
_LATER = ("action_units",)
#: Fields that a config must have, and their JSON types.
_NEEDED = {"architecture": str, "config": dict, "labels": list, "preprocess": dict, "weights": dict}


def save_pretrained(
    model: EmotionModel,
    folder: str | PathLike[str],
    *,
    recipe: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    people: TrainedPeople | Iterable[Any] | None = None,
    provenance: Provenance | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a weights folder.

    An optimized model is saved in its folded form; `load_pretrained` returns it optimized, but not compiled.

    Args:
        model: a model with ``preprocess_spec`` and ``labels``. For a compiled model (`torch.compile`), the original is
            saved.
        folder: the folder; created if needed.
        recipe: how it was trained.
        training: content of the card: any of ``samples``, ``subjects``, ``protocol``, ``metrics``,
            ``leaking_metrics`` (scores of protocols that choose by the tested samples), ``calibration``, ``source``,
            ``generated``; ``dataset`` and ``license`` go into the provenance.
        people: the samples used for training since the model was created or loaded (with ``dataset`` and ``subject``,
            such as a `htnet.data.Manifest`), so that no training subject is used for testing later. Hashed keys of the
            people are stored, not their names. An empty list means no training since then. By default, the people of
            loaded weights are kept, and the record states that it may be incomplete.
        provenance: data and terms of use. By default, the data sets are those of ``people``, and the provenance of
            loaded weights is kept as that of the starting weights.
        overwrite: replace weights in the folder.

    Returns:
        The folder.

    Raises:
        OverwriteError: the folder contains one of `FILES` and ``overwrite`` is not given.
        WeightsError: the model has no preprocessing spec, or a temperature that is not positive and finite.
        ModelError: it is not a model of htnet, or its weights are quantized by another library or computed from others
            (`torch.nn.utils.parametrize`, weight normalization).
    """
    with loading():
        from safetensors.torch import save

    model = checked_model(model)
    refuse_unusable_weights(model, "save_pretrained")
    if names := parametrized_weights(model):
        raise ModelError(
            f"save_pretrained writes plain weights, but torch.nn.utils.parametrize computes {', '.join(names[:4])}. "
            "Put them together first: torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')."
        )
    described = describe_model(model)
    known, provenance, training = _known_of(model, people, provenance, training or {})
    folder = as_path(folder, "folder")
    check_weights_folder(folder, overwrite=overwrite)
    remove_partial(folder, below=False)
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    content = save(state, metadata={"format": "pt"})
    optimized = model.precision if isinstance(model, OptimizedModel) else None
    config = {
        "format": FORMAT if optimized is None else OPTIMIZED_FORMAT,
        **described,
        "recipe": dict(recipe) if recipe else None,
        "training": training,
        "provenance": provenance.with_people(known).to_dict(),
        "weights": {"file": WEIGHTS_FILE, "sha256": hashlib.sha256(content).hexdigest()},
    }
    if known is not None:
        config["trained_people"] = known.to_dict()
    if optimized is not None:
        config["optimized"] = optimized
    files = {
        WEIGHTS_FILE: content,
        CONFIG_FILE: (json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode(),
        CARD_FILE: model_card(config).encode(),
    }
    # All files are on disk before the first is renamed, so weights are never paired with another config, unless the
    # process is killed between two renames. _SAVING_FILE then remains as a mark.
    with ExitStack() as stack:
        for name, data in files.items():
            stack.enter_context(whole_file(folder / name, follow=False)).write_bytes(data)
        write_bytes(folder / _SAVING_FILE, b"", follow=False)
    (folder / _SAVING_FILE).unlink(missing_ok=True)
    return folder


def check_weights_folder(folder: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Refuse to replace the weights in a folder. Half-saved files of a killed process may be replaced.

    Args:
        folder: the folder; it need not exist.
        overwrite: whether the user asked to overwrite existing files.

    Raises:
        OverwriteError: the folder contains one of `FILES` and ``overwrite`` is not given.
        InputError: ``folder`` is a file, or lies below one.
    """
    check_folder(folder, () if _is_half_saved(as_path(folder, "folder")) else FILES, overwrite=overwrite)


def _is_half_saved(folder: Path) -> bool:
    """Whether a process was killed while it renamed the files into place, so that they do not belong together."""
    if not os.path.isfile(folder / _SAVING_FILE):
        return False
    try:
        stated = read_json(folder / CONFIG_FILE)["weights"]["sha256"]
        return bool(stated != sha256_of(folder / WEIGHTS_FILE))
    except (OSError, ValueError, KeyError, TypeError):
        return True


def describe_model(model: EmotionModel) -> dict[str, Any]:
    """Everything needed to use weights, without the weights: architecture, input, labels, temperature; JSON-ready.

    Raises:
        WeightsError: the model has no preprocessing spec, or a temperature that is not positive and finite.
    """
    if model.preprocess_spec is None:
        raise WeightsError(
            "This model has no preprocessing specification. Set model.preprocess_spec to the PreprocessSpec it "
            "was trained with, then save."
        )
    architecture = model.architecture if isinstance(model, OptimizedModel) else type(model).__name__
    return {
        "htnet": __version__,
        "architecture": architecture,
        **({"defined_in": module} if (module := defining_module(architecture)) else {}),
        "model": model.name,
        "input_kind": model.input_kind,
        "extra_inputs": list(model.extra_inputs),
        "config": model.config.to_dict(),
        "labels": list(model.labels),
        "temperature": checked_temperature(model.temperature, "The model"),
        "preprocess": model.preprocess_spec.to_dict(),
    }


def _known_of(
    model: EmotionModel,
    people: TrainedPeople | Iterable[Any] | None,
    provenance: Provenance | None,
    training: Mapping[str, Any],
) -> tuple[TrainedPeople | None, Provenance, dict[str, Any]]:
    """The training subjects of a model (None if unknown), its provenance, and further content of its card."""
    known, before = model.trained_people, model.provenance
    samples = None if people is None or isinstance(people, TrainedPeople) else list(people)
    # An optimized model cannot be trained; any other may have been.
    untrained = isinstance(model, OptimizedModel) if people is None else samples == []
    if people is not None:
        own = TrainedPeople.of(samples) if samples is not None else people
        assert isinstance(own, TrainedPeople)
        known = own if known is None else known.joined(own)
    elif known is not None and not untrained:
        known = dataclasses.replace(known, complete=False)
    if provenance is None and untrained and before is not None:
        provenance = before
    elif provenance is None:
        provenance = (Provenance.of(samples, classes=model.labels) if samples else Provenance()).after(
            before, () if model.classifier_replaced else model.labels
        )
    for old in TRAINING_KEYS.keys() & training.keys():
        warn_renamed(f"training={{{old!r}: ...}}", repr(TRAINING_KEYS[old]))
    rest = new_keys(training, TRAINING_KEYS)
    provenance = provenance.stated(rest.pop("dataset", None), rest.pop("license", None))
    return known, provenance, rest


def read_config(path: Path) -> dict[str, Any]:
    """Read and check the ``config.json`` of a weights folder.

    Raises:
        WeightsError: the file is missing, not JSON, of a newer format, or lacks a required field.
    """
    path = as_path(path)
    try:
        config = read_json(path)
    except FileNotFoundError as error:
        raise WeightsError(
            f"{CONFIG_FILE} is missing in {path.parent}. Give a folder written by htnet train "
            f"or htnet convert.{_about_checkpoints(path.parent) or hint(path.parent)}"
        ) from error
    except LimitError:
        raise  # the file may be whole
    except (OSError, ValueError) as error:
        raise CorruptWeightsError(f"{path} cannot be read ({cause(error)}). {_get_again(path)}") from error
    if not isinstance(config, dict) or not one_of((FORMAT, OPTIMIZED_FORMAT)).allows(config.get("format")):
        given = config.get("format") if isinstance(config, dict) else None
        raise WeightsError(
            f"{path} has format {given!r}; htnet {__version__} reads formats {FORMAT} and {OPTIMIZED_FORMAT}. "
            "Update htnet if the file is newer, or train the weights again."
        )
    needed = _NEEDED if config["format"] == FORMAT else {**_NEEDED, "optimized": str}
    if wrong := [key for key, kind in needed.items() if not isinstance(config.get(key), kind)]:
        raise WeightsError(
            f"{path} lacks {', '.join(wrong)}, or has a value of the wrong type there, so it does not state how to use "
            f"the weights. "
            "Give a folder written by htnet train or htnet convert."
        )
    if not isinstance(name := config.get("model", ""), str):
        raise WeightsError(f"{path} has the name {name!r:.80} for the model, which is no text. Restore the file.")
    if "provenance" in config:
        # The record is newer than the others, so a file with it had them too. Without the hash, the weights of another
        # model would do; without the temperature, other probabilities would be returned.
        try:
            refuse_missing(config, ("temperature",), "field", WeightsError)
            refuse_missing(config["weights"], ("file", "sha256"), "field of weights", WeightsError)
        except WeightsError as error:
            raise WeightsError(f"{path}: {error}") from error
    else:
        training = dict(config.get("training") or {})
        config["provenance"] = translated(training).to_dict()
        told = ("dataset", "started_from", "started_from_sha256", *TRAINING_KEYS)
        config["training"] = {key: value for key, value in training.items() if key not in told}
    return config


def _about_checkpoints(folder: Path) -> str:
    """Advice for a folder that contains checkpoints of other code."""
    first = min((p for ending in ("pth", "pt", "ckpt") for p in folder.glob(f"*.{ending}")), default=None)
    return "" if first is None else f" Convert the checkpoint in it: htnet convert {first} weights/{first.stem}"


def checked_temperature(value: object, whose: str) -> float:
    """Check a temperature for a weights folder.

    Args:
        value: the temperature.
        whose: its owner, for messages.

    Raises:
        WeightsError: it is not positive and finite.
    """
    number = native(value)
    if not real(gt=0).allows(number):
        raise WeightsError(
            f"{whose} has the temperature {value!r}; scores are divided by it, so it must be positive and finite. Fit "
            "one with htnet.evaluation.calibration.fit_temperature, or use 1.0, which changes nothing."
        )
    return float(number)


def _misfit(own: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
    """Text on tensors of a file that are missing, unexpected, of another shape or type, or not finite; "" if none are.

    Floating-point types may differ: they are converted, and must be finite in the model's type.
    """
    shared = [name for name in own if name in found]
    wrong = {
        "missing": [name for name in own if name not in found],
        "unexpected": [name for name in found if name not in own],
        "of another shape": [n for n in shared if own[n].shape != found[n].shape],
        "integers for fractions, or the reverse": [
            n for n in shared if own[n].is_floating_point() != found[n].is_floating_point()
        ],
        "NaN or infinite": not_finite({n: found[n].to(own[n].dtype) for n in shared if found[n].is_floating_point()}),
    }
    return "; ".join(
        f"{len(names)} tensors are {what} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"
        for what, names in wrong.items()
        if names
    )


def _get_again(path: Path) -> str:
    """Advice for a damaged file. In the Hub's cache a file is a link: its target must be deleted."""
    if _is_half_saved(path.parent):
        return "The process that saved these weights was killed: run the same training again, or save them again."
    return f"Delete {os.path.realpath(path)} and load again; if they are your own weights, copy or train them again."


@usual_settings(float32=True)
def load_files(
    config_path: Path,
    weights_path: Path,
    *,
    sha256: str | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
) -> EmotionModel:
    """Build the model of a weights folder.

    Args:
        config_path: its ``config.json``.
        weights_path: its ``model.safetensors``.
        sha256: expected SHA-256 of the weights, in addition to that in the config.
        device: device of the model.
        dtype: floating-point type of the model, or its name; float32 by default.

    Returns:
        The model in eval mode, with ``labels``, ``preprocess_spec`` and ``temperature``.

    Raises:
        CorruptWeightsError: the weights differ from those that the config or the registry names.
        WeightsError: the folder is invalid.
        InputError: the device cannot be used, or ``dtype`` is not floating-point, or given for an optimized model.
    """
    with loading():
        from safetensors.torch import load_file

    dtype = named_dtype(dtype)
    config = read_config(config_path)
    precision = config["optimized"] if config["format"] == OPTIMIZED_FORMAT else None
    if dtype is not None and precision is not None:
        raise InputError(
            f"{config_path} contains an optimized model in {precision}, whose type is fixed: leave "
            f"dtype={dtype} out, or "
            "load the weights it came from."
        )
    if not os.path.isfile(weights_path):
        again = _get_again(weights_path) if _is_half_saved(weights_path.parent) else "Get or train them again."
        raise WeightsError(f"No weights at {weights_path}. {again}")
    try:
        found = sha256_of(weights_path)
    except OSError as error:
        raise CorruptWeightsError(
            f"{weights_path} cannot be read ({cause(error)}). {_get_again(weights_path)}"
        ) from error
    for expected in (config["weights"].get("sha256", found), found if sha256 is None else sha256):
        if found != expected:
            raise CorruptWeightsError(
                f"{weights_path} is damaged or was replaced: its SHA-256 is {found}, expected {expected}. "
                + _get_again(weights_path)
            )
    # Checked before the model is built, because nothing else limits the number of classes.
    if isinstance(stated := config["config"].get("num_classes"), int) and stated != len(config["labels"]):
        raise WeightsError(f"{config_path} names {len(config['labels'])} labels for {stated} classes.")
    try:
        settings, what = config["config"], f"setting of {config['architecture']}"
        refuse_missing(settings, ModelConfig.field_names(), what, ModelError)
        with OwnRng():
            model = build_model(config["architecture"], settings, config.get("model"))
        if not defining_module(config["architecture"]):  # a model of one's own may get settings after it was saved
            refuse_missing(settings, (n for n in model.config.field_names() if n not in _LATER), what, ModelError)
        if precision is not None:
            model = optimized_like(model, precision)
        model.labels = checked_labels(config["labels"], model.config.num_classes, WeightsError)
        model.preprocess_spec = saved_spec(config["preprocess"])
        # Older folders have no record.
        model.trained_people = TrainedPeople.from_dict(config.get("trained_people"))
        model.provenance = Provenance.from_dict(config["provenance"])
        # The record of the people may be deleted, but not replaced.
        if model.provenance.people_sha256 and "trained_people" in config:
            model.provenance.check_people(model.trained_people)
    except HtnetError as error:
        raise type(error)(f"{config_path}: {error}") from error
    except Exception as error:  # any error that values of the wrong type cause
        refuse_short_memory(error, config_path)
        raise CorruptWeightsError(
            f"{config_path} contains values of the wrong type. {_get_again(config_path)}"
        ) from error
    try:
        check_safetensors(weights_path)
        state = load_file(str(weights_path))
    except LimitError:
        raise
    except Exception as error:  # safetensors has its own errors
        refuse_short_memory(error, weights_path)
        raise CorruptWeightsError(
            f"{weights_path} is truncated, damaged, or not a safetensors file. {_get_again(weights_path)}"
        ) from error
    if problem := _misfit(model.state_dict(), state):
        raise CorruptWeightsError(f"{weights_path} does not fit {config_path}: {problem}. {_get_again(weights_path)}")
    model.load_state_dict(state)
    # Folders written before the field was added use the plain softmax.
    model.temperature = checked_temperature(config.get("temperature", 1.0), str(config_path))
    return model.to(device=usable_device(device), dtype=dtype).eval()
