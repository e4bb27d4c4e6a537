"""Whatever speaks against a sample's frames stands in the report of every command that prepares them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import htnet
from htnet.cli import main
from htnet.data.prepare import read_report
from tests.support.wings import with_wings

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"
TWO = "2 faces were found in"


def write_frames(folder):
    folder.mkdir()
    for name in ("onset", "apex"):
        face = cv2.imread(str(SAMPLE / f"{name}.png"))
        cv2.imwrite(str(folder / f"{name}.png"), face)
        cv2.imwrite(str(folder / f"{name}_two.png"), np.hstack([face, face[:, ::-1]]))
        cv2.imwrite(str(folder / f"{name}_turned.png"), np.rot90(face, 2))


def pairs(folder):
    """Manifest of frames, and what is told of which sample."""
    (folder / "m.csv").write_text(
        "sample,subject,dataset,label,onset,apex\n"
        "good,p1,d,negative,onset.png,apex.png\n"
        "two,p2,d,positive,onset_two.png,apex_two.png\n"
        "turned,p3,d,positive,onset.png,apex_turned.png\n"
    )
    return ["prepare", "manifest", "--root", str(folder / "m.csv")], {"several_faces": "two", "unlike_frames": "turned"}


#: Every command that prepares.
MADE = with_wings("prepare_doubts", "MADE", {"prepare": pairs})


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_warnings_of_samples_stand_in_the_report(tmp_path, capsys, made):
    write_frames(tmp_path / "data")
    command, told = made(tmp_path / "data")
    out = tmp_path / "out"
    for _ in range(2):  # the second call makes nothing again, and tells the same
        assert main([*command, "--out", str(out), "--workers", "1"]) == 0
        printed = capsys.readouterr().out
        warnings = {w["code"]: w["message"] for w in json.loads((out / "report.json").read_text())["warnings"]}
        assert warnings.keys() == told.keys()
        for code, sample in told.items():
            assert f"1 sample ('{sample}" in warnings[code]
            assert f"warning: {code}: {warnings[code]}" in printed
        assert {doubt.code: doubt.message for doubt in read_report(out).doubts} == warnings
    assert TWO in warnings["several_faces"]
