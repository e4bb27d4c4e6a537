"""The server of the web page. On a signal it finishes the accepted requests and stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from htnet.core import errors
from htnet.core.errors import HtnetError, InputError, cause
from htnet.core.optional import require
from htnet.web.app import create_app
from htnet.web.desk import Desk
from htnet.web.settings import ServeSettings
from htnet.web.worker import AnswerError, log

# Largest number of simultaneous connections, and the interval at which a stopping server checks whether it is done, s.
_CONNECTIONS, _LOOK = 100, 0.2


def serve(settings: ServeSettings | None = None, *, on_start: Callable[[str], None] | None = None) -> None:
    """Serve the web page until SIGINT or SIGTERM.

    The first signal lets the accepted requests finish. A second one ends the server at once.

    Args:
        settings: address and limits.
        on_start: called with the URL when the server accepts connections; by default the URL is printed.

    Raises:
        MissingExtraError: the extra ``web`` is not installed.
        InputError: the server cannot listen on the address.
        WeightsError, ModelError: the weights cannot be used.
    """
    settings = ServeSettings() if settings is None else settings
    uvicorn = require("uvicorn", "web", "The web page")
    app = create_app(settings)
    desk: Desk = app.state.desk
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=5,
    )

    class Server(uvicorn.Server):  # type: ignore[name-defined]
        """Stops in two steps: first it accepts no more requests, then it ends when all are answered."""

        def handle_exit(self, sig: int, frame: Any) -> None:
            if desk.stopping:
                self.should_exit = self.force_exit = True
                return
            desk.stopping = True
            left = sum(desk.load.values())
            log(
                f"stopping after {left} accepted requests are finished (press Ctrl-C again to stop at once)"
                if left
                else "stopping"
            )

    with _listening(settings) as listener:
        server = Server(config)
        fault: list[BaseException] = []

        async def run() -> None:
            watching = asyncio.create_task(_watch(server, desk, fault))
            await server.serve(sockets=[listener])
            watching.cancel()

        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{port}"
        if on_start is None:
            print(url, flush=True)
        else:
            on_start(url)
        if settings.is_open:
            log("other machines can reach this address: there is no login and no encryption")
        asyncio.run(run())
    if fault:
        raise fault[0]


def _listening(settings: ServeSettings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise InputError(
            f"The server cannot listen on {settings.host}, port {settings.port}: {cause(error)}. Choose another "
            "--port, or 0 for any free port."
        ) from error


async def _watch(server: Any, desk: Desk, fault: list[BaseException]) -> None:
    """Stop the server when it has finished the accepted requests, or when its models cannot be loaded."""
    while not server.started:
        await asyncio.sleep(_LOOK)
    loading = asyncio.ensure_future(desk.options())
    while not server.should_exit:
        if loading.done() and (error := loading.exception()) is not None and not fault:
            fault.append(error if isinstance(error, HtnetError) else _as_error(error))
            server.should_exit = True
        elif desk.stopping and desk.drained():
            # The last answer may still be being sent.
            await asyncio.sleep(_LOOK)
            server.should_exit = True
        else:
            await asyncio.sleep(_LOOK)
    if not loading.done():
        loading.cancel()
        with suppress(asyncio.CancelledError):
            await loading


def _as_error(error: BaseException) -> HtnetError:
    """Recreate an error of another process from the name of its type."""
    if not isinstance(error, AnswerError):
        return errors.RunError(f"The models cannot be loaded: {cause(error)}.")
    kind = getattr(errors, error.told["type"], errors.RunError)
    found: HtnetError = kind(error.told["message"])
    return found
