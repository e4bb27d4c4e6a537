"""`htnet serve` on the pages: it is started as printed, asked for its page once, and stopped as by Ctrl-C."""

import os
import signal
import threading
import urllib.request
from contextlib import contextmanager

import pytest

from htnet.web import server


@contextmanager
def visited():
    """While a command serves, a thread reads its page and ends it."""
    pytest.importorskip("fastapi", reason="the web page needs: pip install 'htnet[web]'")
    serve, seen = server.serve, []

    def visit(url):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                seen.append(answer.read().decode("utf-8"))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def started(settings, *, on_start):
        def both(url):
            on_start(url)
            threading.Thread(target=visit, args=(url,), daemon=True).start()

        serve(settings, on_start=both)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "serve", started)
        yield
    assert "<title>htnet<" in seen[0]


#: What goes on while a command of a page runs, and words that are added to it.
AROUND = {r"^htnet serve": visited}
MORE_WORDS = {r"^htnet serve": "--port 0"}
