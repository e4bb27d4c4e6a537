"""Functions that train, for tests/core/test_deprecated.py."""

from htnet.palsy import train_palsy

TRAINERS = [train_palsy]
