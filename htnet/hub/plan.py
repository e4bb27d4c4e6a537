"""What publishing a weights folder would upload: files, card and terms."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.assets import ASSETS
from htnet.core.errors import UnknownWeightsError, WeightsError, cause, did_you_mean
from htnet.core.hints import hint, how, missing
from htnet.core.limits import read_file, sha256_of
from htnet.core.paths import as_path
from htnet.core.provenance import restriction
from htnet.hub.card import REPOSITORY
from htnet.hub.folder import CARD_FILE, CONFIG_FILE, FILES, WEIGHTS_FILE, load_files
from htnet.hub.registry import PretrainedSpec, find_pretrained, list_pretrained
from htnet.hub.weights import is_repo_id, refuse_file

#: License text that is published with research-only weights of htnet's own registry.
LICENSE_FILE = "LICENSE-research-only"


@dataclass(frozen=True)
class PushedFile:
    """A file to upload.

    Attributes:
        name: its name in the repository.
        source: the file on this machine, or the content if no file contains it.
        size: bytes.
        sha256: SHA-256 of the content, hexadecimal.
    """

    name: str
    source: Path | bytes
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, source: Path | bytes) -> PushedFile:
        """Describe a file, or content that is given as bytes."""
        if isinstance(source, bytes):
            return cls(name, source, len(source), hashlib.sha256(source).hexdigest())
        return cls(name, source, source.stat().st_size, sha256_of(source))


@dataclass(frozen=True)
class PushPlan:
    """What would be uploaded to which repository.

    Attributes:
        folder: the weights folder.
        repo_id: ``owner/repo``.
        files: the files to upload; no other file of the folder is uploaded.
        license: terms of use in words.
        license_expression: the same as an SPDX license expression.
    """

    folder: Path
    repo_id: str
    files: tuple[PushedFile, ...]
    license: str
    license_expression: str

    @property
    def card(self) -> str:
        """The model card as it is uploaded, Markdown."""
        content = next(file.source for file in self.files if file.name == CARD_FILE)
        return (content if isinstance(content, bytes) else content.read_bytes()).decode("utf-8")

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "folder": str(self.folder),
            "repository": self.repo_id,
            "files": [{"name": file.name, "bytes": file.size, "sha256": file.sha256} for file in self.files],
            "license": self.license_expression,
            "terms": self.license,
            "card": self.card,
        }

    def lines(self) -> list[str]:
        """The plan as text, line by line."""
        width = max(len(file.name) for file in self.files)
        return [
            f"{self.folder} to {self.repo_id}",
            *(f"  {file.name:<{width}}  {file.size:>10,} bytes  sha256 {file.sha256}" for file in self.files),
            f"  terms: {self.license or 'not stated'} ({self.license_expression})",
            "  card:",
            *(f"    {line}".rstrip() for line in self.card.splitlines()),
        ]


def plan_push(folder: str | PathLike[str], repo_id: str) -> PushPlan:
    """What `push_to_hub` would upload; nothing is sent, and no network is needed.

    The weights are loaded, so nothing damaged is published. In the card, ``OWNER/REPOSITORY`` becomes the repository.

    Args:
        folder: weights folder written by `save_pretrained`.
        repo_id: ``owner/repo``, or a registered name, which resolves to its repository.

    Raises:
        UnknownWeightsError: ``repo_id`` is neither a repository nor a registered name.
        WeightsError: the folder is incomplete, or does not contain the weights registered under that name.
    """
    refuse_file(folder)
    folder = as_path(folder, "folder")
    if not os.path.isdir(folder) and (named := find_pretrained(str(folder))) is not None:
        use = how(f"htnet predict ONSET APEX --weights {named.name}", f"load_pretrained({named.name!r})")
        raise WeightsError(
            f"{folder} is the name of registered weights, for {use}, not a folder of your own. To publish your own, "
            f"give a folder written by htnet train: htnet push FOLDER {repo_id}. htnet push --all publishes registered "
            "weights."
        )
    if not os.path.isdir(folder):
        raise WeightsError(f"{missing(folder)} Give a folder written by htnet train.")
    if lacking := [name for name in FILES if not os.path.isfile(folder / name)]:
        raise WeightsError(f"{folder} lacks {', '.join(lacking)}. Give a folder written by htnet train.{hint(folder)}")
    model = load_files(folder / CONFIG_FILE, folder / WEIGHTS_FILE)
    spec = find_pretrained(repo_id)
    if spec is None and not is_repo_id(repo_id):
        raise UnknownWeightsError(
            f"Cannot publish as {repo_id!r}: give owner/repo, or a registered name. "
            + did_you_mean(repo_id, [s.name for s in list_pretrained()])
        )
    target = spec.repo_id if spec is not None else repo_id
    try:
        card = read_file(folder / CARD_FILE).decode("utf-8").replace(REPOSITORY, target).encode()
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"{folder / CARD_FILE} cannot be read ({cause(error)}). Correct it, or save the weights again."
        ) from error
    files = [PushedFile.of(name, card if name == CARD_FILE else folder / name) for name in FILES]
    if spec is not None and spec.sha256 not in (None, files[FILES.index(WEIGHTS_FILE)].sha256):
        raise WeightsError(
            f"{folder} does not contain the weights that are registered as {spec.name} (SHA-256 {spec.sha256}), so "
            "they could not be loaded by that name. Publish them as owner/repo."
        )
    if spec is not None and spec.sha256 is not None and restriction(model.license_expression):
        files.append(PushedFile.of(LICENSE_FILE, ASSETS / "weights" / LICENSE_FILE))
    return PushPlan(folder, target, tuple(files), model.license, model.license_expression)


def folder_to_push(spec: PretrainedSpec, trained: str | PathLike[str]) -> Path | None:
    """The folder of registered weights on this machine; None if they are not here.

    Args:
        spec: the entry.
        trained: folder of trained weights, in which the folder of each has its name.
    """
    if spec.bundled:
        return spec.folder
    places = [*([Path(spec.source_folder)] if spec.source_folder else []), as_path(trained, "trained") / spec.name]
    return next((place for place in places if os.path.isdir(place)), None)


def plan_all(trained: str | PathLike[str] = "weights") -> dict[str, PushPlan | None]:
    """What `push_all` would upload: for every registered name its plan, or None if its weights are not on this machine.

    Args:
        trained: folder of trained weights, in which the folder of each has its name.

    Raises:
        WeightsError: see `plan_push`.
    """
    folders = {spec.name: folder_to_push(spec, trained) for spec in list_pretrained()}
    return {name: None if folder is None else plan_push(folder, name) for name, folder in folders.items()}
