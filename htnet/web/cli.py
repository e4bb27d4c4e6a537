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
        "serve a web page that takes two pictures or a video, on this machine alone",
        "htnet serve --port 8000",
    )
    command.add_argument("--host", default=default.host, help="address to listen on (default: %(default)s)")
    command.add_argument(
        "--port",
        type=int,
        default=default.port,
        help="port to listen on, 0 for any that is free (default: %(default)s)",
    )
    command.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name by which browsers reach the page, beside localhost and addresses in numbers; may be repeated",
    )
    command.add_argument(
        "--weights",
        action="append",
        default=[],
        help="trained weights to offer: name, folder or owner/repo; may be repeated (default: all that ship)",
    )
    add_device(command)
    command.add_argument(
        "--workers", type=int, default=default.workers, help="processes, one request each (default: %(default)s)"
    )
    command.add_argument(
        "--queue", type=int, default=default.queue, help="requests that may wait beside them (default: %(default)s)"
    )
    command.add_argument(
        "--max-upload",
        type=float,
        default=default.upload_mib,
        metavar="MIB",
        help="size of an upload (default: %(default)g)",
    )
    command.add_argument(
        "--max-seconds",
        type=float,
        default=default.work_seconds,
        metavar="S",
        help="time that a request may be worked on (default: %(default)g)",
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
