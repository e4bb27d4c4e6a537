"""Commands of the wing."""

COMMANDS = ("serve",)
#: The least that a command is called with.
NEEDED = {"serve": []}
#: Commands that write no files of the user's.
WRITES_NOTHING = ("serve",)
