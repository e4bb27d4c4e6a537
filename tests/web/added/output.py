"""Commands that write documents, for tests/cli/test_output.py."""

import pytest


def run_commands(run, root):
    """Run every command of the wing; ``run`` keeps what they write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("htnet.web.server.serve", lambda settings, *, on_start: on_start("http://127.0.0.1:8000"))
        run("serve", "serve", stdout=True)


DOCUMENTS = {"serve": "htnet.command"}
