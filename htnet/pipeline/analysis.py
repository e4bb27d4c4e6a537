"""The result of analyzing a recording: events, followed faces, gaps, and the JSON document that holds them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from types import MappingProxyType
from typing import Any

from htnet.core.errors import InputError, cause
from htnet.core.events import EXPRESSION_KINDS, Event
from htnet.core.fields import Rule, each, optional, real, whole
from htnet.core.hints import missing as missing_file
from htnet.core.limits import read_json
from htnet.core.paths import as_path
from htnet.core.schema import document, versions
from htnet.core.types import QualityWarning, file_stem
from htnet.recordings import GAPS, FaceTrack, Missing, RecordingCurves

#: Name of the document's schema.
SCHEMA = "htnet.analysis"
_TEXT = Rule(lambda value: isinstance(value, str), "a string")
_TEXT_OR_NONE = optional(_TEXT)
_PART = Rule(lambda value: value is None or isinstance(value, Mapping), "an object, or null")
_SPAN = {
    **dict.fromkeys(("first_frame", "last_frame"), whole(0)),
    **dict.fromkeys(("start_time_s", "end_time_s"), real()),
}
#: Rules for the fields of a document that are numbers, strings or objects.
_FIELDS = {
    "source": _TEXT,
    "fps": optional(real(gt=0)),
    "duration_s": real(ge=0),
    **dict.fromkeys(("frame_count", "width_px", "height_px"), whole(0)),
    **dict.fromkeys(("model", "made_from"), _PART),
}
_FACE = {"track": whole(0), "measured_s": real(ge=0), **_SPAN}
_MISSING = {
    **dict.fromkeys(("before_frame", "frame_count"), whole(0)),
    **dict.fromkeys(("start_time_s", "end_time_s"), real()),
    **dict.fromkeys(("reason", "detail"), _TEXT),
}


@dataclass(frozen=True)
class FaceGap:
    """A stretch in which a face is not measured.

    Attributes:
        reason: one of `htnet.recordings.GAPS`.
        first_frame: number of its first frame.
        last_frame: number of its last frame.
        start: time of its first frame, s.
        end: time of its last frame, s.
    """

    reason: str
    first_frame: int
    last_frame: int
    start: float
    end: float

    def to_dict(self) -> dict[str, Any]:
        """One entry of the part "gaps" of a document."""
        return {"reason": self.reason, **_span(self)}


@dataclass(frozen=True)
class FollowedFace:
    """The frames in which a face was followed.

    Attributes:
        track: its number among the faces of the recording.
        first_frame: number of the first frame that shows it.
        last_frame: number of the last frame that shows it.
        start: time of its first frame, s.
        end: time of its last frame, s.
        measured: total time for which it was measured, s.
        gaps: the stretches in which it was not measured, and why.
    """

    track: int
    first_frame: int
    last_frame: int
    start: float
    end: float
    measured: float
    gaps: tuple[FaceGap, ...] = ()

    @classmethod
    def of(cls, track: FaceTrack) -> FollowedFace:
        """Summarize the curves of a face."""
        gaps, row = [], 0
        while row < len(track):
            first = row
            while row < len(track) and track.gaps[row] == track.gaps[first]:
                row += 1
            if track.gaps[first]:
                gaps.append(FaceGap(track.gap(first), *_frames(track, first, row - 1)))
        measured = sum(float(track.times[last] - track.times[first]) for first, last in track.segments)
        return cls(track.number, *_frames(track, 0, len(track) - 1), measured, tuple(gaps))

    def to_dict(self) -> dict[str, Any]:
        """One entry of the part "faces" of a document."""
        gaps = [gap.to_dict() for gap in self.gaps]
        return {"track": self.track, **_span(self), "measured_s": self.measured, "gaps": gaps}


@dataclass(frozen=True)
class EventPictures:
    """JPEG pictures of an event: the face at onset and apex, cropped to the same region, and the flow between the two.

    Attributes:
        onset: JPEG of the face at the onset.
        apex: JPEG of the face at the apex.
        flow: JPEG of the flow on the aligned face: color shows its length, arrows its direction. Empty if no flow was
            computed.
        longest: length of the longest vector, px of the aligned face.
    """

    onset: bytes
    apex: bytes
    flow: bytes
    longest: float


@dataclass(frozen=True, eq=False)
class Analysis:
    """The result of analyzing a recording.

    Attributes:
        source: the file, the folder or the camera.
        events: the events, sorted by onset. Micro- and macro-expressions have probabilities and action units if a
            model was used. ``track`` of an event is None if only one face was followed.
        faces: where each face was followed, and the gaps with their reasons.
        frames: number of frames that were read.
        duration: time of the last frame, s.
        size: (height, width) of a frame, px.
        fps: frames per second as stated by the source; None if unknown.
        missing: stretches without frames.
        cuts: numbers of the frames that begin a new shot.
        warnings: reasons to doubt the result.
        model: the part "model" of the document; None if no model was used.
        classes: the model's classes, in its order.
        video: the file or folder; None for a camera.
        curves: the measurements of every frame; None for an analysis that was read from its document.
        pictures: pictures by the index of their event in ``events``, if they were requested.
        made_from: the file and the options of the command that made it; None if it was made in Python.
    """

    source: str
    events: tuple[Event, ...]
    faces: tuple[FollowedFace, ...]
    frames: int
    duration: float
    size: tuple[int, int]
    fps: float | None = None
    missing: tuple[Missing, ...] = ()
    cuts: tuple[int, ...] = ()
    warnings: tuple[QualityWarning, ...] = ()
    model: Mapping[str, Any] | None = None
    classes: tuple[str, ...] = ()
    video: str | None = None
    curves: RecordingCurves | None = field(default=None, repr=False)
    pictures: Mapping[int, EventPictures] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    made_from: Mapping[str, Any] | None = None

    @property
    def sample(self) -> str:
        """Name of the recording: its file name without the extension, or the name of the camera."""
        return file_stem(self.video) or self.source

    @property
    def expressions(self) -> tuple[Event, ...]:
        """The micro- and macro-expressions alone."""
        return tuple(event for event in self.events if event.kind in EXPRESSION_KINDS)

    def counts(self) -> dict[str, int]:
        """Number of events of each kind that occurs."""
        found: dict[str, int] = {}
        for event in self.events:
            found[event.kind] = found.get(event.kind, 0) + 1
        return found

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.analysis", see docs/output.md: ready for `json.dumps`."""
        content = {
            "sample": self.sample,
            "files": {"video": self.video},
            "source": self.source,
            "fps": self.fps,
            "frame_count": self.frames,
            "duration_s": self.duration,
            "width_px": self.size[1],
            "height_px": self.size[0],
            "model": self.model,
            "classes": self.classes,
            "events": [event.to_dict() for event in self.events],
            "faces": [face.to_dict() for face in self.faces],
            "missing": [_missing_entry(part) for part in self.missing],
            "cut_frames": self.cuts,
            "made_from": self.made_from,
        }
        return document(SCHEMA, content, self.warnings)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any], where: str = "the document") -> Analysis:
        """Create an analysis from a document that `to_dict` made. It has no curves and no pictures.

        Args:
            found: the document, as read from JSON.
            where: name of the document in error messages.

        Raises:
            InputError: it is a different kind of document, or htnet did not write it.
        """
        known = versions()[SCHEMA]
        if not isinstance(found, Mapping) or found.get("schema") != SCHEMA or found.get("schema_version") != known:
            raise InputError(
                f"{where} is not the document {SCHEMA!r} of version {known}. Give a JSON file that htnet analyze wrote."
            )
        try:
            _check(found, _FIELDS)
            _TEXT_OR_NONE.check("video", found["files"]["video"])
            for name, rule in (("classes", _TEXT), ("cut_frames", whole(0))):
                each(rule).check(name, tuple(found[name]))
            return cls(
                source=found["source"],
                events=tuple(
                    Event.from_dict(entry, f"{where}, event {k}") for k, entry in enumerate(found["events"], 1)
                ),
                faces=tuple(_face(entry) for entry in found["faces"]),
                frames=found["frame_count"],
                duration=found["duration_s"],
                size=(found["height_px"], found["width_px"]),
                fps=found["fps"],
                missing=tuple(_missing_of(entry) for entry in found["missing"]),
                cuts=tuple(found["cut_frames"]),
                warnings=tuple(_warning(entry) for entry in found["warnings"]),
                model=found["model"],
                classes=tuple(found["classes"]),
                video=found["files"]["video"],
                made_from=found["made_from"],
            )
        except InputError as error:
            raise InputError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{where} lacks a field, or a field has the wrong type ({cause(error)}). Give a JSON file as htnet "
                "analyze wrote it."
            ) from error


def read_analysis(path: str | PathLike[str]) -> Analysis:
    """Read an analysis from its document. It has no curves and no pictures.

    Raises:
        InputError: there is no such file, or it is not one that `htnet analyze` wrote.
    """
    if not isinstance(path, str | PathLike):
        raise InputError(f"The file of an analysis is {path!r}; give the path of a JSON file that htnet analyze wrote.")
    path = as_path(path, "path")
    if not os.path.exists(path):
        raise InputError(missing_file(path))
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {cause(error)}.") from error
    return Analysis.from_dict(found, str(path))


def _check(entry: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Raise InputError unless the fields of an entry obey their rules."""
    for name, rule in rules.items():
        rule.check(name, entry[name])


def _warning(entry: Mapping[str, Any]) -> QualityWarning:
    _check(entry, {"code": _TEXT, "message": _TEXT})
    return QualityWarning(entry["code"], entry["message"])


def _span(part: FaceGap | FollowedFace) -> dict[str, Any]:
    return {
        "first_frame": part.first_frame,
        "last_frame": part.last_frame,
        "start_time_s": part.start,
        "end_time_s": part.end,
    }


def _frames(track: FaceTrack, first: int, last: int) -> tuple[int, int, float, float]:
    """Frame numbers and times of two rows of a track."""
    numbers: Sequence[int] = track.frames[[first, last]].tolist()
    times: Sequence[float] = track.times[[first, last]].tolist()
    return (*numbers, *times)  # type: ignore[return-value]


def _face(entry: Mapping[str, Any]) -> FollowedFace:
    def span(part: Mapping[str, Any]) -> tuple[int, int, float, float]:
        return part["first_frame"], part["last_frame"], part["start_time_s"], part["end_time_s"]

    _check(entry, _FACE)
    gaps = []
    for gap in entry["gaps"]:
        _check(gap, _SPAN)
        if gap["reason"] not in GAPS[1:]:
            raise InputError(f"The reason of a gap is {gap['reason']!r}; known are {', '.join(GAPS[1:])}.")
        gaps.append(FaceGap(gap["reason"], *span(gap)))
    return FollowedFace(entry["track"], *span(entry), entry["measured_s"], tuple(gaps))


def _missing_entry(part: Missing) -> dict[str, Any]:
    return {
        "reason": part.reason,
        "before_frame": part.before,
        "start_time_s": part.start,
        "end_time_s": part.end,
        "frame_count": part.frames,
        "detail": part.detail,
    }


def _missing_of(entry: Mapping[str, Any]) -> Missing:
    _check(entry, _MISSING)
    return Missing(
        entry["reason"],
        entry["before_frame"],
        entry["start_time_s"],
        entry["end_time_s"],
        entry["frame_count"],
        entry["detail"],
    )
