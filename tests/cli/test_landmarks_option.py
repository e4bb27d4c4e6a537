"""A detector is refused where no sample has frames for it."""

import pytest

from htnet.cli import main
from tests.support.flows import write_flow_set


@pytest.mark.parametrize("detector", ["yunet", "yunet:own.onnx", "face-alignment"])
@pytest.mark.parametrize("command", ["train --data", "loso --data", "predict --manifest"])
def test_a_detector_for_flow_images_is_refused(command, detector, tmp_path, capsys):
    write_flow_set(tmp_path, 2)
    words = [
        *command.split(),
        str(tmp_path / "manifest.csv"),
        "--out",
        str(tmp_path / "o.csv"),
        "--landmarks",
        detector,
    ]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"--landmarks {detector} detects faces in frames" in said
    assert "Leave --landmarks out" in said


@pytest.mark.parametrize("command", ["predict --manifest", "evaluate --data", "embed --data"])
def test_a_bit_depth_for_flow_images_is_refused(command, tmp_path, capsys):
    write_flow_set(tmp_path, 2)
    words = [*command.split(), str(tmp_path / "manifest.csv"), "--out", str(tmp_path / "o.npz"), "--bit-depth", "12"]
    if command.startswith("predict"):
        words[-3] = str(tmp_path / "o.csv")
    assert main(words) == 2
    assert "--bit-depth 12 is for 16-bit frames, but each of the 6 samples" in capsys.readouterr().err


def test_flow_images_are_answered_without_it(tmp_path):
    write_flow_set(tmp_path, 2)
    assert main(["predict", "--manifest", str(tmp_path / "manifest.csv"), "--out", str(tmp_path / "o.csv")]) == 0
