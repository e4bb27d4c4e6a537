import csv
from collections import Counter

import numpy as np
import pytest

from htnet.core.errors import ManifestError
from htnet.core.types import EMOTIONS
from htnet.data import list_three_norm, open_data, read_casme3, read_composite, read_three_norm
from tests.support.paths import COMPOSITE, SHARED, needs_shared

CASME3 = SHARED / "data" / "casme3" / "cas(me)3_part_A_edited.csv"
SEVEN = ("happy", "surprise", "sad", "disgust", "fear", "anger")
HEADER = "Subject,Filename,Onset,Apex,emotion,label_for_7,label_for_3,imagename_apex,imagename_onset"


def composite(folder, rows, blank=" "):
    images = folder / "STSNet_whole_norm_u_v_os"
    images.mkdir(parents=True)
    lines = ["dataset,sub,filename_o,label,apex,imagename,sub_filename"]
    for dataset, sub, name, label in rows:
        lines.append(f"{dataset},{sub},{name},{label},,,")
        (images / f"{sub}_{name}{blank}.png").touch()
    (folder / "combined_3_class2_for_optical_flow.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def casme3(folder, rows, name="part_A_edited.csv"):
    lines = [HEADER]
    for subject, clip, onset, apex, emotion, seven, three in rows:
        paths = [f"{subject}/{clip}/color/{frame}.jpg" for frame in (apex, onset)]
        lines.append(",".join([subject, clip, str(onset), str(apex), emotion, str(seven), str(three), *paths]))
        for path in paths:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
    (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    return folder / name


ROWS = [("samm", "006", "006_1_2", 0), ("smic", "s01", "s01_po_01", 1), ("casme2", "sub01", "EP02_01f", 2)]
FRAMES = [("spNO.1", "b", 166, 175, "disgust", 4, 0), ("spNO.1", "j", 28, 33, "happy", 1, 1),
          ("spNO.2", "a", 7, 9, "fear", 5, 0)]  # fmt: skip


@pytest.mark.parametrize("blank", [" ", ""])
def test_composite(tmp_path, blank):
    found = read_composite(composite(tmp_path, ROWS, blank))
    assert [(s.dataset, s.subject, s.sample, s.label) for s in found] == [
        ("samm", "006", "006_006_1_2", "negative"),
        ("smic", "s01", "s01_s01_po_01", "positive"),
        ("casme2", "sub01", "sub01_EP02_01f", "surprise"),
    ]
    assert [s.flow.name for s in found] == [f"{s.sample}{blank}.png" for s in found]


def test_damaged_composites_are_refused(tmp_path):
    root = composite(tmp_path / "a", ROWS)
    next((root / "STSNet_whole_norm_u_v_os").glob("s01*")).unlink()
    with pytest.raises(ManifestError, match=r"1 file\(s\) do not exist(.|\n)*s01_s01_po_01 .png"):
        read_composite(root)
    with pytest.raises(ManifestError, match="line 2: label 3 is not in 0..2"):
        read_composite(composite(tmp_path / "b", [("samm", "006", "x", 3)]))
    with pytest.raises(ManifestError, match="line 2: 'no' is not a whole number"):
        read_composite(composite(tmp_path / "c", [("samm", "006", "x", "no")]))
    with pytest.raises(ManifestError, match="does not exist"):
        read_composite(tmp_path)


@needs_shared
def test_published_composite():
    found = read_composite(COMPOSITE)
    assert (len(found), len(found.subjects)) == (442, 68)
    assert Counter(s.label for s in found) == {"negative": 250, "positive": 109, "surprise": 83}
    assert Counter(s.dataset for s in found) == {"casme2": 145, "samm": 133, "smic": 164}
    assert open_data(COMPOSITE) == found


def three_norm(folder, files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_three_norm(tmp_path):
    root = three_norm(
        tmp_path,
        ["s05/u_train/0/sub01_EP02 .png", "s05/u_train/2/odd.png", "s05/u_test/1/x .png", "s05/u_test/.DS_Store"],
    )
    train, test = read_three_norm(root, "s05")
    # Sorted by path: label 0 first.
    assert [(s.sample, s.dataset, s.subject, s.label) for s in train] == [
        ("sub01_EP02", "", "sub01", "negative"),
        ("odd", "", "", "surprise"),
    ]
    assert [(s.sample, s.dataset, s.subject, s.label) for s in test] == [("x", "", "s05", "positive")]
    assert read_three_norm(root / "s05") == (train, test)
    assert list_three_norm(root) == ["s05"]
    with pytest.raises(ManifestError, match="subject 's5'. Did you mean 's05'"):
        read_three_norm(root, "s5")
    with pytest.raises(ManifestError, match="give subject, such as 's05'"):
        read_three_norm(root)
    with pytest.raises(ManifestError, match="contains no folders"):
        list_three_norm(root / "s05")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["s/u_train/0/a.png", "s/u_test/1/a .png"], "sample 'a' is in u_train and in u_test"),
        (["s/u_train/0/a.png", "s/u_test/1/b.txt"], "u_test contains no images"),
        (["s/u_train/0/a.png", "s/u_test/happy/b.png"], "'happy' is not a whole number"),
        (["s/u_train/0/a.png", "s/u_train/1/a.png", "s/u_test/0/b.png"], "sample 'a' occurs 2 times"),
    ],
)
def test_damaged_three_norm_is_refused(tmp_path, files, says):
    with pytest.raises(ManifestError, match=says):
        read_three_norm(three_norm(tmp_path, files), "s")


@needs_shared
@pytest.mark.parametrize("subject", ["019", "s05", "sub08"])
def test_published_three_norm_is_the_composite(subject):
    root = COMPOSITE / "three_norm_u_v_os"
    assert subject in list_three_norm(root)
    whole = {s.sample: s for s in read_composite(COMPOSITE)}
    train, test = read_three_norm(root, subject)
    assert len(train) + len(test) == 442
    assert {s.subject for s in test} == {subject}
    for sample in (*train, *test):
        known = whole.pop(sample.sample)
        assert (sample.subject, sample.label) == (known.subject, known.label)
    assert not whole


def test_casme3(tmp_path):
    annotation = casme3(tmp_path, FRAMES)
    found = read_casme3(annotation, tmp_path)
    assert [(s.sample, s.dataset, s.subject, s.label) for s in found] == [
        ("spNO.1_b_175", "casme3", "spNO.1", "negative"),
        ("spNO.1_j_33", "casme3", "spNO.1", "positive"),
        ("spNO.2_a_9", "casme3", "spNO.2", "negative"),
    ]
    assert found.samples[0].onset == tmp_path / "spNO.1/b/color/166.jpg"
    assert found.samples[0].apex == tmp_path / "spNO.1/b/color/175.jpg"
    seven = read_casme3(None, tmp_path, label="label_for_7")
    assert seven.classes == ("happy", "disgust", "fear")
    assert seven.labels().tolist() == [1, 0, 2]
    own = read_casme3(annotation, tmp_path, classes=["n", "p", "s"])
    assert (own.classes, own.labels().tolist()) == (("n", "p", "s"), [0, 1, 0])


def test_casme3_missing_frames(tmp_path):
    annotation = casme3(tmp_path, FRAMES)
    (tmp_path / "spNO.1/j/color/28.jpg").unlink()
    with pytest.raises(ManifestError, match=r"1 file\(s\) do not exist(.|\n)*28.jpg"):
        read_casme3(annotation, tmp_path)
    found = read_casme3(annotation, tmp_path, missing="skip")
    assert found.skipped == ("spNO.1_j_33",)
    assert [s.sample for s in found] == ["spNO.1_b_175", "spNO.2_a_9"]
    with pytest.raises(ManifestError, match=r"6 file\(s\) do not exist. Correct root"):
        read_casme3(annotation, tmp_path / "elsewhere", missing="skip")


@pytest.mark.parametrize(
    ("row", "options", "says"),
    [
        (("p", "c", 1, 2, "fear", 4, 0), {"label": "label_for_7"}, "label_for_7 4 is 'fear' here, 'disgust' above"),
        (("p", "c", 1, 2, "sad", 3, 3), {}, "line 5: label_for_3 is 3. Known"),
        (("p", "c", 1, 2, "sad", "x", 0), {"label": "label_for_7"}, "label_for_7: 'x' is not a whole number"),
        (FRAMES[0], {}, "sample 'spNO.1_b_175' occurs 2 times"),
        (("p", "c", 1, 2, "sad", 3, 0), {"label": "label_for_8"}, "Did you mean"),
        (("p", "c", 1, 2, "sad", 3, 0), {"missing": "ignore"}, "Known: raise, skip"),
        (("p", "c", 1, 2, "sad", 3, 0), {"classes": ["a"]}, "label_for_3 has 3 classes"),
    ],
)
def test_bad_casme3_is_refused(tmp_path, row, options, says):
    annotation = casme3(tmp_path, [*FRAMES, row])
    with pytest.raises(ManifestError, match=says):
        read_casme3(annotation, tmp_path, **options)


@pytest.mark.slow
@needs_shared
def test_published_casme3_annotation(tmp_path):
    with CASME3.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for name in ("imagename_onset", "imagename_apex"):
            (tmp_path / row[name]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / row[name]).touch()
        # Where the apex is not after the onset, the middle frame takes its place: 28 rows.
        if int(row["Apex"]) <= int(row["Onset"]):
            middle = (int(row["Onset"]) + int(row["Offset"])) // 2
            (tmp_path / row["imagename_onset"]).with_name(f"{middle}.jpg").touch()
    three, seven = (read_casme3(CASME3, tmp_path, label=f"label_for_{n}") for n in (3, 7))
    assert (len(three), len(three.subjects), three.classes) == (687, 87, EMOTIONS)
    assert three.samples[0].sample == "spNO.1_b_175"
    (note,) = three.notes
    assert seven.notes == (note,)
    assert note.count("(onset ") == 28
    assert len(three.middle_apex) == 28
    assert three.labels().tolist() == [int(row["label_for_3"]) for row in rows]
    assert seven.classes == SEVEN
    assert seven.labels().tolist() == [int(row["label_for_7"]) - 1 for row in rows]
    assert np.bincount(seven.labels()).tolist() == [54, 184, 55, 247, 83, 64]
    with pytest.raises(ManifestError, match=r"\d+ file\(s\) do not exist"):
        read_casme3(CASME3, CASME3.parent)


def test_open_data_finds_the_layout(tmp_path):
    whole = composite(tmp_path / "composite", ROWS)
    found = open_data(whole)
    assert found == read_composite(whole)
    found.write(tmp_path / "own" / "manifest.csv")
    for path in (tmp_path / "own", tmp_path / "own" / "manifest.csv"):
        again = open_data(path)
        assert [s.sample for s in again] == [s.sample for s in found]
        assert [s.flow.resolve() for s in again] == [s.flow.resolve() for s in found]
    for name in ("x_edited.csv", "renamed.csv"):
        root = tmp_path / name
        root.mkdir()
        casme3(root, FRAMES, name)
        (root / "notes.csv").write_bytes(b"\xff\xfe")
        assert open_data(root, label="label_for_7") == read_casme3(root / name, root, label="label_for_7")


def test_open_data_refuses_what_it_does_not_know(tmp_path):
    with pytest.raises(
        ManifestError,
        match=r"is not a data set in a known format. Accepted: "
        r".*manifest.csv.*combined_3",
    ):
        open_data(tmp_path)
    with pytest.raises(ManifestError, match="does not exist"):
        open_data(tmp_path / "no")
    casme3(tmp_path, FRAMES)
    with pytest.raises(ManifestError, match="option of read_casme3 .*'lable'. Did you mean 'label'"):
        open_data(tmp_path, lable="label_for_7")
    casme3(tmp_path, FRAMES, "second_edited.csv")
    with pytest.raises(ManifestError, match="2 annotations .*second_edited.csv"):
        open_data(tmp_path)
