"""Fills the table of registered weights in docs/weights.md from the registry: python docs/make_weights.py."""

from __future__ import annotations

import re
from pathlib import Path

from htnet.core.provenance import restriction
from htnet.core.words import in_bytes
from htnet.hub import PretrainedSpec, list_pretrained

PAGE = Path(__file__).parent / "weights.md"


def fill(text: str) -> str:
    """The page with the table between its marks made anew."""
    made = f"<!-- registered weights -->\n\n{table()}\n\n<!-- end of registered weights -->"
    return re.sub(r"<!-- registered weights -->.*?<!-- end of registered weights -->", made, text, flags=re.DOTALL)


def table() -> str:
    """One row for each registered name, those that load first."""
    rows = ["| name | what | UF1 | UF1 that leaks | size | terms | where |", "|---|---|---|---|---|---|---|"]
    rows += [row(spec) for spec in sorted(list_pretrained(), key=lambda spec: (not spec.published, not spec.sha256))]
    return "\n".join(rows)


def row(spec: PretrainedSpec) -> str:
    """One row."""
    score = next((f"{value:.3f}, {how(what)}" for what, value in spec.metrics.items()), "none yet")
    leaking = next((f"{value:.3f}, {how(what)}" for what, value in spec.leaking_metrics.items()), "")
    size = "" if spec.size is None else in_bytes(spec.size)
    terms = "research only" if restriction(spec.license_expression) else spec.license_expression
    return f"| `{spec.name}` | {spec.description} | {score} | {leaking} | {size} | {terms} | {spec.state} |"


def how(metric: str) -> str:
    """How a UF1 on the whole composite set was measured, from its name in the registry."""
    parts = metric.split(", ")
    if "Full UF1" not in parts:
        raise SystemExit(f"{metric} is no UF1 on the whole composite set, of which the column is.")
    return ", ".join(part for part in parts if part != "Full UF1")


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text("utf-8")), "utf-8")
