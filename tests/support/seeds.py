"""Random generators for helpers of tests."""

import numpy as np
import torch


def next_rng() -> np.random.Generator:
    """A generator seeded from PyTorch's, which starts from the test's seed (see the fixture `rng`)."""
    return np.random.default_rng(int(torch.randint(2**62, ())))
