"""What a reader is, for the fuzzer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

#: Name of a file, its content, and how it is built; see `benchmarks.trust.mutate.mutate`.
File: TypeAlias = tuple[str, bytes, str]


@dataclass(frozen=True)
class Reader:
    """One way to read.

    Attributes:
        name: what is read.
        samples: files, in folders where their names say so.
        read: reads a file; may write into the second folder.
        beyond: functions, as "module:name", that are called once the header of a file was accepted.
        beside: files that lie beside the sample.
        weight: how many mutants, relative to others.
        refused: samples that are not accepted as they are, either.
    """

    name: str
    samples: tuple[File, ...]
    read: Callable[[Path, Path], object]
    beyond: tuple[str, ...] = ()
    beside: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    weight: float = 1.0
    refused: tuple[str, ...] = ()


def of(*paths: Path, kind: str) -> tuple[File, ...]:
    """Files as samples of one kind."""
    return tuple((path.name, path.read_bytes(), kind) for path in paths)
