"""Commands of the wing."""

COMMANDS = ("serve",)
#: The least that a command is called with.
NEEDED = {"serve": []}
