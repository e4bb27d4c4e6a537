"""Data sets as manifests: read, write, and split them by subject or data set."""

from htnet.data.action_units import (
    EMOTION_PROTOTYPES,
    REGION_UNITS,
    active_regions,
    au_cooccurrence,
    read_action_units,
    training_cooccurrence,
)
from htnet.data.dataset import MicroExpressionDataset
from htnet.data.datasets import (
    DATASETS,
    RECORDINGS,
    merge_composite,
    read_annotated_recordings,
    read_dataset,
    read_intervals,
)
from htnet.data.facs_cells import ActionDescriptor, ActionUnit, Annotation, parse_action_units, parse_annotation
from htnet.data.folds import (
    Fold,
    fixed_split,
    hold_out_subjects,
    k_folds,
    leave_one_dataset_out,
    leave_one_subject_out,
)
from htnet.data.intervals import Interval, Intervals
from htnet.data.layouts import list_three_norm, open_data, read_casme3, read_composite, read_three_norm
from htnet.data.manifest import Manifest, Sample, read_manifest
from htnet.data.predicted_events import PredictedEvents, PredictedRecording, read_events
from htnet.data.reader import SampleReader
from htnet.data.recording_tables import RecordingSet, read_recordings

__all__ = [
    "DATASETS",
    "EMOTION_PROTOTYPES",
    "RECORDINGS",
    "REGION_UNITS",
    "ActionDescriptor",
    "ActionUnit",
    "Annotation",
    "Fold",
    "Interval",
    "Intervals",
    "Manifest",
    "MicroExpressionDataset",
    "PredictedEvents",
    "PredictedRecording",
    "RecordingSet",
    "Sample",
    "SampleReader",
    "active_regions",
    "au_cooccurrence",
    "fixed_split",
    "hold_out_subjects",
    "k_folds",
    "leave_one_dataset_out",
    "leave_one_subject_out",
    "list_three_norm",
    "merge_composite",
    "open_data",
    "parse_action_units",
    "parse_annotation",
    "read_action_units",
    "read_annotated_recordings",
    "read_casme3",
    "read_composite",
    "read_dataset",
    "read_events",
    "read_intervals",
    "read_manifest",
    "read_recordings",
    "read_three_norm",
    "training_cooccurrence",
]
