"""A person is never on both sides: not through spelling, not through where a name was looked for."""

import csv
import json
import os
import re
from functools import partial

import cv2
import numpy as np
import pytest

from htnet import cli
from htnet.core.errors import InputError, ManifestError
from htnet.core.identity import check_groups, check_identities, dataset_key, is_named, person_key
from htnet.data import (
    Manifest,
    Sample,
    hold_out_subjects,
    leave_one_dataset_out,
    leave_one_subject_out,
    open_data,
    read_manifest,
    read_three_norm,
)
from htnet.data.reader import refuse_shared_pictures
from htnet.evaluation.bootstrap import draw_groups
from htnet.evaluation.confidence import LeftOut, intervals_of
from tests.support.flows import write_flow_set
from tests.support.paths import COMPOSITE, needs_shared
from tests.support.wings import with_wings

#: Spellings of one person.
ALIKE = [
    ("sub1", "sub01"),
    ("sub01", "Sub-01"),
    ("sub1", "SUB 1"),
    ("sub1", "sub_1"),
    ("6", "006"),
    ("006", "6.0"),
    ("anna", "Anna"),
    ("an na", "an\u00a0na"),
    ("anna", "an\u200bna"),
    ("\uff53\uff11", "s1"),
    ("Jose\u0301", "Jos\u00e9"),
    ("P07-1", "p7_01"),
    ("P(1)", "p#1"),
    ("o'brien", "O\u2019Brien"),
    ("Doe, Jane", "doe jane"),
    ("I\u015e\u0131L", "\u0131\u015fIl"),
    ("\u0141ukasz", "Lukasz"),
    ("\u00d8ster", "Oster"),
    ("6,0", "6"),
]
#: Names that may be one person's.
MAY_BE_ONE = [
    ("M\u00fcller", "Mueller"),
    ("\u00d8ster", "Oester"),
    ("Smith, Anna", "Anna Smith"),
    ("anna smith", "SMITH ANNA"),
    ("sub1", "s1"),
    ("s01", "1"),
    ("P7", "patient 07"),
]
#: Names of two people.
APART = [("1-11", "11-1"), ("s1-1", "s11"), ("sub1", "sub10"), ("anna", "anne"), ("p1a", "p1b"), ("10", "1")]
APART += [("P1", "S1"), ("sub1", "s2"), ("Michael", "Michal"), ("Anna Smith", "Anna Smit"), ("0", "1"), ("c1", "1")]
SETS_ALIKE = [("CASME II", "casme2"), ("CASME2", "CASME-II"), ("CAS(ME)^3", "casme3"), ("SAMM", "samm")]
SETS_APART = [("casme2", "CAS(ME)^2"), ("casme", "casme2"), ("casme2", "casme3"), ("CASME II", "CASME III")]


@pytest.mark.parametrize(
    ("one", "two", "alike"),
    [
        ("1.2.26", "01.02.2026", True),
        ("2026-02-01", "2026-02-01 00:00:00", True),
        ("2026-02-01", "1.2.2026", True),
        ("2026/2/1 0:00", "2026-02-01", True),
        ("2/1/26", "02/01/2026", True),
        ("2026-02-01", "2.1.2026", False),
        ("1.2.2026", "1.2.1926", False),
        ("1/2/2026", "2/1/2026", False),
    ],
)
def test_a_date_in_two_forms_may_be_one_person(one, two, alike, tmp_path):
    path = write_manifest(tmp_path, [one, "x", two, "y"])
    if alike:
        said = refusal(lambda: leave_one_subject_out(read_manifest(path)))
        assert repr(one) in said
        assert repr(two) in said
    else:
        assert len(leave_one_subject_out(read_manifest(path))) == 4


def samples(*subjects, datasets=None, **fields):
    datasets = datasets or ["d"] * len(subjects)
    return tuple(
        Sample(f"n{i}", dataset, subject, ("negative", "positive")[i % 2], **fields)
        for i, (dataset, subject) in enumerate(zip(datasets, subjects, strict=True))
    )


def write_manifest(folder, subjects, datasets=None):
    """Flow images of their own for each sample."""
    folder.mkdir(parents=True, exist_ok=True)
    datasets = datasets or ["d"] * len(subjects)
    lines = ["sample,dataset,subject,label,flow"]
    for i, (dataset, subject) in enumerate(zip(datasets, subjects, strict=True)):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((28, 28, 3), 10 * i, np.uint8))
        lines.append(f'n{i},"{dataset}","{subject}",{i % 3},{i}.png')
    (folder / "m.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder / "m.csv"


def of_command(*words):
    """What a command says where it refuses."""

    def door(tmp_path, one, two, capsys):
        path = write_manifest(tmp_path, [one, "x", two, "y"])
        places = {"MANIFEST": path, "OUT": tmp_path / "out", "TABLE": tmp_path / "out.csv"}
        assert cli.main([str(places.get(word, word)) for word in words]) == 2
        return capsys.readouterr().err

    return door


def refusal(function):
    with pytest.raises((ManifestError, InputError)) as caught:
        function()
    return str(caught.value)


def save(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))


def composite(tmp_path, one, two, capsys):
    images = tmp_path / "STSNet_whole_norm_u_v_os"
    lines = ["dataset,sub,filename_o,label"]
    for i, who in enumerate((one, "x", two)):
        save(images / f"{who}_a{i}.png")
        lines.append(f'samm,"{who}",a{i},{i}')
    (tmp_path / "combined_3_class2_for_optical_flow.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return refusal(lambda: open_data(tmp_path))


#: Everything that takes people from outside, and must not take one for two.
DOORS = {
    "Manifest": lambda tmp_path, one, two, capsys: refusal(lambda: Manifest(samples(one, "x", two))),
    "read_manifest": lambda tmp_path, one, two, capsys: refusal(
        lambda: read_manifest(write_manifest(tmp_path, [one, "x", two]))
    ),
    "bootstrap": lambda tmp_path, one, two, capsys: refusal(lambda: draw_groups([("d", one), ("d", "x"), ("d", two)])),
    "bootstrap of names": lambda tmp_path, one, two, capsys: refusal(lambda: draw_groups([one, "x", two])),
    "read_composite": composite,
    "htnet loso": of_command("loso", "--data", "MANIFEST", "--out", "OUT"),
    "htnet lodo": of_command("lodo", "--data", "MANIFEST", "--out", "OUT"),
    "htnet train": of_command("train", "--data", "MANIFEST", "--out", "OUT"),
    "htnet prepare manifest": of_command("prepare", "manifest", "--root", "MANIFEST", "--out", "OUT"),
    "htnet predict --manifest": of_command("predict", "--manifest", "MANIFEST", "--out", "TABLE"),
}
DOORS = with_wings("identity", "DOORS", DOORS)
#: Functions of the wings that split a manifest.
SPLITS = with_wings("identity", "SPLITS", ())


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@pytest.mark.parametrize(("one", "two"), ALIKE + MAY_BE_ONE)
def test_one_person_in_two_spellings_is_refused_everywhere(door, one, two, tmp_path, capsys):
    said = door(tmp_path, one, two, capsys)
    readers = one.strip(), two.strip()  # readers strip blanks at the ends
    assert any(repr(name) in said for name in (one, readers[0])), said
    assert any(repr(name) in said for name in (two, readers[1])), said
    assert re.search("(?i)use one spelling|write them alike", said), said


def test_who_is_one_and_who_is_two():
    for one, two in ALIKE:
        assert person_key(one) == person_key(two), (one, two)
    for one, two in APART:
        assert person_key(one) != person_key(two), (one, two)
        Manifest(samples(one, two))
    for one, two in SETS_ALIKE:
        assert dataset_key(one) == dataset_key(two), (one, two)
        with pytest.raises(ManifestError, match="differ only in spelling"):
            Manifest(samples("a", "b", datasets=[one, two]))
    for one, two in SETS_APART:
        assert dataset_key(one) != dataset_key(two), (one, two)
        Manifest(samples("a", "a", datasets=[one, two]))


@pytest.mark.parametrize(("one", "two"), MAY_BE_ONE)
def test_names_that_may_be_one_are_two_keys_but_refused_within_a_set(one, two):
    assert person_key(one) != person_key(two)
    Manifest(samples(one, two, datasets=["a", "b"]))
    with pytest.raises(ManifestError, match="may be the same person"):
        Manifest(samples(one, "x", two))


def test_the_subject_0_stands_beside_numbers_only():
    Manifest(samples("0", "1", "007"))
    with pytest.raises(ManifestError, match=r"'0' \(sample 'n1'\) may mean.*unknown.*'sub07'.*Leave it empty"):
        Manifest(samples("sub07", "0", "sub08"))


def test_sets_of_the_same_people_and_people_with_and_without_a_set_are_refused():
    with pytest.raises(ManifestError, match=r"'samm' .* and 'SAMM-LV' .* show the same people"):
        Manifest(samples("006", "006", datasets=["samm", "SAMM-LV"]))
    with pytest.raises(ManifestError, match="one names a data set, the other does not"):
        Manifest(samples("006", "6", datasets=["samm", ""]))


@pytest.mark.parametrize(
    "nobody",
    ["", " ", "nan", "None", "unknown", "?", "-", "N/A", "NA", "n.a.", "unk", "Missing", "undefined", "anonymous"],
)
def test_samples_without_subject_are_never_people(nobody):
    manifest = Manifest(samples("a", nobody, "b", nobody))
    assert not is_named(nobody)
    assert manifest.subjects == [("d", "a"), ("d", "b")]
    for split in (
        leave_one_subject_out,
        lambda m: hold_out_subjects(m, range(4), 0.5, 0),
        *SPLITS,
        lambda m: Manifest(
            tuple(Sample(s.sample, s.dataset, s.subject, split=x) for s, x in zip(m, TWO, strict=True))
        ).split("test"),
    ):
        with pytest.raises(ManifestError, match=r"2 samples \('n1', 'n3'\) without subject. Fill the column 'subject'"):
            split(manifest)


TWO = ("train", "test", "train", "test")


def test_no_intervals_over_people_that_are_not_known():
    seed = LeftOut(np.array([0, 1]), np.eye(2), ["d", "e"], [("d", "a"), None])
    assert set(intervals_of([seed], 2)) == {"what"}
    assert "1 of 2 samples have no subject" in intervals_of([seed], 2)["what"]


def test_a_slash_separates():
    assert person_key("p1/2") == person_key("P1-2") != person_key("p12")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_to_a_file_is_the_file(link, tmp_path):
    (tmp_path / "f").touch()
    link(tmp_path / "f", tmp_path / "g")
    manifest = Manifest(
        tuple(Sample(s.sample, s.dataset, s.subject, flow=tmp_path / s.subject) for s in samples("f", "g"))
    )
    with pytest.raises(ManifestError, match="both have the file"):
        leave_one_subject_out(manifest)


@pytest.mark.parametrize("field", ["onset", "apex", "flow", "image", "motion", "clip"])
def test_one_file_of_two_people_is_refused_by_every_split(field, tmp_path):
    def manifest(datasets):
        found = samples("a", "b", "c", "a", datasets=datasets)
        files = [tmp_path / "x" / ".." / "f", tmp_path / "f", tmp_path / "g", tmp_path / "x" / ".." / "f"]
        return Manifest(
            tuple(
                Sample(s.sample, s.dataset, s.subject, s.label, split=x, **{field: f})
                for s, f, x in zip(found, files, ("train", "test", "test", "train"), strict=True)
            )
        )

    one, two = manifest(["d"] * 4), manifest(["d", "e", "e", "d"])
    for split in (
        lambda: leave_one_subject_out(one),
        lambda: hold_out_subjects(one, range(4), 0.5, 0),
        *(partial(split, one) for split in SPLITS),
        lambda: one.split("test"),
        lambda: leave_one_dataset_out(two),
    ):
        with pytest.raises(ManifestError, match=r"'n0' \(subject 'a'.*'n1' \(subject 'b'.*have the file"):
            split()


@pytest.mark.parametrize("field", ["onset", "apex", "flow", "image", "motion", "clip"])
def test_a_copy_of_a_file_is_the_file_to_every_split(field, tmp_path):
    """Bytes decide, not names; files of one size and of one beginning are two files."""
    beginning = bytes(70000)
    for name, end in (("f", b"1"), ("copy", b"1"), ("g", b"2"), ("same", b"2"), ("h", b"3")):
        (tmp_path / name).write_bytes(beginning + end)

    def manifest(files, datasets=("d",) * 4):
        found = samples("a", "b", "c", "a", datasets=datasets)
        return Manifest(
            tuple(
                Sample(s.sample, s.dataset, s.subject, s.label, split=x, **{field: tmp_path / f})
                for s, f, x in zip(found, files, ("train", "test", "test", "train"), strict=True)
            )
        )

    splits = (
        lambda files: leave_one_subject_out(manifest(files)),
        lambda files: hold_out_subjects(manifest(files), range(4), 0.5, 0),
        *(lambda files, split=split: split(manifest(files)) for split in SPLITS),
        lambda files: manifest(files).split("test"),
        lambda files: leave_one_dataset_out(manifest(files, ["d", "e", "e", "d"])),
    )
    for split in splits:
        one, two = (["same", "g", "h", "f"], "01") if split is splits[-1] else (["f", "g", "same", "f"], "12")
        with pytest.raises(ManifestError, match=rf"'n{two[0]}' .*'n{two[1]}' .*are equal, byte for byte"):
            split(one)
        split(["f", "g", "h", "copy"])  # n0 and n3 show one person


@pytest.mark.parametrize("command", ["loso", "lodo"])
@pytest.mark.parametrize("stored", ["copied", "compressed otherwise"])
def test_one_picture_under_two_people_is_refused_by_every_evaluation(command, stored, tmp_path, capsys):
    write_flow_set(tmp_path, subjects=2, per_subject=2, datasets=("a", "b"))
    first, last = (tmp_path / "flow" / f"{name}.png" for name in ("a_0_0", "b_1_1"))
    level = [cv2.IMWRITE_PNG_COMPRESSION, 0] if stored != "copied" else []
    assert cv2.imwrite(str(last), cv2.imread(str(first)), level)
    assert (first.read_bytes() == last.read_bytes()) is (stored == "copied")
    words = [command, "--data", tmp_path, "--out", tmp_path / "out", "--epochs", 1]
    assert cli.main(list(map(str, words))) == 2
    said = capsys.readouterr().err
    assert "the samples 'a_0_0' (subject 's0' of 'a') and 'b_1_1' (subject 's1' of 'b') both have the same" in said
    assert "Correct the subject or the files, or delete one of them." in said
    assert not (tmp_path / "out").exists()


@needs_shared
def test_no_published_picture_is_of_two_people():
    manifest = open_data(COMPOSITE)
    leave_one_subject_out(manifest)
    refuse_shared_pictures(manifest, [cv2.imread(str(sample.flow)) for sample in manifest])


def test_three_norm_knows_its_subject_in_any_spelling(tmp_path):
    save(tmp_path / "006" / "u_test" / "0" / "006_1_2 .png")
    save(tmp_path / "006" / "u_train" / "1" / "007_1_2 .png")
    train, test = read_three_norm(tmp_path, "006")
    assert (train.subjects, test.subjects) == ([("", "007")], [("", "006")])
    save(tmp_path / "006" / "u_train" / "1" / "6_9_9 .png")
    with pytest.raises(ManifestError, match="'6_9_9', which according to its name shows the subject '6'"):
        read_three_norm(tmp_path, "006")
    (tmp_path / "006" / "u_train" / "1" / "6_9_9 .png").unlink()
    save(tmp_path / "006" / "u_test" / "0" / "008_1 .png")
    with pytest.raises(ManifestError, match="shows the subject '008', but it is in the folder"):
        read_three_norm(tmp_path, "006")


@needs_shared
def test_all_published_names_begin_with_the_subject():
    """What `read_three_norm` relies on, looked up in the published list: 442 of 442 names."""
    with (COMPOSITE / "combined_3_class2_for_optical_flow.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 442
    for row in rows:
        name = f"{row['sub']}_{row['filename_o']}"
        assert name.partition("_")[0] == row["sub"]
    assert len({(row["dataset"], person_key(row["sub"])) for row in rows}) == 68


def test_reports_say_where_identities_are_from(tmp_path, capsys):
    from tests.support.pairs import pair_manifest

    pair_manifest(tmp_path / "in", 4)
    words = ["prepare", "manifest", "--root", tmp_path / "in", "--out", tmp_path / "out", "--flow", "dis"]
    assert cli.main([str(w) for w in (*words, "--landmarks", "template")]) == 0
    out = capsys.readouterr().out
    assert "people: " in out
    assert "from the column 'subject' of" in out
    found = json.loads((tmp_path / "out" / "report.json").read_text())["identities"]
    assert found["from"].startswith("the column 'subject' of")
    assert found["people"] == len(found["table"])
    assert sum(row["samples"] for row in found["table"]) + found["samples_without_subject"] == 4
    assert set(found["samples_a_person"]) == {"min", "median", "max"}


@pytest.mark.parametrize("name", ["1.23457E+11", "1,23457E+11", "1.23457e+11", "4E+15", " 1.2E+100 "])
def test_rounded_numbers_are_nobody(name):
    """Spreadsheet programs show long numbers so, and write them so to CSV files."""
    people = [Sample("a", label="x", subject=name), Sample("b", label="x", subject="P2")]
    with pytest.raises(ManifestError, match=r"has rounded: several people may have it\. Format the column as text"):
        check_identities(people, "list")
    for group in (name, ("casme2", name)):
        with pytest.raises(InputError, match="has rounded"):
            check_groups([group, "P2"])


@pytest.mark.parametrize("name", ["1E5", "E+11", "12E+1", "123457000000", "P1.2E+10", "2.5E-05"])
def test_other_codes_are_people(name):
    check_identities([Sample("a", label="x", subject=name)], "list")
    check_groups([name, "P2"])
