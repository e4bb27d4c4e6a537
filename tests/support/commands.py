"""What the command line offers."""

from tests.support.wings import with_wings

COMMANDS = (
    "predict",
    "spot",
    "analyze",
    "evaluate-spotting",
    "demo",
    "lodo",
    "loso",
    "train",
    "pretrain",
    "synthesize",
    "prepare",
    "convert",
    "push",
    "list",
)
COMMANDS = with_wings("commands", "COMMANDS", COMMANDS)
