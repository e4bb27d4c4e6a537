"""The wrong kind of file, folder or name, given to every command: the answer names what it is and what takes it."""

import argparse

import cv2
import pytest

from htnet.cli import build_parser, main
from htnet.data import open_data
from htnet.doors import OFFICIAL, door_of
from htnet.errors import HtnetError
from htnet.hub import list_pretrained
from htnet.training import RECIPES
from htnet.types import RECIPE_NAMES, WEIGHTS_NAMES
from tests.support.pairs import face, face_pair, pair_manifest, save

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


@pytest.fixture
def things(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair_manifest(tmp_path / "own", 3)
    onset, _ = face_pair()
    save(tmp_path / "image.png", onset)
    for number in range(9):
        save(tmp_path / "frames" / f"{number}.png", face())
        for tree in TREES:
            save(tmp_path / tree / f"img_{number}.png", face(32))
    writer = cv2.VideoWriter("video.avi", cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 64))
    for _ in range(9):
        writer.write(face())
    writer.release()
    (tmp_path / "grades.csv").write_text("image_path,grade\nimage.png,1\n")
    (tmp_path / "sheet.csv").write_text("Subject,Filename,OnsetFrame,ApexFrame,OffsetFrame,Emotion\n1,a,1,2,3,happy\n")
    (tmp_path / "weights.pth").write_bytes(b"x")
    return tmp_path


#: (command, what its answer must hold).
WRONG = [
    *((f"train --data {tree.split('/')[0]} --out o", f"htnet prepare {name} --root") for tree, name in TREES.items()),
    *((f"loso --data {tree.split('/')[0]} --out o", f"htnet prepare {name} --root") for tree, name in TREES.items()),
    ("train --data own/manifest.csv --out o", "htnet prepare manifest --root own/manifest.csv --out"),
    ("loso --data own --out o", "htnet prepare manifest --root"),
    ("train --data nowhere --out o", "nowhere does not exist"),
    ("train --data video.avi --out o", "htnet predict video.avi"),
    ("train --data grades.csv --out o", "htnet palsy prepare grades.csv"),
    ("train --data sheet.csv --out o", "htnet prepare SET --root"),
    ("train --data frames --out o", "htnet spot frames"),
    ("train --data own --model composite --out o", "names trained weights"),
    ("train --data own --landmarks template --start htnet_small --out o", "is a model without weights"),
    ("prepare samm --root nowhere --out o", "nowhere does not exist"),
    ("prepare samm --root sheet.csv --out o", "--root FOLDER --annotation sheet.csv"),
    ("prepare casme2 --root SAMM --out o", "htnet prepare samm --root SAMM"),
    ("prepare manifest --root SAMM --out o", "htnet prepare samm --root SAMM"),
    ("predict video.avi video.avi", "htnet predict video.avi (alone)"),
    ("predict own/manifest.csv image.png", "htnet predict --manifest own/manifest.csv"),
    ("predict image.png image.png --model htnet_tiny", "is a model without weights"),
    ("predict image.png image.png --model weights.pth", "htnet convert weights.pth"),
    ("predict --manifest frames --out p.csv", "htnet predict frames"),
    ("predict --manifest own --out p.csv", "own/manifest.csv"),
    ("spot image.png", "is one image"),
    ("predict own/manifest.csv", "htnet predict --manifest own/manifest.csv"),
    ("spot own/manifest.csv", "htnet predict --manifest own/manifest.csv"),
    ("predict SMIC", "htnet prepare smic --root SMIC"),
    ("spot SMIC", "htnet prepare smic --root SMIC"),
    ("palsy train --data own --out o", "htnet prepare manifest --root own"),
    ("palsy train --data nowhere --out o", "nowhere does not exist"),
    ("palsy prepare SAMM --out o", "htnet prepare samm"),
    ("palsy prepare own/manifest.csv --out o", "htnet prepare manifest"),
    ("palsy asymmetry video.avi", "is a video"),
    ("palsy predict video.avi", "is a video"),
    ("palsy predict video.avi --model fnp", "is a video"),
    ("palsy visualize video.avi --model nowhere --out p.png", "is a video"),
    ("palsy predict image.png", "--model FOLDER"),
    ("palsy evaluate --data own --out o", "--model FOLDER"),
    ("push composite a/b", "htnet predict ONSET APEX --model composite"),
    ("push nowhere a/b", "nowhere does not exist"),
    ("push frames a/b", "htnet predict frames"),
]


@pytest.mark.parametrize(("words", "expected"), WRONG, ids=[words for words, _ in WRONG])
def test_every_command_says_what_it_was_given_and_what_takes_it(things, capsys, words, expected):
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert "htnet.data." not in said.replace("htnet.data.csv", "")
    assert not (things / "o" / "manifest.csv").exists()


def test_in_python_the_call_is_named(things):
    with pytest.raises(HtnetError, match=r"read_dataset\('samm'"):
        open_data(things / "SAMM")


def test_names_told_to_lower_parts_are_those_that_exist():
    assert {spec.name for spec in list_pretrained()} == WEIGHTS_NAMES
    assert set(RECIPE_NAMES) == set(RECIPES)
    assert {known.name for known in OFFICIAL} >= set(TREES.values())


def test_every_recipe_option_lists_every_recipe():
    found = 0
    todo = [build_parser()]
    while todo:
        parser = todo.pop()
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                todo += action.choices.values()
            elif "--recipe" in action.option_strings:
                found += 1
                assert all(name in action.help for name in RECIPES)
    assert found == 4


@pytest.mark.parametrize("thing", ["nowhere", "text.txt"])
def test_what_is_unknown_is_not_guessed(tmp_path, thing):
    (tmp_path / "text.txt").write_text("hello")
    assert door_of(tmp_path / thing) is None
