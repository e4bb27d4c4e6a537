"""The web page and its HTTP interface, as a FastAPI application."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from htnet._version import __version__
from htnet.core.assets import ASSETS
from htnet.core.errors import HtnetError
from htnet.core.fields import checked_fps, one_of, optional
from htnet.core.files import whole_file
from htnet.core.optional import require
from htnet.core.types import BIT_DEPTHS
from htnet.web.desk import Asked, Desk, Job
from htnet.web.guard import Guard
from htnet.web.settings import RequestError, ServeSettings
from htnet.web.worker import AnswerError, Question, Worker, told

#: Folder of the page and its assets.
PAGE = Path(__file__).parent / "page"
#: Content security policy of a report: only its own script and pictures, and no access to this server.
_REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'self'; "
    "sandbox allow-scripts"
)
_FIELDS = ("weights", "look", "always", "bit_depth", "fps", "faces")
_FILES = ("onset", "apex", "video")
# Longest name of an upload, characters. Longer names are cut at the start, because the end has the file extension.
_LONGEST_NAME = 80


def create_app(settings: ServeSettings | None = None, *, worker: Callable[[ServeSettings], Asked] = Worker) -> Any:
    """Create the ASGI application of the web page. `htnet.web.serve` runs it.

    Args:
        settings: limits, and the weights that are offered.
        worker: creates a worker, which answers requests; by default a separate process.

    Returns:
        An ASGI application. Its lifespan starts and stops the workers.

    Raises:
        MissingExtraError: FastAPI or python-multipart is not installed.
    """
    fastapi = require("fastapi", "web", "The web page")
    require("python_multipart", "web", "The web page")
    responses = require("fastapi.responses", "web", "The web page")
    static = require("fastapi.staticfiles", "web", "The web page").StaticFiles
    settings = ServeSettings() if settings is None else settings
    desk = Desk(settings, worker)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        await desk.start()
        try:
            yield
        finally:
            await desk.close()

    # FastAPI's documentation pages load scripts from other servers, so they are turned off.
    app = fastapi.FastAPI(title="htnet", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.desk = desk

    def failed(content: Mapping[str, Any]) -> Any:
        more = {"retry-after": "5"} if content["status"] == 503 else None
        said = {name: value for name, value in content.items() if name != "status"}
        return responses.JSONResponse({"error": said}, content["status"], more)

    async def on_error(request: Any, error: Exception) -> Any:
        return failed(error.told if isinstance(error, AnswerError) else told(error))

    async def on_http_error(request: Any, error: Any) -> Any:
        names = {404: "There is nothing at this address.", 405: "This address does not accept this HTTP method."}
        text = names.get(
            error.status_code,
            f"The form is malformed, or has more than {len(_FILES)} files, {len(_FIELDS)} fields or 1024 bytes in a "
            "field. Send it by a client that encodes multipart/form-data, such as curl -F.",
        )
        return failed({"type": "RequestError", "message": text, "status": error.status_code})

    app.add_exception_handler(HtnetError, on_error)
    app.add_exception_handler(AnswerError, on_error)
    app.add_exception_handler(Exception, on_error)
    app.add_exception_handler(require("starlette.exceptions", "web", "The web page").HTTPException, on_http_error)

    async def page() -> Any:
        return responses.FileResponse(PAGE / "page.html", media_type="text/html; charset=utf-8")

    async def options() -> Any:
        """The weights that can be chosen, and the limits."""
        return {
            "htnet_version": __version__,
            "weights": await desk.options(),
            "bit_depths": list(BIT_DEPTHS),
            "upload_mib": settings.upload_mib,
            "work_seconds": settings.work_seconds,
            "megapixels": settings.megapixels,
        }

    async def health() -> Any:
        """Number of waiting and of running requests; status 503 while the server is stopping."""
        state = "stopping" if desk.stopping else "serving"
        return responses.JSONResponse({"state": state, **desk.load}, 503 if desk.stopping else 200)

    async def ask(request: Any) -> Any:
        """Predict from two pictures ("onset", "apex") or a "video", sent as multipart/form-data."""
        job = await _accepted(request, desk)
        if "respond-async" in request.headers.get("prefer", ""):
            return responses.JSONResponse(_state(job, desk), 202, {"location": f"/api/answers/{job.name}"})
        await job.done.wait()
        try:
            wants_page = "text/html" in request.headers.get("accept", "")
            return report_of(job) if wants_page else document_of(job)
        finally:
            desk.drop(job)

    async def state(name: str) -> Any:
        """State and progress of a request."""
        job = desk.find(name)
        if job.state == "failed":
            job.collected = True
        return _state(job, desk)

    async def document(name: str) -> Any:
        """The answer as JSON, or the error if the request failed."""
        return document_of(desk.find(name))

    async def report(name: str) -> Any:
        """The answer as an HTML page."""
        return report_of(desk.find(name))

    async def drop(name: str) -> Any:
        """Cancel a request, or delete its answer."""
        desk.drop(desk.find(name))
        return responses.Response(status_code=204)

    def answered(job: Job) -> Any:
        if not job.done.is_set():
            raise RequestError("There is no answer yet. Request the state until it is done.")
        job.collected = True
        if job.error is not None:
            raise AnswerError(job.error)
        return job.answer

    def document_of(job: Job) -> Any:
        return responses.Response(answered(job).document, media_type="application/json")

    def report_of(job: Job) -> Any:
        policy = {"content-security-policy": _REPORT_POLICY}
        return responses.Response(answered(job).report, media_type="text/html; charset=utf-8", headers=policy)

    ask.__annotations__["request"] = fastapi.Request  # FastAPI needs the type, which is imported only here
    app.add_api_route("/", page, include_in_schema=False)
    app.add_api_route("/api/options", options)
    app.add_api_route("/api/health", health)
    app.add_api_route("/api/answers", ask, methods=["POST"], response_model=None)
    app.add_api_route("/api/answers/{name}", state)
    app.add_api_route("/api/answers/{name}/document.json", document)
    app.add_api_route("/api/answers/{name}/report.html", report)
    app.add_api_route("/api/answers/{name}", drop, methods=["DELETE"])
    app.mount("/static", static(directory=PAGE))
    app.mount("/example", static(directory=ASSETS / "sample"))
    app.add_middleware(Guard, settings=settings)
    return app


def _state(job: Job, desk: Desk) -> dict[str, Any]:
    """The state of a request, as JSON content."""
    return {
        "name": job.name,
        "state": job.state,
        "before": desk.place_of(job),
        "stage": job.stage,
        "time_s": job.time,
        "error": None if job.error is None else {name: job.error[name] for name in ("type", "message", "status")},
        "document": f"/api/answers/{job.name}/document.json",
        "report": f"/api/answers/{job.name}/report.html",
    }


async def _accepted(request: Any, desk: Desk) -> Job:
    """Read a form, save its files and queue it as a job.

    Raises:
        BusyError: the queue is full, or the server is stopping.
        RequestError: a field or file is missing, or a value is invalid.
        TooLargeError: the upload is larger than allowed.
    """
    if request.query_params:
        raise RequestError(
            f"The address has the parameter {next(iter(request.query_params))[:40]!r}, which would be ignored. Send "
            f"{', '.join(_FIELDS)} as fields of the form."
        )
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UnknownFormError("Send the files as a form (multipart/form-data): onset and apex, or video.")
    with desk.place():
        offered = [one["name"] for one in await desk.options()]
        try:
            form = await asyncio.wait_for(
                request.form(max_files=len(_FILES), max_fields=len(_FIELDS), max_part_size=1024),
                desk.settings.upload_seconds,
            )
        except asyncio.TimeoutError:
            raise SlowError(
                f"The upload took longer than {desk.settings.upload_seconds:g} s. Give a smaller file."
            ) from None
        except require("starlette.requests", "web", "The web page").ClientDisconnect:
            # Nobody reads this message; it only keeps the disconnect out of the log as an error of the server.
            raise RequestError("The upload ended before it was complete. Send it again.") from None
        folder = desk.new_folder()
        try:
            question = _question(form, offered)
            question = await asyncio.to_thread(_save, form, question, folder)
            return await desk.accept(question, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            await form.close()


class UnknownFormError(RequestError):
    """The request is not a form.

    Attributes:
        status: status of the HTTP response.
    """

    status = 415


class SlowError(RequestError):
    """The upload took too long.

    Attributes:
        status: status of the HTTP response.
    """

    status = 408


def _question(form: Any, offered: list[str]) -> Question:
    """The question of a form, without the names of its files."""
    values: dict[str, str] = {}
    files = []
    for name, value in form.multi_items():
        is_file = not isinstance(value, str)
        if name not in (_FILES if is_file else _FIELDS) or name in values or name in files:
            raise RequestError(
                f"The field {name[:40]!r} of the form is unknown, of the wrong kind, or sent twice. Send each at most "
                f"once: the files {', '.join(_FILES)}; the fields {', '.join(_FIELDS)}."
            )
        if is_file:
            files.append(name)
        else:
            values[name] = value
    if sorted(files) not in (["apex", "onset"], ["video"]):
        raise RequestError("Give two pictures, onset and apex, or one video.")
    weights = values.get("weights") or offered[0]
    one_of(offered).check("weights", weights, RequestError)
    look = values.get("look") or "recording"
    one_of(("recording", "clip")).check("look", look, RequestError)
    depth, fps = values.get("bit_depth") or None, _number(values, "fps")
    optional(one_of(map(str, BIT_DEPTHS))).check("bit_depth", depth, RequestError)
    checked_fps(fps, error=RequestError)
    pair = files != ["video"]
    for name, only in (("bit_depth", True), ("fps", False), ("look", False)):
        if values.get(name) and pair != only:
            raise RequestError(f"{name} is only for {'two pictures' if only else 'a video'}; leave it out.")
    return Question(
        "pair" if pair else look,
        (),
        weights,
        always=_flag(values, "always", False),
        bit_depth=None if depth is None else int(depth),
        fps=fps,
        faces=_flag(values, "faces", True),
    )


def _number(values: Mapping[str, str], name: str) -> float | None:
    text = values.get(name, "")
    try:
        return float(text) if text else None
    except ValueError:
        raise RequestError(f"{name} is {text[:40]!r}; give a number.") from None


def _flag(values: Mapping[str, str], name: str, default: bool) -> bool:
    text = values.get(name) or str(default).lower()
    one_of(("true", "false")).check(name, text, RequestError)
    return text == "true"


def _save(form: Any, question: Question, folder: Path) -> Question:
    """Write the files of a form into a folder, each in a subfolder named after its field."""
    kept = []
    for field in _FILES if question.kind == "pair" else ("video",):
        if (upload := form.get(field)) is None:
            continue
        place = PurePosixPath(field, safe_name(upload.filename))
        with whole_file(folder / place) as partial, partial.open("wb") as file:
            shutil.copyfileobj(upload.file, file, 1 << 20)
        kept.append(str(place))
    return Question(**{**vars(question), "files": tuple(kept)})


def safe_name(name: str | None) -> str:
    """The name of an upload without folders, and without characters that are special to decoders or terminals."""
    last = re.split(r"[/\\]", name or "")[-1]
    kept = re.sub(r"[^\w.()-]", "_", last)[-_LONGEST_NAME:].lstrip(".-")
    return kept or "file"
