"""A prepared folder on the disk: whole files only, and for each sample a note of what it was made from."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from htnet.data import Manifest, Sample
from htnet.errors import ManifestError
from htnet.prepare.keys import sha256
from htnet.prepare.report import REPORT_FILE, Report
from htnet.prepare.spec import SPEC_FILE, prepared_spec
from htnet.types import PreprocessSpec

MANIFEST_FILE = "manifest.csv"
FOLDERS = ("flow", "landmarks", "keys")


class PreparedFolder:
    """The folder that samples are prepared into.

    Layout: ``preprocess.json``; for each sample ``flow/NAME.png``, ``landmarks/NAME.json`` and, written last,
    ``keys/NAME.json`` (hashes of what they were made from and of both); at the end ``report.json`` and
    ``manifest.csv``.
    """

    def __init__(self, root: Path) -> None:
        """Use ``root``; nothing is written yet."""
        self.root = root

    def begin(self, spec: PreprocessSpec) -> None:
        """Make the folders and remove what a killed run left half written.

        Raises:
            ManifestError: the folder holds flow made in another way.
        """
        found = prepared_spec(self.root)
        if found is not None and found != spec:
            raise ManifestError(f"{self.root} holds flow made with another spec ({SPEC_FILE}). Choose another --out.")
        for name in FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for folder in (self.root, *(self.root / name for name in FOLDERS)):
            for partial in folder.glob(".*.tmp"):
                partial.unlink(missing_ok=True)
        _write(self.root / SPEC_FILE, json.dumps(spec.to_dict(), indent=1).encode())

    def flow(self, sample: Sample) -> Path:
        """File of a sample's flow image."""
        return self.root / "flow" / f"{file_name(sample)}.png"

    def landmarks(self, sample: Sample) -> Path:
        """File of a sample's points, px of its flow image."""
        return self.root / "landmarks" / f"{file_name(sample)}.json"

    def holds(self, sample: Sample, key: str | None) -> bool:
        """Whether the sample's files were made from just what ``key`` stands for, and are whole."""
        try:
            noted = json.loads(self._note(sample).read_text("utf-8"))
            flow, landmarks = self.flow(sample).read_bytes(), self.landmarks(sample).read_bytes()
        except (OSError, ValueError):
            return False
        return key is not None and noted == _hashes(key, flow, landmarks)

    def write(self, sample: Sample, key: str | None, flow: bytes, landmarks: bytes) -> None:
        """Write a sample's files; the note comes last, as files without it do not count."""
        _write(self.flow(sample), flow)
        _write(self.landmarks(sample), landmarks)
        _write(self._note(sample), json.dumps(_hashes(key, flow, landmarks), indent=1).encode())

    def write_report(self, report: Report) -> None:
        """Write ``report.json``."""
        _write(self.root / REPORT_FILE, (json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n").encode())

    def _note(self, sample: Sample) -> Path:
        return self.root / "keys" / f"{file_name(sample)}.json"


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


def _hashes(key: str | None, flow: bytes, landmarks: bytes) -> dict[str, str | None]:
    return {"made_from": key, "flow": sha256(flow), "landmarks": sha256(landmarks)}


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_bytes(content)
    os.replace(partial, path)
