"""Lists of the samples to keep in the composite."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

from htnet.core.csv_files import read_csv_text, separator_of
from htnet.core.errors import ManifestError
from htnet.core.paths import as_path
from htnet.data.datasets.sheets import Table, csv_tables, read_tables
from htnet.data.manifest import Manifest
from htnet.data.tables import read_table


def names_to_keep(
    keep: str | PathLike[str] | Iterable[str], parts: Mapping[str, Manifest]
) -> tuple[set[str], tuple[str, ...]]:
    """The samples that a list names, in the spelling of the parts, and notes on labels that differ from the list's.

    Args:
        keep: names of samples; or a CSV file with the column ``sample``, with ``sub`` and ``filename_o``, or without
            header like the published list of MEGC 2019: data set, subject, file name, label. In a list without header,
            numbers may be written with or without leading zeros.
        parts: the data sets, by name.

    Raises:
        ManifestError: the file names no samples, or two samples of a part differ only in leading zeros.
    """
    if not isinstance(keep, (str, PathLike)):
        return set(keep), ()
    path = as_path(keep, "keep")
    table = _without_header(path, parts) if os.path.isfile(path) else None
    if table is not None:
        return _of_list(table, parts)
    columns, rows = read_table(path)
    if "sample" in columns:
        return {row["sample"] for _, row in rows}, ()
    if {"sub", "filename_o"} <= set(columns):
        return {f"{row['sub']}_{row['filename_o']}" for _, row in rows}, ()
    raise ManifestError(
        f"{path} names no samples: it needs the column 'sample', or 'sub' and 'filename_o', or no header and rows "
        f"with data set ({', '.join(parts)}), subject, file name and label."
    )


def _without_header(path: Path, parts: Mapping[str, Manifest]) -> Table | None:
    """The table of a list without header, whose first row is a sample; None if it is another kind of file."""
    if path.suffix.lower() == ".csv":
        separator_of(path, read_csv_text(path))  # two kinds of separators are refused
    book = path.suffix.lower() in (".xlsx", ".xls")
    for table in read_tables(path) if book else csv_tables(path):
        rows = [row for row in table.rows if any(row)]
        if rows and len(rows[0]) >= 3 and rows[0][0].casefold() in parts:
            return table
    return None


def _of_list(table: Table, parts: Mapping[str, Manifest]) -> tuple[set[str], tuple[str, ...]]:
    known: dict[tuple[str, str], str] = {}
    labels = {s.sample: s.label for part in parts.values() for s in part}
    for dataset, part in parts.items():
        for name in [*(s.sample for s in part), *part.skipped, *(name for name, _ in part.excluded)]:
            other = known.setdefault((dataset, _plain(name)), name)
            if other != name:
                raise ManifestError(
                    f"{part.source}: {other!r} and {name!r} cannot be distinguished in a list without leading "
                    "zeros. For keep, give a CSV file with the column 'sample'."
                )
    wanted, differing = set(), []
    classes = next(iter(parts.values())).classes
    for index, row in enumerate(table.rows):
        if not any(row):
            continue
        where = f"{table.label}, row {index + 1}"
        if len(row) < 3 or row[0].casefold() not in parts:
            raise ManifestError(
                f"{where}: {', '.join(row)!r} is not a data set ({', '.join(parts)}), subject, file name and label. "
                "Correct it."
            )
        dataset, subject, file = row[0].casefold(), row[1], row[2]
        name = known.get((dataset, _plain(f"{subject}_{file}")), f"{subject}_{file}")
        wanted.add(name)
        label = row[3].strip().casefold() if len(row) > 3 else ""
        label = classes[int(label)] if label.isdecimal() and int(label) < len(classes) else label
        if label and labels.get(name, label) != label:
            differing.append(f"{name} ({label} there, {labels[name]} here)")
    notes = (
        (f"{table.label} labels {len(differing)} samples differently: {', '.join(differing)}.",) if differing else ()
    )
    return wanted, notes


def _plain(name: str) -> str:
    """A name in lowercase, without leading zeros and without letters before the subject's number."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", re.sub(r"^(?:sub|s)(?=[0-9])", "", name.casefold()))
