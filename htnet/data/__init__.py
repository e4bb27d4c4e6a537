"""Data sets as manifests: read them, write them, split them by subject."""

from htnet.data.folds import Fold, hold_out_subjects, leave_one_subject_out
from htnet.data.layouts import open_data, read_casme3, read_composite, read_three_norm, three_norm_subjects
from htnet.data.manifest import Manifest, Sample, read_manifest

__all__ = [
    "Fold",
    "Manifest",
    "Sample",
    "hold_out_subjects",
    "leave_one_subject_out",
    "open_data",
    "read_casme3",
    "read_composite",
    "read_manifest",
    "read_three_norm",
    "three_norm_subjects",
]
