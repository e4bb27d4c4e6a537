"""From a recording to its faces: where they are in every frame, and how they move."""

from htnet.recordings.curves import recording_curves
from htnet.recordings.faces import FaceFinder, SeenFace, YuNetFaces
from htnet.recordings.measure import DISTANCES, FEATURES
from htnet.recordings.regions import REGIONS
from htnet.recordings.stream import FrameStream, Missing, camera_stream, recording_stream
from htnet.recordings.track import CURVES, GAPS, FaceTrack, RecordingCurves

__all__ = [
    "CURVES",
    "DISTANCES",
    "FEATURES",
    "GAPS",
    "REGIONS",
    "FaceFinder",
    "FaceTrack",
    "FrameStream",
    "Missing",
    "RecordingCurves",
    "SeenFace",
    "YuNetFaces",
    "camera_stream",
    "recording_curves",
    "recording_stream",
]
