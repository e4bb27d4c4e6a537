"""Every reader of a known set says which samples differ from what is published, and is silent where none does."""

import csv
import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

from htnet import cli
from htnet.core.errors import ManifestError
from htnet.core.types import EMOTIONS
from htnet.data import (
    DATASETS,
    Manifest,
    Sample,
    merge_composite,
    open_data,
    published,
    read_casme3,
    read_composite,
    read_dataset,
    read_three_norm,
)
from htnet.data.datasets.casme import CASME2_LABELS as CASME2
from htnet.data.datasets.casme3 import LABELS as CASME3
from htnet.data.datasets.samm import LABELS as SAMM
from htnet.data.prepare import Report, read_report
from htnet.data.published import (
    OMITTED,
    RELABELED_2019,
    composite_list,
    differences,
    read_list,
    with_differences,
)
from htnet.evaluation import loso
from tests.support.flows import flow_picture
from tests.support.pairs import save
from tests.support.paths import COMPOSITE, SHARED, needs_shared

EDITED = SHARED / "data" / "casme3" / "cas(me)3_part_A_edited.csv"


@dataclasses.dataclass(frozen=True)
class Row:
    """A sample as a list has it: three is its class of MEGC 2019, own the label of its sheet."""

    sample: str
    dataset: str
    subject: str
    three: str
    own: str

    @property
    def file(self):
        return self.sample.removeprefix(f"{self.subject}_")


def rows_of(name):
    return [Row(k.sample, name.partition("_")[0], k.subject, k.label, own) for k, own in read_list(name)]


def composite_rows():
    return [row for name in ("casme2", "smic", "samm") for row in rows_of(name) if row.sample in composite_list()]


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def sheet(path, rows, columns=("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Estimated Emotion")):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def casme2(root, rows, edition="20140508", **options):
    later = RELABELED_2019 if edition == "20190701" else {}
    cells = []
    for row in rows:
        frames = {"sub04_EP12_01f": (10, "/", 30), "sub05_EP09_05f": (69, 69, 123)}.get(row.sample, (10, 20, 30))
        numbers = {n for n in frames if n != "/"} | {(frames[0] + frames[2]) // 2}
        touch(root / "Cropped" / row.subject / row.file, *(f"reg_img{n}.jpg" for n in numbers))
        cells.append([row.subject[3:], row.file, *frames, later.get(row.sample, row.own or "sadness")])
    sheet(root / f"CASME2-coding-{edition}.csv", cells)
    return read_dataset("casme2", root, **options)


def samm(root, rows, subject=str, **options):
    cells = []
    for row in rows:
        # Both have an apex outside of their clip, and belong to the composite all the same.
        frames = (100, 99 if row.file in ("028_4_1", "032_3_1") else 110, 120)
        touch(root / row.subject / row.file, *(f"{row.subject}_{n:05d}.jpg" for n in (100, 110, 120)))
        cells.append([subject(row.subject), row.file, *frames, row.own or ("Disgust" if row.three else "Other")])
    sheet(root / "SAMM_Micro_FACS_Codes_v2.csv", cells)
    return read_dataset("samm", root, **options)


def smic(root, rows, annotation=None, **options):
    for row in rows:
        subject, (_, code, number) = f"s{int(row.subject[1:])}", row.file.split("_")
        folder = root / "HS" / subject / "micro" / row.three / f"{subject}_{code}_{number}"
        touch(folder, *(f"reg_image{n:06d}.bmp" for n in (7, 8, 9)))
    return read_dataset("smic", root, annotation=annotation, **options)


def edited(root, rows, **options):
    lines = []
    for row in rows:
        subject, film, apex = row.sample.rsplit("_", 2)
        paths = [f"{subject}/{film}/color/{n}.jpg" for n in (int(apex), int(apex) - 1, int(apex) + 1)]
        for path in paths:
            touch((root / path).parent, path.rpartition("/")[2])
        number = {name: i + 1 for i, name in enumerate(CASME3.own)}[row.own]
        lines.append([subject, film, apex, row.own, number, EMOTIONS.index(row.three), *paths])
    columns = ["Subject", "Filename", "Apex", "emotion", "label_for_7", "label_for_3", "imagename_apex"]
    sheet(root / "part_A_edited.csv", lines, [*columns, "imagename_onset", "imagename_apex_offset"])
    return read_casme3(None, root, **options)


def published_folder(root, rows):
    touch(root / "STSNet_whole_norm_u_v_os", *(f"{row.sample} .png" for row in rows))
    cells = [[row.dataset, row.subject, row.file, EMOTIONS.index(row.three)] for row in rows]
    sheet(root / "combined_3_class2_for_optical_flow.csv", cells, ["dataset", "sub", "filename_o", "label"])
    return root


def three_norm(root, rows):
    for row in rows:
        part = "u_test" if row.subject == "s05" else "u_train"
        touch(root / "s05" / part / str(EMOTIONS.index(row.three)), f"{row.sample} .png")
    train, test = read_three_norm(root, "s05")
    assert train.notes == test.notes
    return train


def own_manifest(root, rows, spelled=str):
    root.mkdir(parents=True)
    touch(root, *(f"{k}.png" for k in range(len(rows))))
    samples = tuple(
        Sample(r.sample, spelled(r.dataset), r.subject, r.three, flow=root / f"{k}.png") for k, r in enumerate(rows)
    )
    Manifest(samples).write(root / "manifest.csv")
    return open_data(root)


def merged(root, rows):
    parts = {"casme2": casme2, "samm": samm, "smic": smic}
    return merge_composite(
        **{name: build(root / name, [r for r in rows if r.dataset == name]) for name, build in parts.items()}
    )


def own_classes(build):
    return lambda root, rows: build(root, rows, classes="own")


#: As people write the names of data sets in manifests of their own.
SPELLED = {"casme2": "CASME II", "smic": "SMIC-HS", "samm": "SAMM"}


def labeled(rows):
    return [row for row in rows if row.three]


#: Reader of a set whose list is published: (the list, what builds a copy of it and reads that).
READERS = {
    "casme2": ("casme2", casme2),
    "casme2, own": ("casme2", own_classes(casme2)),
    "samm": ("samm", samm),
    "samm, own": ("samm", own_classes(samm)),
    "smic": ("smic", smic),
    "read_casme3": ("casme3_edited", edited),
    "read_casme3, 7": ("casme3_edited", lambda root, rows: edited(root, rows, label="label_for_7")),
    "casme3, edited": ("casme3_edited", lambda root, rows: (edited(root, rows), read_dataset("casme3", root))[1]),
    "merge_composite": ("composite", merged),
    "read_composite": ("composite", lambda root, rows: read_composite(published_folder(root, rows))),
    "open_data, composite": ("composite", lambda root, rows: open_data(published_folder(root, rows))),
    "read_three_norm": ("composite", three_norm),
    "open_data, manifest": ("composite", own_manifest),
    "open_data, other spellings": ("composite", lambda root, rows: own_manifest(root, rows, SPELLED.__getitem__)),
    "open_data, CASME II": ("casme2", lambda root, rows: own_manifest(root, labeled(rows), SPELLED.__getitem__)),
}


def listed(name):
    return composite_rows() if name == "composite" else rows_of(name)


def about(manifest):
    assert set(manifest.differences) <= set(manifest.notes)
    return list(manifest.differences)


@pytest.mark.parametrize("reader", READERS)
def test_the_published_list_goes_without_a_word(tmp_path, reader):
    name, read = READERS[reader]
    assert about(read(tmp_path / "x", listed(name))) == []


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_every_sample_gained_lost_or_relabeled_is_named(tmp_path, reader):
    """One is taken out, one has another label, one is new: each is named, by every reader."""
    name, read = READERS[reader]
    rows = listed(name)
    taken = [row for row in rows if row.three and row.own]
    lost, other = taken[3], taken[60]
    labels = {
        "negative": ("surprise", "surprise"),
        "positive": ("surprise", "surprise"),
        "surprise": ("positive", None),
    }
    three, own = labels[other.three]
    happy = {"casme3": "happy", "smic": "positive"}.get(other.dataset, "happiness")
    changed = dataclasses.replace(other, three=three, own=own or happy)
    code = {"negative": "ne", "positive": "po", "surprise": "sur"}[lost.three]
    stem = {"casme2": "EP99_01", "samm": f"{lost.subject}_9_9", "smic": f"{lost.subject}_{code}_99", "casme3": "z_900"}
    new = dataclasses.replace(lost, sample=f"{lost.subject}_{stem[lost.dataset]}")
    kept = [row for row in rows if row not in (lost, other)]
    relabels = other.dataset != "smic"  # the name of a clip says its label there
    found = read(tmp_path / "x", [*kept, changed if relabels else other, new])
    notes, told = found.notes, [note for note in found.notes if note.startswith("Published ")]
    assert any(note in told and lost.sample in note and "1 missing here" in note for note in notes)
    assert any(new.sample in note and "not in " in note for note in notes)
    if relabels:
        (note,) = [note for note in notes if f"{other.sample} (" in note]
        assert note in told
        assert "1 labeled differently" in note
    assert not any(row.sample in note for note in told for row in kept if row.sample not in OMITTED)


@pytest.mark.slow
@pytest.mark.parametrize("edition", ["20140508", "20190701"])
@pytest.mark.parametrize("subject", [str, int], ids=["006", "6"])
@pytest.mark.parametrize("sheet_of_smic", ["none", "without apexes"])
def test_the_composite_is_the_published_one_from_either_edition(tmp_path, edition, subject, sheet_of_smic):
    annotation = None
    if sheet_of_smic != "none":
        annotation = tmp_path / "smic.csv"
        sheet(
            annotation,
            [[row.subject, row.file, row.three] for row in rows_of("smic")],
            ["Subject", "Filename", "Emotion"],
        )
    parts = {
        "casme2": casme2(tmp_path / "casme2", rows_of("casme2"), edition),
        "samm": samm(tmp_path / "samm", rows_of("samm"), subject),
        "smic": smic(tmp_path / "smic", rows_of("smic"), annotation),
    }
    found = merge_composite(**parts)
    wanted = {(row.sample, row.dataset, row.subject, row.three) for row in composite_rows()}
    assert {(s.sample, s.dataset, s.subject, s.label) for s in found} == wanted
    assert (len(found), len(found.subjects)) == (442, 68)
    assert Counter(s.label for s in found) == {"negative": 250, "positive": 109, "surprise": 83}
    assert about(found) == []
    assert {s for s in found.middle_apex if not s.startswith("s")} == {"028_028_4_1", "032_032_3_1"}
    for name in OMITTED:
        assert (name, "negative (not in the composite)") in found.excluded
        assert any(note.startswith(f"{name} is left out") for note in found.notes)
    of_2019 = [note for note in found.notes if "edition of 2019" in note]
    labels = dict(found.excluded)
    if edition == "20190701":
        assert all(name in of_2019[0] and labels[name] == "surprise (not in the composite)" for name in RELABELED_2019)
        (note,) = about(parts["casme2"])
        assert all(name in note for name in RELABELED_2019)
        assert len(parts["casme2"]) == 150
    else:
        assert of_2019 == []
        assert all(labels[name] == "sadness" for name in RELABELED_2019)
        assert len(parts["casme2"]) == 147


def test_a_row_of_a_derived_list_is_left_out_by_name(tmp_path):
    """sub24_EP02_07 is in one derived list and in no sheet; nothing that the published list lacks gets in."""
    derived = [*rows_of("casme2"), Row("sub24_EP02_07", "casme2", "sub24", "negative", "disgust")]
    parts = {"samm": samm(tmp_path / "a", rows_of("samm")), "smic": smic(tmp_path / "b", rows_of("smic"))}
    found = merge_composite(casme2(tmp_path / "c", derived), **parts)
    assert len(found) == 442
    assert any("sub24_EP02_07" in note and "not in the published list" in note for note in found.notes)


def mmew(root, count):
    files = [f"S{i % 30 + 1:02d}-{i:02d}-001" for i in range(count)]
    for name in files:
        touch(root / "Micro_Expression" / "happiness" / name, "1.jpg", "2.jpg", "3.jpg")
    sheet(root / "MMEW_Micro_Exp.csv", [[name[1:3], name, 1, 2, 3, "happiness"] for name in files])
    return files


def casme3(root, count):
    rows = [(f"spNO.{i % 88 + 1}", f"f{i}") for i in range(count)]
    for subject, film in rows:
        touch(root / subject / film / "color", "5.jpg", "6.jpg", "7.jpg")
    cells = [[subject, film, 5, 6, 7, "happy"] for subject, film in rows]
    sheet(root / "cas(me)3_part_A_v2.csv", cells, ["Subject", "Filename", "Onset", "Apex", "Offset", "emotion"])
    return [f"{subject}_{film}_6" for subject, film in rows]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "build", "count"), [("mmew", mmew, 234), ("casme3", casme3, 699)])
def test_a_set_whose_size_alone_is_published(tmp_path, name, build, count):
    build(tmp_path, count)
    whole = read_dataset(name, tmp_path)
    assert about(whole) == []
    lost = whole.samples[5]
    lost.apex.unlink()
    (note,) = about(read_dataset(name, tmp_path, missing="skip"))
    assert f"{count} samples" in note
    assert f"here: {count - 1}, of" in note
    assert lost.sample in note


def prepared(manifest, folder):
    """The folder that `htnet prepare` would make of a manifest, without its files."""
    samples = tuple(
        Sample(s.sample, s.dataset, s.subject, s.label, flow=folder / f"{k}.png") for k, s in enumerate(manifest)
    )
    kept = dataclasses.replace(manifest, samples=samples)
    touch(folder, *(f"{k}.png" for k in range(len(samples))))
    kept.write(folder / "manifest.csv")
    content = json.dumps(Report.of(manifest, kept, {}).to_dict())
    (folder / "report.json").write_text(content)
    return folder


def test_a_prepared_folder_is_compared_with_the_list_that_its_reader_compared_with(tmp_path):
    """The samples of the edited list, read from a sheet, are no whole official set, and the other way round."""
    rows = rows_of("casme3_edited")
    from_list = edited(tmp_path / "edited", rows)
    assert about(from_list) == about(open_data(prepared(from_list, tmp_path / "a"))) == []
    as_sheet = with_differences(from_list, ("casme3",))
    (note,) = about(as_sheet)
    assert "official sheet v2, three classes: 699 samples of 88 people; here: 687" in note
    folder = prepared(as_sheet, tmp_path / "b")
    report = read_report(folder)
    assert (report.compared_with, report.differences) == (("casme3",), (note,))
    found = open_data(folder)
    assert (about(found), found.compared_with) == ([note], ("casme3",))
    assert with_differences(found) == found, "what loso and train do"
    assert about(with_differences(found.subset(range(600))))[0].count("here: 600") == 1
    others = dataclasses.replace(found, samples=(Sample("006_006_1_2", "samm", "006", "negative"),))
    assert "list of SAMM" in about(with_differences(others))[0], "of other samples it says nothing"


def test_what_only_the_annotation_can_tell_is_kept(tmp_path):
    casme(tmp_path / "part", 189)
    found = read_dataset("casme", tmp_path / "part")
    assert len(about(found)) == 1
    assert about(open_data(prepared(found, tmp_path / "out"))) == about(found) == about(with_differences(found))


def casme(root, count):
    for i in range(count):
        touch(root / f"sub{i % 19 + 1:02d}" / f"EP01_{i}", *(f"EP01_{i}-{n}.jpg" for n in (5, 6, 7)))
    cells = [[i % 19 + 1, f"EP01_{i}", 5, 6, 7, "tense" if i % 2 else "happiness"] for i in range(count)]
    sheet(root / "CASME.csv", cells, ["Subject", "Filename", "OnsetF", "ApexF1", "OffsetF", "Emotion"])


def test_a_set_of_whose_rows_the_number_is_published(tmp_path):
    """Rows whose label has no class count too."""
    casme(tmp_path / "whole", 195)
    casme(tmp_path / "part", 189)
    assert about(read_dataset("casme", tmp_path / "whole")) == []
    (note,) = about(read_dataset("casme", tmp_path / "part"))
    assert "195 samples; annotated here: 189, of which read: 95, of 19 people" in note


def test_another_person_is_named():
    (one, *others) = rows_of("samm")[:40]
    samples = [
        Sample(r.sample, "samm", r.subject, r.three or None) for r in (dataclasses.replace(one, subject="ann"), *others)
    ]
    found = differences(Manifest(tuple(samples), classes=EMOTIONS))
    assert any(f"1 of a different person: {one.sample} ({one.subject} there, ann here)" in note for note in found)


@pytest.mark.parametrize("samples", [(), (Sample("a", "samm", "p", "negative"), Sample("b", "own", "p", "negative"))])
def test_sets_that_are_not_known_go_without_a_word(samples):
    assert differences(Manifest(samples)) == ()


def test_notes_on_differences_are_made_once():
    manifest = Manifest((Sample("006_006_1_2", "samm", "006", "negative"),), notes=("kept",))
    once = with_differences(manifest)
    assert once.notes[0] == "kept"
    assert len(once.notes) == 2
    assert with_differences(once) == once


def test_labels_of_the_lists_are_those_of_the_readers():
    """The two columns of labels must agree with the class maps of the readers."""
    for name, labels in (("casme2", CASME2), ("casme3_edited", CASME3), ("samm", SAMM)):
        for row in rows_of(name):
            if row.own:
                assert labels.of(row.own, "3", "here") == (row.three or None), row
    assert all(row.own == row.three for row in rows_of("smic"))
    assert {name: len(read_list(name)) for name in ("casme2", "samm", "smic", "casme3_edited")} == {
        "casme2": 255, "samm": 159, "smic": 164, "casme3_edited": 687,
    }  # fmt: skip
    assert set(OMITTED) | set(RELABELED_2019) <= {row.sample for row in rows_of("casme2")}


@needs_shared
def test_the_lists_are_the_published_ones():
    with (COMPOSITE / "combined_3_class2_for_optical_flow.csv").open(newline="") as file:
        wanted = {
            (f"{row['sub']}_{row['filename_o']}", row["dataset"], row["sub"], EMOTIONS[int(row["label"])])
            for row in csv.DictReader(file)
        }
    assert {(row.sample, row.dataset, row.subject, row.three) for row in composite_rows()} == wanted
    with EDITED.open(encoding="utf-8-sig", newline="") as file:
        wanted = {
            (f"{row['Subject']}_{row['Filename']}_{row['Apex']}", row["Subject"], EMOTIONS[int(row["label_for_3"])],
             row["emotion"]) for row in csv.DictReader(file)
        }  # fmt: skip
    assert {(row.sample, row.subject, row.three, row.own) for row in rows_of("casme3_edited")} == wanted


def test_a_sheet_of_smic_that_says_another_label_is_refused(tmp_path):
    rows = rows_of("smic")[:2]
    sheet(tmp_path / "smic.csv", [[rows[0].file, "surprise"]], ["Filename", "Emotion"])
    with pytest.raises(ManifestError, match="is negative by its name, not surprise"):
        smic(tmp_path / "smic", rows, tmp_path / "smic.csv")


@pytest.fixture
def deviating(tmp_path):
    """A few samples of SAMM as flow images, one of them with another label; one has the middle frame for its apex."""
    rows = [row for row in rows_of("samm") if row.three][:5]
    samples = []
    for i, row in enumerate(rows):
        path = save(tmp_path / "set" / f"{i}.png", flow_picture(i % 3, np.random.default_rng(i)))
        label = "surprise" if i == 1 else row.three
        samples.append(Sample(row.sample, "samm", f"{i % 2}", label, flow=path, apex_source="middle" if i == 2 else ""))
    Manifest(tuple(samples)).write(tmp_path / "set" / "manifest.csv")
    (tmp_path / "set" / "report.json").write_text(
        json.dumps(
            {"notes": ["told by the reader", "stale"], "published": {"compared_with": [], "differences": ["stale"]}}
        )
    )
    return tmp_path / "set", rows


@pytest.mark.parametrize("command", ["loso", "train", "library"])
def test_commands_tell_what_differs_and_which_apexes_were_replaced(deviating, tmp_path, capsys, command):
    root, rows = deviating
    out = tmp_path / "out"
    if command == "library":
        result = loso(root, "htnet_tiny", out=out, progress=False, recipe=cli_recipe())
        assert result.summary["middle_apex"] == {"count": 1, "samples": [rows[2].sample]}
        said = "\n".join(result.summary["notes"])
    else:
        words = [command, "--data", root, "--model", "htnet_tiny", "--epochs", "1", "--out", out]
        assert cli.main([*map(str, words), *(["--workers", "1"] if command == "loso" else [])]) == 0
        said = "\n".join(capsys.readouterr())
        assert said.count("told by the reader") == 1
        assert said.count(f"{rows[1].sample} (negative there") == 1
        assert f"1 apex is not annotated or impossible; the middle frame of the clip was used: {rows[2].sample}" in said
    assert "told by the reader" in said
    assert "stale" not in said
    assert f"{rows[1].sample} (negative there, surprise here)" in said
    # on the screen the first names and their number, in what is saved all of them
    assert "128 missing here: " in said
    assert ("033_033_1_3" in said) == (command == "library")
    assert (", ... (128 in all)." in said) == (command != "library")
    if command != "train":
        with (out / "predictions.csv").open(newline="") as file:
            marked = {row["sample"]: row["apex_source"] for row in csv.DictReader(file)}
        assert marked == {row.sample: "middle" if i == 2 else "" for i, row in enumerate(rows)}
        saved = json.loads((out / "summary.json").read_text())["notes"]
    else:
        saved = json.loads((out / "config.json").read_text())["training"]["notes"]
    assert "told by the reader" in saved
    assert any("033_033_1_3" in note for note in saved), "missing here"


def cli_recipe():
    from htnet.training import get_recipe

    return get_recipe("default", epochs=1)


def test_every_set_with_a_reader_has_something_published_or_is_told_to_have_not():
    """A new reader must say what is published of its set, or stand here."""
    assert set(DATASETS) <= set(published._LISTED) | set(published._SIZES) | set(published.UNKNOWN_SIZE)
