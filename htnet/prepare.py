"""Compute the flow images of a whole data set once and store them in a folder that training reads."""

from htnet.data.prepare import (
    MANIFEST_FILE,
    REPORT_FILE,
    SPEC_FILE,
    Report,
    prepare,
    prepared_notes,
    prepared_spec,
    read_report,
    resolve_spec,
)

__all__ = [
    "MANIFEST_FILE",
    "REPORT_FILE",
    "SPEC_FILE",
    "Report",
    "prepare",
    "prepared_notes",
    "prepared_spec",
    "read_report",
    "resolve_spec",
]

#: Lets ``import htnet.prepare.NAME`` find the modules that have moved, see `htnet.core.deprecated`.
__path__: list[str] = []
