"""Statistics of generated flow images compared with the real ones of the development half.

``python -m benchmarks.synthesis_calibration`` writes ``benchmarks/results/synthesis_calibration.json`` and the pictures
of docs/synthesis.md. Of real images only averages over all samples of the half are kept.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from benchmarks.halves import development_manifest, development_points
from benchmarks.measure import ROOT, provenance
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.evaluation.store import to_json, write_atomic
from htnet.synthesis import ACTION_UNITS, FlowGenerator, SynthesisConfig, SyntheticFlows
from htnet.training import load_flow_set

RESULT = ROOT / "benchmarks" / "results" / "synthesis_calibration.json"
PICTURES = ROOT / "docs" / "pictures" / "synthesis"
CHANNELS = ("strain", "v", "u")
#: Quantiles that distributions are told by, and edges of the strain's histogram, gray levels.
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
EDGES = (0, 4, 8, 16, 32, 64, 128, 192, 256)
GENERATED, SEED = 2048, 12345

Floats = npt.NDArray[np.float64]


def statistics(images: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """What is compared, of (N, 3, S, S) images in the order of `CHANNELS`."""
    values = images.astype(np.float64)
    return {
        "radial_spectrum_log10": {
            name: np.log10(radial_spectrum(values[:, k])).round(3).tolist() for k, name in enumerate(CHANNELS)
        },
        "strain_histogram": (np.histogram(values[:, 0], EDGES)[0] / values[:, 0].size).round(4).tolist(),
        "quantiles": {name: np.quantile(values[:, k], QUANTILES).round(1).tolist() for k, name in enumerate(CHANNELS)},
        "head_motion_share": {
            name: np.quantile(affine_share(values[:, k]), QUANTILES).round(3).tolist()
            for k, name in ((1, "v"), (2, "u"))
        },
        "standard_deviation": {
            name: round(float(values[:, k].std((1, 2)).mean()), 1) for k, name in enumerate(CHANNELS)
        },
        "median_kurtosis": {
            name: round(float(np.median(kurtosis(values[:, k]))), 2) for k, name in enumerate(CHANNELS)
        },
    }


def _centered(planes: Floats) -> Floats:
    return np.asarray(planes - planes.mean((1, 2), keepdims=True))


def radial_spectrum(planes: Floats) -> Floats:
    """Mean power of images of unit variance by whole spatial frequency (1 to S / 2 periods), under a Hann window."""
    size = planes.shape[-1]
    still = _centered(planes)
    still /= still.std((1, 2), keepdims=True).clip(1e-9)
    window = np.hanning(size)
    power = (np.abs(np.fft.fft2(still * window[:, None] * window)) ** 2).mean(0)
    frequency = np.fft.fftfreq(size) * size
    ring = np.hypot(frequency[:, None], frequency).round().astype(int)
    return np.array([power[ring == k].mean() for k in range(1, size // 2 + 1)])


def affine_share(planes: Floats) -> Floats:
    """Share of each image's variance that a plane explains, as a turning or nearing head makes it: (N,)."""
    size = planes.shape[-1]
    across = np.arange(size) - (size - 1) / 2
    basis = np.stack([np.tile(across, size), np.repeat(across, size)])
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    flat = _centered(planes).reshape(len(planes), -1)
    return np.asarray(((flat @ basis.T) ** 2).sum(1) / (flat**2).sum(1).clip(1e-9))


def kurtosis(planes: Floats) -> Floats:
    """Fourth moment over the square of the second, (N,): 3 for Gaussian values, more where little moves."""
    still = _centered(planes)
    return np.asarray((still**4).mean((1, 2)) / ((still**2).mean((1, 2)) ** 2).clip(1e-9))


def compare() -> dict[str, Any]:
    """Statistics of both, and of the real landmarks."""
    manifest = development_manifest()
    real = load_flow_set(manifest, PreprocessSpec()).images.numpy()
    points = development_points(manifest)
    together = points.mean(1, keepdims=True)
    made = FlowGenerator()(GENERATED, SEED)
    return {
        "what": "Averages over the development half (benchmarks/synthesis_halves.json) and over generated images.",
        "samples": {"real": len(real), "generated": GENERATED, "seed": SEED},
        "quantile_levels": list(QUANTILES),
        "strain_histogram_edges": list(EDGES),
        "real": statistics(real),
        "generated": statistics(made.images.numpy()),
        "real_landmarks_28px": {
            "mean": points.mean(0).round(2).tolist(),
            "sd_about_their_middle": (points - together).std(0).round(2).tolist(),
            "sd_of_their_middle": together.std(0)[0].round(2).tolist(),
        },
        "config": SynthesisConfig().to_dict(),
        "machine": provenance(),
    }


def curves(found: dict[str, Any]) -> Figure:
    """Spectra, strain histograms and head-motion shares of both."""
    figure = Figure(figsize=(9, 2.7), layout="constrained")
    axes = figure.subplots(1, 3)
    for name, color in zip(CHANNELS, ("#ff9f0a", "#0a84ff", "#30d158"), strict=True):
        for source, style in (("real", "-"), ("generated", "--")):
            spectrum = found[source]["radial_spectrum_log10"][name]
            axes[0].plot(range(1, len(spectrum) + 1), spectrum, style, color=color, label=f"{name}, {source}")
            if name != "strain":
                axes[2].plot(found[source]["head_motion_share"][name], QUANTILES, style, color=color)
    axes[0].set_title("radial spectrum (log10)", fontsize=9)
    axes[0].set_xlabel("periods an image", fontsize=8)
    axes[0].legend(fontsize=6)
    at = np.arange(len(EDGES) - 1)
    for shift, source, color in ((-0.2, "real", "#555555"), (0.2, "generated", "#ff9f0a")):
        axes[1].bar(at + shift, found[source]["strain_histogram"], 0.4, color=color, label=source)
    axes[1].set_xticks(at, [f"{low}" for low in EDGES[:-1]], fontsize=7)
    axes[1].set_title("strain histogram, from gray level", fontsize=9)
    axes[1].legend(fontsize=7)
    axes[2].set_title("share of a plane in v and u, quantiles", fontsize=9)
    for axis in axes:
        axis.tick_params(labelsize=7)
    return figure


def examples(made: SyntheticFlows, each: int = 8) -> Figure:
    """Generated images of each emotion: strain, v and u, with the units that move."""
    figure = Figure(figsize=(9, 10.4), layout="constrained")
    axes = figure.subplots(3 * len(EMOTIONS), each)
    for label, emotion in enumerate(EMOTIONS):
        chosen = (made.labels == label).nonzero()[:each, 0].tolist()
        for column, i in enumerate(chosen):
            strongest = made.units[i].amax(1)
            units = [
                u for u, moved in zip(ACTION_UNITS, strongest.tolist(), strict=True) if moved > 0.3 * strongest.max()
            ]
            for k in range(3):
                axis = axes[3 * label + k, column]
                axis.imshow(made.images[i, k], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axis.set_xticks([])
                axis.set_yticks([])
                if column == 0:
                    axis.set_ylabel(f"{emotion}\n{CHANNELS[k]}" if k == 0 else CHANNELS[k], fontsize=8)
            axes[3 * label, column].set_title("AU " + "+".join(map(str, units)), fontsize=7)
    return figure


def main(folder: Path = PICTURES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    found = compare()
    write_atomic(RESULT, to_json(found))
    curves(json.loads(to_json(found))).savefig(folder / "statistics.png", dpi=110)
    examples(FlowGenerator()(256, SEED)).savefig(folder / "examples.png", dpi=80)


if __name__ == "__main__":
    main()
