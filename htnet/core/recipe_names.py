"""Names of `htnet.training.RECIPES` for flow images, for the help of commands, which must not import PyTorch."""

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
