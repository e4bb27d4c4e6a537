"""Fills the tables of docs/output.md from the JSON Schema that ships with htnet: python docs/make_output.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from htnet.core.schema import read_schema

PAGE = Path(__file__).parent / "output.md"


def fill(text: str, schema: dict[str, Any]) -> str:
    """The page with every table between its marks regenerated."""

    def made(found: re.Match[str]) -> str:
        return f"{found[1]}\n\n{table(schema['$defs'][found[2]])}\n\n<!-- end -->"

    return re.sub(r"(<!-- fields of (\w+) -->).*?<!-- end -->", made, text, flags=re.DOTALL)


def table(part: dict[str, Any]) -> str:
    """One row a field."""
    rows = ["| field | type | unit | meaning |", "|---|---|---|---|"]
    for name, field in fields(part):
        rows.append(f"| `{name}` | {kind(field)} | {field.get('x-unit', '')} | {meaning(field)} |")
    return "\n".join(rows)


def fields(part: dict[str, Any], before: str = "") -> list[tuple[str, dict[str, Any]]]:
    """(path, schema) of every field, those of small parts among them."""
    found = []
    for name, field in part["properties"].items():
        path = f"{before}{name}"
        inside = next((option for option in field.get("anyOf", [field]) if "properties" in option), None)
        # The head is described once for all documents.
        if path in ("schema", "schema_version", "htnet_version", "warnings"):
            continue
        found.append((path, field))
        items = field.get("items")
        if inside is not None:
            found += fields(inside, f"{path}.")
        elif isinstance(items, dict) and "properties" in items:
            found += fields(items, f"{path}[].")
        elif isinstance(field.get("additionalProperties"), dict) and "properties" in field["additionalProperties"]:
            found += fields(field["additionalProperties"], f"{path}.*.")
    return found


def kind(field: dict[str, Any]) -> str:
    """The type in words; a part that has its own table is linked."""
    if "anyOf" in field:
        return " or ".join(kind(option) for option in field["anyOf"])
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name})"
    if isinstance(field.get("items"), dict) and "$ref" in field["items"]:
        return f"list of {kind(field['items'])}"
    names = field["type"] if isinstance(field["type"], list) else [field["type"]]
    return " or ".join({"array": "list"}.get(name, name) for name in names)


def meaning(field: dict[str, Any]) -> str:
    """What it means, and the values where they are few."""
    text = str(field["description"])
    if "enum" in field:
        text += ": " + ", ".join(f"`{value}`" for value in field["enum"])
    return text


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text("utf-8"), read_schema()), "utf-8")
