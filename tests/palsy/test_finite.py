"""A training on faces whose loss is NaN or infinite is stopped, and names the samples of the batch."""

import pytest
import torch

from htnet.core.errors import NonFiniteLossError
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.palsy import train_palsy
from htnet.palsy.faces import FaceSet
from htnet.training import Recipe, TrainingJob
from tests.support.flows import write_flow_set

#: So large a step that the second forward pass overflows.
WILD = Recipe(epochs=3, batch_size=4, lr=1e30, schedule="constant", ema_decay=0.0, augmentation=None)


def test_faces(tmp_path):
    manifest = write_flow_set(tmp_path / "set", 3, 4)
    names = tuple(sample.sample for sample in manifest)
    images = torch.randint(0, 256, (len(names), 3, 28, 28), dtype=torch.uint8)
    spec = PreprocessSpec(layout="whole", size=28)
    data = FaceSet(images, torch.from_numpy(manifest.labels()), len(EMOTIONS), spec, names)
    with pytest.raises(NonFiniteLossError, match="smaller lr than 1e\\+30") as caught:
        train_palsy(
            manifest, data, tmp_path / "out", TrainingJob("htnet_palsy_tiny", WILD, settings={"image_size": 28})
        )
    found = caught.value.samples
    assert len(found) == len(set(found)) == 4
    assert set(found) <= set(names)
    assert all(repr(name) in str(caught.value) for name in found)
    assert data.subset([3, 1]).names == (names[3], names[1])
