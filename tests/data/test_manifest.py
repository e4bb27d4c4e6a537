import os
from pathlib import Path

import numpy as np
import pytest
import torch

from htnet.core.errors import ManifestError
from htnet.core.types import EMOTIONS
from htnet.data import Manifest, Sample, read_manifest


def write(folder, text, files=(), encoding="utf-8"):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    path = folder / "list.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_reads_all_columns(tmp_path):
    text = (
        "sample,label,subject,dataset,onset,apex,flow,landmarks\r\n"
        'a,positive,006,samm,f/1.png,f/2.png,,p.json\r\n\r\n"b,1",2,s01,smic,,,f/3 .png,\r\nc,,s01,smic,,,f/1.png,\r\n'
    )
    path = write(tmp_path, text, ["f/1.png", "f/2.png", "f/3 .png", "p.json"], "utf-8-sig")
    found = read_manifest(path)
    assert found.classes == EMOTIONS
    assert list(found) == [
        Sample("a", "samm", "006", "positive", tmp_path / "f/1.png", tmp_path / "f/2.png", None, tmp_path / "p.json"),
        Sample("b,1", "smic", "s01", "surprise", flow=tmp_path / "f/3 .png"),
        Sample("c", "smic", "s01", flow=tmp_path / "f/1.png"),
    ]
    assert found.subjects == [("samm", "006"), ("smic", "s01")]
    with pytest.raises(ManifestError, match="1 sample \\('c'\\) without label"):
        found.labels()
    labels = found.subset([1, 0]).labels()
    assert labels.dtype == np.int64
    assert labels.tolist() == [2, 1]
    with pytest.raises(ManifestError, match="line 5: sample 'c' has no label"):
        read_manifest(path, need_label=True)


@pytest.mark.parametrize(
    ("labels", "classes", "names", "expected"),
    [
        ("positive negative", None, EMOTIONS, [1, 0]),
        ("2 0", None, EMOTIONS, [2, 0]),
        ("sad happy sad", None, ("happy", "sad"), [1, 0, 1]),
        ("3 happy", ["happy", "b", "c", "sad"], ("happy", "b", "c", "sad"), [3, 0]),
        ("10 20", ["20", "10"], ("20", "10"), [1, 0]),
        ("2.0 0.0", None, EMOTIONS, [2, 0]),  # as pandas writes numbers in a column with empty cells
        ('"2,0" "0,00"', None, EMOTIONS, [2, 0]),
        ("1.0 0.0", ["b", "a"], ("b", "a"), [1, 0]),
        ("1.0 2.0", ["2.0", "1.0"], ("2.0", "1.0"), [1, 0]),
        ("1.0 2.0", ["1", "2", "3"], ("1", "2", "3"), [0, 1]),  # names, which pandas wrote as numbers
        ("0.0 1.0", ["1", "0"], ("1", "0"), [1, 0]),
        ("Positive NEGATIVE surprise", None, EMOTIONS, [1, 0, 2]),
        ("Positive 0", None, EMOTIONS, [1, 0]),
        ("Positive Happy", None, ("Happy", "Positive"), [1, 0]),
        ("Positive NEGATIVE", ["NEGATIVE", "Positive"], ("NEGATIVE", "Positive"), [1, 0]),
        ("Positive", ["surprise", "positive"], ("surprise", "positive"), [1]),
        ("none some", None, ("none", "some"), [0, 1]),
        ("NA nan", ["nan", "NA"], ("nan", "NA"), [1, 0]),
        ("a_1 1_0", None, ("1_0", "a_1"), [1, 0]),
        ("b a", np.array(["b", "a"]), ("b", "a"), [0, 1]),
    ],
)
def test_classes(tmp_path, labels, classes, names, expected):
    rows = "".join(f"{i},{label},x.png\n" for i, label in enumerate(labels.split()))
    found = read_manifest(write(tmp_path, "sample,label,flow\n" + rows), classes=classes, check_files=False)
    assert found.classes == names
    assert found.labels().tolist() == expected


@pytest.mark.parametrize(
    "classes", [[1, 2], {"a", "b"}, frozenset("ab"), {"a": 0, "b": 1}, "ab", b"ab", 2, [], {}.keys()]
)
def test_classes_are_names_in_order(tmp_path, classes):
    path = write(tmp_path, "sample,label,flow\n0,a,x.png\n")
    with pytest.raises(ManifestError, match="give a list of class names"):
        read_manifest(path, classes=classes, check_files=False)
    if classes != []:
        with pytest.raises(ManifestError, match="give a list of class names"):
            Manifest((), classes)


@pytest.mark.parametrize("mask", [[True, False], np.array([True, False]), torch.tensor([True, False])])
def test_a_mask_is_no_list_of_indices(mask):
    manifest = Manifest((Sample("1", label="positive"), Sample("2", label="positive")))
    with pytest.raises(ManifestError, match="An index of a sample is"):
        manifest.subset(mask)
    assert [s.sample for s in manifest.subset(torch.tensor([1, 0]))] == ["2", "1"]


@pytest.mark.parametrize(
    ("text", "classes", "says"),
    [
        ("", None, "contains no samples"),
        ("sample,flow\n,\n", None, "contains no samples"),
        ("sampel,flow\na,x\n", None, "line 1: unknown column 'sampel'. Did you mean 'sample'"),
        ("sample;flow,label\na;x,0\n", None, "contains commas and semicolons"),
        ("subject,flow\na,x\n", None, "no column 'sample'"),
        ("sample,flow,flow\na,x,x\n", None, "column 'flow' occurs more than once"),
        ("sample,flow\na,x\nb,x\na,x\n", None, "line 4: sample 'a' was already on line 2"),
        ("sample,flow\n ,x\n", None, "line 2: the column 'sample' is empty"),
        ("sample,onset,apex\na,x,\n", None, "line 2: sample 'a' has an onset but no apex"),
        ("sample,onset,apex,flow\na,,x,y\n", None, "has an apex but no onset"),
        ("sample,flow,landmarks\na,,x\n", None, "line 2: sample 'a' has no files"),
        ("sample,flow\na,x,y\n", None, "line 2: 3 values for 2 columns"),
        ('sample,flow\na,"x\n', None, "cannot be read as a CSV"),
        ("sample,flow,label\na,x,0\nb,x,4\n", None, "line 3: label '4' is a number"),
        ("sample,flow,label\na,x,1.0\nb,x,3.0\n", None, "line 3: label '3.0' is a number"),
        ("sample,flow,label\na,x,sad\nb,x,-0.5\n", None, "line 3: label '-0.5' is a number"),
        ("sample,flow,label\na,x,1.5\n", ["happy", "sad"], "unknown label '1.5'"),
        ("sample,flow,label\na,x,0\n", ["1", "2"], "unknown label '0'"),
        ("sample,flow,label\na,x,0\nb,x,1.000\n", None, "line 3: label '1.000' is a number"),
        *(
            (
                f"sample,flow,label\na,x,sad\nb,x,{text}\n",
                None,
                f"line 3: the label {text!r} is what programs write for a",
            )
            for text in ("nan", "NA", "N/A", "null", "?")
        ),
        ("sample,flow,label\na,x,sad\nb,x,#N/A\n", None, "line 3: label is '#N/A', the error of a formula"),
        ("sample,flow,subject\na,x,#REF!\n", None, "line 2: subject is '#REF!', the error of a formula"),
        ("sample,flow,subject\na,x,#DIV/0!\n", None, "line 2: subject is '#DIV/0!', the error of a formula"),
        ("sample,flow,subject\na,x,#BEZUG!\n", None, "line 2: subject is '#BEZUG!', the error of a formula"),
        (",sample,flow\n0,a,x\n", None, "line 1: column 1 has no name"),
        ("sample,flow,label\na,x,sad\nb,x,Sad\n", None, "line 3: label 'Sad' differs from 'sad' only in case"),
        ("sample,flow,label\na,x,hapy\n", ["happy", "sad"], "unknown label 'hapy'. Did you mean 'happy'"),
        ("sample,flow,label\na,x,2\n", ["happy", "sad"], "unknown label '2'"),
        ("sample,flow,label\na,x,-1\n", ["happy", "sad"], "unknown label '-1'"),
        ("sample,flow\na,x\n", "happy", "list of class names"),
        ("sample,flow\na,x\n", ["happy", "happy"], "class 'happy' occurs 2 times"),
    ],
)
def test_bad_files_are_refused_with_file_and_cure(tmp_path, text, classes, says):
    path = write(tmp_path, text, ["x", "y"])
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, classes)
    assert says in str(caught.value)
    assert str(path) in str(caught.value) or "class names" in says


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="no.csv does not exist"):
        read_manifest(tmp_path / "no.csv")
    with pytest.raises(ManifestError, match="is a folder"):
        read_manifest(tmp_path)
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_manifest(write(tmp_path, "sample,flow\nMüller,x\n", encoding="latin-1"))


def test_missing_files_are_counted_and_listed(tmp_path):
    path = write(tmp_path, "sample,flow\n" + "".join(f"{i},x{i}\n" for i in range(9)), ["x0", "x1"])
    with pytest.raises(ManifestError, match="7 file") as caught:
        read_manifest(path)
    listed = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert listed == [f"line {i + 2}, flow: {tmp_path / f'x{i}'}" for i in range(2, 7)] + ["..."]
    assert len(read_manifest(path, check_files=False)) == 9


def random_manifest(folder, rng):
    def path(i, kind):
        return folder / f"f, {i % 3}" / f'{kind}"{i} .png'

    samples = []
    for i in range(int(rng.integers(1, 30))):
        pair = rng.random() < 0.5
        label = EMOTIONS[rng.integers(3)] if rng.random() < 0.8 else None
        files = {"onset": path(i, "on"), "apex": path(i, "ap")} if pair else {"flow": path(i, "é")}
        if rng.random() < 0.3:
            files["landmarks"] = path(i, "p")
        samples.append(Sample(f'{i:03d},"ß', f"d{rng.integers(2)}", f"{rng.integers(4):02d}", label, **files))
    return Manifest(tuple(samples), EMOTIONS, "random")


@pytest.mark.parametrize("place", [".", "deep/er", "../other"])
def test_written_manifest_reads_back_equal(tmp_path, place):
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
    data = tmp_path / "data"
    manifest = random_manifest(data, rng)
    out = data / place / "list.csv"
    manifest.write(out)
    found = read_manifest(out, check_files=False)

    def resolved(sample):
        return [Path(os.path.normpath(v)) if isinstance(v, Path) else v for v in vars(sample).values()]

    assert [resolved(s) for s in found] == [resolved(s) for s in manifest]
    assert str(tmp_path) not in out.read_text("utf-8"), "paths must be relative, so the folder can move"
    assert [p.name for p in out.parent.iterdir() if p.is_file()] == ["list.csv"], "no partial file may stay"


SEVEN = ("happy", "surprise", "sad", "disgust", "fear", "anger", "others")


@pytest.mark.parametrize(
    ("classes", "labels", "column"),
    [
        (EMOTIONS, ["positive", None], False),
        (EMOTIONS, [None], False),
        (("a", "b"), ["b", "a"], False),
        (SEVEN, ["sad", "happy", None], True),
        (("b", "a"), ["b", "a"], True),
        (("a", "b"), ["a"], True),
        (("surprise", "negative"), ["negative"], True),
        (("Sad", "sad"), ["sad", "Sad"], True),
        (("0", "1", "2"), ["2", "0"], True),
        (("10", "9"), ["9"], True),
        (("x y", 'say "é", now'), ["x y"], True),
        (("0.0", "1.0"), ["1.0", "0.0"], True),
        (("NEGATIVE", "Positive"), ["Positive", "NEGATIVE"], True),
        (("NA", "sad"), ["NA", "sad"], True),
        (("1e3", "sad"), ["1e3", "sad"], True),
    ],
)
def test_classes_come_back_in_order(tmp_path, classes, labels, column):
    samples = tuple(Sample(str(i), label=label, flow=tmp_path / "x.png") for i, label in enumerate(labels))
    Manifest(samples, classes).write(tmp_path / "list.csv")
    found = read_manifest(tmp_path / "list.csv", check_files=False)
    assert found.classes == classes
    assert [s.label for s in found] == labels
    header = (tmp_path / "list.csv").read_text("utf-8").splitlines()[0]
    assert header.endswith(",classes") == column, "files that need no column stay as they were"
    assert read_manifest(tmp_path / "list.csv", classes[::-1], check_files=False).classes == classes[::-1]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("a,x,s,s|t\nb,x,s,t|s\n", "line 3: classes is 't|s' here, but 's|t' elsewhere"),
        ("a,x,s,s|t\nb,x,s,\n", "line 3: classes is '' here"),
        ("a,x,s,s|t\nb,x,u,s|t\n", "line 3: sample 'b' has the unknown label 'u'"),
        ("a,x,s,s|\n", "line 2: classes is 's|'; put '|' between names"),
        ("a,x,s,s|s\n", "class 's' occurs 2 times"),
    ],
)
def test_bad_classes_column(tmp_path, rows, says):
    path = write(tmp_path, "sample,flow,label,classes\n" + rows, ["x"])
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert says in str(caught.value)


def test_own_files_may_have_the_column(tmp_path):
    path = write(tmp_path, "sample,classes,flow,label\na, sad | happy ,x,1\nb,sad | happy,y,sad\n", ["x", "y"])
    assert read_manifest(path).classes == ("sad", "happy")
    assert [s.label for s in read_manifest(path)] == ["happy", "sad"]
    assert read_manifest(write(tmp_path, "sample,classes,flow,label\na,,x,1\n", ["x"])).classes == EMOTIONS


def test_pictures_that_are_listed_twice_are_told(tmp_path):
    """Under two names a pair counts twice; with two labels, one of them is wrong."""
    files = ["1.png", "2.png", "3.png"]
    rows = "sample,subject,label,onset,apex\na,s,positive,1.png,2.png\nb,s,{},1.png,./{}.png\n"
    found = read_manifest(write(tmp_path, rows.format("positive", 2), files))
    (note,) = [note for note in found.notes if "twice" in note]
    assert "samples that are listed twice count twice: 'a' (line 2) and 'b' (line 3), the same onset and apex." in note
    path = write(tmp_path, rows.format("negative", 2))
    with pytest.raises(
        ManifestError, match=r"'b' \(line 3\) have the same onset and apex, but are labeled positive and"
    ):
        read_manifest(path)
    assert len(read_manifest(write(tmp_path, rows.format("negative", 3)))) == 2
    (tmp_path / "link.png").symlink_to("1.png")
    flow = "sample,label,flow\na,positive,1.png\nb,,link.png\nc,negative,3.png\n"
    assert "'a' (line 2) and 'b' (line 3), the same flow image" in read_manifest(write(tmp_path, flow)).notes[0]


def test_swapped_columns_of_subject_and_label_are_refused(tmp_path):
    text = "sample,label,subject,flow\na,s1,positive,x\nb,s2,Negative,y\n"
    with pytest.raises(ManifestError, match="the columns 'subject' and 'label' may be swapped"):
        read_manifest(write(tmp_path, text, ["x", "y"]))


@pytest.mark.parametrize("name", ["a|b", " a", ""])
def test_class_names_that_cannot_be_written(tmp_path, name):
    with pytest.raises(ManifestError, match="cannot be written; use names without"):
        Manifest((Sample("s"),), (name, "c")).write(tmp_path / "list.csv")
    assert not list(tmp_path.iterdir())


def test_written_paths_lead_through_symbolic_links(tmp_path):
    (tmp_path / "real/deep/out").mkdir(parents=True)
    (tmp_path / "x.png").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real/deep/out")
    Manifest((Sample("a", flow=tmp_path / "x.png"),)).write(tmp_path / "link/list.csv")
    assert read_manifest(tmp_path / "link/list.csv").samples[0].flow.samefile(tmp_path / "x.png")


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "list.csv"
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ManifestError, match=r"list.csv cannot be written: No space left"):
        Manifest((Sample("a"),)).write(path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["list.csv"]
    assert path.read_text() == "old"


def test_subsets_and_invariants():
    samples = tuple(Sample(str(i), subject="s") for i in range(4))
    manifest = Manifest(samples, ("x",), "here", ("lost",))
    part = manifest.subset(np.array([3, 1]))
    assert [s.sample for s in part] == ["3", "1"]
    assert (len(part), part.classes, part.source, part.skipped) == (2, ("x",), "here", ("lost",))
    for indices, says in (([4], "no sample 4"), ([-1], "no sample -1"), ([1, 1], "index 1 is given more than once")):
        with pytest.raises(ManifestError, match=says):
            manifest.subset(indices)
    with pytest.raises(ManifestError, match="sample 'a' occurs 2 times"):
        Manifest((Sample("a"), Sample("a")))
    with pytest.raises(ManifestError, match="label 'hapy', which is not a class. Did you mean 'happy'"):
        Manifest((Sample("a", label="hapy"),), ("happy",))


def test_images_and_splits_come_back(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    samples = (
        Sample("a", "own", "p", "I", image=tmp_path / "a.png", split="train"),
        Sample("b", "own", "q", "II", image=tmp_path / "b.png", split="test"),
    )
    manifest = Manifest(samples, ("I", "II", "III"))
    manifest.write(tmp_path / "m.csv")
    header = (tmp_path / "m.csv").read_text().splitlines()[0]
    assert header == "sample,dataset,subject,label,onset,apex,flow,landmarks,image,split,classes"
    read = read_manifest(tmp_path / "m.csv")
    assert read.samples == samples
    assert read.classes == manifest.classes
    assert [s.sample for s in read.split("test")] == ["b"]
    assert read.split("train").classes == manifest.classes
    with pytest.raises(ManifestError, match=r"no sample has the split 'tset'. Did you mean 'test'"):
        read.split("tset")


def test_subject_in_two_splits_and_unknown_splits_are_refused():
    def manifest(*rows):
        found = enumerate(rows)
        return Manifest(tuple(Sample(f"s{i}", dataset, subject, split=split) for i, (dataset, subject, split) in found))

    manifest(("x", "p", "train"), ("y", "p", "test"), ("", "", "train"), ("", "", "test"), ("x", "p", ""))
    with pytest.raises(ManifestError, match=r"'p' is in two splits: sample 's0' in 'train', sample 's2' in 'val'"):
        manifest(("x", "p", "train"), ("x", "q", "val"), ("x", "p", "val"))
    with pytest.raises(ManifestError, match=r"'s0' has the split 'training'. Did you mean 'train'"):
        manifest(("x", "p", "training"))


def test_clips_come_back(tmp_path):
    (tmp_path / "clips" / "a 1").mkdir(parents=True)
    files = ["1.png", "2.png", "b.avi", "c.safetensors"]
    text = (
        "sample,onset,apex,flow,clip,clip_first,clip_last,motion\n"
        "a,1.png,2.png,,clips/a 1,img8.png,img20.png,\nb,1.png,2.png,,b.avi,0,12,\nc,,,1.png,,,,c.safetensors\n"
    )
    found = read_manifest(write(tmp_path, text, files))
    a, b, c = found
    assert (a.clip, a.clip_first, a.clip_last) == (tmp_path / "clips" / "a 1", "img8.png", "img20.png")
    assert (b.clip, b.clip_first, b.clip_last, b.motion) == (tmp_path / "b.avi", "0", "12", None)
    assert (c.clip, c.clip_first, c.motion) == (None, "", tmp_path / "c.safetensors")
    floats = text.replace(",0,12,", ',0.0,"12,0",')  # as pandas, and a spreadsheet in German, write them
    assert list(read_manifest(write(tmp_path, floats, files))) == list(found)
    (_, thousands, _) = read_manifest(write(tmp_path, text.replace(",0,12,", ',0,"1,000",'), files))
    assert thousands.clip_last == "1,000", "frame 1000 or 1.000: the clip is read neither to frame 1000 nor to 1"
    found.write(tmp_path / "elsewhere" / "again.csv")
    again = read_manifest(tmp_path / "elsewhere" / "again.csv")
    resolved = [os.path.normpath(s.clip) if s.clip else None for s in again]
    assert resolved == [str(s.clip) if s.clip else None for s in found]
    assert [(s.clip_first, s.clip_last) for s in again] == [(s.clip_first, s.clip_last) for s in found]
    (tmp_path / "b.avi").unlink()
    with pytest.raises(ManifestError, match="line 3, clip: .*b.avi"):
        read_manifest(tmp_path / "list.csv")
    with pytest.raises(ManifestError, match="line 2: sample 'a' names frames of a clip, but no clip"):
        read_manifest(write(tmp_path, "sample,flow,clip_last\na,1.png,7\n", ["1.png"]))
    with pytest.raises(ManifestError, match="line 2, onset"):  # only clips may be folders
        read_manifest(write(tmp_path, "sample,onset,apex\na,clips,2.png\n"))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("0", "1", "2"), "0 is negative, 1 is positive, 2 is surprise. If they mean"),
        (("1", "2", "1"), "0 is negative, 1 is positive, 2 is surprise. No sample has the label 0. If they mean"),
        (("0", "1.0", ""), "No sample has the label 2."),
        (("0", "positive", "surprise"), "2 is surprise. If they mean"),
        (("negative", "positive", "surprise"), None),
        (("", "", ""), None),
    ],
)
def test_numbers_as_labels_are_noted_with_their_meaning(labels, said, tmp_path):
    rows = [f"s{i},p{i},{label},a.png" for i, label in enumerate(labels)]
    path = tmp_path / "samples.csv"
    path.write_text("\n".join(["sample,subject,label,flow", *rows, ""]), "utf-8")
    notes = read_manifest(path, check_files=False).notes
    assert len(notes) == (said is not None)
    assert said is None or said in notes[0]
    assert not read_manifest(path, ["negative", "positive", "surprise"], check_files=False).notes
    stated = [f"{row},negative|positive|surprise" for row in rows]
    path.write_text("\n".join(["sample,subject,label,flow,classes", *stated, ""]), "utf-8")
    assert not read_manifest(path, check_files=False).notes
