"""The composite of MEGC 2019, put together from CASME II, SAMM and SMIC."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike

from htnet.data.datasets.keep import names_to_keep
from htnet.data.manifest import Manifest
from htnet.data.tables import listed
from htnet.errors import ManifestError
from htnet.types import EMOTIONS

#: Samples of CASME II whose label has a class, but which the published list does not hold: the first has no
#: apex; why the second is missing is not documented.
OMITTED = ("sub04_EP12_01f", "sub24_EP02_07")


def merge_composite(
    casme2: Manifest,
    samm: Manifest,
    smic: Manifest,
    *,
    keep: str | PathLike[str] | Iterable[str] | None = None,
) -> Manifest:
    """The composite set of MEGC 2019: 442 samples of 68 subjects if all files are there.

    It holds all samples of the three sets whose label has one of the three classes, except two of CASME II
    (sub04_EP12_01f, sub24_EP02_07), which the published list omits; these are named in ``excluded``.

    Args:
        casme2: CASME II, as `read_dataset` reads it with ``classes="3"``.
        samm: SAMM, likewise.
        smic: SMIC (HS), likewise.
        keep: take exactly these samples instead: their names, or a CSV file with the column ``sample`` or
            with ``sub`` and ``filename_o``, as the published list has them; or the list of MEGC 2019 that has
            no header (``combined_3class_gt.csv``: data set, subject, file name, label).

    Returns:
        The samples in the order of the published list: CASME II, SMIC, SAMM. What was left out of the parts
        is named here too.

    Raises:
        ManifestError: a part is another data set or has other classes, a name to keep is in none of them, or
            the file of names is not as described.
    """
    parts = {"casme2": casme2, "smic": smic, "samm": samm}
    for name, part in parts.items():
        others = sorted({s.dataset for s in part} - {name})
        if others or part.classes != EMOTIONS:
            raise ManifestError(
                f"{part.source} is given as {name}, but "
                + (f"holds samples of {others[0]!r}." if others else f"has the classes {', '.join(part.classes)}.")
                + f" Give read_dataset({name!r}, ..., classes='3')."
            )
    samples = [sample for part in parts.values() for sample in part]
    skipped = tuple(name for part in parts.values() for name in part.skipped)
    wanted, notes = {s.sample for s in samples} - set(OMITTED), tuple[str, ...]()
    if keep is not None:
        wanted, notes = names_to_keep(keep, parts)
    unknown = sorted(wanted - {s.sample for s in samples} - set(skipped))
    if unknown:
        raise ManifestError(f"{listed(unknown)} to keep are in none of the three data sets. Correct keep.")
    left_out = tuple((s.sample, f"{s.label} (not in the composite)") for s in samples if s.sample not in wanted)
    return Manifest(
        tuple(s for s in samples if s.sample in wanted),
        EMOTIONS,
        ", ".join(part.source for part in parts.values()),
        skipped,
        tuple(file for part in parts.values() for file in part.missing_files),
        tuple(pair for part in parts.values() for pair in part.excluded) + left_out,
        tuple(name for part in parts.values() for name in part.middle_apex if name in wanted),
        (*(note for part in parts.values() for note in part.notes), *notes),
    )
