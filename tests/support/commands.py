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
    "synthesize",
    "prepare",
    "palsy",
    "convert",
    "push",
    "list",
)
