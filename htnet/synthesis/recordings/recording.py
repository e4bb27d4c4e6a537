"""Generated recordings: frames one by one, and the truth about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from htnet.core.errors import InputError
from htnet.core.types import ByteArray, Float64Array, FloatArray
from htnet.synthesis.muscles import ACTION_UNITS
from htnet.synthesis.recordings.camera import Camera
from htnet.synthesis.recordings.codec import check_codec, compressed
from htnet.synthesis.recordings.config import RecordingConfig
from htnet.synthesis.recordings.identity import draw_face
from htnet.synthesis.recordings.motion import FaceMotion, play
from htnet.synthesis.recordings.paint import Painter
from htnet.synthesis.recordings.parts import EyeShape
from htnet.synthesis.recordings.plan import (
    Clock,
    Role,
    choose,
    draw_clock,
    draw_roles,
    protected_frames,
    stream,
)
from htnet.synthesis.recordings.portrait import Portrait
from htnet.synthesis.recordings.render import FaceRenderer, Person
from htnet.synthesis.recordings.scene import Body, paint_room
from htnet.synthesis.recordings.script import Act, ScriptWriter, Stage
from htnet.synthesis.recordings.sets import people_of
from htnet.synthesis.recordings.skin import GRID_X, GRID_Y, rise_and_fall, template_points
from htnet.synthesis.recordings.truth import GeneratedTrack, TrueEvent, TruthCurves, plain_event

_MOST_SEED = 2**31
#: Purposes of random numbers, see `plan.stream`.
_CLOCK, _ROLES, _CAMERA, _DELIVERY, _SCRIPT, _MOTION, _ROOM, _BODY, _LIGHT, _CODEC = range(10)
#: Yaw beyond which a face does not count as visible, and landmarks are not told, degrees.
FARTHEST_TURN = 45.0
#: Outline of a face for its box, px of a 224 px face from the middle between the eyes.
_OUTLINE = np.array([(-100, -5), (100, -5), (-88, 100), (88, 100), (0, -95), (-60, -85), (60, -85), (0, 165)], float)


@dataclass(frozen=True, eq=False)
class _Cast:
    """A face with all that was drawn for it; frames are those of its shot's grid, from 0."""

    role: Role
    acts: tuple[Act, ...]
    motion: FaceMotion
    first: int


class GeneratedRecording:
    """A recording of drawn faces; made by `generate_recording`.

    Attributes:
        seed: of everything random.
        config: what it may show.
        fps: the camera's rate.
        width: px.
        height: px.
        times: (F,) float64, time stamp of each frame, s; the first is 0.
        repeated: (F,) bool, frames that show the picture of the one before.
        layout: one of `LAYOUTS`.
        codec: what `frames` and `write_recording` compress with; "none" for nothing.
        quality: of the codec.
        tracks: the faces.
        events: all that happens, by onset.
        camera: how frames are exposed.
    """

    def __init__(self, seed: int, config: RecordingConfig, portrait: Portrait | None) -> None:
        self.seed, self.config, self._portrait = seed, config, portrait
        self._clock: Clock = draw_clock(config, stream(seed, _CLOCK))
        self.fps = self._clock.fps
        rng = stream(seed, _ROLES)
        self.width, self.height = (int(n) for n in choose(config.sizes, rng)[:2])
        self.layout = str(choose(config.layouts, rng)[0])
        count = len(self._clock.at)
        cut = int(count * rng.uniform(0.4, 0.6)) if self.layout.startswith("cut") else count
        self._shots = [(0, cut), (cut, count)] if cut < count else [(0, count)]
        expressive, speaks = rng.random() >= config.no_expression, rng.random() < config.speech
        size = (self.width, self.height)
        roles = draw_roles(config, self.layout, size, people_of(seed), portrait is not None, rng)
        self.camera = Camera(config, self.fps, self._clock.at, size, stream(seed, _CAMERA))
        self._cast = [self._direct(k, role, expressive, speaks) for k, role in enumerate(roles)]
        acts = {k + c.first for c in self._cast for k in protected_frames(c.acts)}
        self._grid, self._shown, self.times = self._clock.deliver(config, acts, stream(seed, _DELIVERY))
        self.repeated = self._shown != self._grid
        chosen = choose(config.codecs, stream(seed, _CODEC))
        self.codec, self.quality = str(chosen[0]), int(chosen[1])
        self.tracks = tuple(self._track(k) for k in range(len(roles)))
        self.events = tuple(sorted(self._true_events(), key=lambda e: (e.onset, e.track, e.kind, e.offset)))
        self._stage_of: int | None = None
        self._faces: dict[int, FaceRenderer] = {}
        self._bodies: list[tuple[int, Body]] = []
        self._room: FloatArray | None = None
        self._behind: tuple[tuple[float, ...], FloatArray] | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.times)

    @property
    def duration(self) -> float:
        """From the first frame to the last, s."""
        return float(self.times[-1])

    def frames(self, compress: bool = True) -> Iterator[ByteArray]:
        """All frames in order, one at a time: (H, W, 3) uint8, RGB.

        Args:
            compress: let them go through the recording's codec; False for what the sensor gave.

        Raises:
            MissingExtraError: PyAV is needed and not installed.
        """
        raw = (self.frame(number) for number in range(len(self)))
        yield from raw if not compress or self.codec == "none" else compressed(raw, self.codec, self.quality, self.fps)

    def frame(self, number: int) -> ByteArray:
        """One frame as the sensor gave it, before any codec: (H, W, 3) uint8, RGB."""
        place = int(self._shown[self._checked(number)])
        return self.camera.expose(self._picture(place), place)

    def landmarks(self, number: int, track: int = 0) -> FloatArray | None:
        """The five points in a frame, (5, 2) px, order `htnet.types.POINT_NAMES`.

        None where the face is not in this shot or turned beyond `FARTHEST_TURN`; points may lie outside the frame.
        """
        found = self._in_shot(number, track)
        return None if found is None else found[0].where(found[0].person.five, found[1]).astype(np.float32)

    def landmarks68(self, number: int, track: int = 0) -> FloatArray | None:
        """The 68 points in a frame, (68, 2) px; None as for `landmarks`, and for a portrait."""
        found = self._in_shot(number, track)
        points = None if found is None else found[0].points68(found[1])
        return None if points is None else points.astype(np.float32)

    def face_box(self, number: int, track: int = 0) -> tuple[float, float, float, float] | None:
        """Left, top, width and height of the face from hairline to chin, px; None where it is not in this shot."""
        at = self._place(number, track)
        if at is None:
            return None
        face = self._face(track)
        pose = face.pose(at)
        outline = pose.to_frame(face.person.shape.outline(_OUTLINE, pose.yaw, pose.pitch))
        (left, top), (right, bottom) = outline.min(0), outline.max(0)
        return float(left), float(top), float(right - left), float(bottom - top)

    def skin_motion(self, number: int, track: int = 0) -> tuple[FloatArray, Float64Array, Float64Array] | None:
        """Displacement of the skin from the face at rest, without the head: (2, rows, columns), px of a 224 px face.

        With it come the x of the columns and the y of the rows, px of that face from the middle between the eyes. A
        place that shows the motion at x was at x less the displacement there. Lids and lips that part are not in it.
        None where the face is not in this shot.
        """
        at = self._place(number, track)
        return None if at is None else (self._face(track).skin(at), GRID_X, GRID_Y)

    def where(self, points: Float64Array, number: int, track: int = 0) -> Float64Array | None:
        """Where points of the face's skin are seen in a frame: (N, 2) px; None as for `landmarks`.

        Args:
            points: (N, 2) px of a 224 px face at rest from the middle between its eyes.
            number: of the frame.
            track: of the face.
        """
        found = self._in_shot(number, track)
        return None if found is None else found[0].where(np.asarray(points, np.float64), found[1])

    def curves(self, track: int = 0) -> TruthCurves:
        """What a face does in every frame."""
        cast = self._cast[self._checked_track(track)]
        start, stop = self._shots[cast.role.shot]
        inside = (self._shown >= start) & (self._shown < stop)
        local = self._shown[inside] - start
        motion, count = cast.motion, len(self)

        def whole(values: FloatArray) -> FloatArray:
            full = np.full((count, *values.shape[1:]), np.nan, np.float32)
            full[inside] = values
            return full

        at = np.arange(stop - start) / self.fps
        units = np.zeros((stop - start, len(ACTION_UNITS), 2), np.float32)
        levels = {kind: np.zeros(stop - start, np.float32) for kind in ("micro", "macro")}
        for act in cast.acts:
            if act.units is not None:
                part = slice(act.first, act.last + 1)
                moments = (act.first / self.fps, act.top / self.fps, act.last / self.fps)
                course = rise_and_fall(at[part], *moments, act.hold, act.relax).astype(np.float32)
                units[part] += course[:, None, None] * act.units
                levels[act.kind][part] = np.maximum(levels[act.kind][part], act.peak * course)
        lowered = units[:, ACTION_UNITS.index(25)].mean(1)
        side = cast.role.size * motion.scale
        x, y = cast.role.x + motion.x * cast.role.size, cast.role.y + motion.y * cast.role.size
        x = x + 0.5 * side * np.sin(np.deg2rad(motion.yaw))
        y = y + 0.5 * side * np.sin(np.deg2rad(motion.pitch))
        seen = (x > 0.45 * side) & (x < self.width - 0.45 * side) & (y > 0.42 * side) & (y < self.height - 0.74 * side)
        visible = np.zeros(count, bool)
        visible[inside] = (seen & (np.abs(motion.yaw) < FARTHEST_TURN))[local]
        return TruthCurves(
            whole(units[local]),
            whole(levels["micro"][local]),
            whole(levels["macro"][local]),
            whole(np.stack([motion.open_left, motion.open_right], axis=1)[local]),
            whole(np.stack([motion.gaze_x, motion.gaze_y], axis=1)[local]),
            whole((motion.mouth + 1.3 * lowered)[local]),
            whole(np.stack([motion.yaw, motion.pitch, motion.roll], axis=1)[local]),
            whole(motion.scale[local]),
            visible,
        )

    def truth(self) -> dict[str, Any]:
        """All that is true of the recording but the pixels, JSON-ready."""
        return {
            "seed": self.seed,
            "fps": self.fps,
            "frames": len(self),
            "width": self.width,
            "height": self.height,
            "layout": self.layout,
            "codec": self.codec,
            "quality": self.quality,
            "flicker_hz": self.camera.flicker,
            "times": [round(float(t), 6) for t in self.times],
            "repeated": np.flatnonzero(self.repeated).tolist(),
            "tracks": [dataclasses.asdict(track) for track in self.tracks],
            "events": [plain_event(event) for event in self.events],
        }

    def _direct(self, number: int, role: Role, expressive: bool, speaks: bool) -> _Cast:
        """Write and play the script of one face."""
        start, stop = self._shots[role.shot]
        gap = self._clock.gap
        gap = gap - start if gap is not None and start < gap < stop else None
        stage = Stage(self.fps, 0, stop - start, gap, role.layout, expressive, speaks)
        points = template_points() if role.person is None else draw_face(role.person, self.config).five
        if role.person is None and self._portrait is not None:
            points = self._portrait.five
        acts = ScriptWriter(self.config, stage, points, stream(self.seed, _SCRIPT, number)).write()
        exit_at = (max(role.x, self.width - role.x) + 0.75 * role.size) / role.size
        at = self._clock.at[start:stop]
        rng = stream(self.seed, _MOTION, number)
        return _Cast(role, acts, play(acts, self.config, stage, at, role.resting, exit_at, rng), start)

    def _track(self, number: int) -> GeneratedTrack:
        role = self._cast[number].role
        start, stop = (int(np.searchsorted(self._grid, k)) for k in self._shots[role.shot])
        return GeneratedTrack(number, role.person, role.shot, start, stop, role.size)

    def _true_events(self) -> Iterator[TrueEvent]:
        for number, cast in enumerate(self._cast):
            for act in cast.acts:
                first, top, last = (k + cast.first for k in (act.first, act.top, act.last))
                onset = int(np.searchsorted(self._grid, first, side="right")) - 1
                offset = min(int(np.searchsorted(self._grid, last)), len(self) - 1)
                apex = int(np.clip(np.searchsorted(self._grid, top), onset + 1, offset))
                units: tuple[tuple[int, float, float], ...] = ()
                if act.units is not None:
                    rows = zip(ACTION_UNITS, act.units.tolist(), strict=True)
                    units = tuple((unit, left, right) for unit, (left, right) in rows if left or right)
                yield TrueEvent(
                    act.kind,
                    number,
                    onset,
                    apex,
                    offset,
                    float(self.times[onset]),
                    float(self.times[apex]),
                    float(self.times[offset]),
                    act.emotion,
                    units,
                    act.peak if act.skin is not None else None,
                    act.detail,
                )

    def _checked(self, number: int) -> int:
        if not 0 <= number < len(self):
            raise InputError(f"frame is {number!r}; give 0 to {len(self) - 1}.")
        return number

    def _checked_track(self, track: int) -> int:
        if not 0 <= track < len(self._cast):
            raise InputError(f"track is {track!r}; give 0 to {len(self._cast) - 1}.")
        return track

    def _place(self, number: int, track: int) -> int | None:
        """The frame of a face's own grid that a frame shows; None where the face is not in its shot."""
        start, stop = self._shots[self._cast[self._checked_track(track)].role.shot]
        place = int(self._shown[self._checked(number)])
        return place - start if start <= place < stop else None

    def _in_shot(self, number: int, track: int) -> tuple[FaceRenderer, int] | None:
        at = self._place(number, track)
        if at is None or abs(float(self._cast[track].motion.yaw[at])) > FARTHEST_TURN:
            return None
        return self._face(track), at

    def _set_stage(self, shot: int) -> None:
        """Paint a shot's room and faces; what belongs to another one is let go."""
        if self._stage_of == shot:
            return
        self._stage_of, self._faces, self._bodies, self._behind = shot, {}, [], None
        soft = self.camera.soft
        self._room = paint_room(stream(self.seed, _ROOM, shot), self.width, self.height, soft)
        for number, cast in enumerate(self._cast):
            if cast.role.shot == shot:
                self._bodies.append((number, self._body(number)))

    def _face(self, track: int) -> FaceRenderer:
        """The renderer of a face, which is made when it is first needed."""
        self._set_stage(self._cast[track].role.shot)
        if track not in self._faces:
            cast = self._cast[track]
            role = cast.role
            scale = role.size / 224
            rng = stream(self.seed, _LIGHT, role.shot)
            light = float(rng.uniform(*self.config.light_slope) * rng.choice((-1, 1)))
            self._faces[track] = FaceRenderer(
                self._person(role),
                cast.motion,
                cast.acts,
                self.fps,
                (role.x, role.y, scale),
                self.camera.exposure,
                light,
                self.camera.soft,
            )
        return self._faces[track]

    def _person(self, role: Role) -> Person:
        density = float(np.clip(1.7 * role.size / 224, 0.8, 2.6))
        if role.person is None:
            return self._given.person(density, self.seed)
        face = draw_face(role.person, self.config)
        eyes = EyeShape.of(face.points[36:42]), EyeShape.of(face.points[42:48])
        return Person(
            Painter(face, density).paint(),
            face.shape,
            face.five,
            face.points,
            eyes,
            face.points[[48, 60, 61, 62, 63, 64, 54]],
            face.colors["eyes"],
            0.6 + 0.35 * face.makeup,
            face.seed,
        )

    @property
    def _given(self) -> Portrait:
        if self._portrait is None:
            raise InputError("This recording shows a portrait that is not there.")
        return self._portrait

    def _body(self, number: int) -> Body:
        role = self._cast[number].role
        rng = stream(self.seed, _BODY, number)
        shirt = rng.uniform(20, 220, 3)
        if role.person is None:
            skin, hair, jaw = self._given.skin_color(), None, 62.0
        else:
            face = draw_face(role.person, self.config)
            skin, hair = face.colors["skin"], face.colors["hair"] if face.hair == "long" else None
            jaw, shirt = 0.62 * float(face.points[16, 0]), face.colors["shirt"]
        reach = 1.3 * self.height
        return Body(skin, shirt, hair, jaw, role.size / 224, reach, self.camera.soft, rng)

    def _picture(self, place: int) -> FloatArray:
        """The scene at a place of the grid, before the camera: (H, W, 3) float32."""
        shot = next(k for k, (start, stop) in enumerate(self._shots) if start <= place < stop)
        self._set_stage(shot)
        at = place - self._shots[shot][0]
        # The room with the bodies changes only while somebody leans, shifts or leaves.
        state = tuple(float(v) for number, _ in self._bodies for v in self._cast[number].motion.body[at])
        if self._behind is None or self._behind[0] != state:
            if self._room is None:
                raise RuntimeError("the stage is not set")
            behind = self._room.copy()
            for number, body in self._bodies:
                role, (x, y, scale) = self._cast[number].role, self._cast[number].motion.body[at]
                place_of = (role.x + float(x) * role.size, role.y + float(y) * role.size)
                body.draw(behind, *place_of, role.size / 224 * float(scale))
            self._behind = state, behind
        picture = self._behind[1].copy()
        for number, _ in self._bodies:
            self._face(number).draw(picture, at)
        return picture


def generate_recording(
    seed: int, config: RecordingConfig | None = None, portrait: Portrait | None = None
) -> GeneratedRecording:
    """A recording of a drawn face, or two, with all that happens in it.

    The same seed gives the same recording, whatever is asked of it in whatever order. Which people it shows follows
    from the seed, see `SPLITS`.

    Args:
        seed: of everything random.
        config: what it may show.
        portrait: a face to show instead of the first drawn one.

    Raises:
        InputError: a seed that cannot be.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _MOST_SEED:
        raise InputError(f"seed is {seed!r}; give a whole number of 0 or more, below 2^31.")
    config = config or RecordingConfig()
    for codec, quality, _ in config.codecs:
        check_codec(codec, quality)
    return GeneratedRecording(seed, config, portrait)
