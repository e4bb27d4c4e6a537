"""Small generated sets of flow images whose class can be learned."""

import cv2
import numpy as np

from htnet.data import Manifest, Sample

CLASSES = ("negative", "positive", "surprise")


def flow_picture(label, rng):
    """28x28 BGR image of noise with a bright spot where its class has one."""
    image = rng.normal(100, 12, (28, 28, 3))
    row, column = ((7, 7), (20, 7), (14, 20))[label]
    y, x = np.mgrid[:28, :28]
    spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / 18)
    image += 130 * spot[..., None]
    return image.clip(0, 255).astype(np.uint8)


def write_flow_set(folder, subjects=4, per_subject=3, datasets=("a",), seed=0):
    """Flow images and ``manifest.csv`` in ``folder``; returns the manifest."""
    rng = np.random.default_rng(seed)
    (folder / "flow").mkdir(parents=True)
    samples = []
    for dataset in datasets:
        for subject in range(subjects):
            for i in range(per_subject):
                name, label = f"{dataset}_{subject}_{i}", int(rng.integers(3))
                path = folder / "flow" / f"{name}.png"
                cv2.imwrite(str(path), flow_picture(label, rng))
                samples.append(Sample(name, dataset, f"s{subject}", CLASSES[label], flow=path))
    manifest = Manifest(tuple(samples), CLASSES, str(folder))
    manifest.write(folder / "manifest.csv")
    return manifest
