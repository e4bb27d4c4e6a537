"""Features of a followed face on an even grid of times, as the event detector reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from htnet.core.types import Float64Array, FloatArray
from htnet.recordings.measure import COLUMN, DISTANCES, FEATURES, HEAD, PICTURE
from htnet.recordings.regions import REGIONS

#: Rows per second of the grid, whatever the rate of the recording.
RATE = 30.0
#: Motion, px of a 224 px face, at which the scale of the input turns from linear to logarithmic.
_SOFT = 0.1
#: Windows, s, of the means that are taken out of places, eye openings, light and the head's place.
_SHORT, _LONG = 1.0, 8.0
#: The covariance of a stretch: rows this many times as long as the usual one count half, and it is drawn toward even
#: noise by a share that grows as rows are few; no motion has less noise than the last, px.
_OUTLYING, _SHRINK, _ROWS, _LEAST_NOISE = 2.0, 0.1, 60.0, 0.01
#: The autoregression of a stretch: ridge as a share of the variance, to which that of so many rows is added, and the
#: least standard deviation of its error.
_RIDGE, _RIDGE_ROWS, _LEAST_NEW = 0.002, 10.0, 0.1
#: Rows of which the covariance is summed at a time.
_PART = 1800
#: Distances in time, s, at which the motion of a stretch is compared with patterns of expressions; "place" is the place
#: beside its mean over a second.
_COMPARED = ("0.08s", "0.2s", "place")
#: Patterns of expressions, each with its mirror image: those whose response is told, and all whose best is.
TOLD_PATTERNS, PATTERNS = 20, 100
#: Scale of each head measure and of its rate: px, px, degrees, log size.
_HEAD_SCALES = (4.0, 4.0, 2.0, 0.02)
_HEAD_RATES = (20.0, 20.0, 10.0, 0.1)


@dataclass(frozen=True, eq=False)
class Noise:
    """Whitening of the motions of one stretch in space and in time.

    The motions at each of `DISTANCES` and the places are multiplied by ``space``, the inverse square root of the
    covariance that they have while nothing happens. So the noise of this camera, this codec and this head has unit
    variance in every direction. Then an autoregressive model of order 2, fitted for each whitened motion, predicts each
    row from the two before it. What it does not predict, divided by its standard deviation, is white in time too.

    Attributes:
        space: (5, M, M) for M motions.
        time: (5, M, 3): the two coefficients, and the standard deviation of the prediction error.
    """

    space: FloatArray
    time: FloatArray

    def whitened(self, motions: list[FloatArray]) -> list[FloatArray]:
        """Motions (T, M) at each distance with unit variance in every direction."""
        return [motion @ white for motion, white in zip(motions, self.space, strict=True)]

    def innovations(self, whitened: list[FloatArray]) -> list[FloatArray]:
        """Prediction errors of `whitened` motions, with unit variance; 0 in the first two rows."""
        found = []
        for motion, model in zip(whitened, self.time, strict=True):
            new = np.zeros_like(motion)
            new[2:] = (motion[2:] - model[:, 0] * motion[1:-1] - model[:, 1] * motion[:-2]) / model[:, 2]
            found.append(new)
        return found


@dataclass(frozen=True, eq=False)
class Grid:
    """One stretch of a face without a gap, on an even grid; T rows.

    What the network reads is computed for some rows at a time: of half an hour it takes more memory than the
    analysis before it.

    Attributes:
        times: (T,) s, from the first frame of the stretch.
        taken: (N,) s of the frames.
        features: (N, len(FEATURES)) of the frames.
        usual: of each picture measure, see `even_rows`.
        noise: of the stretch, see `Noise`.
        patterns: of expressions, see `network_inputs`.
    """

    times: Float64Array
    taken: Float64Array
    features: FloatArray
    usual: FloatArray
    noise: Noise
    patterns: FloatArray

    def inputs(self, low: int, high: int) -> FloatArray:
        """What the network reads in rows ``low`` to ``high`` - 1, (high - low, `INPUTS`) float32."""
        before, after = _wider(low, high, len(self.times), _LONG)
        even = _even(self.taken, self.features, self.times[before:after], self.usual)
        return network_inputs(even, self.noise, self.patterns)[low - before : high - before]


def _of(*names: str) -> npt.NDArray[np.int64]:
    return np.array([COLUMN[name] for name in names], np.int64)


@cache
def _columns() -> dict[str, npt.NDArray[np.int64]]:
    """Columns of the features by how they are scaled."""
    return {
        "motion": _of(*(f"{region}_{axis}_{d:g}s" for d in DISTANCES for region in REGIONS for axis in "uv")),
        "place": _of(*(f"{region}_{axis}" for region in REGIONS for axis in "uv")),
        "strain": _of(*(f"{region}_strain_{d:g}s" for d in DISTANCES[2:] for region in REGIONS)),
        "level": _of(*(f"{what}_{d:g}s" for what in ("rest", "noise") for d in DISTANCES), "rest", "noise"),
        "picture": _of(*PICTURE),
        "head": _of(*HEAD),
        "rate": _of(*(f"{name}_rate" for name in HEAD)),
    }


@cache
def input_names() -> tuple[str, ...]:
    """Names of the columns of `Grid.inputs`."""
    columns = {kind: [FEATURES[k] for k in rows] for kind, rows in _columns().items()}
    return (
        *columns["motion"],
        *(f"{name} within {_SHORT:g} s" for name in columns["place"]),
        *(f"{name} within {_LONG:g} s" for name in columns["place"]),
        *columns["strain"],
        *columns["level"],
        *(f"{name} within {_SHORT:g} s" for name in columns["picture"]),
        *(f"{name} within {_LONG:g} s" for name in columns["picture"]),
        *(f"{name} within {_LONG:g} s" for name in columns["head"]),
        *columns["rate"],
        *(f"{name} white" for name in columns["motion"]),
        *(f"{name} within {_SHORT:g} s white" for name in columns["place"]),
        *(f"{name} new" for name in columns["motion"]),
        *(f"{name} within {_SHORT:g} s new" for name in columns["place"]),
        *(
            name
            for distance in _COMPARED
            for name in (
                *(f"{side}pattern {k} {distance}" for side in ("", "mirrored ") for k in range(TOLD_PATTERNS)),
                *(f"{what} {distance}" for what in ("best response", "energy", "fit", "displacement")),
            )
        ),
    )


#: Number of columns of `Grid.inputs`.
INPUTS = len(input_names())


def make_grid(times: Float64Array, features: FloatArray, patterns: FloatArray) -> Grid:
    """Bring one stretch without a gap to the grid.

    Args:
        times: (N,) s of the frames, rising.
        features: (N, len(FEATURES)) of these frames, see `FEATURES`.
        patterns: of expressions, see `network_inputs`.
    """
    at = _grid_times(times)
    usual = _usual(times, features, at)

    def motions(low: int, high: int) -> list[FloatArray]:
        before, after = _wider(low, high, len(at), _SHORT)
        found = stretch_motions(_even(times, features, at[before:after], usual))
        return [motion[low - before : high - before] for motion in found]

    return Grid(at, times, features, usual, _noise(motions, len(at)), patterns)


def even_rows(times: Float64Array, features: FloatArray) -> tuple[Float64Array, FloatArray]:
    """The times (T,) of the grid and the features there, (T, len(FEATURES)), 0 if unknown.

    Frames that come faster than the grid are averaged over the time of a row, so their noise falls; between slower
    ones values are interpolated. Picture measures are shares of their usual value in the stretch.
    """
    at = _grid_times(times)
    return at, _even(times, features, at, _usual(times, features, at))


def _grid_times(times: Float64Array) -> Float64Array:
    count = max(1, int(np.floor((times[-1] - times[0]) * RATE + 1e-6)) + 1)
    return np.asarray(times[0] + np.arange(count) / RATE)


def _usual(times: Float64Array, features: FloatArray, at: Float64Array) -> FloatArray:
    """The usual value of each picture measure in the stretch: what three of four rows do not exceed."""
    picture = _resample(times, features[:, _columns()["picture"]], at)
    return np.asarray(np.maximum(np.quantile(picture, 0.75, axis=0), 1e-3), np.float32)


def _even(times: Float64Array, features: FloatArray, at: Float64Array, usual: FloatArray) -> FloatArray:
    """Features (T, len(FEATURES)) at some times of the grid, see `even_rows`."""
    even = _resample(times, features, at)
    columns = _columns()["picture"]
    even[:, columns] /= usual
    return even


def _wider(low: int, high: int, count: int, window: float) -> tuple[int, int]:
    """Rows that have a say in the means over ``window`` s around the rows ``low`` to ``high`` - 1."""
    half = int(window * RATE / 2)
    return max(0, low - half), min(count, high + half)


def noise_of(even: FloatArray) -> Noise:
    """The noise of the motions of a stretch, see `Noise`. Rows that move most count little.

    Args:
        even: (T, len(FEATURES)) features on the grid, see `even_rows`.
    """
    motions = stretch_motions(even)
    return _noise(lambda low, high: [motion[low:high] for motion in motions], len(even))


def _noise(motions: Callable[[int, int], list[FloatArray]], count: int) -> Noise:
    """`noise_of` motions that are given for some of the ``count`` rows at a time."""
    parts = [(low, min(low + _PART, count)) for low in range(0, count, _PART)]
    # Part by part: a map that is yet to be read would hold the motions of all parts.
    of_parts = [[_sizes(motion) for motion in motions(*part)] for part in parts]
    sizes = [np.concatenate(own) for own in zip(*of_parts, strict=True)]
    weights = [1 / (1 + (size / (_OUTLYING * max(float(np.median(size)), 1e-3))) ** 4) for size in sizes]
    sums: list[Float64Array] = []
    for low, high in parts:
        before = max(0, low - 2)
        own = [
            _lagged(motion.astype(np.float64), weight[before:high], low - before)
            for motion, weight in zip(motions(before, high), weights, strict=True)
        ]
        sums = [one + more for one, more in zip(sums, own, strict=True)] if sums else own
    space, time = [], []
    for products, weight in zip(sums, weights, strict=True):
        covariance = products[0] / weight.sum()
        share = min(_SHRINK + _ROWS / count, 1.0)
        width = len(covariance)
        even_noise = max(float(np.trace(covariance)) / width, _LEAST_NOISE**2)
        covariance = (1 - share) * covariance + share * even_noise * np.eye(width)
        values, vectors = np.linalg.eigh(covariance)
        white = (vectors / np.sqrt(np.maximum(values, _LEAST_NOISE**2))) @ vectors.T
        space.append(white)
        time.append(_autoregression(((white @ products[1:]) * white).sum(axis=-1), count))
    return Noise(np.stack(space).astype(np.float32), np.stack(time).astype(np.float32))


def _lagged(motion: Float64Array, weight: Float64Array, known: int) -> Float64Array:
    """Weighted sums of products of rows, (7, M, M) float64, so that where the parts end changes nothing that matters.

    The first is of each row with itself. The others are of rows t, t-1 and t-2: 00, 01, 02, 11, 12, 22; a row counts as
    much as the least of the three.

    Args:
        motion: (T, M).
        weight: (T,).
        known: rows at the beginning that an earlier part has counted, 0 or 2.
    """
    own = motion[known:]
    found = [(own * weight[known:, None]).T @ own]
    least = np.minimum(np.minimum(weight[2:], weight[1:-1]), weight[:-2])[:, None] if len(motion) > 2 else 0
    rows = [motion[2 - lag : len(motion) - lag] if len(motion) > 2 else motion[:0] for lag in range(3)]
    for one, two in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)):
        found.append((rows[one] * least).T @ rows[two])
    return np.stack(found)


def _autoregression(products: Float64Array, count: int) -> Float64Array:
    """Coefficients of rows t-1 and t-2 and the standard deviation of the error, (M, 3), by ridge regression.

    Args:
        products: (6, M) sums of products of each motion: 00, 01, 02, 11, 12, 22.
        count: rows of the stretch.
    """
    now, one, two, first, cross, second = products
    ridge = (_RIDGE + _RIDGE_ROWS / count) * np.maximum((first + second) / 2, 1e-9)
    first, second = first + ridge, second + ridge
    inverse = 1 / (first * second - cross**2)
    a, b = (second * one - cross * two) * inverse, (first * two - cross * one) * inverse
    left = now - 2 * (a * one + b * two) + a * a * products[3] + 2 * a * b * cross + b * b * products[5]
    error = np.sqrt(np.maximum(left / np.maximum(now, 1e-9), _LEAST_NEW**2))
    return np.stack([a, b, error], axis=1)


def _sizes(motion: FloatArray) -> FloatArray:
    """Length of the motion in each row, (T,)."""
    return np.asarray(np.sqrt((motion**2).sum(axis=1)))


def stretch_motions(even: FloatArray) -> list[FloatArray]:
    """Motions at each distance, and places beside their mean over a second: (T, M) each."""
    columns = _columns()
    parts = np.split(even[:, columns["motion"]], len(DISTANCES), axis=1)
    place = even[:, columns["place"]]
    return [*parts, place - moving_mean(place, _SHORT)]


def network_inputs(even: FloatArray, noise: Noise, patterns: FloatArray) -> FloatArray:
    """What the network reads, (T, `INPUTS`) float32.

    Args:
        even: (T, len(FEATURES)) features on the grid, see `even_rows`.
        noise: of the stretch, see `noise_of`.
        patterns: (2 `PATTERNS`, 2 regions) motion of the regions in expressions at a peak of 1 px; the second half are
            the mirror images of the first.
    """
    columns = _columns()
    motions = stretch_motions(even)
    whitened = noise.whitened(motions)

    def part(kind: str) -> FloatArray:
        return even[:, columns[kind]]

    place, picture = part("place"), part("picture")
    return np.concatenate(
        [
            np.arcsinh(part("motion") / _SOFT),
            np.arcsinh((place - moving_mean(place, _SHORT)) / _SOFT),
            np.arcsinh((place - moving_mean(place, _LONG)) / _SOFT),
            np.arcsinh(part("strain") / 0.005),
            np.log1p(np.maximum(part("level"), 0) / 0.02),
            10 * (picture - moving_mean(picture, _SHORT)),
            5 * (picture - moving_mean(picture, _LONG)),
            (part("head") - moving_mean(part("head"), _LONG)) / np.array(_HEAD_SCALES, np.float32),
            np.arcsinh(part("rate") / np.array(_HEAD_RATES, np.float32)),
            *(np.arcsinh(0.5 * motion) for motion in whitened),
            *(np.arcsinh(0.5 * motion) for motion in noise.innovations(whitened)),
            *(_compared(motions[k], noise.space[k], patterns) for k in _compared_at()),
        ],
        axis=1,
    ).astype(np.float32)


@cache
def _compared_at() -> tuple[int, ...]:
    """Places of `_COMPARED` among what `stretch_motions` gives."""
    names = [*(f"{d:g}s" for d in DISTANCES), "place"]
    return tuple(names.index(name) for name in _COMPARED)


def _compared(motion: FloatArray, white: FloatArray, patterns: FloatArray) -> FloatArray:
    """How a stretch moves beside how expressions would move it, seen through its own noise (a matched filter).

    The response to a pattern is in standard deviations of what it would be if nothing but noise moved the face, so it
    means the same in every recording. Told are the responses to some patterns; the best response to any, the energy of
    the motion, the share of it that the best pattern explains, and how far that pattern moves the skin, px.

    Args:
        motion: (T, M).
        white: (M, M), see `Noise`.
        patterns: see `network_inputs`.
    """
    seen = patterns @ white
    strength = np.maximum(np.linalg.norm(seen, axis=1), 1e-6)
    whitened = motion @ white
    responses = whitened @ (seen / strength[:, None]).T
    told = [*range(TOLD_PATTERNS), *range(PATTERNS, PATTERNS + TOLD_PATTERNS)]
    size = np.abs(responses)
    best = size.argmax(axis=1)
    most = size[np.arange(len(size)), best]
    energy = (whitened**2).sum(axis=1)
    return np.column_stack(
        [
            np.arcsinh(0.5 * responses[:, told]),
            np.log1p(most),
            np.log1p(energy),
            most**2 / (energy + motion.shape[1] / 2),
            np.log(most / strength[best] + 0.05),
        ]
    ).astype(np.float32)


def _resample(times: Float64Array, values: FloatArray, at: Float64Array) -> FloatArray:
    """Values (N, F) of frames at some times of the grid, which rise; 0 where unknown."""
    if len(times) == 1:
        return np.repeat(np.nan_to_num(values, nan=0.0), len(at), axis=0)
    step = float(np.median(np.diff(times)))
    first = max(0, int(np.searchsorted(times, at[0] - 0.5 / RATE)) - 2)
    beyond = min(len(times), int(np.searchsorted(times, at[-1] + 0.5 / RATE)) + 2)
    times, values = times[first:beyond], np.nan_to_num(values[first:beyond], nan=0.0)
    if step < 0.75 / RATE:
        low = np.searchsorted(times, at - 0.5 / RATE)
        high = np.maximum(np.searchsorted(times, at + 0.5 / RATE), low + 1)
        low, high = np.minimum(low, len(times) - 1), np.minimum(high, len(times))
        total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
        return ((total[high] - total[low]) / (high - low)[:, None]).astype(np.float32)
    left = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = ((at - times[left]) / (times[left + 1] - times[left])).clip(0, 1).astype(np.float32)[:, None]
    return np.asarray(values[left] * (1 - share) + values[left + 1] * share)


def moving_mean(values: FloatArray, window: float) -> FloatArray:
    """Mean over ``window`` s around each row; at the ends over what there is of it."""
    half = int(window * RATE / 2)
    rows = np.arange(len(values))
    low, high = np.maximum(rows - half, 0), np.minimum(rows + half + 1, len(values))
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    return ((total[high] - total[low]) / (high - low)[:, None]).astype(np.float32)


@cache
def mirrored() -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Which column each column of a mirrored face has, and its sign."""
    names = input_names()
    position = {name: k for k, name in enumerate(names)}
    order, sign = [], []
    for name in names:
        other = name
        if name.startswith("pattern "):
            other = f"mirrored {name}"
        elif name.startswith("mirrored "):
            other = name.removeprefix("mirrored ")
        elif name.startswith("left_"):
            other = "right_" + name[5:]
        elif name.startswith("right_"):
            other = "left_" + name[6:]
        order.append(position[other])
        # Motion to the side, the head's place to the side and its roll change their signs.
        sideways = "_u" in name or name.startswith(("head_x", "head_roll"))
        sign.append(-1.0 if sideways else 1.0)
    return np.array(order, np.int64), np.array(sign, np.float32)
