"""Data sets: the manifest, published layouts, and splits by subject."""

from htnet.data.folds import Fold, hold_out_subjects, leave_one_subject_out
from htnet.data.layouts import (
    find_casme3_annotation,
    list_three_norm,
    open_data,
    read_casme3,
    read_composite,
    read_three_norm,
)
from htnet.data.manifest import COLUMNS, Manifest, Sample, read_manifest

__all__ = [
    "COLUMNS",
    "Fold",
    "Manifest",
    "Sample",
    "find_casme3_annotation",
    "hold_out_subjects",
    "leave_one_subject_out",
    "list_three_norm",
    "open_data",
    "read_casme3",
    "read_composite",
    "read_manifest",
    "read_three_norm",
]
