"""``htnet serve``."""

from __future__ import annotations

import argparse

from htnet.core.command_line import AddCommand, add_device, answer_done
from htnet.web.settings import ServeSettings


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    default = ServeSettings()
    command = add(
        "serve",
        _serve,
        "serve a web page for two pictures or a video, by default only on this machine",
        "htnet serve --port 8000",
    )
    command.add_argument("--host", default=default.host, help="address to listen on (default: %(default)s)")
    command.add_argument(
        "--port",
        type=int,
        default=default.port,
        help="port to listen on, 0 for any free port (default: %(default)s)",
    )
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="host name under which browsers may open the page, besides localhost and IP addresses; may be repeated",
    )
    command.add_argument(
        "--weights",
        action="append",
        default=[],
        help="trained weights to offer: name, folder or owner/repo; may be repeated (default: all bundled weights)",
    )
    add_device(command)
    command.add_argument(
        "--workers",
        type=int,
        default=default.workers,
        help="number of processes; each handles one request at a time (default: %(default)s)",
    )
    command.add_argument(
        "--queue", type=int, default=default.queue, help="largest number of waiting requests (default: %(default)s)"
    )
    command.add_argument(
        "--max-upload",
        type=float,
        default=default.upload_mib,
        metavar="MIB",
        help="largest size of an upload (default: %(default)g)",
    )
    command.add_argument(
        "--max-seconds",
        type=float,
        default=default.work_seconds,
        metavar="S",
        help="longest processing time of a request (default: %(default)g)",
    )


def _serve(args: argparse.Namespace) -> None:
    from htnet.web.server import serve

    def started(url: str) -> None:
        if args.json:
            answer_done(args, url=url)
        else:
            print(f"{url}  (Ctrl-C ends it)", flush=True)

    serve(
        ServeSettings(
            host=args.host,
            port=args.port,
            allow_hosts=tuple(args.allow_host),
            weights=tuple(args.weights),
            device=args.device,
            workers=args.workers,
            queue=args.queue,
            upload_mib=args.max_upload,
            work_seconds=args.max_seconds,
        ),
        on_start=started,
    )
