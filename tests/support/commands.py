"""What the command line offers."""

COMMANDS = (
    "predict",
    "spot",
    "evaluate-spotting",
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
