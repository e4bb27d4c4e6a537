"""Models of the wing, for the tests over all models: their settings, kinds and loaders."""

from htnet.models import reference_state
from htnet.palsy import GradePredictor, HTNetPalsy, HTNetPalsyConfig
from htnet.palsy.micro_attention import MicroAttention

#: Presets of hundreds of MB, and narrower ones in their place; see tests/support/contract.py.
LARGE = {"htnet_palsy": {"dim": 12, "heads": 3}, "htnet_enhanced": {"dim": 16, "heads": 4}}
#: The same classes with less to compute.
SMALLER = {
    "htnet_palsy": {"image_size": 112, "dim": 32, "block_repeats": (1, 1, 2)},
    "htnet_enhanced": {"image_size": 112, "dim": 32, "block_repeats": (1, 1, 2)},
}
WITH_MAPS = ("htnet_palsy_tiny", "htnet_enhanced_tiny")
#: For the tests of export: the cheapest of each class.
_ONE_LEVEL = {"image_size": 28, "num_hierarchies": 1, "block_repeats": (2,)}
EXPORTED = {"htnet_palsy_tiny": _ONE_LEVEL, "htnet_enhanced_tiny": _ONE_LEVEL}
#: Presets and settings that are fused in another way each.
FUSED = (
    ("htnet_palsy_tiny", {"image_size": 28}),
    ("htnet_palsy_tiny", {"image_size": 28, "use_roi_module": False}),
    ("htnet_palsy_tiny", {"image_size": 84, "dim": 20, "heads": 4}),
    ("htnet_enhanced_tiny", {"image_size": 28}),
    ("htnet_enhanced_tiny", {"image_size": 28, "use_roi": False}),
)
#: Attention that reads neighbors only.
NEAR = (MicroAttention,)
#: Checkpoints: (tensors, number of heads if the names do not tell it).
STATES = {
    "HTNetPalsy": (
        reference_state(HTNetPalsy(HTNetPalsyConfig(image_size=56, dim=8, heads=2, block_repeats=(2, 1, 1)))),
        2,
    ),
}
#: What takes weights.
LOADERS = {"GradePredictor": lambda path: GradePredictor(path)}
