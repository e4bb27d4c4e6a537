"""What the command line offers."""

COMMANDS = (
    "predict",
    "spot",
    "demo",
    "lodo",
    "loso",
    "train",
    "pretrain",
    "prepare",
    "palsy",
    "convert",
    "push",
    "list",
)
