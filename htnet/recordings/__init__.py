"""From a recording to its faces: where they are in every frame, and how they move."""

from htnet.recordings.curves import recording_curves
from htnet.recordings.detector import DetectorConfig, EventDetector, load_detector, save_detector
from htnet.recordings.faces import FaceFinder, SeenFace, YuNetFaces
from htnet.recordings.kept import KeptProgress
from htnet.recordings.measure import DISTANCES, FEATURES
from htnet.recordings.regions import REGIONS
from htnet.recordings.stream import FrameStream, Missing, camera_stream, recording_stream
from htnet.recordings.table import TABLE_COLUMNS, read_curves, write_table
from htnet.recordings.track import CURVES, GAPS, FaceTrack, RecordingCurves

__all__ = [
    "CURVES",
    "DISTANCES",
    "FEATURES",
    "GAPS",
    "REGIONS",
    "TABLE_COLUMNS",
    "DetectorConfig",
    "EventDetector",
    "FaceFinder",
    "FaceTrack",
    "FrameStream",
    "KeptProgress",
    "Missing",
    "RecordingCurves",
    "SeenFace",
    "YuNetFaces",
    "camera_stream",
    "load_detector",
    "read_curves",
    "recording_curves",
    "recording_stream",
    "save_detector",
    "write_table",
]
