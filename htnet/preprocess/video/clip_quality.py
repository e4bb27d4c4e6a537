"""Quality checks of a clip for motion measurement: gaps in time, repeated frames, few frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from htnet.core.types import Float64Array, Frame, QualityWarning

# An interval this many times the usual one is a gap; if a larger share of the intervals are gaps, the rate varies.
_GAP, _VARIES = 1.5, 0.1
# Intervals within this factor of the usual one count for the rate: those of a 2:3 pulldown, but no gaps.
_NEAR = 1.7
# Containers round times to 1 ms, so intervals differ by up to 2 ms at a constant rate.
_ROUNDING = 0.0021
# A frame is a repeat if its change is below this share of a fresh frame's change, or below this many gray levels.
_REPEAT, _EQUAL = 0.3, 0.01


def frame_rate(times: Float64Array, stated: float | None) -> float | None:
    """Frames per second: the stated rate if the times agree with it, otherwise the rate of the times.

    If that varies, the usual rate.

    Args:
        times: (N,) s.
        stated: the rate in the header, or the one that the user gave.
    """
    if len(times) < 2:
        return stated
    intervals = np.diff(times)
    if stated is not None and np.abs(intervals - 1 / stated).max() <= _ROUNDING:
        return stated
    if np.ptp(intervals) <= _ROUNDING:
        return float(len(intervals) / (times[-1] - times[0]))
    return 1 / usual_interval(times)


def usual_interval(times: Float64Array) -> float:
    """Seconds from frame to frame: the mean of the intervals near the median, so that gaps do not count."""
    intervals = np.diff(times)
    middle = np.sort(intervals)[len(intervals) // 2]
    near = (intervals < _NEAR * middle) & (intervals > middle / _NEAR)
    return float(intervals[near].mean())


def varying_times(times: Sequence[float | None]) -> Float64Array | None:
    """(N,) times of frames, s, if their rate is not constant; None if it is constant or unknown."""
    known = known_times(times, None, 0)
    if known is None or len(known) < 3 or np.ptp(np.diff(known)) <= _ROUNDING:
        return None
    return known


def noting_times(frames: Iterable[Frame], clocks: list[float | None]) -> Iterator[Frame]:
    """Yield the same frames, and add their times to a list."""
    for frame in frames:
        clocks.append(frame.time)
        yield frame


def time_warnings(times: Float64Array, first: int = 0) -> tuple[QualityWarning, ...]:
    """Warnings if there are gaps in time between frames, or if their rate varies.

    Args:
        times: (N,) s.
        first: number of the first frame.
    """
    if len(times) < 3:
        return ()
    intervals = np.diff(times)
    usual = float(np.quantile(intervals, 0.25))  # half of the recording may be at a lower rate
    long = np.flatnonzero((intervals > _GAP * usual) & (intervals > usual + _ROUNDING))
    if not len(long):
        return ()
    if len(long) > _VARIES * len(intervals):
        message = (
            f"The frame rate varies: {intervals.min():.3f} to {intervals.max():.3f} s from frame to frame. Motion "
            "between frames that are far apart is not visible."
        )
        return (QualityWarning("variable_rate", message),)
    places = [f"{intervals[i]:.3f} s after frame {first + i} ({times[i]:.3f} s)" for i in long[:3].tolist()]
    gaps = "1 gap" if len(long) == 1 else f"{len(long)} gaps"
    more = f" and {len(long) - 3} more" if len(long) > 3 else ""
    message = (
        f"There {'is' if len(long) == 1 else 'are'} {gaps} in time: {', '.join(places)}{more}; frames are {usual:.3f} "
        "s apart elsewhere. Frames were dropped or lost; an apex inside a gap cannot be found."
    )
    return (QualityWarning("time_gaps", message),)


def fresh_frames(changes: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which frames are new instead of repeating the one before.

    Recompression leaves small differences between copies, so a repeat is a frame whose change is far below that of
    the fresh ones: under 0.3 of their median. Fresh ones are those that change by at least 0.3 of the 90th percentile.

    Args:
        changes: (N,) mean absolute difference of each face from the one before, gray levels; the first is ignored.

    Returns:
        (N,) bool; the first is always fresh.
    """
    values = np.asarray(changes, dtype=np.float64)
    fresh = np.ones(len(values), dtype=np.bool_)
    if len(values) < 2:
        return fresh
    rest = values[1:]
    moved = rest[rest >= _REPEAT * np.quantile(rest, 0.9)]
    fresh[1:] = rest > max(_EQUAL, _REPEAT * float(np.median(moved)))
    return fresh


def repeat_warnings(fresh: npt.NDArray[np.bool_]) -> tuple[QualityWarning, ...]:
    """A warning about frames that repeat the one before, with their number."""
    repeats = int((~fresh).sum())
    if not repeats:
        return ()
    lengths = np.diff(np.append(np.flatnonzero(fresh), len(fresh))) - 1
    message = (
        f"{repeats} of {len(fresh)} frames repeat the one before (at most {int(lengths.max())} in a row), as in a copy "
        "at a constant rate of a recording whose rate was lower or varied, or after strong compression. They contain "
        "no new information and were left out of the search; use the original recording if there is one."
    )
    return (QualityWarning("repeated_frames", message),)


def known_times(times: Sequence[float | None], fps: float | None, first: int) -> Float64Array | None:
    """(N,) times of frames, s: their own if all have one, else number / fps; None if there is no rate either."""
    if all(time is not None for time in times):
        return np.asarray(times, dtype=np.float64)
    return None if fps is None else (first + np.arange(len(times))) / fps
