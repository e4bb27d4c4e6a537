"""Every command, as a user types it."""

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import htnet
from htnet import cli
from htnet.cli import build_parser
from htnet.core.progress import progress_bar, ticker
from htnet.data import open_data
from htnet.hub import DEFAULT_WEIGHTS, read_config, save_pretrained
from htnet.models import HTNet, HTNetConfig, create_model, reference_state
from tests.support.commands import COMMANDS
from tests.support.flows import write_flow_set
from tests.support.pairs import (
    POINTS,
    QUICK,
    face_pair,
    invented_casme3,
    pair_manifest,
    save,
    tiny_model,
    write_casme3,
)
from tests.support.wings import with_wings


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_pretrained(tiny_model(), tmp_path_factory.mktemp("weights"))


@pytest.fixture
def pair(tmp_path):
    onset, apex = face_pair()
    return save(tmp_path / "onset.png", onset), save(tmp_path / "apex.png", apex)


def table(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return {row["sample"]: row for row in csv.DictReader(file)}


def test_predict_pair(succeed, pair, weights):
    expected = htnet.predict(*pair, weights=weights, landmarks="template")
    words = ("predict", *pair, "--weights", weights, "--landmarks", "template")
    out = succeed(*words)
    assert out.startswith(f"{expected.label}  (")
    for name, value in expected.probabilities.items():
        assert f"{name:<12} {value:.3f}" in out
    found = json.loads(succeed(*words, "--json", "--overwrite"))
    assert found["prediction"] == expected.label
    assert found["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)


def test_predict_writes_a_report(succeed, fail, pair, weights, tmp_path):
    report = tmp_path / "answer.html"
    words = ("predict", *pair, "--weights", weights, "--landmarks", "template")
    assert f"  report: {report}" in succeed(*words, "--report", report)
    expected = htnet.predict(*pair, weights=weights, landmarks="template")
    assert f'<p class="label">{expected.label}</p>' in report.read_text("utf-8")
    assert "ends in .html" in fail(*words, "--report", tmp_path / "answer.pdf")


def test_predict_flags_frames_without_motion(succeed, pair, weights, tmp_path):
    words = ("--weights", weights, "--landmarks", "template")
    said = succeed("predict", pair[0], pair[0], *words)
    assert said.startswith("warning: same_frame: ")
    assert "\nwarning: motionless: A channel of the flow image" in said
    assert "motionless" not in succeed("predict", *pair, *words)
    assert json.loads(succeed("predict", pair[0], pair[0], *words, "--json"))["motionless"] is True
    assert json.loads(succeed("predict", *pair, *words, "--json"))["motionless"] is False
    (tmp_path / "m.csv").write_text("sample,onset,apex\nstill,onset.png,onset.png\nmoved,onset.png,apex.png\n")
    succeed("predict", "--manifest", tmp_path / "m.csv", "--out", tmp_path / "p.csv", *words)
    found = {name: row["motionless"] for name, row in table(tmp_path / "p.csv").items()}
    assert found == {"still": "true", "moved": "false"}


@pytest.mark.slow
def test_predict_with_points_and_picture(succeed, pair, weights, tmp_path):
    (tmp_path / "points.json").write_text(json.dumps(POINTS.tolist()))
    picture = tmp_path / "new" / "out.png"
    words = ("predict", *pair, "--weights", weights, "--landmarks", tmp_path / "points.json", "--plot", picture)
    assert str(picture) in succeed(*words)
    assert cv2.imread(str(picture)).shape[2] == 3
    found = json.loads(succeed(*words, "--json", "--overwrite"))
    assert found["landmarks"]["points"]["nose"] == pytest.approx(POINTS[2].tolist(), abs=0.01)


def test_predict_manifest(succeed, weights, tmp_path):
    manifest = pair_manifest(tmp_path, 4)
    out = tmp_path / "p" / "P.csv"
    words = ("predict", "--manifest", tmp_path / "manifest.csv", "--out", out, "--weights", weights)
    assert f"4 predictions in {out}" in succeed(*words, "--landmarks", "template")
    rows = table(out)
    assert list(rows) == [s.sample for s in manifest]
    for sample in manifest:
        expected = htnet.predict(sample.onset, sample.apex, weights=weights, landmarks="template")
        row = rows[sample.sample]
        assert (row["prediction"], row["truth"]) == (expected.label, sample.label)
        assert (row["regions_at"], row["error"]) == ("template", "")
        for name, value in expected.probabilities.items():
            assert float(row[f"probability_{name}"]) == pytest.approx(value, abs=1e-5)


def test_predict_manifest_of_published_flow_images(succeed, weights, tmp_path, rng):
    """Flow images alone: no landmarks, no frames, no labels, paths relative to the manifest."""
    images = {f"{i:03}": rng.integers(0, 256, (28, 28, 3), dtype=np.uint8) for i in range(3)}
    for name, image in images.items():
        cv2.imwrite(str(tmp_path / f"{name} .png"), image)
    (tmp_path / "m.csv").write_text("sample,flow\n" + "".join(f"{name},{name} .png\n" for name in images))
    succeed("predict", "--manifest", tmp_path / "m.csv", "--out", tmp_path / "p.csv", "--weights", weights)
    rows = table(tmp_path / "p.csv")
    assert list(rows) == ["000", "001", "002"]
    predictor = htnet.Predictor(weights)
    for name, image in images.items():
        expected = predictor.flow_image(image)
        assert rows[name]["prediction"] == expected.label
        assert rows[name]["regions_at"] == "template"
        assert float(rows[name]["probability_positive"]) == pytest.approx(expected.probabilities["positive"], abs=1e-5)


def test_skip_errors_lists_them_and_goes_on(succeed, fail, weights, tmp_path):
    manifest = pair_manifest(tmp_path, 4)
    manifest.samples[1].apex.write_bytes(b"")
    manifest.samples[2].onset.unlink()
    words = ("predict", "--manifest", tmp_path / "manifest.csv", "--out", tmp_path / "p.csv")
    words += ("--weights", weights, "--landmarks", "template")
    assert "2_onset.png" in fail(*words)
    out = succeed(*words, "--skip-errors")
    assert "2 predictions" in out
    assert "2 samples with errors" in out
    rows = table(tmp_path / "p.csv")
    assert {name: row["prediction"] != "" for name, row in rows.items()} == {"s0": 1, "s3": 1, "s1": 0, "s2": 0}
    assert "1_apex.png is empty" in rows["s1"]["error"]
    assert "2_onset.png does not exist" in rows["s2"]["error"]
    for sample in manifest.samples:
        sample.apex.unlink(missing_ok=True)
    said = fail(*words, "--skip-errors", "--overwrite")
    assert "None of 4 samples could be read" in said
    assert "0_apex.png does not exist" in said
    assert all(row["error"] for row in table(tmp_path / "p.csv").values()), "the reasons are in the table all the same"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Give an onset and an apex frame"),
        (["a.png"], "Give an onset and an apex frame"),
        (["a.png", "b.png", "--out", "p.csv"], "need --manifest"),
        (["a.png", "b.png", "--skip-errors"], "need --manifest"),
        (["--manifest", "m.csv"], "--manifest M.csv with --out P.csv"),
        (["a.png", "b.png", "--manifest", "m.csv", "--out", "p.csv"], "either two frames, or --manifest"),
        (["--manifest", "m.csv", "--out", "p.csv", "--plot", "p.png"], "needs two frames"),
    ],
)
def test_predict_options_that_do_not_go_together(fail, words, message):
    assert message in fail("predict", *words)


def test_the_manifest_is_not_overwritten(fail, weights, tmp_path):
    pair_manifest(tmp_path, 1)
    path = tmp_path / "manifest.csv"
    before = path.read_bytes()
    err = fail("predict", "--manifest", path, "--out", tmp_path / "." / "manifest.csv", "--weights", weights)
    assert "is read by the same call" in err
    assert path.read_bytes() == before


def test_train_and_loso(succeed, tmp_path):
    write_flow_set(tmp_path / "data", subjects=3, per_subject=2)
    data = ("--data", tmp_path / "data", "--model", "htnet_tiny", "--epochs", "1")
    out = succeed("loso", *data, "--out", tmp_path / "run", "--workers", "1", "--protocol", "last", "best_on_test")
    assert "UF1 / UAR, mean of 1 seed(s), 6 samples, 3 subjects" in out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary["protocols"]) == {"last", "best_on_test"}
    assert {row["sample"] for row in table(tmp_path / "run" / "predictions.csv").values()} == {
        s.sample for s in open_data(tmp_path / "data")
    }

    metrics = ("--metrics", tmp_path / "run" / "summary.json")
    out = succeed("train", *data, "--out", tmp_path / "w", *metrics, "--seed", "3", "--layout", "whole")
    assert f"--weights {tmp_path / 'w'}" in out
    with (tmp_path / "w" / "training.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert f"loss {float(row['loss']):.4f} in the first epoch" in out
    config = read_config(tmp_path / "w" / "config.json")
    assert config["recipe"]["name"] == "default"
    assert config["recipe"]["epochs"] == 1
    assert config["preprocess"]["layout"] == "whole"
    assert config["training"]["seed"] == 3
    stated = config["training"]["metrics"]
    assert stated["LOSO last, full, uf1"] == summary["protocols"]["last"]["mean"]["full"]["uf1"]
    assert not [name for name in stated if "best_on_test" in name], "leaking figures stay off the card"
    assert htnet.load_pretrained(tmp_path / "w").labels == ("negative", "positive", "surprise")


def test_train_starts_from_other_weights(succeed, fail, tmp_path, weights):
    write_flow_set(tmp_path / "data", subjects=4, per_subject=3)
    words = ("train", "--data", tmp_path / "data", "--model", "htnet_tiny", "--epochs", "1", "--out", tmp_path / "w")
    assert "Did you mean 'synthetic'" in fail(*words, "--start", "synthetik")
    out = succeed(*words, "--start", weights)
    assert re.search(r"^Transferred (\d+) of \1 tensors\.$", out, re.MULTILINE)
    provenance = read_config(tmp_path / "w" / "config.json")["provenance"]
    assert provenance["started_from"] == weights.name
    assert provenance["datasets"] == ["a"]
    assert provenance["before"]["data"] == ["unknown"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "htnet_tinny"], "Did you mean 'htnet_tiny'"),
        (["--recipe", "defualt"], "Did you mean 'default'"),
        (["--epochs", "0"], "epochs is 0"),
        (["--device", "cuda:77"], "'cuda:77' cannot be used"),
        (["--landmarks-size", "28"], "--landmarks FILE"),
        (["--landmarks", "yunnet"], "Did you mean 'yunet'"),
        (["--metrics", "{data}/manifest.csv"], "manifest.csv is not a summary.json"),
        (["--data", "{data}/nothing"], "nothing does not exist"),
        (["--out", "{data}/manifest.csv/w"], "manifest.csv"),
    ],
)
def test_train_refuses(fail, tmp_path, words, message):
    write_flow_set(tmp_path / "data", subjects=2, per_subject=6)
    words = [word.replace("{data}", str(tmp_path / "data")) for word in words]
    usual = {"--data": tmp_path / "data", "--model": "htnet_tiny", "--out": tmp_path / "w", "--epochs": "1"}
    usual.update(zip(words[::2], words[1::2], strict=True))
    assert message in fail("train", *[word for pair in usual.items() for word in pair])


def test_prepare_manifest(succeed, tmp_path):
    manifest = pair_manifest(tmp_path / "frames", 3)
    out = succeed(
        "prepare", "manifest", "--root", tmp_path / "frames" / "manifest.csv", "--out", tmp_path / "flow",
        "--landmarks", "template", "--flow", "dis",
    )  # fmt: skip
    assert f"3 samples prepared in {tmp_path / 'flow'}, 0 left out" in out
    prepared = open_data(tmp_path / "flow")
    assert [s.sample for s in prepared] == [s.sample for s in manifest]
    assert json.loads((tmp_path / "flow" / "preprocess.json").read_text())["flow"] == "dis"


def test_prepare_casme3_with_seven_labels_and_gaps(succeed, fail, tmp_path):
    rows = invented_casme3()
    root = write_casme3(tmp_path / "casme3", rows)
    annotation = (root / "cas(me)3_part_A_edited.csv").rename(tmp_path / "list.csv")
    (root / rows[0]["imagename_apex"]).unlink()
    (root / rows[1]["imagename_apex"]).write_bytes(b"")
    words = (
        "prepare",
        "casme3",
        "--root",
        root,
        "--out",
        tmp_path / "flow",
        "--landmarks",
        "template",
        "--flow",
        "dis",
    )
    assert "Give its path" in fail(*words)
    words += ("--annotation", annotation, "--label", "label_for_7")
    out = succeed(*words)
    assert "4 samples prepared" in out
    assert "2 left out" in out
    for row in rows[:2]:
        assert f"{row['Subject']}_{row['Filename']}_{row['Apex']}" in out
    assert succeed(*words, "--skip-errors") == out, "data sets go on anyway"
    assert {s.sample: s.label for s in open_data(tmp_path / "flow")} == {
        f"{r['Subject']}_{r['Filename']}_{r['Apex']}": r["emotion"] for r in rows[2:]
    }


def test_prepare_manifest_with_gaps(succeed, fail, tmp_path):
    pair_manifest(tmp_path / "frames", 3).samples[1].apex.unlink()
    words = (
        "prepare",
        "manifest",
        "--root",
        tmp_path / "frames",
        "--out",
        tmp_path / "flow",
        "--landmarks",
        "template",
    )
    words += ("--flow", "dis")
    assert "1_apex.png" in fail(*words)
    out = succeed(*words, "--skip-errors")
    assert "2 samples prepared" in out
    assert "1_apex.png does not exist" in out


def test_convert_htnet(succeed, fail, tmp_path):
    model = HTNet(HTNetConfig(dim=18, heads=3, block_repeats=(1, 1, 1))).eval()
    torch.save(reference_state(model), tmp_path / "reference.pth")
    words = ("convert", tmp_path / "reference.pth", tmp_path / "w")
    assert "--heads" in fail(*words)
    out = succeed(*words, "--heads", "3")
    assert "HTNet {" in out
    found = htnet.load_pretrained(tmp_path / "w")
    image = torch.rand(2, 3, 28, 28) * 255
    with torch.no_grad():
        assert torch.allclose(found(image), model(image), atol=1e-5)
    spec = found.preprocess_spec
    assert (spec.layout, spec.region_points, spec.size) == ("reference", "landmarks", 28)
    assert "reference.pth" in read_config(tmp_path / "w" / "config.json")["training"]["source"]


def test_convert_ststnet_and_wrong_files(succeed, fail, tmp_path):
    torch.save(create_model("ststnet").state_dict(), tmp_path / "s.pth")
    assert "STSTNet" in succeed("convert", tmp_path / "s.pth", tmp_path / "w")
    assert htnet.load_pretrained(tmp_path / "w").preprocess_spec.layout == "whole"
    torch.save({"fc1.weight": torch.zeros(3, 3)}, tmp_path / "other.pth")
    assert "fc1.weight" in fail("convert", tmp_path / "other.pth", tmp_path / "x")
    (tmp_path / "text.pth").write_text("no checkpoint")
    assert "text.pth" in fail("convert", tmp_path / "text.pth", tmp_path / "x")
    assert "none.pth" in fail("convert", tmp_path / "none.pth", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_push_refuses_before_it_connects(fail, weights, tmp_path):
    assert "lacks model.safetensors" in fail("push", tmp_path, "casme3")
    assert "give owner/repo" in fail("push", weights, "casme")


def test_list(succeed):
    out = succeed("list")
    for name in (*htnet.list_models(), *(s.name for s in htnet.list_pretrained())):
        assert f"  {name} " in out
    assert "[bundled]" in out
    assert "[not published yet]" in out
    out = succeed("list", "htnet_*")
    assert "htnet_tiny" in out
    assert "ststnet" not in out
    assert "composite" not in out


def test_demo(succeed, tmp_path):
    out = succeed("demo", "--out", tmp_path / "demo")
    found = json.loads((tmp_path / "demo" / "prediction.json").read_text())
    assert out.startswith(found["prediction"])
    assert found["sample"] == "demo"
    assert found["model"]["weights"] == DEFAULT_WEIGHTS
    sure = {unit["unit"]: unit for unit in found["action_units"] if unit["probability"] >= 0.5}
    assert set(sure) == {12}, "the pair was made by moving the corners of the mouth, as action unit 12 does"
    assert f"  AU12  lip corner puller      {sure[12]['probability']:.2f}  both" in out
    assert len(found["action_units"]) == 15
    assert cv2.imread(str(tmp_path / "demo" / "prediction.png")) is not None


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_options_are_refused(capsys, command):
    needed = {"lodo": ["--data", "d"], "loso": ["--data", "d"],
              "kfold": ["--data", "d"], "holdout": ["--data", "d"], "train": ["--data", "d", "--out", "o"],
              "prepare": ["casme3", "--root", "r",
              "--out", "o"], "convert": ["a", "b"], "push": ["a", "b"], "spot": ["v"],
              "export": ["a", "--out", "o"],
              "pretrain": ["--out", "o"], "analyze": ["v", "--out", "o"],
              "synthesize": ["recordings", "--out", "o", "--count", "1"],
              "evaluate-spotting": ["--truth", "t", "--predictions", "p"],
              "evaluate": ["--data", "d"], "embed": ["--data", "d", "--out", "o"],
              "report": ["r"], "completion": ["bash"]}  # fmt: skip
    needed = with_wings("commands", "NEEDED", needed).get(command, [])
    cli.build_parser().parse_args([command, *needed])
    with pytest.raises(SystemExit) as caught:
        cli.main([command, *needed, "--no-such-option"])
    assert caught.value.code == 2
    assert "--no-such-option" in capsys.readouterr().err


def test_abbreviated_options_and_unknown_commands_are_refused(capsys):
    for words in (["predict", "--manif", "m.csv", "--out", "p.csv"], ["recognize"], []):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "COMMAND" in said
    with pytest.raises(SystemExit):
        cli.main(["prdict", "a.png", "b.png"])
    assert "there is no command 'prdict'. Did you mean 'predict'" in capsys.readouterr().err
    assert set(cli.build_parser()._subparsers._group_actions[0].choices) == set(COMMANDS)


def parsers(parser):
    """A parser, and those of its commands and of their kinds."""
    yield parser
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for inner in action.choices.values():
                yield from parsers(inner)


def test_every_help_ends_in_an_example_of_the_command():
    top = build_parser()
    for parser in parsers(top):
        last = parser.format_help().rstrip().splitlines()[-1]
        words = shlex.split(last)
        assert last == f"  {shlex.join(words)}"
        assert words[: len(parser.prog.split())] == parser.prog.split(), parser.prog
        top.parse_args(words[1:])


def test_bars_are_drawn_on_terminals_only(succeed, capsys, monkeypatch, tmp_path):
    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        with ticker(3, "training", "epoch") as tick:
            tick(2, "now")
        list(progress_bar(range(3), "reading"))
        said = capsys.readouterr().err
        assert ("training" in said, "reading" in said) == (terminal, terminal)


def test_interruption(run, monkeypatch):
    def stop(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "build_parser", build_parser)  # a new one
    monkeypatch.setattr(cli.weights, "_list", stop)
    status, _, err = run("list")
    assert status == 130
    assert "run the same command again to resume" in err


@pytest.mark.slow
def test_the_program_itself(tmp_path):
    """Exit status and streams of the real process."""
    missing = tmp_path / "missing.png"
    words = [sys.executable, "-m", "htnet", "predict", missing, missing, "--landmarks", "template", "--weights"]
    weights = save_pretrained(tiny_model(QUICK), tmp_path / "w")
    done = subprocess.run([*words, weights], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"htnet predict: Frame {missing} does not exist; check the path")
    assert len(done.stderr.splitlines()) == 1
    script = Path(sys.executable).with_name("htnet")
    if script.exists():
        done = subprocess.run([script, "--version"], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"htnet {htnet.__version__}\n")


@pytest.mark.slow
def test_a_reader_that_has_had_enough_is_no_error():
    """As in ``htnet list | head -1``."""
    running = subprocess.Popen(
        [sys.executable, "-m", "htnet", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    running.stdout.close()
    assert running.stderr.read() == ""
    assert running.wait() == 141
