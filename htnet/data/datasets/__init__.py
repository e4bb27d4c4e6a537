"""Readers of the official folder trees and annotation sheets; each returns a manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike
from pathlib import Path

from htnet.core.errors import ManifestError
from htnet.core.hints import door_of, hint
from htnet.core.official import did_you_mean_set, long_recordings
from htnet.core.paths import as_path
from htnet.data.datasets.assemble import Choices
from htnet.data.datasets.casme import read_casme, read_casme2
from htnet.data.datasets.casme3 import read_casme3_part_a
from htnet.data.datasets.casmesq import read_casme_sq
from htnet.data.datasets.clips import check_root
from htnet.data.datasets.composite import merge_composite
from htnet.data.datasets.dfme import read_dfme
from htnet.data.datasets.fourdme import read_4dme
from htnet.data.datasets.mmew import read_mmew
from htnet.data.datasets.recordings import RECORDINGS, read_annotated_recordings, read_intervals
from htnet.data.datasets.samm import read_samm
from htnet.data.datasets.smic import read_smic
from htnet.data.manifest import Manifest

__all__ = [
    "DATASETS",
    "RECORDINGS",
    "merge_composite",
    "read_annotated_recordings",
    "read_dataset",
    "read_intervals",
]

_READERS: dict[str, Callable[[Path, Path | None, Choices], Manifest]] = {
    "casme2": read_casme2,
    "samm": read_samm,
    "smic": read_smic,
    "casme3": read_casme3_part_a,
    "mmew": read_mmew,
    "4dme": read_4dme,
    "dfme": read_dfme,
    "casme": read_casme,
    "casme_sq": read_casme_sq,
}
#: Sources of the subjects, for readers that do not state them.
_IDENTITIES = {
    **dict.fromkeys(("casme2", "samm", "casme3", "mmew", "4dme"), "the column 'Subject' of {}"),
    "smic": "the names of the clips, such as s1_ne_01, in {}",
}
#: Names that `read_dataset` accepts.
DATASETS = tuple(_READERS)


def read_dataset(
    name: str,
    root: str | PathLike[str],
    *,
    annotation: str | PathLike[str] | None = None,
    classes: str = "3",
    missing: str = "raise",
    no_apex: str = "middle",
) -> Manifest:
    """Read a data set from its official folder tree and annotation sheet.

    A sample is named ``{subject}_{filename}``, as in the published composite ("sub01_EP02_01f",
    "006_006_1_2", "s01_s01_ne_01"). The documentation's page on data sets shows each tree, its sheet, both
    class maps, and the sources.

    Args:
        name: one of `DATASETS`.
        root: the data set's folder, or any folder between it and the clips.
        annotation: the sheet, ``.xlsx`` or ``.xls`` (need the extra "datasets") or ``.csv``. By default the one in
            ``root`` or the folder above. SMIC needs none; a sheet with the columns ``Filename`` and
            ``ApexFrame`` adds apex frames.
        classes: "3" for `htnet.types.EMOTIONS`, by the rule of MEGC 2019; "own" for the data set's own
            five or seven classes (SMIC: three). Samples whose label belongs to no class are listed in
            ``Manifest.excluded``.
        missing: "raise" refuses missing files; "skip" leaves such samples out and lists them in
            ``Manifest.skipped``, and their files in ``Manifest.missing_files``.
        no_apex: handling of samples without annotated apex, or whose apex is not after the onset or
            is outside the clip: "middle" uses the frame midway between onset and offset and
            lists the samples in ``Manifest.middle_apex``; "exclude" leaves them out and lists them in
            ``Manifest.excluded``. SMIC annotates no apex.

    Returns:
        The samples in the sheet's order (SMIC: by name).

    Raises:
        ManifestError: a name, choice or label is unknown, files are missing, or the folder tree or sheet is invalid or
            occurs in several copies.
        MissingExtraError: openpyxl or xlrd is needed but not installed.
    """
    if name not in _READERS:
        if elsewhere := long_recordings(name):
            raise ManifestError(elsewhere)
        raise ManifestError(f"There is no reader for the data set {name!r}. {did_you_mean_set(name, DATASETS)}")
    sheet = None if annotation is None else as_path(annotation, "annotation")
    check_root(as_path(root, "root"), name)
    choices = Choices(classes, missing, no_apex)
    try:
        found = _READERS[name](as_path(root, "root"), sheet, choices)
    except ManifestError as error:
        door = door_of(root)
        if door is None or door.name == name:
            raise
        if door.kind not in ("set", "frames", "sheet"):  # an annotation sheet would not help
            raise ManifestError(f"{root} contains no data set in its official layout.{hint(root)}") from error
        raise ManifestError(f"{error}{hint(root)}") from error
    if found.identities_from != Manifest.identities_from:
        return found
    return replace(found, identities_from=_IDENTITIES.get(name, "the annotation, {}").format(found.source))
