"""A prepared folder on disk: files are written atomically, with a key of the inputs of each sample."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from htnet.core.errors import ManifestError, OverwriteError, cause
from htnet.core.files import check_folder, refuse_linked_folders, unwritable, write_bytes
from htnet.core.limits import read_json, sha256_of
from htnet.core.paths import as_path, real_path
from htnet.core.schema import to_json, warnings_to_list
from htnet.core.types import PreprocessSpec, QualityWarning
from htnet.core.words import counted
from htnet.data import Manifest, Sample, read_manifest
from htnet.data.prepare.keys import TITLES, Parts, changes, libraries, sha256
from htnet.data.prepare.report import NEW, REPORT_FILE, Report
from htnet.data.prepared import KEYS, SPEC_FILE, prepared_spec

MANIFEST_FILE = "manifest.csv"
#: Reasons to doubt a sample, as JSON; stored in the sample's key file (``keys/NAME.json``).
WARNINGS = "warnings"
#: Maximum length of a sample's file name in bytes. File systems allow 255; the rest is for extensions, including those
#: of temporary files.
_LONGEST_NAME = 200


class PreparedFolder:
    """The folder that samples are prepared into.

    Layout: ``preprocess.json``; for each sample one file of each kind, ``KIND/NAME.ENDING``, and then
    ``keys/NAME.json`` (the inputs of the sample, and the hashes of its files); at the end ``report.json`` and
    ``manifest.csv``.
    """

    def __init__(self, root: Path, kinds: Mapping[str, str], what: str = "flow made") -> None:
        """Use ``root``; nothing is written yet.

        Args:
            root: the folder.
            kinds: extension of each kind of file, such as ``{"flow": ".png"}``.
            what: content of the folder, for messages.
        """
        self.root = root
        self.kinds = dict(kinds)
        self.what = what

    def begin(self, spec: PreprocessSpec) -> None:
        """Create the folders.

        Raises:
            ManifestError: the folder contains files computed with another spec.
            InputError: the folders cannot be created.
        """
        found = prepared_spec(self.root)
        if found is not None and found != spec:
            raise ManifestError(
                f"{self.root} contains {self.what} with another spec ({SPEC_FILE}). Choose another --out."
            )
        refuse_linked_folders(self.root, (*self.kinds, KEYS))
        folders = [self.root / name for name in (*self.kinds, KEYS)]
        for folder in folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(folder, error) from error
        write_bytes(self.root / SPEC_FILE, json.dumps(spec.to_dict(), indent=1).encode(), follow=False)

    def check_same(self, wanted: Manifest, overwrite: bool) -> None:
        """Refuse to replace the samples in the folder by another data set, or by other labels or splits.

        A repeated call with the same samples, additional ones, or some whose files are now missing is accepted.

        Args:
            wanted: the samples to be prepared, as they will be in the manifest.
            overwrite: replace the existing manifest, as the user requested.

        Raises:
            OverwriteError: the folder's manifest differs and ``overwrite`` is not given.
            ManifestError: the manifest to be written is the one that the samples were read from.
        """
        path = self.root / MANIFEST_FILE
        if real_path(path) == real_path(wanted.source):
            raise ManifestError(
                f"{path} is the manifest to be prepared and would be overwritten. Choose another --out."
            )
        if overwrite:
            return
        if not os.path.isfile(self.root / SPEC_FILE):
            names = (*self.kinds, KEYS)
            foreign = [name for name in names if os.path.isdir(self.root / name) and any((self.root / name).iterdir())]
            foreign += [REPORT_FILE] if os.path.isfile(self.root / REPORT_FILE) else []
            check_folder(self.root, foreign)
        if not os.path.exists(path):
            return
        reason = "was not written by htnet prepare" if not os.path.isfile(self.root / SPEC_FILE) else None
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
        """Path of a sample's file of one kind."""
        return self.root / kind / f"{file_name(sample)}{self.kinds[kind]}"

    def outdated(self, sample: Sample, key: Parts | None) -> str | None:
        """Why the sample's files must be computed; None if they are complete and were computed from ``key``."""
        if not os.path.isfile(self._note(sample)):
            return NEW  # files without a key file were left by a call that was killed
        try:
            noted = read_json(self._note(sample))
            made_from = noted.pop("made_from")
            noted.pop(WARNINGS, None)
            found = {kind: sha256_of(self.path(kind, sample)) for kind in self.kinds}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):  # the key file may contain any JSON
            return "file missing or damaged"
        if key is None:
            return "what it is made from cannot be read"
        if changed := changes(made_from, key):
            return "; ".join(changed)
        return None if noted == found else "file missing or damaged"

    def versions(self) -> dict[str, Counter[str]]:
        """For each library, the versions that the samples were computed with, and the number of samples of each.

        Samples of an older htnet that did not record versions count as "not noted".
        """
        found: dict[str, Counter[str]] = {name: Counter() for name in TITLES}
        for sample in read_manifest(self.root / MANIFEST_FILE, check_files=False, degenerate="keep"):
            try:
                made_from = read_json(self._note(sample))["made_from"]
                used = made_from["libraries"] if isinstance(made_from, dict) else {}
            except (OSError, ValueError, KeyError, TypeError):
                used = {}
            for name, number in (used if isinstance(used, dict) and used else {"htnet": "not noted"}).items():
                found.setdefault(name, Counter())[str(number)] += 1
        return {name: counts for name, counts in found.items() if counts}

    def write(self, sample: Sample, key: Parts | None, files: Mapping[str, bytes]) -> None:
        """Write a sample's files, by kind. The key file is written last: files without it count as incomplete."""
        doubts = json.loads(files.get(WARNINGS, b"[]"))
        files = {kind: content for kind, content in files.items() if kind != WARNINGS}
        for kind, content in files.items():
            write_bytes(self.path(kind, sample), content, follow=False)
        note = {**_hashes(key, files), **({WARNINGS: doubts} if doubts else {})}
        write_bytes(self._note(sample), json.dumps(note, indent=1).encode(), follow=False)

    def doubts(self, sample: Sample) -> tuple[QualityWarning, ...]:
        """The reasons to doubt a sample that were recorded when its files were computed."""
        try:
            found = read_json(self._note(sample)).get(WARNINGS, ())
            return tuple(QualityWarning(doubt["code"], doubt["message"]) for doubt in found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # the key file may contain any JSON
            return ()

    def write_report(self, report: Report, more: Mapping[str, Any]) -> None:
        """Write ``report.json``: the report and the additional fields ``more``."""
        write_bytes(self.root / REPORT_FILE, to_json({**report.to_dict(), **more}).encode(), follow=False)

    def _note(self, sample: Sample) -> Path:
        return self.root / KEYS / f"{file_name(sample)}.json"


def doubts_as_json(doubts: Sequence[QualityWarning]) -> dict[str, bytes]:
    """Reasons to doubt a sample, to be written with its files; empty if there are none."""
    return {WARNINGS: json.dumps(warnings_to_list(doubts)).encode()} if doubts else {}


def prepared_notes(data: str | PathLike[str]) -> tuple[str, ...]:
    """Notes on a prepared folder whose files were computed with several versions of a library, or with another version.

    Args:
        data: a folder or its manifest; for anything but a prepared folder there are no notes.

    Returns:
        One sentence per library; empty if all files were computed with the installed versions.
    """
    path = as_path(data, "data")
    folder = path if os.path.isdir(path) else path.parent
    if (
        not os.path.isfile(folder / SPEC_FILE)
        or not os.path.isdir(folder / KEYS)
        or not os.path.isfile(folder / MANIFEST_FILE)
    ):
        return ()
    here = libraries("torch", "numba", "av")
    notes = []
    for name, counts in PreparedFolder(folder, {}).versions().items():
        if set(counts) != {here.get(name)}:
            made = ", ".join(f"{number} ({counted(count, 'sample')})" for number, count in sorted(counts.items()))
            mixed = " Its samples were computed with several versions, whose results differ." if len(counts) > 1 else ""
            notes.append(
                f"{folder} was prepared with {TITLES.get(name, name)} {made}; installed is {here.get(name, 'none')}."
                f"{mixed} Run htnet prepare again to update the samples that differ."
            )
    return tuple(notes)


def _difference(found: Manifest, wanted: Manifest) -> str | None:
    """The first difference of the existing manifest ``found`` from ``wanted``; None if there is none.

    Additional samples in ``wanted`` are not a difference, nor are samples that it skips.
    """
    if found.classes != wanted.classes:
        return f"has the classes {', '.join(found.classes)} instead of {', '.join(wanted.classes)}"
    now = {sample.sample: sample for sample in wanted}
    for old in found:
        new = now.get(old.sample)
        if new is None:
            if old.sample not in wanted.skipped:
                return f"contains the sample {old.sample!r}, which {wanted.source} does not contain"
            continue
        for name in ("dataset", "subject", "label", "split"):
            before, after = getattr(old, name), getattr(new, name)
            if before != after:
                return f"gives the sample {old.sample!r} the {name} {before!r} instead of {after!r}"
    return None


def file_name(sample: Sample) -> str:
    """Name of a sample's files, without extension."""
    return re.sub(r"[^\w.-]", "_", sample.sample)


def check_names(manifest: Manifest) -> None:
    """Refuse samples whose files would have the same name, or a name that is too long.

    Raises:
        ManifestError: there are such samples; the message names them.
    """
    names: dict[str, str] = {}
    for sample in manifest:
        if len(file_name(sample).encode("utf-8", "replace")) > _LONGEST_NAME:
            raise ManifestError(
                f"The name of the sample {sample.sample[:60]!r}... has {len(sample.sample)} characters, and its files "
                f"are named after it; give one of {_LONGEST_NAME} or fewer."
            )
        # Some file systems are not case-sensitive.
        other = names.setdefault(file_name(sample).casefold(), sample.sample)
        if other != sample.sample:
            raise ManifestError(
                f"The samples {other!r} and {sample.sample!r} differ only in special characters or case, so "
                "their files would have the same name; rename one."
            )


def _hashes(key: Parts | None, files: Mapping[str, bytes]) -> dict[str, Any]:
    return {"made_from": key, **{name: sha256(content) for name, content in files.items()}}
