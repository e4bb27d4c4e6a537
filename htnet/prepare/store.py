"""A prepared folder on the disk: whole files only, and for each sample a note of what it was made from."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from htnet.data import Manifest, Sample, read_manifest
from htnet.errors import ManifestError, OverwriteError, cause
from htnet.prepare.keys import sha256
from htnet.prepare.report import REPORT_FILE, Report
from htnet.prepare.spec import SPEC_FILE, prepared_spec
from htnet.schema import to_json
from htnet.types import PreprocessSpec

MANIFEST_FILE = "manifest.csv"
KEYS = "keys"


class PreparedFolder:
    """The folder that samples are prepared into.

    Layout: ``preprocess.json``; for each sample one file of each kind, ``KIND/NAME.ENDING``, and, written last,
    ``keys/NAME.json`` (hashes of what they were made from and of each); at the end ``report.json`` and
    ``manifest.csv``.
    """

    def __init__(self, root: Path, kinds: Mapping[str, str], what: str = "flow made") -> None:
        """Use ``root``; nothing is written yet.

        Args:
            root: the folder.
            kinds: name of each kind of file to its ending, such as ``{"flow": ".png"}``.
            what: what it holds, for messages.
        """
        self.root = root
        self.kinds = dict(kinds)
        self.what = what

    def begin(self, spec: PreprocessSpec) -> None:
        """Make the folders and remove what a killed run left half written.

        Raises:
            ManifestError: the folder holds files made in another way.
        """
        found = prepared_spec(self.root)
        if found is not None and found != spec:
            raise ManifestError(f"{self.root} holds {self.what} with another spec ({SPEC_FILE}). Choose another --out.")
        folders = [self.root / name for name in (*self.kinds, KEYS)]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.root, *folders):
            for partial in folder.glob(".*.tmp"):
                partial.unlink(missing_ok=True)
        _write(self.root / SPEC_FILE, json.dumps(spec.to_dict(), indent=1).encode())

    def check_same(self, wanted: Manifest, overwrite: bool) -> None:
        """Refuse to put another data set, or other labels or splits, in place of the ones that are there.

        Going on with the same samples, more of them, or some of them missing now, is what a second call is for.

        Args:
            wanted: the samples to be prepared, as they will stand in the manifest.
            overwrite: the user asked for the earlier manifest to be replaced.

        Raises:
            OverwriteError: the folder's manifest says something else and ``overwrite`` is not given.
            ManifestError: the manifest to be written is the one that the samples were read from.
        """
        path = self.root / MANIFEST_FILE
        if os.path.realpath(path) == os.path.realpath(wanted.source):
            raise ManifestError(
                f"{path} is the manifest to be prepared and would be written over. Choose another --out."
            )
        if overwrite or not path.exists():
            return
        reason = "was not written by htnet prepare" if not (self.root / SPEC_FILE).is_file() else None
        try:
            reason = reason or _difference(read_manifest(path, check_files=False), wanted)
        except ManifestError as error:
            reason = f"cannot be read ({cause(error)})"
        if reason is not None:
            raise OverwriteError(
                f"{path} exists and {reason}; it would be overwritten. Choose another --out, or ask for it: "
                "--overwrite (in Python overwrite=True)."
            )

    def path(self, kind: str, sample: Sample) -> Path:
        """File of one kind of a sample."""
        return self.root / kind / f"{file_name(sample)}{self.kinds[kind]}"

    def holds(self, sample: Sample, key: str | None) -> bool:
        """Whether the sample's files were made from just what ``key`` stands for, and are whole."""
        try:
            noted = json.loads(self._note(sample).read_text("utf-8"))
            found = {kind: self.path(kind, sample).read_bytes() for kind in self.kinds}
        except (OSError, ValueError):
            return False
        return key is not None and noted == _hashes(key, found)

    def write(self, sample: Sample, key: str | None, files: Mapping[str, bytes]) -> None:
        """Write a sample's files, by kind; the note comes last, as files without it do not count."""
        for kind, content in files.items():
            _write(self.path(kind, sample), content)
        _write(self._note(sample), json.dumps(_hashes(key, files), indent=1).encode())

    def write_report(self, report: Report, more: Mapping[str, Any]) -> None:
        """Write ``report.json``, with what else there is to report."""
        _write(self.root / REPORT_FILE, to_json({**report.to_dict(), **more}).encode())

    def _note(self, sample: Sample) -> Path:
        return self.root / KEYS / f"{file_name(sample)}.json"


def _difference(found: Manifest, wanted: Manifest) -> str | None:
    """What a manifest says that another one, of the same samples or more, would not say any more."""
    if found.classes != wanted.classes:
        return f"has the classes {', '.join(found.classes)} in place of {', '.join(wanted.classes)}"
    now = {sample.sample: sample for sample in wanted}
    for old in found:
        new = now.get(old.sample)
        if new is None:
            if old.sample not in wanted.skipped:
                return f"holds the sample {old.sample!r}, which {wanted.source} does not hold"
            continue
        for name in ("dataset", "subject", "label", "split"):
            before, after = getattr(old, name), getattr(new, name)
            if before != after:
                return f"gives the sample {old.sample!r} the {name} {before!r} in place of {after!r}"
    return None


def file_name(sample: Sample) -> str:
    """Name of a sample's files, without ending."""
    return re.sub(r"[^\w.-]", "_", sample.sample)


def check_names(manifest: Manifest) -> None:
    """Refuse samples whose files would have one name.

    Raises:
        ManifestError: there are such; the message names two.
    """
    names: dict[str, str] = {}
    for sample in manifest:
        # Some file systems do not tell capitals apart.
        other = names.setdefault(file_name(sample).casefold(), sample.sample)
        if other != sample.sample:
            raise ManifestError(
                f"The samples {other!r} and {sample.sample!r} differ in special characters or capitals only, so that "
                "their files would have one name; rename one."
            )


def _hashes(key: str | None, files: Mapping[str, bytes]) -> dict[str, str | None]:
    return {"made_from": key, **{name: sha256(content) for name, content in files.items()}}


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_bytes(content)
    os.replace(partial, path)
