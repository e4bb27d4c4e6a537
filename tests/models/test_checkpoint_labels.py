"""The order of the classes in a checkpoint is used where it can be read, refused where it cannot, and told."""

import argparse

import pytest
import torch
from safetensors.torch import save_file

from htnet.core.errors import CheckpointError
from htnet.hub import load_pretrained
from htnet.models import convert_checkpoint, convert_state, create_model
from tests.models.test_checkpoints import STATES

ORDER = ("surprise", "negative", "positive")


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(3)
    return create_model("ststnet").state_dict()


SAID = [
    *(["surprise", "negative", "positive"], ("Surprise", "Negative", " positive"), ["surp", "neg", "pos"]),
    *({"surprise": 0, "negative": 1, "positive": 2}, {0: "surprise", 2: "positive", 1: "negative"}),
    *({"0": "surprise", "1": "negative", "2": "positive"}, {"positive": "2", "surprise": "0", "negative": "1"}),
    *({"negative": torch.tensor(1), "positive": 2.0, "surprise": 0}, "surprise,negative,positive"),
]
KEYS = ["classes", "class_names", "labels", "label_map", "class_to_idx", "idx_to_class", "id2label", "label2id"]


@pytest.mark.parametrize("said", SAID, ids=repr)
def test_an_order_is_used_under_any_key_and_place(state, said):
    for key in KEYS:
        assert convert_state({"state_dict": state, key: said}).labels == ORDER
        assert convert_state({"model": state, "hyper_parameters": {"data": {key: said}}}).labels == ORDER


@pytest.mark.parametrize("said", SAID[:4], ids=repr)
def test_an_order_in_a_file_is_used(state, said, tmp_path):
    torch.save({"state_dict": state, "args": argparse.Namespace(class_names=said)}, tmp_path / "a.pth")
    torch.save({**state, "classes": said}, tmp_path / "b.pth")
    for name in ("a.pth", "b.pth"):
        assert convert_checkpoint(tmp_path / name).labels == ORDER
    save_file(
        dict(state), tmp_path / "c.safetensors", {"id2label": '{"0": "surprise", "1": "negative", "2": "positive"}'}
    )
    assert convert_checkpoint(tmp_path / "c.safetensors").labels == ORDER


WRONG = [
    *(["a", "b", "c"], ["surprise", "negative"], ["negative", "negative", "surprise"], [2, 0, 1]),
    *({"negative": 0, "positive": 1}, {"negative": 0, "positive": 2, "surprise": 3}),
    {"negative": [1], "positive": [2], "surprise": [3]},
]


@pytest.mark.parametrize("said", WRONG, ids=repr)
def test_what_cannot_be_read_is_refused_with_the_cure(state, said):
    for key in ("classes", "label_map"):
        content = {"state_dict": state, key: said}
        with pytest.raises(CheckpointError, match=r"--labels negative,positive,surprise"):
            convert_state(content)
        assert convert_state(content, labels=ORDER).labels == ORDER


def test_two_orders_are_refused_with_both(state):
    content = {"state_dict": state, "classes": list(ORDER), "id2label": {0: "negative", 1: "positive", 2: "surprise"}}
    with pytest.raises(CheckpointError, match="classes in this checkpoint says surprise.*id2label says negative"):
        convert_state(content)


@pytest.mark.parametrize("said", [3, [0, 1, 2], "emotion", None, list(range(7)), torch.zeros(40)], ids=repr)
def test_what_says_no_order_is_passed_over(state, said):
    assert convert_state({"state_dict": state, "labels": said}).labels == ("negative", "positive", "surprise")


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "a", "b"), ("a", "", "b")])
def test_labels_must_fit_the_outputs(state, labels):
    with pytest.raises(CheckpointError, match=r"^The labels are \(.*Give one name per class"):
        convert_state(state, labels=labels)


@pytest.mark.parametrize(
    ("more", "words", "said", "labels"),
    [
        ({}, (), "labels assumed: negative, positive, surprise", ("negative", "positive", "surprise")),
        ({"classes": list(ORDER)}, (), "labels of the checkpoint: surprise, negative, positive", ORDER),
        ({}, ("--labels", "surprise, negative,positive"), "labels given: surprise, negative, positive", ORDER),
    ],
)
def test_the_command_and_the_card_say_where_labels_come_from(state, more, words, said, labels, tmp_path, capsys):
    from htnet.cli import main

    torch.save({"state_dict": state, **more}, tmp_path / "s.pth")
    assert main(["convert", str(tmp_path / "s.pth"), str(tmp_path / "w"), *words]) in (0, None)
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "w" / "README.md").read_text("utf-8")
    assert load_pretrained(tmp_path / "w").labels == labels


@pytest.mark.parametrize("name", ["DualStreamHTNet", "MHSSAGCN"])
def test_the_command_and_the_card_say_that_heads_are_assumed(name, tmp_path, capsys):
    from htnet.cli import main

    state, _ = STATES[name]
    torch.save(state, tmp_path / "s.pth")
    said = "; 4 attention heads assumed, as published"
    for words, expected in (((), True), (("--heads", "4", "--overwrite"), False)):
        assert main(["convert", str(tmp_path / "s.pth"), str(tmp_path / "w"), *words]) in (0, None)
        assert (said in capsys.readouterr().out) is expected
        assert (said in (tmp_path / "w" / "README.md").read_text("utf-8")) is expected


TEXTS = [
    *("['surprise', 'negative', 'positive']", "surprise;negative;positive", "surprise negative positive"),
    *("{'negative': 1, 'positive': 2, 'surprise': 0}", "surprise\nnegative\npositive\n", "(\"surprise\",'neg','pos')"),
]


@pytest.mark.parametrize("said", TEXTS, ids=repr)
def test_an_order_may_be_any_text_that_lists_it(state, said):
    assert convert_state({"state_dict": state, "classes": said}).labels == ORDER


@pytest.mark.parametrize(
    "key", ["label_to_index", "emotion2id", "expression_to_idx", "cls2num", "index2label", "idx_to_emotion", "id2name"]
)
def test_names_and_numbers_may_have_any_usual_name(state, key):
    said = dict(enumerate(ORDER))
    said = said if key.startswith("i") else {name: number for number, name in said.items()}
    assert convert_state({"state_dict": state, key: said}).labels == ORDER


def test_a_list_of_the_classes_is_used_under_any_name(state):
    for key in ("train_classes", "emotion_list", "expressions", "my_names"):
        assert convert_state({"state_dict": state, "config": {key: list(ORDER)}}).labels == ORDER
    default = ("negative", "positive", "surprise")
    for other in (["surprise", "surprise", "negative"], ["a", "b", "c"], {"surprise": 0, "negative": 1, "positive": 2}):
        assert convert_state({"state_dict": state, "counts": other}).labels == default


@pytest.mark.parametrize(
    "said",
    [{"surprise", "negative", "positive"}, {"a": float("inf")}, [float("nan")] * 3],
    ids=["set", "infinite", "nan"],
)
def test_what_gives_no_order_is_refused(state, said):
    with pytest.raises(CheckpointError, match="labels="):
        convert_state({"state_dict": state, "classes": said})
