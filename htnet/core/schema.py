"""Common fields of htnet's JSON documents, and the JSON form of points, warnings and numbers.

The fields of each document are described in ``assets/schema/htnet.schema.json`` and in the ``schema.json`` of wings,
from which docs/output.md is generated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from htnet._version import __version__
from htnet.core.assets import ASSETS
from htnet.core.deprecated import serve_old_names
from htnet.core.wings import wing_files

#: Names in JSON documents of the five points of `htnet.types.POINT_NAMES`, in that order.
OUTPUT_POINTS = ("image_left_eye", "image_right_eye", "nose", "image_left_mouth", "image_right_mouth")


class Warned(Protocol):
    """Interface of a warning, see `htnet.types.QualityWarning`."""

    @property
    def code(self) -> str:
        """Short, stable code for programs."""

    @property
    def message(self) -> str:
        """Text for people."""


def document(schema: str, content: Mapping[str, Any], warnings: Iterable[Warned] = ()) -> dict[str, Any]:
    """Build a document: schema, htnet version and warnings, then the content.

    Args:
        schema: one of `versions`.
        content: the fields; NumPy numbers become Python numbers, and numbers that are not finite become None.
        warnings: reasons to doubt the result.

    Returns:
        A dictionary that `json.dumps` accepts with ``allow_nan=False``.
    """
    return {
        "schema": schema,
        "schema_version": versions()[schema],
        "htnet_version": __version__,
        "warnings": warnings_to_list(warnings),
        **plain(content),
    }


def warnings_to_list(warnings: Iterable[Warned]) -> list[dict[str, str]]:
    """Warnings in their JSON form."""
    return [{"code": warning.code, "message": warning.message} for warning in warnings]


def named_points(points: npt.NDArray[Any]) -> dict[str, list[float]]:
    """Five points (5, 2) in their JSON form: name to [x, y], rounded to 0.01 px."""
    return dict(zip(OUTPUT_POINTS, points.astype(np.float64).round(2).tolist(), strict=True))


def model_part(weights: str | None, architecture: str, temperature: float, license: str) -> dict[str, Any]:
    """The part "model" of a document.

    Args:
        weights: name of the weights; None for a model that was never saved.
        architecture: name of the architecture in the registry.
        temperature: divisor of the scores before the softmax.
        license: SPDX license expression of the weights; "" for an untrained model.
    """
    return {
        "weights": weights,
        "architecture": architecture,
        "temperature": temperature,
        "temperature_applied": temperature != 1.0,
        "license": license,
    }


def to_json(content: Any) -> str:
    """Indented JSON text with a final line end; numbers that are not finite become null."""
    return json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_json_line(content: Any) -> str:
    """`to_json` on one line, for JSON Lines files."""
    return json.dumps(plain(content), ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Convert a value to JSON types; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def read_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of all documents, including those of wings; ``$defs`` contains the schema of each
    document by name.
    """
    found: dict[str, Any] = json.loads((ASSETS / "schema" / "htnet.schema.json").read_text("utf-8"))
    for path in wing_files("schema.json"):
        parts = json.loads(path.read_text("utf-8"))["$defs"]
        found["oneOf"] += [{"$ref": f"#/$defs/{name}"} for name in parts]
        found["$defs"].update(parts)
    return found


_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def misfit(value: Any, name: str) -> str:
    """Describe where a document violates its schema.

    Unknown fields are ignored, because a new field does not raise the version.

    Args:
        value: the parsed JSON.
        name: name of the document's part of the schema, such as "evaluation".

    Returns:
        Text such as "protocols.last.leaks is missing" or "samples is -1; it must be at least 1"; "" if the document is
        valid.
    """
    every = read_schema()["$defs"]
    return _misfit(value, every[name], every, "")


def _misfit(value: Any, part: Mapping[str, Any], every: Mapping[str, Any], path: str) -> str:
    where = path or "the document"
    if "$ref" in part:
        return _misfit(value, every[part["$ref"].rsplit("/", 1)[1]], every, path)
    if "anyOf" in part:
        found = [_misfit(value, option, every, path) for option in part["anyOf"]]
        return "" if "" in found else max(found, key=len)
    # True equals 1 in Python, but not in JSON.
    if "const" in part and (value != part["const"] or isinstance(value, bool)):
        return f"{where} is {value!r:.60}; it must be {part['const']!r}"
    if "enum" in part and value not in part["enum"]:
        return f"{where} is {value!r:.60}; it must be one of {', '.join(map(str, part['enum']))}"
    kinds = part.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        return f"{where} is {value!r:.60}; it must be of type {' or '.join(kinds)}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _misfit_of_number(value, part, where)
    if isinstance(value, Mapping):
        return _misfit_of_object(value, part, every, path)
    if isinstance(value, list):
        if len(value) < part.get("minItems", 0) or len(value) > part.get("maxItems", len(value)):
            return f"{where} has {len(value)} entries"
        items = part.get("items", {})
        return next((said for k, one in enumerate(value) if (said := _misfit(one, items, every, f"{path}[{k}]"))), "")
    return ""


def _is(value: Any, kind: str) -> bool:
    # True is an integer in Python, but not in JSON.
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _misfit_of_number(value: float, part: Mapping[str, Any], where: str) -> str:
    if not math.isfinite(value):
        return f"{where} is {value}; it must be a finite number"
    if value < part.get("minimum", value):
        return f"{where} is {value}; it must be at least {part['minimum']}"
    return f"{where} is {value}; it must be at most {part['maximum']}" if value > part.get("maximum", value) else ""


def _misfit_of_object(value: Mapping[str, Any], part: Mapping[str, Any], every: Mapping[str, Any], path: str) -> str:
    before = f"{path}." if path else ""
    for name in part.get("required", ()):
        if name not in value:
            return f"{before}{name} is missing"
    if len(value) < part.get("minProperties", 0):
        return f"{path} is empty"
    known, others = part.get("properties", {}), part.get("additionalProperties")
    for name, own in value.items():
        of = known.get(name, others if isinstance(others, Mapping) else {})
        if said := _misfit(own, of, every, f"{before}{name}"):
            return said
    return ""


@cache
def versions() -> Mapping[str, int]:
    """The documents that htnet writes, and the schema version of each.

    A version is raised when a field is renamed, removed or changes its meaning, but not for a new field alone.
    """
    parts = [part["properties"] for part in read_schema()["$defs"].values()]
    heads = [part for part in parts if "schema_version" in part]
    return MappingProxyType({head["schema"]["const"]: head["schema_version"]["const"] for head in heads})


serve_old_names(__name__)
