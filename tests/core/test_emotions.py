"""A label with a typing error does not become a class in silence."""

import pytest

from htnet.cli import main
from htnet.core.emotions import KNOWN_EMOTIONS, edits, meant
from htnet.core.errors import ManifestError
from htnet.data import Manifest, Sample, read_manifest
from tests.support.flows import write_flow_set

#: A label and what is meant.
TYPED = [
    *(("suprise", "surprise"), ("surprize", "surprise"), ("Surprise ", "surprise"), ("negativ", "negative")),
    *(
        ("postive", "positive"),
        ("hapiness", "happiness"),
        ("digsust", "disgust"),
        ("feer", "fear"),
        ("othres", "others"),
    ),
]
#: Labels that stand beside each other.
APART = [
    *(
        ("smile", "frown"),
        ("grade_1", "grade_2"),
        ("class_a", "class_b"),
        ("sad", "bad"),
        ("happy", "sad"),
        ("left", "right"),
    ),
    *(("low", "high"), ("others", "anger"), ("type a", "type b"), ("I", "II"), ("tense", "fear")),
]


@pytest.mark.parametrize(("typed", "right"), [pair for pair in TYPED if pair[0].strip().casefold() != pair[1]])
def test_a_label_near_a_known_emotion_is_refused(typed, right, tmp_path):
    for other in ("smile", right):
        (tmp_path / "m.csv").write_text(
            "sample,label,flow\n" + "".join(f"s{i},{other},f.png\n" for i in range(5)) + f"x,{typed},f.png\n"
        )
        with pytest.raises(
            ManifestError, match=f"line 7: the label {typed!r} .1 of 6 samples. may be {right!r}, which "
        ):
            read_manifest(tmp_path / "m.csv", check_files=False)
        found = read_manifest(tmp_path / "m.csv", [other, typed], check_files=False)
        assert found.classes == (other, typed)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        *(("smile", "smlie"), ("happy", "happiness"), ("eyebrows", "eybrow"), ("other", "others")),
        *(("negative", "neg"), ("positive", "pos"), ("surprised", "sur"), ("fear", "fearful")),
    ],
)
def test_two_labels_that_may_be_one_are_refused_with_both_and_their_counts(one, two, tmp_path):
    (tmp_path / "m.csv").write_text(f"sample,label,flow\na,{one},f.png\nb,{one},f.png\nc,{two},f.png\n")
    with pytest.raises(ManifestError, match=f"'{two}' .1 of 3 samples. may be '{one}', which 2 have.*column 'classes'"):
        read_manifest(tmp_path / "m.csv", check_files=False)


@pytest.mark.parametrize(("one", "two"), APART)
def test_labels_that_differ_are_classes(one, two, tmp_path):
    (tmp_path / "m.csv").write_text(f"sample,label,flow\na,{one},f.png\nb,{two},f.png\n")
    assert read_manifest(tmp_path / "m.csv", check_files=False).classes == tuple(sorted((one, two)))


def test_known_emotions_are_not_near_each_other():
    for name in KNOWN_EMOTIONS:
        assert meant(name, [name]) == ""
    assert [edits("abcd", other) for other in ("abcd", "abdc", "abc", "abxd", "dcba", "a")] == [0, 1, 1, 1, 3, 3]


@pytest.mark.parametrize("command", ["train", "loso", "prepare manifest"])
def test_every_command_refuses_it(command, tmp_path, capsys):
    write_flow_set(tmp_path, 3)
    path = tmp_path / "manifest.csv"
    path.write_text(path.read_text().replace("surprise", "suprise", 1))
    words = f"{command} {'--root' if 'prepare' in command else '--data'} {path} --out {tmp_path / 'out'}".split()
    assert main(words) == 2
    assert "may be 'surprise'" in capsys.readouterr().err


def test_classes_of_one_sample_are_told():
    labels = ["negative", "negative", "positive"]
    found = Manifest(tuple(Sample(f"s{i}", label=label) for i, label in enumerate(labels)))
    absent = "No sample is labeled surprise: the class cannot be learned or scored on these samples."
    assert found.remarks == (
        absent,
        "A single sample is labeled positive (s2): a class needs samples of several people to be learned.",
    )
    assert found.subset([0, 2]).remarks == (absent,)
    assert found.subset([0]).remarks == (
        "No sample is labeled positive or surprise: the classes cannot be learned or scored on these samples.",
    )
    assert Manifest((Sample("s0"),)).remarks == ()  # nothing is labeled
