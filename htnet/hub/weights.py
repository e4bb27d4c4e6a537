"""Loading trained weights by name, folder or Hub repository."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from htnet.core.errors import CorruptWeightsError, WeightsError, WeightsNotPublishedError, cause
from htnet.core.hints import hint
from htnet.core.lazy import loading
from htnet.core.limits import sha256_of
from htnet.core.network import TIME_LIMIT, once, watched
from htnet.core.paths import as_path
from htnet.hub.folder import CONFIG_FILE, WEIGHTS_FILE, load_files
from htnet.hub.registry import PretrainedSpec, find_pretrained, list_pretrained, unknown_weights
from htnet.hub.verified import fetch_verified
from htnet.models import EmotionModel
from htnet.models.base import with_settings


def load_pretrained(
    name: str | PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    token: str | bool | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    **settings: Any,
) -> EmotionModel:
    """Load a trained model.

    Args:
        name: a registered name (see `list_pretrained`), a weights folder, or a Hub repository
            ``owner/repo``; looked up in this order. Write ``./composite`` for a folder whose name is
            registered.
        revision: branch, tag or commit of the Hub repository.
        cache_dir: cache of the Hub client; by default its own.
        local_files_only: use the cache only, never the network.
        force_download: download the files even if they are in the cache.
        token: Hub token for private repositories.
        device: device of the model; "auto" for a CUDA device where there is one.
        dtype: floating-point type or its name, such as "bfloat16"; float32 by default.
        **settings: fields of the config to change. ``num_classes=5`` gives the model a fresh classifier, whose classes
            are called class_0, class_1, ... until ``labels`` is set.

    Returns:
        The model in eval mode, with ``labels`` and ``preprocess_spec``.

    Raises:
        UnknownWeightsError: there is nothing of that name.
        WeightsNotPublishedError: the weights are registered, but not published.
        CorruptWeightsError: a file does not match its hash.
        WeightsError: the weights cannot be downloaded or read.
        ModelError: a setting is unknown, or the weights do not fit it.
        InputError: the device cannot be used, or ``dtype`` is not a floating-point type.
    """
    files = find_files(
        name,
        revision=revision,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        force_download=force_download,
        token=token,
    )
    model = load_files(files.config, files.weights, sha256=files.expected, device=device, dtype=dtype)
    return with_settings(model, settings).eval() if settings else model


@dataclass(frozen=True)
class WeightsFiles:
    """The files of trained weights, on this machine.

    Attributes:
        config: ``config.json``.
        weights: ``model.safetensors``.
        expected: SHA-256 that the registry states for the weights; None if it states none.
        revision: commit of the Hub repository; None for weights on this machine.
    """

    config: Path
    weights: Path
    expected: str | None = None
    revision: str | None = None

    def digests(self) -> tuple[str, str]:
        """SHA-256 of the weights and of the config.

        Raises:
            WeightsError: one of the two is missing.
        """
        for path in (self.config, self.weights):
            if not os.path.isfile(path):
                raise WeightsError(f"No weights at {path}. Get or train them again.")
        return sha256_of(self.weights), sha256_of(self.config)


def find_files(
    name: str | PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    token: str | bool | None = None,
) -> WeightsFiles:
    """Find the files of trained weights; those on the Hub are downloaded if needed.

    Args:
        name: see `load_pretrained`.
        revision: see `load_pretrained`.
        cache_dir: see `load_pretrained`.
        local_files_only: see `load_pretrained`.
        force_download: see `load_pretrained`.
        token: see `load_pretrained`.

    Raises:
        UnknownWeightsError, WeightsNotPublishedError, WeightsError: see `load_pretrained`.
    """
    if not isinstance(name, (str, PathLike)):
        loaded = " It is a model already: use it directly." if isinstance(name, EmotionModel) else ""
        raise WeightsError(
            f"Give weights as a name from htnet.list_pretrained(), a folder or owner/repo, not as an object of type "
            f"{type(name).__name__}.{loaded}"
        )
    spec = find_pretrained(name) if isinstance(name, str) else None
    if spec is None:
        if name == "":
            raise unknown_weights(name)
        refuse_file(name)
    expected = spec.sha256 if spec is not None else None
    if (spec is None and os.path.isdir(as_path(name, "name"))) or (spec is not None and spec.bundled):
        folder = spec.folder if spec is not None else as_path(name, "name")
        if revision is not None:
            raise WeightsError(f"revision={revision!r} was given, but {name} is on this machine. Leave it out.")
        if force_download:
            raise WeightsError(f"force_download was given, but {name} is on this machine. Leave it out.")
        return WeightsFiles(folder / CONFIG_FILE, folder / WEIGHTS_FILE, expected)
    if spec is None and not is_repo_id(str(name)):
        raise unknown_weights(str(name))
    repo_id = spec.repo_id if spec is not None else str(name)
    revision = revision or (spec.revision if spec is not None else None)
    try:
        config, weights = _download(repo_id, revision, cache_dir, local_files_only, force_download, token)
    except _NoFilesError as error:
        if spec is not None and not spec.published:
            raise _not_published(spec, str(error)) from error
        raise WeightsError(str(error)) from error
    return WeightsFiles(config, weights, expected, config.parent.name)


def local_state(name: str | PathLike[str]) -> tuple[object, ...] | None:
    """State of the files of weights on this machine, which changes if they are replaced; None for weights on the Hub.

    Args:
        name: registered weights, a folder or a Hub repository.
    """
    spec = find_pretrained(name) if isinstance(name, str) else None
    if spec is not None and not spec.bundled:
        return None
    folder = spec.folder if spec is not None else Path(name)
    try:
        states = [os.stat(folder / file) for file in (CONFIG_FILE, WEIGHTS_FILE)]
    except (OSError, ValueError):
        return None
    return (str(folder.absolute()), *((s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino) for s in states))


#: Extensions of checkpoint files.
CHECKPOINT_ENDINGS = (".pth", ".pt", ".ckpt", ".bin", ".tar", ".safetensors")


def refuse_file(name: str | PathLike[str]) -> None:
    """Raise `WeightsError` if a file was given as weights; htnet's weights are folders (see `htnet convert`).

    Args:
        name: the given weights.
    """
    path = as_path(name, "name")
    ending = path.suffix.lower()
    if os.path.isdir(path) or (ending not in CHECKPOINT_ENDINGS and not os.path.isfile(path)):
        return
    if not os.path.isfile(path):
        raise WeightsError(
            f"The file {path} does not exist. Check the path; weights are a folder, a name or owner/repo."
        )
    if os.path.isfile(path.parent / CONFIG_FILE):
        raise WeightsError(f"{path} is a file of a weights folder. Give the folder: {path.parent}")
    if ending in CHECKPOINT_ENDINGS:
        raise WeightsError(
            f"{path} is a checkpoint file; weights are a folder, which contains the preprocessing specification. "
            f"Convert it into one: "
            f"htnet convert {path} {path.with_suffix('')}, then give {path.with_suffix('')}."
        )
    raise WeightsError(
        f"{path} is a file, not weights. Give a folder written by htnet train or htnet convert, a name from htnet "
        f"list, or owner/repo.{hint(path)}"
    )


def is_repo_id(name: object) -> bool:
    """Whether a value can be the ``owner/repo`` of a Hub repository; paths such as ``./weights`` cannot."""
    if not isinstance(name, str):
        return False
    with loading():
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name


def refused(error: Exception) -> str:
    """Text on the status of a refusal by the Hub."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    known = {401: "the token is not valid", 403: "you may not do that", 404: "not found", 429: "too many requests"}
    return f"status {status}" + (f", {known[status]}" if status in known else "") if status else cause(error)


def _is_passing(error: Exception) -> bool:
    """Whether a refusal is temporary, so that the cache may be used as if the Hub were unreachable."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status is not None and (status == 429 or status >= 500)


class _NoFilesError(WeightsError):
    """Neither the Hub nor the cache has the files, or the user may not read them."""


def _not_published(spec: PretrainedSpec, reason: str) -> WeightsNotPublishedError:
    ready = ", ".join(repr(s.name) for s in list_pretrained(published_only=True))
    commands = "\n".join(f"  {command}" for command in spec.commands)
    if spec.source_folder:
        return WeightsNotPublishedError(
            f"The weights {spec.name!r} ({spec.description}) are not in the package and not on the Hub yet. They are "
            f"in the folder {spec.source_folder} of htnet's source repository and source distribution, "
            f"{spec.license}. Give that folder instead of the name, or publish it (set HTNET_HUB_NAMESPACE to your Hub "
            f"name):\n{commands}\n"
            f"The same call works as soon as {spec.repo_id} exists. Weights that can be loaded by name: {ready}. What "
            f"was tried: {reason}"
        )
    return WeightsNotPublishedError(
        f"The weights {spec.name!r} ({spec.description}) are not published yet. Weights that can be loaded: {ready}.\n"
        f"To train and publish these (set HTNET_HUB_NAMESPACE to your Hub name):\n{commands}\n"
        f"The same call works as soon as {spec.repo_id} exists. What was tried: {reason}"
    )


def _ask(question: Callable[[], object]) -> None:
    """Send a request to the Hub, unless the Hub was unreachable shortly before.

    Raises:
        WeightsError: the Hub is unreachable.
        HfHubHTTPError: the Hub refused the request.
    """
    with loading():
        from huggingface_hub import constants
        from huggingface_hub.errors import HfHubHTTPError

    def answer() -> HfHubHTTPError | None:
        try:
            question()
        except HfHubHTTPError as error:
            return error
        return None

    if (refusal := once(constants.ENDPOINT, answer)) is not None:
        raise refusal


def _download(
    repo_id: str,
    revision: str | None,
    cache_dir: str | PathLike[str] | None,
    local_files_only: bool,
    force_download: bool,
    token: str | bool | None,
) -> tuple[Path, Path]:
    """Download config and weights of a Hub repository, both from one commit, with the Hub's client.

    The repository is requested first, because downloads from an unreachable Hub are retried for a
    long time before the cache is used.
    """
    with loading():
        from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
        from huggingface_hub.utils import tqdm

    unreachable = ""
    if not local_files_only:
        at = f" at revision {revision!r}" if revision else ""
        try:
            _ask(lambda: HfApi(token=token).model_info(repo_id, revision=revision, timeout=TIME_LIMIT))
        except RevisionNotFoundError as error:
            raise WeightsError(
                f"The Hub repository {repo_id} has no revision {revision!r}. Give one of its branches, tags or commits."
            ) from error
        except RepositoryNotFoundError as error:
            raise _NoFilesError(
                f"The Hub has no repository {repo_id} that you may read, and there is no such folder here. Check the "
                "name, or give token= (or set HF_TOKEN) if it is private."
            ) from error
        except HfHubHTTPError as error:
            if force_download or not _is_passing(error):
                raise WeightsError(f"The Hub refused {repo_id}{at}: {refused(error)}.") from error
            unreachable = f"the Hub cannot be reached ({refused(error)})"
        except WeightsError as error:
            unreachable = f"the Hub cannot be reached ({error})"

    came = [0]
    cache = None if cache_dir is None else as_path(cache_dir, "cache_dir")

    class Counter(tqdm):
        """Progress bar that records that more of a file has arrived."""

        def update(self, n: float | None = 1) -> bool | None:
            came[0] += 1
            return super().update(n)

    # Older clients report no progress and retry by themselves.
    reports = "tqdm_class" in signature(hf_hub_download).parameters
    more: dict[str, Any] = {"tqdm_class": Counter} if reports else {}

    def get(file: str, revision: str | None) -> Path:
        def fetch(again: bool = True) -> str:
            try:
                return hf_hub_download(
                    repo_id,
                    file,
                    revision=revision,
                    cache_dir=cache,
                    local_files_only=local_files_only or bool(unreachable),
                    force_download=force_download,
                    token=token,
                    etag_timeout=TIME_LIMIT,
                    **more,
                )
            except HfHubHTTPError as error:
                # If the Hub asks to wait (status 429), the client itself waits.
                if not again or getattr(error.response, "status_code", 0) < 500:
                    raise
            time.sleep(min(1.0, TIME_LIMIT))
            return fetch(again=False)

        before = came[0]
        return fetch_verified(
            lambda: Path(watched(fetch, lambda: came[0]) if reports else fetch()),
            try_to_load_from_cache(repo_id, file, cache, revision) if force_download else None,
            lambda: came[0] > before or not reports,
            f"{file} of {repo_id}",
        )

    try:
        # By the name of the revision, so that the cache can resolve it without a network.
        config = get(CONFIG_FILE, revision)
        return config, get(WEIGHTS_FILE, config.parent.name)
    except CorruptWeightsError:
        raise
    except Exception as error:
        failed = refused(error) if isinstance(error, HfHubHTTPError) else cause(error)
        why = unreachable or ("they were never loaded here" if local_files_only else failed)
        where = "are not in the local cache" if local_files_only or unreachable else "could not be downloaded"
        raise _NoFilesError(
            f"There is no folder {repo_id} here, and {CONFIG_FILE} and {WEIGHTS_FILE} of the Hub's repository of that "
            f"name {where}: {why}. Load them once with a connection, "
            "or give a folder."
        ) from error
