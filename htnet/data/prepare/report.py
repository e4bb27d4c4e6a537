"""Report of a preparation: which samples were prepared, and which were left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from statistics import median
from typing import Any

from htnet.core.errors import ManifestError, cause
from htnet.core.identity import counts as counts_of_people
from htnet.core.limits import read_json
from htnet.core.paths import as_path
from htnet.core.schema import document
from htnet.core.types import QualityWarning
from htnet.core.words import abridged, counted
from htnet.data import Manifest
from htnet.data.layouts import REPORT_FILE
from htnet.data.published import with_differences

#: The reason given for samples that were never prepared before.
NEW = "new"
#: Maximum number of names in a printed summary; the report file contains all.
_LISTED = 20


#: Codes of warnings that are derived from the counts of the report.
_COUNTED = ("excluded", "files_missing", "failed", "middle_apex")


@dataclass(frozen=True)
class Report:
    """Outcome of a preparation for the samples of a data set.

    Attributes:
        source: where the samples were read from.
        prepared: number of prepared samples.
        classes: class name to number of prepared samples.
        subjects: number of people in the prepared samples.
        excluded: the samples left out because their label belongs to no class, by original label.
        missing: samples left out because their files are missing.
        missing_files: the missing files, as far as the reader named them.
        failed: sample to message, for samples that could not be prepared (no face, a damaged file, ...).
        middle_apex: prepared samples with a missing or impossible apex, for which the middle frame was used.
        notes: notes of the data set's reader; see `htnet.data.Manifest`.
        compared_with: the published lists that the samples were compared with; later commands use the same lists.
        differences: the notes on differences from these lists.
        identities_from: where the subjects were read from.
        people: number of prepared samples of each person, by (data set, subject).
        without_subject: number of prepared samples without subject.
        made_again: existing samples that were recomputed in this call, by reason.
        doubts: reasons to doubt prepared samples, each with the samples concerned.
    """

    source: str
    prepared: int
    classes: Mapping[str, int]
    subjects: int
    excluded: Mapping[str, Sequence[str]]
    missing: Sequence[str]
    missing_files: Sequence[str]
    failed: Mapping[str, str]
    middle_apex: Sequence[str]
    notes: Sequence[str] = ()
    identities_from: str = ""
    people: Mapping[tuple[str, str], int] = field(default_factory=dict)
    without_subject: int = 0
    made_again: Mapping[str, Sequence[str]] = field(default_factory=dict)
    doubts: Sequence[QualityWarning] = ()
    compared_with: Sequence[str] = ()
    differences: Sequence[str] = ()

    @classmethod
    def of(cls, manifest: Manifest, prepared: Manifest, failed: Mapping[str, str]) -> Report:
        """Create the report from a manifest and the manifest of its prepared samples."""
        excluded: dict[str, list[str]] = {}
        for name, label in manifest.excluded:
            excluded.setdefault(label, []).append(name)
        counts = Counter(sample.label for sample in prepared)
        replaced = {s.sample for s in prepared if s.apex_source == "middle"} | set(manifest.middle_apex) - set(failed)
        names = [s.sample for s in manifest if s.sample in replaced]
        # Samples that failed are also missing from a known set.
        noted = with_differences(prepared) if failed else manifest
        people, without_subject = counts_of_people(prepared)
        return cls(
            source=manifest.source,
            prepared=len(prepared),
            classes={name: counts[name] for name in prepared.classes},
            subjects=len(prepared.subjects),
            excluded=dict(sorted(excluded.items())),
            missing=manifest.skipped,
            missing_files=manifest.missing_files,
            failed=failed,
            middle_apex=tuple(names),
            notes=noted.notes,
            compared_with=noted.compared_with,
            differences=noted.differences,
            identities_from=manifest.identities_from,
            people=people,
            without_subject=without_subject,
        )

    @property
    def left_out(self) -> int:
        """Number of samples that were not prepared."""
        return sum(map(len, self.excluded.values())) + len(self.missing) + len(self.failed)

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.prepare_report", see docs/output.md; counts come before lists."""
        content = {
            "read_from": self.source,
            "prepared": self.prepared,
            "class_counts": dict(self.classes),
            "subjects": self.subjects,
            "left_out": self.left_out,
            "excluded": {
                "count": sum(map(len, self.excluded.values())),
                "labels": {k: {"count": len(v), "samples": list(v)} for k, v in self.excluded.items()},
            },
            "missing": {
                "count": len(self.missing),
                "samples": list(self.missing),
                "files": list(self.missing_files),
            },
            "failed": {"count": len(self.failed), "samples": dict(self.failed)},
            "middle_apex": {"count": len(self.middle_apex), "samples": list(self.middle_apex)},
            "notes": list(self.notes),
            "published": {"compared_with": list(self.compared_with), "differences": list(self.differences)},
            "made_again": {
                why: {"count": len(names), "samples": list(names)} for why, names in self.made_again.items()
            },
            "identities": {
                "from": self.identities_from,
                "people": len(self.people),
                "samples_without_subject": self.without_subject,
                "samples_a_person": self.spread(),
                "table": [
                    {"dataset": dataset, "subject": subject, "samples": count}
                    for (dataset, subject), count in self.people.items()
                ],
            },
        }
        return document("htnet.prepare_report", content, self.warnings)

    @property
    def warnings(self) -> tuple[QualityWarning, ...]:
        """Warnings about the data set: samples left out, by reason; replaced apexes; and reasons to doubt samples."""
        reasons = (
            (
                "excluded",
                sum(map(len, self.excluded.values())),
                "left out: label in no class, or no expression",
            ),
            ("files_missing", len(self.missing), "left out: files are missing"),
            ("failed", len(self.failed), "left out: the frames could not be used"),
            ("middle_apex", len(self.middle_apex), "kept, with the middle frame used as apex"),
        )
        summed = (
            QualityWarning(code, f"{counted(count, 'sample')} {text}; named in this report.")
            for code, count, text in reasons
            if count
        )
        return (*self.doubts, *summed)

    def spread(self) -> dict[str, float] | None:
        """Least, median and largest number of samples per person; None without people."""
        found = self.people.values()
        return {"min": min(found), "median": median(found), "max": max(found)} if found else None

    def text(self) -> str:
        """Summary as text: people, samples left out with reasons, and replaced apexes; one line per fact or name."""
        labels = ", ".join(f"{label} {len(names)}" for label, names in self.excluded.items() if "(" not in label)
        lines = [f"  warning: {doubt.code}: {doubt.message}" for doubt in self.doubts]
        lines += self._identities() + self._redone() + ([f"  label in no class: {labels}"] if labels else [])
        # Samples left out for another reason than their label are named.
        others = {reason: names for reason, names in self.excluded.items() if "(" in reason}
        if others:
            lines.append(f"  left out for another reason: {counted(sum(map(len, others.values())), 'sample')}")
            lines += [f"    {reason}: {', '.join(names)}" for reason, names in others.items()]
        for what, count, details in (
            ("files missing", len(self.missing), _first(self.missing) + _first(self.missing_files)),
            ("failed", len(self.failed), _first(list(self.failed.values()))),
            ("apex not annotated or impossible, middle frame used", len(self.middle_apex), _first(self.middle_apex)),
        ):
            if count:
                lines.append(f"  {what}: {counted(count, 'sample')}")
                lines += [f"    {detail}" for detail in details]
        lines += [f"  note: {abridged(note)}" for note in self.notes]
        return "\n".join(lines)

    def _redone(self) -> list[str]:
        """Why existing samples were recomputed, one line per reason."""
        return [f"  recomputed, {why}: {counted(len(names), 'sample')}" for why, names in self.made_again.items()]

    def _identities(self) -> list[str]:
        """The number of people, and where the subjects were read from."""
        spread, lines = self.spread(), []
        if spread is not None:
            low, middle, high = (f"{spread[name]:g}" for name in ("min", "median", "max"))
            each = f"{low} to {high}, median {middle}"
            lines.append(f"  people: {len(self.people)}, from {self.identities_from}; samples per person: {each}")
        if self.without_subject:
            lines.append(
                f"  without subject: {counted(self.without_subject, 'sample')} ({self.identities_from}); they "
                "cannot be split by person"
            )
        return lines


def _first(names: Sequence[str]) -> list[str]:
    more = len(names) - _LISTED
    return [*names[:_LISTED], *([f"... and {more} more"] if more > 0 else [])]


def read_report(folder: str | PathLike[str]) -> Report:
    """Read the report of a prepared folder.

    Raises:
        ManifestError: there is no report, or it is damaged.
    """
    path = as_path(folder, "folder") / REPORT_FILE
    try:
        found = read_json(path)
        if "schema" not in found:  # written before documents had a version
            found |= {"read_from": found["source"], "class_counts": found["classes"]}
        return Report(
            source=found["read_from"],
            prepared=found["prepared"],
            classes=found["class_counts"],
            subjects=found["subjects"],
            excluded={label: tuple(part["samples"]) for label, part in found["excluded"]["labels"].items()},
            missing=tuple(found["missing"]["samples"]),
            missing_files=tuple(found["missing"]["files"]),
            failed=found["failed"]["samples"],
            middle_apex=tuple(found["middle_apex"]["samples"]),
            notes=tuple(found.get("notes", ())),
            compared_with=tuple(found.get("published", {}).get("compared_with", ())),
            differences=tuple(found.get("published", {}).get("differences", ())),
            identities_from=found.get("identities", {}).get("from", ""),
            people={(p["dataset"], p["subject"]): p["samples"] for p in found.get("identities", {}).get("table", ())},
            without_subject=found.get("identities", {}).get("samples_without_subject", 0),
            doubts=tuple(
                QualityWarning(w["code"], w["message"]) for w in found.get("warnings", ()) if w["code"] not in _COUNTED
            ),
            made_again={why: tuple(part["samples"]) for why, part in found.get("made_again", {}).items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{path} cannot be read ({cause(error)}). Prepare the data again.") from error
