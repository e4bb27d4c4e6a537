"""Nothing is sent anywhere: imports and commands that need no network ask for none."""

import os
import subprocess
import sys

import pytest

from tests.support.flows import write_flow_set
from tests.support.workspace import SAMPLE
from tests.test_house import LIGHT

#: Refuses connections and questions for addresses, and says at the end what was asked; other processes of this
#: machine are reached by names of files.
HOOK = """
import sys
asked = []
watched = {f"socket.{name}" for name in ("connect", "sendto", "sendmsg", "getaddrinfo", "gethostbyname")}
def hear(event, args):
    if event in watched:
        where = args[1] if event == "socket.connect" else args[0]
        if not isinstance(where, (str, bytes)) or event != "socket.connect":
            asked.append(f"{event} {args!r:.200}")
            raise OSError("no network here")
sys.addaudithook(hear)
"""
COMMAND = (
    HOOK
    + """
from htnet.cli import main
status = main(sys.argv[1:])
print("ASKED", asked, file=sys.stderr)
sys.exit(status)
"""
)
IMPORTS = (
    HOOK
    + """
import importlib
for module in sys.argv[1:]:
    importlib.import_module(module)
print("ASKED", asked, file=sys.stderr)
"""
)


def test_imports_ask_for_no_network():
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HTNET_"))}
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *LIGHT, "huggingface_hub"], capture_output=True, text=True, env=env, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "ASKED []")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["doctor"],
        ["demo", "--out", "demo"],
        ["predict", str(SAMPLE / "onset.png"), str(SAMPLE / "apex.png")],
        ["train", "--data", "flows", "--model", "htnet_tiny", "--epochs", "1", "--out", "weights"],
        ["loso", "--data", "flows", "--model", "htnet_tiny", "--epochs", "1", "--workers", "1", "--out", "run"],
        ["completion", "bash"],
    ],
    ids=lambda words: words[0],
)
def test_commands_ask_for_no_network(words, warm_python, tmp_path):
    write_flow_set(tmp_path / "flows", 3, 2)
    done = warm_python.run(COMMAND, *words, cwd=tmp_path)
    assert "ASKED []" in done.stderr.splitlines(), done.stderr[-2000:]
    assert done.returncode in (0, 1 if words == ["doctor"] else 0), done.stderr[-2000:]


def test_a_question_is_heard(warm_python, tmp_path):
    """The test itself: what needs the Hub is refused and told."""
    done = warm_python.run(
        COMMAND, "predict", SAMPLE / "onset.png", SAMPLE / "apex.png", "--weights", "some/body", cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith('ASKED ["socket.getaddrinfo')
