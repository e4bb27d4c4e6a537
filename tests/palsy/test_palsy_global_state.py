"""Results of `htnet.palsy` do not depend on what the calling program has set."""

from pathlib import Path

import numpy as np
import pytest
import torch

import htnet
from htnet.core.global_state import usual_settings
from htnet.palsy import FaceAugmentation, augment_faces, face_asymmetry
from tests.support.global_states import STATES, same_in

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"


def faces():
    """Augmentation of faces, with mixup."""
    torch.manual_seed(0)
    given = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 28, 28)).astype(np.float32))
    labels = torch.from_numpy(np.array([0, 1]))
    with usual_settings():  # as a training does
        made = augment_faces(given, labels, FaceAugmentation(erase=0.5, mixup=0.4), 3)
    return torch.cat([one.flatten() for one in made]).tolist()


def asymmetry():
    return [one.value or 0.0 for one in face_asymmetry(SAMPLE / "onset.png").regions.values()]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("task", [faces, asymmetry], ids=lambda task: task.__name__)
def test_results_do_not_depend_on_the_state_of_the_program(task, state):
    same_in(state, task)
