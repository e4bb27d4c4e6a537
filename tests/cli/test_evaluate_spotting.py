import json

import pytest

from htnet.cli import main
from htnet.cli.recordings import SETS, UNITS
from htnet.core.schema import read_schema
from htnet.data import RECORDINGS
from htnet.evaluation.spotting import UNITS as ALL_UNITS
from tests.data import official

TRUTH = """recording,subject,fps,frames,kind,onset,apex,offset,emotion
anna_1,anna,30,3600,micro,411,417,423,surprise
anna_1,anna,30,3600,blink,900,,906,
ben_1,ben,30,1800,macro,100,120,170,positive
cleo_1,cleo,30,1800,,,,,
"""
PREDICTED = "vid,pred_onset,pred_offset,type\nanna_1,414,426,me\nben_1,101,171,me\ncleo_1,11,20,me\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "truth.csv").write_text(TRUTH)
    (tmp_path / "pred.csv").write_text(PREDICTED)
    return [f"--truth={tmp_path / 'truth.csv'}", f"--predictions={tmp_path / 'pred.csv'}"]


def lines(text):
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith("  ")}


def test_scores_are_printed(files, capsys):
    assert main(["evaluate-spotting", *files]) == 0
    said = capsys.readouterr().out
    assert said.startswith("3 recordings, 4.0 min; intersection over union at least 0.5, in frames\n")
    rows = lines(said)
    assert rows["overall"] == ["1", "2", "1", "0.333", "0.500", "0.400", "0.50"]
    assert rows["ben_1"] == ["0", "1", "1", "0.000", "0.000", "0.000"]
    assert "STRS" not in said, "no prediction names an emotion"
    assert "95 %, subjects resampled" in said


def test_emotions_and_apexes(files, tmp_path, capsys):
    event = {"kind": "micro", "onset_frame": 411, "apex_frame": 418, "offset_frame": 423, "prediction": "surprise"}
    (tmp_path / "p.json").write_text(json.dumps({"sample": "anna_1", "events": [event]}))
    assert main(["evaluate-spotting", files[0], f"--predictions={tmp_path / 'p.json'}"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("warning: no_predictions: 2 of 3 recordings")
    assert "micro: spot-then-recognize score (STRS) 1.000: F1 of recognition 1.000, UF1 1.000, UAR 1.000 over 1" in said
    assert "overall: spot-then-recognize score (STRS) 0.333" in said, "2/3 x 1/2: nothing positive was found"
    assert "micro: median apex error 1 frames (33 ms), 100% within 80 ms" in said


def test_a_copy_of_the_truth_is_refused(files, tmp_path, fail):
    (tmp_path / "copy.csv").write_text(TRUTH)
    said = fail("evaluate-spotting", files[0], f"--predictions={tmp_path / 'copy.csv'}")
    assert "copy.csv is a copy of it, byte for byte. Give the predictions" in said


def test_classes_that_no_event_has_are_refused(files, tmp_path, fail, succeed):
    event = {"kind": "micro", "onset_frame": 411, "apex_frame": 418, "offset_frame": 423, "prediction": "surprise"}
    (tmp_path / "p.json").write_text(json.dumps({"sample": "anna_1", "events": [event]}))
    words = ["evaluate-spotting", files[0], f"--predictions={tmp_path / 'p.json'}"]
    said = fail(*words, "--classes=surprize,positive")
    assert "classes has 'surprize', but no event has this emotion. Did you mean 'surprise'?" in said
    assert "F1 of recognition 0.500" in succeed(*words, "--classes=surprise,fear"), "fear may occur in other recordings"
    said = fail("evaluate-spotting", *files, "--classes=surprise")
    assert "no predicted micro- or macro-expression has an emotion" in said
    (tmp_path / "plain.csv").write_text("recording,kind,onset,offset\nanna_1,micro,411,423\n")
    said = fail(words[0], f"--truth={tmp_path / 'plain.csv'}", words[2], "--classes=surprise")
    assert "no true micro- or macro-expression has an emotion" in said


def test_json_is_as_the_schema_says(files, capsys):
    jsonschema = pytest.importorskip("jsonschema", reason="part of the extra dev")
    assert main(["evaluate-spotting", *files, "--json", "--iou=2/3", "--unit=ms"]) == 0
    found = json.loads(capsys.readouterr().out)
    part = {"$ref": "#/$defs/spotting_scores", "$defs": read_schema()["$defs"]}
    jsonschema.Draft202012Validator(part).validate(found)
    assert (found["iou"], found["unit"]) == (pytest.approx(2 / 3), "ms")
    assert found["kinds"]["micro"]["true_positives"] == 1


def test_a_data_set_is_scored(tmp_path, capsys):
    official.samm_lv(tmp_path / "set", [("006_1_1", 566, 648, 743, "Macro", "4"), ("006_1_2", 5, -1, 40, "Micro", "4")])
    (tmp_path / "pred.csv").write_text("vid,onset,offset,type\n006_1,566,743,mae\n006_1,10,40,me\n")
    given = [f"--truth={tmp_path / 'set'}", f"--predictions={tmp_path / 'pred.csv'}"]
    assert main(["evaluate-spotting", *given, "--dataset=samm_lv"]) == 0
    said = capsys.readouterr().out
    assert lines(said)["overall"][:3] == ["2", "0", "0"]
    assert "note: " in said
    assert main(["evaluate-spotting", *given, "--dataset=samm_lv", "--json"]) == 0
    printed = capsys.readouterr()
    json.loads(printed.out)
    assert printed.err.splitlines() == [line for line in said.splitlines() if line.startswith("note: ")]
    assert main(["evaluate-spotting", *given, "--annotation=x.csv"]) == 2
    assert "give --dataset too" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fps=25"], "has 30 frames per second, not 25"),
        (["--iou=0"], "give more than 0 and at most 1"),
        (["--classes="], "each emotion to be scored once"),
    ],
)
def test_options_that_cannot_be_obeyed(files, tmp_path, capsys, options, message):
    (tmp_path / "pred.csv").write_text("subject,video,onset,offset,emotion\nanna,1,412,424,surprise\n")
    (tmp_path / "truth.csv").write_text(TRUTH.replace("anna_1", "anna/1"))
    assert main(["evaluate-spotting", *files, *options]) == 2
    assert message in capsys.readouterr().err


def test_the_truth_is_no_prediction(files, tmp_path, capsys):
    """A folder of generated recordings has the truth beside the videos; it would score 1."""
    (tmp_path / "pred.csv").unlink()
    assert main(["evaluate-spotting", files[0], f"--predictions={tmp_path}"]) == 2
    assert "is among the predictions" in capsys.readouterr().err


def test_choices_are_those_of_the_library():
    assert SETS == RECORDINGS
    assert UNITS == ALL_UNITS


def test_notes_on_the_predictions_are_printed(files, tmp_path, capsys):
    """A column that is not read, and an event that is listed twice and counted twice."""
    twice = "vid,pred_onset,pred_offset,type\nanna_1,414,426,me\nanna_1,414,426,me\n"
    (tmp_path / "pred.csv").write_text(twice)
    note = "'anna_1' has the same event (micro, frames 414 to 426) 2 times; each is counted."
    assert main(["evaluate-spotting", *files]) == 0
    assert note in capsys.readouterr().out
    assert main(["evaluate-spotting", *files, "--json"]) == 0
    printed = capsys.readouterr()
    assert note in printed.err
    assert note not in printed.out
