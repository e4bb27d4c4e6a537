"""Errors of spotting against the known onset, apex and offset of generated clips.

The method was chosen and set on clips of other seeds (10000 to 10059, 11000 to 11011 and, still, 20000 to 20005).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from benchmarks.clips import Clip, random_clip
from htnet.core.types import Spotting
from htnet.preprocess import SPOTTING_METHODS, spot

#: Seeds of the clips, and of clips in which nothing moves but the head.
FIRST_SEED, CLIPS = 700_000, 200
FIRST_STILL_SEED, STILL_CLIPS = 800_000, 50
#: An apex this near counts as found, frames.
NEAR = 2
#: A clip is told apart from a still one by this confidence.
CONFIDENT = 0.5


def run(quick: bool) -> dict[str, Any]:
    """Spot the expression of random clips by every method; JSON-ready figures."""
    import cv2

    cv2.setNumThreads(torch.get_num_threads())
    # A quick run looks at seeds of the development.
    first, clips = (10_000, 3) if quick else (FIRST_SEED, CLIPS)
    first_still, still = (20_000, 2) if quick else (FIRST_STILL_SEED, STILL_CLIPS)
    found: dict[str, list[tuple[Clip, Spotting]]] = {method: [] for method in SPOTTING_METHODS}
    seconds, frames = 0.0, 0
    for seed in range(first, first + clips):
        clip = random_clip(seed)
        rgb = list(clip.rgb())
        for method in SPOTTING_METHODS:
            start = time.perf_counter()
            spotting = spot(rgb, clip.points, method=method, fps=clip.fps)
            seconds, frames = seconds + time.perf_counter() - start, frames + len(clip)
            found[method].append((clip, spotting))
    resting = []
    for seed in range(first_still, first_still + still):
        clip = random_clip(seed, still=True)
        resting.append(spot(clip.rgb(), clip.points, fps=clip.fps).confidence)
    return {
        "device": "cpu",
        "clips": clips,
        "first_seed": first,
        "frames": _quantiles([len(clip) for clip, _ in found["peak"]]),
        "fps": _quantiles([clip.fps for clip, _ in found["peak"]]),
        "peak_px": _quantiles([clip.peak_px for clip, _ in found["peak"]]),
        "near_frames": NEAR,
        "methods": {method: _figures(pairs) for method, pairs in found.items()},
        "still_clips": {"clips": still, "first_seed": first_still, **_confidences(resting)},
        "ms_per_frame": round(1e3 * seconds / frames, 2),
    }


def _figures(pairs: list[tuple[Clip, Spotting]]) -> dict[str, Any]:
    apexes = [spotting.apex - clip.apex for clip, spotting in pairs]
    weak = [error for error, (clip, _) in zip(apexes, pairs, strict=True) if clip.peak_px < 1.5]
    # The end of a clip that was cut off during the fall is not an offset.
    whole = [(clip, spotting) for clip, spotting in pairs if clip.course[-1] == 0]
    return {
        "apex": _errors(apexes),
        "apex_where_the_peak_is_under_1.5_px": _errors(weak) if weak else None,
        "onset": _errors([spotting.onset - clip.onset for clip, spotting in pairs]),
        "offset_where_the_clip_shows_it": _errors([spotting.offset - clip.offset for clip, spotting in whole]),
        "confidence": _confidences([spotting.confidence for _, spotting in pairs]),
    }


def _errors(errors: list[int]) -> dict[str, Any]:
    """Errors in frames; late is positive."""
    sizes = np.abs(errors)
    return {
        "clips": len(errors),
        "near": int((sizes <= NEAR).sum()),
        "share_near": round(float((sizes <= NEAR).mean()), 4),
        "mean_absolute_frames": round(float(sizes.mean()), 3),
        "median_absolute_frames": float(np.median(sizes)),
        "largest_frames": int(sizes.max()),
        "mean_frames": round(float(np.mean(errors)), 3),
    }


def _confidences(values: list[float]) -> dict[str, Any]:
    share = float(np.mean(np.array(values) > CONFIDENT))
    return {"values": _quantiles(values), f"share_above_{CONFIDENT}": round(share, 4)}


def _quantiles(values: Iterable[float]) -> dict[str, float]:
    names = ("least", "q05", "median", "q95", "most")
    found = np.quantile(np.asarray(list(values), dtype=np.float64), [0, 0.05, 0.5, 0.95, 1])
    return {name: float(f"{value:.4g}") for name, value in zip(names, found.tolist(), strict=True)}
