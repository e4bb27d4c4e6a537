"""Settings of the models that change what is computed."""

from tests.support.contract import ModelContract, cases


@cases(
    plain_palsy={"name": "htnet_palsy_tiny", "use_roi_module": False, "image_size": 56},
    plain_enhanced={"name": "htnet_enhanced_tiny", "use_roi": False, "use_diagonal_attn": False, "image_size": 56},
)
class TestVariants(ModelContract):
    pass
