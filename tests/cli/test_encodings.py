"""Names that standard output or UTF-8 cannot encode: pipes on Windows have the encoding of the system."""

import io
import json
import os
import sys
import warnings
from pathlib import Path

import pytest

import htnet
from htnet import cli

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"
POINTS = ("--landmarks", SAMPLE / "landmarks.json")


@pytest.fixture
def printed(monkeypatch):
    """What a command prints on a standard output of some encoding: exit status, bytes."""

    def printed(encoding, *words):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict", newline="\n")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            status = cli.main([str(word) for word in words])
            stream.flush()
        return status, stream.buffer.getvalue()

    return printed


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_that_standard_output_cannot_encode_are_escaped(printed, tmp_path, encoding):
    """It was an error of Python, after the work was done."""
    onset, report = tmp_path / "ö日\U0001f600.png", tmp_path / "ö日\U0001f600.html"
    onset.write_bytes((SAMPLE / "onset.png").read_bytes())
    status, said = printed(encoding, "predict", onset, SAMPLE / "apex.png", *POINTS, "--report", report)
    assert status == 0
    shown = {"ascii": "\\xf6\\u65e5\\U0001f600", "cp1252": "ö\\u65e5\\U0001f600", "utf-8": "ö日\U0001f600"}[encoding]
    assert f"report: {tmp_path / shown}.html" in said.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_on_standard_output_is_utf8_whatever_its_encoding(printed, tmp_path, encoding):
    """In cp1252 it was JSON that no program reads."""
    onset = tmp_path / "ö日\U0001f600.png"
    onset.write_bytes((SAMPLE / "onset.png").read_bytes())
    status, said = printed(encoding, "predict", onset, SAMPLE / "apex.png", *POINTS, "--json")
    assert status == 0
    assert json.loads(said.decode("utf-8"))["files"]["onset"] == str(onset)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text there")
def test_a_name_that_is_no_text_is_escaped_in_files(tmp_path, succeed):
    onset = tmp_path / os.fsdecode(b"a\xff.png")
    onset.write_bytes((SAMPLE / "onset.png").read_bytes())
    succeed("predict", onset, SAMPLE / "apex.png", *POINTS, "--report", tmp_path / "r.html")
    assert "a\\udcff.png" in (tmp_path / "r.html").read_text("utf-8")


def test_a_picture_without_motion_is_drawn_without_a_warning(tmp_path, succeed):
    """Matplotlib divided by the mean length of the arrows."""
    pytest.importorskip("matplotlib")
    onset = SAMPLE / "onset.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        succeed("predict", onset, onset, *POINTS, "--plot", tmp_path / "p.png")
