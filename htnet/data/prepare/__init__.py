"""Preparation: compute the flow images of a data set once and store them in a folder that training reads."""

from htnet.data.prepare.report import REPORT_FILE, Report, read_report
from htnet.data.prepare.run import prepare
from htnet.data.prepare.store import MANIFEST_FILE, prepared_notes
from htnet.data.prepared import SPEC_FILE, prepared_spec, resolve_spec

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
