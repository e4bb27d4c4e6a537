"""One schema for everything that htnet writes: every JSON document and table of every command is looked at."""

import csv
import importlib.util
import io
import json
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from htnet import cli, evaluation, hub, synthesis, training
from htnet.cli import build_parser
from htnet.core.command_line import leaves
from htnet.core.schema import OUTPUT_POINTS, document, plain, read_schema, to_json, versions
from htnet.core.types import QualityWarning
from htnet.evaluation import LosoResult
from htnet.export import write_recordings
from htnet.hub import save_pretrained
from htnet.models import create_model
from htnet.pipeline import doctor
from htnet.types import Event, Recording
from tests.support.flows import write_flow_set
from tests.support.pairs import POINTS, QUICK, face_pair, pair_manifest, save, tiny_model
from tests.support.paths import ROOT
from tests.support.wings import of_wings, with_wings

#: A side, but not "left out".
SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])(?!_out)")
QUALIFIED = re.compile(r"(image|subject)_(left|right)")


def command(*words):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.main([str(word) for word in words])
    assert status == 0, err.getvalue()
    return out.getvalue()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What every command writes: (name of the command, text of the document); and the tables' paths."""
    root = tmp_path_factory.mktemp("output")
    weights = root / "weights"
    save_pretrained(tiny_model(QUICK), weights)
    onset, apex = (save(root / "pair" / name, rgb) for name, rgb in zip(("a.png", "b.png"), face_pair(), strict=True))
    (root / "points.json").write_text(json.dumps(POINTS.tolist()))
    first = cv2.imread(str(onset))
    for number in range(12):
        moved = np.roll(first, max(0, 3 - abs(number - 6)), axis=0)
        (root / "clip").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "clip" / f"img{number}.png"), moved)
    manifest = pair_manifest(root / "pairs", 3)
    manifest.samples[1].apex.write_bytes(b"")
    write_flow_set(root / "flow", subjects=2, per_subject=2)
    model, points = ("--weights", weights), ("--landmarks", root / "points.json")
    template = ("--landmarks", "template")

    class Commands:
        documents, tables, answers = {}, {}, []

        def __call__(self, name, *words, stdout=False, files=()):
            words = [str(word) for word in words if word != "--json"]
            out = command(*words, "--json")
            self.answers.append((cli.build_parser().parse_args(words), out))
            if stdout:
                self.documents[name] = [out]
            for file in files:
                if file.suffix == ".csv":
                    self.tables[name] = file
                else:
                    text = file.read_text("utf-8")
                    self.documents[name] = text.splitlines() if file.suffix == ".jsonl" else [text]

    run = Commands()

    run("predict pair", "predict", onset, apex, *model, *points, "--json", stdout=True)
    run("predict motionless", "predict", onset, onset, *model, *points, "--json", stdout=True)
    run("predict video", "predict", root / "clip", *model, *points, "--json", stdout=True)
    run("demo", "demo", "--out", root / "demo", files=[root / "demo" / "prediction.json"])
    lines = ("predict", "--manifest", root / "pairs" / "manifest.csv", *model, *template, "--skip-errors", "--out")
    run("predict manifest", *lines, root / "p.jsonl", files=[root / "p.jsonl"])
    run("predict manifest", *lines, root / "p.csv", files=[root / "p.csv"])
    spot = ("spot", root / "clip", *points, "--json", "--csv", root / "curve.csv")
    run("spot", *spot, stdout=True, files=[root / "curve.csv"])
    words = ("analyze", root / "clip", "--fps", "25", "--no-emotions", "--out", root / "analyzed")
    run("analyze", *words, files=[root / "analyzed" / "clip.json"])
    write_recordings(root / "recordings.csv", [Recording("r", (Event("micro", 3, 5, 9, label="surprise"),), fps=25)])
    (root / "events.csv").write_text("vid,onset,offset,type\nr,4,9,me\n")
    words = ("--truth", root / "recordings.csv", "--predictions", root / "events.csv", "--json")
    run("evaluate-spotting", "evaluate-spotting", *words, stdout=True)
    run("list", "list", "--json", stdout=True)
    words = ("train", "--data", root / "flow", "--model", "htnet_tiny", "--epochs", "1", "--out", root / "trained")
    run("train", *words, stdout=True)
    torch.save(create_model("ststnet").state_dict(), root / "s.pth")
    run("convert", "convert", root / "s.pth", root / "converted", stdout=True)
    write_flow_set(root / "two", subjects=2, per_subject=1, datasets=("a", "b"))
    words = ("--data", root / "two", "--weights", root / "trained", "--allow-trained", "--out", root / "scored")
    run("evaluate", "evaluate", *words, "--against", root / "converted", stdout=True)
    run("embed", "embed", "--data", root / "two", "--weights", root / "trained", "--out", root / "f.csv", stdout=True)
    # What the others do is tested elsewhere; here it counts what is printed.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_on_generated", lambda *of, **how: None)
        run("pretrain", "pretrain", "--epochs", "1", "--out", root / "generated")
        patch.setattr(doctor, "diagnose", lambda: doctor.Diagnosis((doctor.Finding("GPU", "cuda", "ok", "none"),)))
        run("doctor", "doctor", stdout=True)
        patch.setitem(sys.modules, "shtab", SimpleNamespace(FILE={}, complete=lambda parser, shell: f"# of {shell}"))
        run("completion", "completion", "bash", stdout=True)
        patch.setattr(synthesis, "synthesize_recordings", lambda out, *of, **how: Path(out) / "recordings.csv")
        run("synthesize", "synthesize", "recordings", "--out", root / "drawn", "--count", "1", stdout=True)
        patch.setattr(hub, "export_model", lambda model, out, *of, **how: print("written") or Path(out) / "model.onnx")
        run("export", "export", root / "trained", "--out", root / "exported", stdout=True)
        patch.setattr(hub, "push_to_hub", lambda *of, **how: print("sent") or "c0ffee")
        run("push", "push", root / "trained", "owner/name", stdout=True)
    out = root / "prepared"
    words = ("prepare", "manifest", "--root", root / "pairs", "--out", out, *template, "--flow", "dis")
    run("prepare", *words, "--skip-errors", files=[out / "report.json"])
    words = ("loso", "--data", root / "flow", "--model", "htnet_tiny", "--epochs", "1", "--workers", "1")
    words += ("--protocol", "last", "best_on_test", "--out", root / "loso")
    run("loso", *words, files=[root / "loso" / "summary.json", root / "loso" / "predictions.csv"])
    run("report", "report", root / "loso", stdout=True)
    result = LosoResult(finite(run.documents["loso"][0]), (), root / "loso")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("lodo", "kfold", "holdout"):
            patch.setattr(evaluation, name, lambda *of, **how: print("told") or result)
            run(name, name, "--data", root / "two", "--out", root / name)
    for more in of_wings("output", "run_commands"):
        more(run, root)
    return run


DOCUMENTS = {
    "predict pair": "htnet.prediction",
    "predict motionless": "htnet.prediction",
    "predict video": "htnet.prediction",
    "predict manifest": "htnet.prediction",
    "demo": "htnet.prediction",
    "spot": "htnet.spotting",
    "analyze": "htnet.analysis",
    "evaluate-spotting": "htnet.spotting_scores",
    "list": "htnet.list",
    "evaluate": "htnet.weights_scores",
    "report": "htnet.command",
    "embed": "htnet.command",
    "doctor": "htnet.doctor",
    "completion": "htnet.command",
    "train": "htnet.command",
    "convert": "htnet.command",
    "synthesize": "htnet.command",
    "push": "htnet.command",
    "export": "htnet.command",
    "prepare": "htnet.prepare_report",
    "loso": "htnet.evaluation",
}
DOCUMENTS = with_wings("output", "DOCUMENTS", DOCUMENTS)
TABLES = with_wings("output", "TABLES", ("predict manifest", "spot", "loso"))


def finite(text):
    """The document; NaN and infinity, which JSON does not know, are refused."""

    def refuse(constant):
        raise AssertionError(f"{constant} in {text}")

    return json.loads(text, parse_constant=refuse)


def test_with_json_every_command_prints_that_alone(written):
    """Whatever else is said, by libraries too, goes to standard error."""
    known = {" ".join(leaf.prog.split()[1:]) for leaf in leaves(cli.build_parser())}
    # The kinds of prepare are one command with another reader.
    known = {"prepare" if name.startswith("prepare ") else name for name in known}
    ran = {f"{args.command} {args.kind}" if hasattr(args, "kind") else args.command for args, _ in written.answers}
    assert {"prepare" if name.startswith("prepare ") else name for name in ran} == known
    for args, out in written.answers:
        assert out, args.command
        for text in out.splitlines() if args.command == "analyze" else [out]:
            assert finite(text)["schema"] in versions(), args.command


def test_a_command_that_says_nothing_of_itself_answers_with_its_name(monkeypatch, capsys):
    monkeypatch.setattr(cli, "build_parser", build_parser)  # a new one
    monkeypatch.setattr(cli.weights, "_list", lambda args: print("done"))
    assert cli.main(["list", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (finite(out)["command"], err) == ("list", "done\n")


def walk(value, path=""):
    yield path, value
    if isinstance(value, dict):
        for name, part in value.items():
            yield from walk(part, f"{path}.{name}")
    elif isinstance(value, list):
        for part in value:
            yield from walk(part, f"{path}[]")


def unqualified(text):
    return SIDE.search(QUALIFIED.sub("", text))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_say_what_they_are_and_mean_one_thing(name, written):
    texts = written.documents[name]
    assert texts
    for text in texts:
        found = finite(text)
        assert list(found)[:4] == ["schema", "schema_version", "htnet_version", "warnings"]
        assert found["schema"] in (DOCUMENTS[name], "htnet.prediction_error")
        assert found["schema_version"] == versions()[found["schema"]]
        assert all(set(warning) == {"code", "message"} for warning in found["warnings"])
        for path, value in walk(found):
            key = path.rsplit(".", 1)[-1]
            assert not unqualified(key), f"{path}: whose side?"
            if key == "side":
                assert value in ("subject_left", "subject_right", "both", None), "None where nothing was measured"
            if key == "points":
                assert tuple(value) == OUTPUT_POINTS
                assert all(len(point) == 2 for point in value.values())
            if key == "landmarks" and value is not None:
                assert value["coordinates"].startswith("px of the ")
            if key in ("onset", "apex", "offset") and not path.startswith(".run."):  # which repeats the recipe
                assert path == f".files.{key}", "numbers of frames end in _frame"
                assert value is None or isinstance(value, str)
            if key == "sample":
                assert value
            if key == "classes":
                assert isinstance(value, list)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_as_the_schema_says(name, written):
    jsonschema = pytest.importorskip("jsonschema", reason="part of the extra dev")
    schema = read_schema()
    for text in written.documents[name]:
        found = finite(text)
        part = {"$ref": f"#/$defs/{found['schema'].removeprefix('htnet.')}", "$defs": schema["$defs"]}
        jsonschema.Draft202012Validator(part).validate(found)


@pytest.mark.parametrize("name", TABLES)
def test_tables_mean_one_thing(name, written):
    with written.tables[name].open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert rows
    assert not [column for column in header if unqualified(column) or column in ("label", "onset", "apex", "left")]
    if "predict" in name:
        assert header[-2:] == ["warnings", "error"]


def test_files_and_samples_are_named(written):
    found = written.documents
    pair, video = (finite(found[name][0]) for name in ("predict pair", "predict video"))
    assert pair["sample"] == "a"
    assert [Path(pair["files"][name]).name for name in ("onset", "apex")] == ["a.png", "b.png"]
    assert video["sample"] == "clip"
    assert Path(video["files"]["video"]).name == "clip"
    numbers = [video["spotting"][f"{name}_frame"] for name in ("onset", "apex")]
    assert [Path(video["files"][name]).name for name in ("onset", "apex")] == [f"img{n}.png" for n in numbers]
    assert pair["model"]["architecture"] == "htnet_tiny"
    for name, value in found.items():
        if "files" in (document := finite(value[0])) and "image" in document["files"]:
            assert Path(document["files"]["image"]).stem == document["sample"], name


def test_lines_of_a_manifest(written):
    lines = [finite(line) for line in written.documents["predict manifest"]]
    assert {line["sample"]: line["schema"] for line in lines} == {
        "s0": "htnet.prediction", "s1": "htnet.prediction_error", "s2": "htnet.prediction"
    }  # fmt: skip
    assert "1_apex.png is empty" in lines[-1]["error"]
    assert all(line["truth"] in line["classes"] for line in lines[:-1])


def test_warnings_come_before_the_answer(written):
    found = finite(written.documents["predict motionless"][0])
    assert [warning["code"] for warning in found["warnings"]] == ["same_frame", "motionless"]
    assert list(found).index("warnings") < list(found).index("prediction")
    assert [w["code"] for w in finite(written.documents["prepare"][0])["warnings"]] == ["failed"]
    assert [w["code"] for w in finite(written.documents["loso"][0])["warnings"]] == ["leaking_protocol"]


def test_every_document_has_a_schema_and_a_place_in_the_page():
    schema = read_schema()
    assert {f"htnet.{ref['$ref'].rsplit('/', 1)[1]}" for ref in schema["oneOf"]} == set(versions())
    page = (ROOT / "docs" / "output.md").read_text("utf-8")
    for name, part in schema["$defs"].items():
        assert f"<!-- fields of {name} -->" in page
        if "schema" in part["properties"]:
            assert part["properties"]["schema"]["const"] == f"htnet.{name}"
            assert part["properties"]["schema_version"]["const"] == versions()[f"htnet.{name}"]


def maker():
    spec = importlib.util.spec_from_file_location("make_output", ROOT / "docs" / "make_output.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_from_the_schema():
    page = (ROOT / "docs" / "output.md").read_text("utf-8")
    assert maker().fill(page, read_schema()) == page, "run python docs/make_output.py"


def test_the_example_of_the_page_is_the_demo(written):
    page = (ROOT / "docs" / "output.md").read_text("utf-8")
    shown = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    found = finite(written.documents["demo"][0])
    known = [unit["unit"] for unit in shown["action_units"]]
    found["action_units"] = [unit for unit in found["action_units"] if unit["unit"] in known]
    for (path, said), (real_path, real) in zip(walk(shown), walk(found), strict=True):
        assert path == real_path
        if isinstance(said, float):
            assert real == pytest.approx(said, abs=0.011), path
        elif isinstance(said, str) and path != ".htnet_version":
            assert real.endswith(said), path


def test_numbers_that_are_not_finite_become_null():
    content = {"a": float("nan"), "b": [np.float32("inf"), np.int64(3)], "c": np.array([1.5, np.nan]), "d": Path("x")}
    made = document("htnet.list", content, [QualityWarning("motionless", "m")])
    assert (made["a"], made["b"], made["c"], made["d"]) == (None, [None, 3], [1.5, None], "x")
    assert finite(to_json(made)) == made
    assert plain(True) is True
