"""The wrong kind of file, folder or name, given to every command: the answer names what it is and what takes it."""

import argparse

import cv2
import numpy as np
import pytest

import htnet
from htnet.cli import build_parser, main
from htnet.cli.prepare import TITLES
from htnet.core.errors import HtnetError
from htnet.core.hints import door_of
from htnet.core.official import OFFICIAL
from htnet.core.recipe_names import RECIPE_NAMES
from htnet.data import open_data
from htnet.models import create_model
from htnet.training import RECIPES
from tests.support.pairs import face, face_pair, pair_manifest, save, tiny_model
from tests.support.wings import with_wings

#: A folder of frames in each official tree, and the set it belongs to.
TREES = {
    "SAMM/006/006_1_2": "samm",
    "CASME2/sub01/EP02_01f": "casme2",
    "SMIC/HS/s1/micro/negative/s1_ne_01": "smic",
    "MMEW/Micro_Expression/happiness/S01-01-001": "mmew",
    "CAS3/spNO.1/a/color": "casme3",
    "CASMEsq/rawpic/s15/15_0401girlcrashing": "casme_sq",
    "DFME/train_data/sub0003_01": "dfme",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("things")
    pair_manifest(tmp_path / "own", 3)
    onset, _ = face_pair()
    save(tmp_path / "image.png", onset)
    for number in range(9):
        save(tmp_path / "frames" / f"{number}.png", face())
        for tree in TREES:
            save(tmp_path / tree / f"img_{number}.png", face(32))
    writer = cv2.VideoWriter(str(tmp_path / "video.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 64))
    for _ in range(9):
        writer.write(face())
    writer.release()
    (tmp_path / "grades.csv").write_text("image_path,grade\nimage.png,1\n")
    (tmp_path / "sheet.csv").write_text("Subject,Filename,OnsetFrame,ApexFrame,OffsetFrame,Emotion\n1,a,1,2,3,happy\n")
    (tmp_path / "predictions.csv").write_text("sample,prediction,probability_negative,error\na,negative,0.9,\n")
    columns = [f"{axis}_{i}" for axis in "xy" for i in range(68)]
    (tmp_path / "openface.csv").write_text(f"frame, {', '.join(columns)}\n1, {', '.join(['9'] * 136)}\n")
    (tmp_path / "recordings.csv").write_text("recording,kind,onset,offset\na,micro,1,9\n")
    (tmp_path / "events.csv").write_text("vid,pred_onset,pred_offset,type\na,1,9,me\n")
    (tmp_path / "weights.pth").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    save(tmp_path / "flow.png", np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8))
    htnet.hub.save_pretrained(tiny_model(), tmp_path / "trained")
    return tmp_path


@pytest.fixture
def things(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


#: (command, what its answer must hold).
WRONG = [
    *((f"train --data {tree.split('/')[0]} --out o", f"htnet prepare {name} --root") for tree, name in TREES.items()),
    *((f"loso --data {tree.split('/')[0]} --out o", f"htnet prepare {name} --root") for tree, name in TREES.items()),
    ("train --data own/manifest.csv --out o", "htnet prepare manifest --root own/manifest.csv --out"),
    ("loso --data own --out o", "htnet prepare manifest --root"),
    ("train --data nowhere --out o", "nowhere does not exist"),
    ("train --data video.avi --out o", "htnet predict video.avi"),
    ("train --data sheet.csv --out o", "htnet prepare SET --root"),
    ("train --data frames --out o", "htnet spot frames"),
    ("train --data own --model composite --out o", "names trained weights"),
    ("train --data own --landmarks template --start htnet_small --out o", "is a model without weights"),
    ("train --data recordings.csv --out o", "htnet evaluate-spotting --truth recordings.csv"),
    ("loso --data events.csv --out o", "--predictions events.csv"),
    ("evaluate-spotting --truth own/manifest.csv --predictions events.csv", "htnet prepare manifest --root own"),
    ("evaluate-spotting --truth recordings.csv --predictions video.avi", "video.avi is a video"),
    ("evaluate-spotting --truth recordings.csv --predictions frames", "no JSON document of htnet with events"),
    ("evaluate-spotting --truth empty --predictions events.csv", "name its data set with --dataset"),
    ("evaluate-spotting --truth nowhere --predictions events.csv", "nowhere does not exist"),
    ("evaluate-spotting --truth recordings.csv --predictions nowhere", "nowhere does not exist"),
    ("prepare samm --root nowhere --out o", "nowhere does not exist"),
    ("prepare samm --root sheet.csv --out o", "--root FOLDER --annotation sheet.csv"),
    ("prepare casme2 --root SAMM --out o", "htnet prepare samm --root SAMM"),
    ("prepare manifest --root SAMM --out o", "htnet prepare samm --root SAMM"),
    ("predict video.avi video.avi", "htnet predict video.avi (alone)"),
    ("predict own/manifest.csv image.png", "htnet predict --manifest own/manifest.csv"),
    ("predict image.png image.png --weights htnet_tiny", "is a model without weights"),
    ("predict image.png image.png --weights weights.pth", "htnet convert weights.pth"),
    ("predict --manifest frames --out p.csv", "htnet predict frames"),
    ("predict --manifest own --out p.csv", "own/manifest.csv"),
    ("spot image.png", "is neither a video nor a folder of frames. image.png is one image: htnet predict ONSET APEX"),
    ("predict own/manifest.csv", "htnet predict --manifest own/manifest.csv"),
    ("spot own/manifest.csv", "htnet predict --manifest own/manifest.csv"),
    ("predict SMIC", "htnet prepare smic --root SMIC"),
    ("spot SMIC", "htnet prepare smic --root SMIC"),
    ("predict composite", "composite is the name of trained weights: htnet predict ONSET APEX --weights composite"),
    ("predict image.png composite", "composite is the name of trained weights"),
    ("predict htnet_small", "htnet_small is a model without weights: train it, htnet train"),
    ("predict samm", "samm is the name of a data set; give its folder: htnet prepare samm --root"),
    ("train --data SMIC2 --out o", "SMIC2 does not exist"),
    ("train --data CASME-II --out o", "htnet prepare casme2 --root"),
    ("train --data own --model samm --out o", "htnet prepare samm --root"),
    ("predict image.png image.png --weights samm", "htnet prepare samm --root"),
    ("train --data composite --out o", "composite is the name of trained weights"),
    ("predict image.png", "is one image: htnet predict ONSET APEX takes two frames"),
    ("predict image.png flow.png", "flow.png is a flow image"),
    ("predict flow.png flow.png --landmarks template", "flow.png is a flow image"),
    ("predict image.png image.png --landmarks own/manifest.csv", "is a manifest of frames"),
    ("predict image.png image.png --landmarks video.avi", "video.avi is a video"),
    ("predict image.png image.png --weights own", "is a manifest of frames"),
    *(
        (words, said)
        for table, said in (
            ("predictions.csv", "predictions.csv is a table of predictions: htnet predict --manifest"),
            ("openface.csv", "openface.csv is a table of facial points: --landmarks openface.csv works"),
        )
        for words in (
            f"train --data {table} --out o",
            f"loso --data {table} --out o",
            f"predict --manifest {table} --out p.csv",
            f"prepare manifest --root {table} --out o",
        )
    ),
    ("convert composite o", "composite is the name of trained weights"),
    ("convert video.avi o", "video.avi is a video"),
    ("convert frames o", "is a folder of frames"),
    *(
        (f"{command} --data own --landmarks template {option} {wrong} --out o", said)
        for command, option, own in (
            ("train", "--start", "Weights to start from are a folder written by htnet train"),
            ("loso", "--start", "Weights to start from are a folder written by htnet train"),
            ("train", "--metrics", "--metrics takes RUN/summary.json, which htnet loso"),
        )
        for wrong, more in (
            ("htnet_small", "is a model without weights"),
            ("empty", "config.json is missing in empty" if option == "--start" else "empty is"),
            ("sheet.csv", "is an annotation sheet"),
            ("image.png", "is one image"),
            ("own/manifest.csv", "is a manifest of frames"),
            ("./nowhere", "nowhere does not exist"),
            ("SAMM", "htnet prepare samm --root SAMM"),
        )
        for said in (own, more)
    ),
    ("train --data own --landmarks template --metrics composite --out o", "composite is the name of trained weights"),
    *(
        (f"prepare {name} --root trained --out o", "trained is a folder of trained weights")
        for name in (*TITLES, "manifest")
    ),
    *((f"prepare {name} --root composite --out o", "composite is the name of trained weights") for name in TITLES),
    ("push composite a/b", "htnet predict ONSET APEX --weights composite"),
    ("push nowhere a/b", "nowhere does not exist"),
    ("push frames a/b", "htnet predict frames"),
]
WRONG = with_wings("commands", "WRONG", WRONG)


@pytest.mark.parametrize(("words", "expected"), WRONG, ids=[f"{words}: {said[:20]}" for words, said in WRONG])
def test_every_command_says_what_it_was_given_and_what_takes_it(things, capsys, words, expected):
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "htnet.data." not in said.replace("htnet.data.csv", "")
    assert not (things / "o" / "manifest.csv").exists()


def test_in_python_the_call_is_named(things):
    with pytest.raises(HtnetError, match=r"read_dataset\('samm'"):
        open_data(things / "SAMM")


CALLS = {
    "predict": (lambda: htnet.predict("composite"), "htnet.predict(onset, apex, weights='composite')"),
    "predict video": (lambda: htnet.predict("video.avi"), "htnet.predict_video('video.avi')"),
    "predict image": (lambda: htnet.predict("image.png"), "htnet.predict(onset, apex)"),
    "predict flow": (lambda: htnet.predict("flow.png", "flow.png"), "htnet.Predictor().flow_image('flow.png')"),
    "predict_video": (lambda: htnet.predict_video("composite"), "htnet.predict(onset, apex, weights='composite')"),
    "load": (lambda: htnet.load_pretrained("htnet_small"), "htnet.models.create_model('htnet_small')"),
    "load set": (lambda: htnet.load_pretrained("samm"), "htnet.data.read_dataset('samm', folder)"),
    "create": (lambda: create_model("composite"), "htnet.load_pretrained('composite')"),
    "create set": (lambda: create_model("samm"), "htnet.data.read_dataset('samm', folder)"),
    "Predictor": (lambda: htnet.Predictor("sheet.csv"), "htnet.data.read_dataset(name, root, annotation='sheet.csv')"),
    "Predictor manifest": (lambda: htnet.Predictor("own/manifest.csv"), "read_manifest('own/manifest.csv')"),
    "open_data": (lambda: open_data("trained"), "htnet.load_pretrained('trained')"),
    "read_dataset": (lambda: htnet.data.read_dataset("samm", "trained"), "htnet.load_pretrained('trained')"),
}


@pytest.mark.parametrize(("call", "said"), CALLS.values(), ids=CALLS)
def test_every_call_says_what_it_was_given_and_what_takes_it(things, call, said):
    with pytest.raises(HtnetError) as caught:
        call()
    assert said in str(caught.value)


def test_a_small_face_is_no_flow_image(things):
    small = cv2.resize(cv2.imread("image.png"), (28, 28), interpolation=cv2.INTER_AREA)
    save(things / "small.png", small)
    save(things / "gray.png", np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8))
    assert [htnet.preprocess.read_frame(things / name).pixels.shape for name in ("small.png", "gray.png")] == [
        (28, 28, 3)
    ] * 2


def test_names_told_to_lower_parts_are_those_that_exist():
    assert set(RECIPE_NAMES) == {name for name, r in RECIPES.items() if getattr(r.augmentation, "of", "flow") == "flow"}
    assert {known.name for known in OFFICIAL} >= set(TREES.values())


def test_every_recipe_option_lists_the_recipes_that_fit():
    found, of_wings = 0, with_wings("commands", "RECIPES", {})
    todo = [build_parser()]
    while todo:
        parser = todo.pop()
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                todo += action.choices.values()
            elif "--recipe" in action.option_strings:
                found += 1
                assert all(name in action.help for name in of_wings.get(parser.prog, RECIPE_NAMES))
    assert found == 6 + len(of_wings)


@pytest.mark.parametrize("thing", ["nowhere", "text.txt"])
def test_what_is_unknown_is_not_guessed(tmp_path, thing):
    (tmp_path / "text.txt").write_text("hello")
    assert door_of(tmp_path / thing) is None
