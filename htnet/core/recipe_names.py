"""Names of `htnet.training.RECIPES` for flow images, listed here because command help must not import PyTorch."""

RECIPE_NAMES = (
    "default",
    "finetune",
    "focal",
    "generated",
    "mixed",
    "reference",
    "off_apexnet",
    "dual_inception",
    "rcn",
    "capsulenet",
    "featref",
    "mier_cvt",
)
