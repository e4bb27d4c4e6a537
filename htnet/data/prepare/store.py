"""A prepared folder on disk: atomically written files, and for each sample a key of its inputs."""

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
#: Beside a sample's files: the reasons to doubt them, as JSON; kept in the sample's note.
WARNINGS = "warnings"
#: Bytes of a file's name, of the 255 that file systems allow; the rest is for endings, also of a file in the making.
_LONGEST_NAME = 200


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
            what: what it contains, for messages.
        """
        self.root = root
        self.kinds = dict(kinds)
        self.what = what

    def begin(self, spec: PreprocessSpec) -> None:
        """Make the folders.

        Raises:
            ManifestError: the folder contains files made in another way.
            InputError: they cannot be made.
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
        """Refuse to put another data set, or other labels or splits, instead of the ones that are there.

        Going on with the same samples, more of them, or some of them missing now, is what a second call is for.

        Args:
            wanted: the samples to be prepared, as they will stand in the manifest.
            overwrite: replace the earlier manifest, as the user requested.

        Raises:
            OverwriteError: the folder's manifest says something else and ``overwrite`` is not given.
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
        """File of one kind of a sample."""
        return self.root / kind / f"{file_name(sample)}{self.kinds[kind]}"

    def outdated(self, sample: Sample, key: Parts | None) -> str | None:
        """Why the sample's files have to be made, None if they are whole and made from just what ``key`` says."""
        if not os.path.isfile(self._note(sample)):
            return NEW  # files without a note are those of a call that was killed
        try:
            noted = read_json(self._note(sample))
            made_from = noted.pop("made_from")
            noted.pop(WARNINGS, None)
            found = {kind: sha256_of(self.path(kind, sample)) for kind in self.kinds}
        except (OSError, ValueError, KeyError, AttributeError, TypeError):  # whatever JSON is in the note
            return "file missing or damaged"
        if key is None:
            return "what it is made from cannot be read"
        if changed := changes(made_from, key):
            return "; ".join(changed)
        return None if noted == found else "file missing or damaged"

    def versions(self) -> dict[str, Counter[str]]:
        """By library the versions that the samples in the manifest were made with, and the number of samples of each.

        What was made by an htnet that did not note them counts as "not noted".
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
        """Write a sample's files, by kind; the note comes last, as files without it do not count."""
        doubts = json.loads(files.get(WARNINGS, b"[]"))
        files = {kind: content for kind, content in files.items() if kind != WARNINGS}
        for kind, content in files.items():
            write_bytes(self.path(kind, sample), content, follow=False)
        note = {**_hashes(key, files), **({WARNINGS: doubts} if doubts else {})}
        write_bytes(self._note(sample), json.dumps(note, indent=1).encode(), follow=False)

    def doubts(self, sample: Sample) -> tuple[QualityWarning, ...]:
        """The reasons to doubt a sample that were seen when its files were made."""
        try:
            found = read_json(self._note(sample)).get(WARNINGS, ())
            return tuple(QualityWarning(doubt["code"], doubt["message"]) for doubt in found)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # whatever JSON is in the note
            return ()

    def write_report(self, report: Report, more: Mapping[str, Any]) -> None:
        """Write ``report.json``, with what else there is to report."""
        write_bytes(self.root / REPORT_FILE, to_json({**report.to_dict(), **more}).encode(), follow=False)

    def _note(self, sample: Sample) -> Path:
        return self.root / KEYS / f"{file_name(sample)}.json"


def doubts_as_json(doubts: Sequence[QualityWarning]) -> dict[str, bytes]:
    """Reasons to doubt a sample, to be written with its files; nothing if there are none."""
    return {WARNINGS: json.dumps(warnings_to_list(doubts)).encode()} if doubts else {}


def prepared_notes(data: str | PathLike[str]) -> tuple[str, ...]:
    """What to know of a prepared folder: that its files are of several versions of a library, or of another than here.

    Args:
        data: a folder or its manifest; of any other there is nothing to say.

    Returns:
        One sentence a library; none if all was made with the versions that are here.
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
            mixed = " Its samples were made with several versions, which differ in bytes." if len(counts) > 1 else ""
            notes.append(
                f"{folder} was prepared with {TITLES.get(name, name)} {made}, here is {here.get(name, 'none')}.{mixed} "
                "Run htnet prepare again to update what differs."
            )
    return tuple(notes)


def _difference(found: Manifest, wanted: Manifest) -> str | None:
    """What a manifest says that another one, of the same samples or more, would not say any more."""
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
    """Name of a sample's files, without ending."""
    return re.sub(r"[^\w.-]", "_", sample.sample)


def check_names(manifest: Manifest) -> None:
    """Refuse samples whose files would have one name, or a name that no file can have.

    Raises:
        ManifestError: there are such; the message names them.
    """
    names: dict[str, str] = {}
    for sample in manifest:
        if len(file_name(sample).encode("utf-8", "replace")) > _LONGEST_NAME:
            raise ManifestError(
                f"The name of the sample {sample.sample[:60]!r}... has {len(sample.sample)} characters, and its files "
                f"are named after it; give one of {_LONGEST_NAME} or fewer."
            )
        # Some file systems do not tell capitals apart.
        other = names.setdefault(file_name(sample).casefold(), sample.sample)
        if other != sample.sample:
            raise ManifestError(
                f"The samples {other!r} and {sample.sample!r} differ in special characters or capitals only, so "
                "their files would have the same name; rename one."
            )


def _hashes(key: Parts | None, files: Mapping[str, bytes]) -> dict[str, Any]:
    return {"made_from": key, **{name: sha256(content) for name, content in files.items()}}
