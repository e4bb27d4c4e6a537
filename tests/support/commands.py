"""What the command line offers."""

from tests.support.wings import with_wings

COMMANDS = (
    "predict",
    "spot",
    "analyze",
    "evaluate-spotting",
    "evaluate",
    "report",
    "embed",
    "demo",
    "lodo",
    "loso",
    "kfold",
    "holdout",
    "train",
    "pretrain",
    "synthesize",
    "prepare",
    "convert",
    "export",
    "push",
    "list",
    "doctor",
    "completion",
)
COMMANDS = with_wings("commands", "COMMANDS", COMMANDS)
