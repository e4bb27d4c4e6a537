"""Readers and splits of faces, for tests/core/test_identity.py."""

import pytest

from htnet.core.errors import InputError, ManifestError
from htnet.palsy import read_palsy, split_patients
from tests.palsy.faces import save_black


def refusal(source):
    with pytest.raises((ManifestError, InputError)) as caught:
        read_palsy(source)
    return str(caught.value)


def palsy_table(tmp_path, one, two, capsys):
    lines = ["image_path,grade,patient"]
    for i, who in enumerate((one, "x", two)):
        save_black(tmp_path / f"{i}.png")
        lines.append(f'{i}.png,{i + 1},"{who}"')
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return refusal(tmp_path / "t.csv")


def palsy_folders(tmp_path, one, two, capsys):
    if "_" in one + two:
        pytest.skip("'_' ends the name in these file names")
    for i, who in enumerate((one, "x", two)):
        save_black(tmp_path / f"grade_{i + 1}" / f"{who}_0.png")
    return refusal(tmp_path)


#: What takes people from outside, and must not take one for two.
DOORS = {"palsy table": palsy_table, "palsy folders": palsy_folders}
SPLITS = (split_patients,)
