"""A pair that shows no expression is never a labeled sample in silence: every reader, every command, every rule."""

import csv
import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from htnet import Predictor, cli
from htnet.core.errors import HtnetError, ManifestError
from htnet.data import (
    Manifest,
    Sample,
    open_data,
    read_casme3,
    read_composite,
    read_dataset,
    read_manifest,
    read_three_norm,
)
from htnet.data.corrections import CORRECTIONS
from htnet.data.prepare import prepare, read_report
from htnet.evaluation import loso
from htnet.preprocess import TemplateLandmarks
from htnet.training import load_flow_set
from tests.data import official
from tests.support.flows import flow_picture
from tests.support.pairs import QUICK, face, face_pair, save, tiny_model


def subjects(kind):
    """What a row's subject and file name look like."""
    return {
        "casme2": (1, "EP02_01f", "happiness"),
        "samm": (6, "006_1_2", "Happiness"),
        "casme3": ("spNO.1", "b", "happy"),
        "mmew": (1, "S01-01-001", "happiness"),
        "fourdme": ("s01", "clip1", "Positive"),
    }[kind]


def official_row(kind):
    """Reads one row of an official sheet, with frames of all numbers from 1 to 40."""

    def read(root, onset, apex, offset, **options):
        subject, name, emotion = subjects(kind)
        build = getattr(official, kind)
        build(root, [(subject, name, 1, 20, 40, emotion)])  # the tree
        (folder,) = {p.parent for p in root.rglob("*.jpg") if "Macro" not in str(p)}
        pattern = {"casme2": "reg_img{}.jpg", "samm": "006_{:05d}.jpg"}.get(kind, "{}.jpg")
        official.frames(folder, pattern, range(1, 41))
        (sheet,) = root.glob("*.xlsx")
        sheet.unlink()
        kept = official.frames
        official.frames = lambda *args: None  # the sheet alone
        try:
            build(root, [(subject, name, onset, apex, offset, emotion)])
        finally:
            official.frames = kept
        return read_dataset("4dme" if kind == "fourdme" else kind, root, **options)

    return read


def smic_row(root, onset, apex, offset, **options):
    official.frames(root / "HS/s1/micro/positive/s1_po_01", "image{:03d}.jpg", range(1, 41))
    cells = [
        dict(
            zip(("Filename", "OnsetFrame", "ApexFrame", "OffsetFrame"), ("s1_po_01", onset, apex, offset), strict=True)
        )
    ]
    official.sheet(root / "smic.csv", list(cells[0]), cells)
    return read_dataset("smic", root, annotation=root / "smic.csv", **options)


def edited_row(read):
    def build(root, onset, apex, offset, **options):
        official.frames(root / "spNO.1/b/color", "{}.jpg", range(1, 41))
        row = {
            "Subject": "spNO.1",
            "Filename": "b",
            "Apex": apex,
            "emotion": "happy",
            "label_for_7": 1,
            "label_for_3": 1,
        }
        row |= {
            f"imagename_{n}": f"spNO.1/b/color/{v}.jpg"
            for n, v in (("onset", onset), ("apex", apex), ("apex_offset", offset))
        }
        official.sheet(root / "x_edited.csv", list(row), [row])
        return read(root, options)

    return build


READERS = {
    **{kind: official_row(kind) for kind in ("casme2", "samm", "casme3", "mmew", "fourdme")},
    "smic, with a sheet": smic_row,
    "read_casme3": edited_row(lambda root, options: read_casme3(None, root, **options)),
    "casme3, edited": edited_row(lambda root, options: read_dataset("casme3", root, **options)),
    "open_data, casme3": edited_row(lambda root, options: open_data(root, **options)),
}


def number(path):
    return int("".join(c for c in path.stem.rpartition("_")[2] if c.isdigit()))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("onset", "apex", "offset"), [(10, 10, 30), (10, 4, 31)])
def test_an_apex_that_is_annotated_and_impossible_is_named_with_its_number(tmp_path, reader, onset, apex, offset):
    """Unlike one that is not annotated: whose sheet it is may want to correct it."""
    found = READERS[reader](tmp_path, onset, apex, offset)
    (note,) = [note for note in found.notes if note.startswith("The annotated apex is not after the onset")]
    assert f"{found.samples[0].sample} (onset {onset}, apex {apex}, offset {offset})" in note


@pytest.mark.parametrize("reader", [name for name in READERS if "edited" not in name and "casme3" not in name])
def test_a_cell_that_is_no_frame_number_is_named(tmp_path, reader):
    for number, cell in enumerate(("20.5", "20,5", "-5", "20f")):
        found = READERS[reader](tmp_path / f"a{number}", 10, cell, 30)
        assert found.samples[0].apex_source == "middle"
        (note,) = [note for note in found.notes if "not a frame number" in note]
        assert repr(cell) in note
        assert found.samples[0].sample in note
    for left_open in ("/", "?", None):
        notes = READERS[reader](tmp_path / f"b{left_open and ord(left_open)}", 10, left_open, 30).notes
        assert not any("not a frame number" in note for note in notes)
    assert any("offset frame" in note for note in READERS[reader](tmp_path / "c", 10, 20, cell).notes)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("onset", "apex", "offset", "middle"), [(10, 10, 30, 20), (10, 4, 31, 20), (39, 39, 40, 40)])
def test_an_impossible_apex_is_replaced_and_marked_by_every_sheet_reader(tmp_path, reader, onset, apex, offset, middle):
    found = READERS[reader](tmp_path / "a", onset, apex, offset)
    (sample,) = found
    assert (number(sample.onset), number(sample.apex)) == (onset, middle)
    assert sample.apex_source == "middle"
    assert found.middle_apex == (sample.sample,)
    strict = READERS[reader](tmp_path / "b", onset, apex, offset, no_apex="exclude")
    assert len(strict) == 0, "an option that can be given is obeyed"
    assert [name for name, reason in strict.excluded if "(no apex)" in reason] == [sample.sample]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("onset", "apex", "offset"), [(10, 10, 10), (10, 4, 9), (30, 30, 0)])
def test_where_no_frame_can_take_its_place_the_sample_is_left_out_by_name(tmp_path, reader, onset, apex, offset):
    found = READERS[reader](tmp_path, onset, apex, offset)
    assert len(found) == 0
    ((_, reason),) = found.excluded
    assert f"onset {onset}, the apex {apex} and offset {offset}" in reason


@pytest.mark.parametrize("reader", [r for r in READERS if "edited" not in r and "read_" not in r and "open" not in r])
def test_an_offset_before_the_onset_is_told(tmp_path, reader):
    found = READERS[reader](tmp_path, 20, 30, 5)
    (sample,) = found
    assert (number(sample.apex), sample.apex_source) == (30, "")
    assert any("offset is before the onset" in note and sample.sample in note for note in found.notes)


def test_known_mistakes_of_sheets_are_corrected_with_a_note(tmp_path):
    (known,) = CORRECTIONS
    onset, apex, offset = known.written
    for name, columns in (("official", False), ("edited", True)):
        root = tmp_path / name
        official.frames(root / known.subject / known.filename / "color", "{}.jpg", (2647, apex, 2680, offset, onset))
        if columns:
            row = {
                "Subject": known.subject,
                "Filename": "d",
                "Apex": apex,
                "emotion": "sad",
                "label_for_7": 3,
                "label_for_3": 0,
            }
            paths = (("onset", onset), ("apex", apex), ("apex_offset", offset))
            row |= {f"imagename_{n}": f"{known.subject}/d/color/{v}.jpg" for n, v in paths}
            official.sheet(root / "x_edited.csv", list(row), [row])
        else:
            values = (known.subject, "d", onset, apex, offset, "4", "III", "sad", None)
            official.sheet(
                root / "cas(me)3_part_A_v2.csv", official.CASME3, [dict(zip(official.CASME3, values, strict=True))]
            )
        found = read_dataset("casme3", root)
        (sample,) = found
        assert (sample.onset.name, sample.apex.name, sample.apex_source) == ("2647.jpg", "2668.jpg", "")
        assert any("2647 instead of 3647" in note and sample.sample in note for note in found.notes)


@cache
def moving_face(label, seed):
    return face_pair(label, rng=np.random.default_rng(seed))


def good(folder, count=4):
    """Pairs that show something, of two people."""
    samples = []
    for i in range(count):
        onset, apex = moving_face(i % 3, i)
        files = (save(folder / f"g{i}" / "1.png", onset), save(folder / f"g{i}" / "2.png", apex))
        samples.append(Sample(f"good{i}", "own", f"p{i % 2}", ("negative", "positive", "surprise")[i % 3], *files))
    return samples


def pair(folder, names, pixels=None):
    """Two files of one folder, with the given pictures: by default a face and the face when it moves."""
    pixels = moving_face(1, 9) if pixels is None else pixels
    return tuple(save(folder / name, picture) for name, picture in zip(names, pixels, strict=True))


def linked(folder):
    (onset, _) = pair(folder, ("1.png", "x.png"))
    (folder / "2.png").symlink_to(onset)
    return onset, folder / "2.png"


#: Faults that the names of the files tell: what makes the columns of the sample.
BY_NAME = {
    "same file": lambda folder: dict.fromkeys(("onset", "apex"), pair(folder, ("1.png", "2.png"))[0]),
    "same file by a link": lambda folder: dict(zip(("onset", "apex"), linked(folder), strict=True)),
    "same file by another way": lambda folder: {
        "onset": pair(folder, ("1.png", "2.png"))[0], "apex": folder / ".." / folder.name / "1.png",
    },
    "same number": lambda folder: dict(zip(("onset", "apex"), pair(folder, ("img7.png", "img007.png")), strict=True)),
    "apex before onset": lambda folder: dict(zip(("onset", "apex"), pair(folder, ("f9.png", "f08.png")), strict=True)),
    "offset before onset": lambda folder: {
        **dict(zip(("onset", "apex"), pair(folder, ("a.png", "b.png")), strict=True)),
        "clip": folder, "clip_first": "24", "clip_last": "3",
    },
}  # fmt: skip
GRAY = np.full((64, 64, 3), 90, np.uint8)


def copied(folder, ending):
    onset = face()
    files = save(folder / "a.png", onset), save(folder / f"b{ending}", onset)
    return dict(zip(("onset", "apex"), files, strict=True))


def recompressed(folder, quality=70):
    onset, apex = save(folder / "a.jpg", face()), folder / "b.jpg"
    cv2.imwrite(str(apex), cv2.imread(str(onset)), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return {"onset": onset, "apex": apex}


def flow(folder, spoil):
    image = flow_picture(1, np.random.default_rng(3))
    spoil(image)
    (folder).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "flow.png"), image)
    return {"flow": folder / "flow.png"}


#: Faults that only the pictures tell.
BY_PICTURE = {
    "same bytes": lambda folder: copied(folder, ".png"),
    "same pixels": lambda folder: copied(folder, ".bmp"),
    "saved as JPEG": lambda folder: copied(folder, ".jpg"),
    "JPEG of a JPEG": lambda folder: recompressed(folder),
    "two of one gray": lambda folder: dict(
        zip(("onset", "apex"), pair(folder, ("a.png", "b.png"), (GRAY, GRAY + 9)), strict=True)
    ),
}
FLOWS = {
    "one value": lambda folder: flow(folder, lambda image: image.fill(128)),
    **{f"channel {c}": lambda folder, c=c: flow(folder, lambda image: image[..., c].fill(7)) for c in range(3)},
}


def own(image, i):
    """A picture of nobody else."""
    image[0, 0] = i


def manifest_of(folder, fault, frames=True):
    """A manifest with one degenerate sample among good ones, as a file and read without a check.

    Without ``frames`` the good ones are flow images, which takes less time to read.
    """
    bad = Sample("bad", "own", "p0", "negative", **fault(folder / "bad"))
    samples = good(folder)
    if bad.flow is not None or not frames:
        samples = [
            Sample(s.sample, s.dataset, s.subject, s.label, **flow(folder / s.sample, lambda image, i=i: own(image, i)))
            for i, s in enumerate(samples)
        ]
    Manifest((*samples[:2], bad, *samples[2:])).write(folder / "manifest.csv")
    return folder / "manifest.csv", Manifest((*samples[:2], bad, *samples[2:]))


@pytest.mark.parametrize("fault", BY_NAME)
def test_own_manifests_with_such_a_pair_are_refused_or_it_is_left_out_by_name(tmp_path, fault):
    path, _ = manifest_of(tmp_path, BY_NAME[fault])
    for read in (read_manifest, open_data):
        with pytest.raises(ManifestError, match=r"line 4, sample 'bad': its"):
            read(path)
        left = read(path, degenerate="skip")
        assert [s.sample for s in left] == ["good0", "good1", "good2", "good3"]
        assert [name for name, _ in left.excluded] == ["bad"]
        assert len(read(path, degenerate="keep")) == 5
    with pytest.raises(ManifestError, match="degenerate is 'ignore'"):
        read_manifest(path, degenerate="ignore")


def command(name, path, tmp_path, *more):
    words = [name, *(["manifest", "--root"] if name == "prepare" else ["--data"]), path, "--out", tmp_path / "out"]
    words += ["--flow", "dis"] if name == "prepare" else ["--model", "htnet_tiny", "--epochs", "1"]
    words += ["--landmarks", "template", *([] if name == "train" else ["--workers", "1"])]
    return cli.main([str(word) for word in (*words, *more)])


@pytest.mark.parametrize("name", ["prepare", "train", "loso"])
@pytest.mark.parametrize("fault", ["same file", "apex before onset", *BY_PICTURE, "one value", "channel 0"])
def test_every_command_that_trains_or_prepares_refuses_and_names_it(tmp_path, capsys, name, fault):
    if name == "prepare" and fault in FLOWS:
        pytest.skip("prepare takes frames")
    path, _ = manifest_of(tmp_path, {**BY_NAME, **BY_PICTURE, **FLOWS}[fault], frames=name == "prepare")
    assert command(name, path, tmp_path) == 2
    said = capsys.readouterr().err
    assert "'bad'" in said
    assert "good" not in said.replace("good0/", "")
    assert not (tmp_path / "out" / "config.json").exists()
    assert not (tmp_path / "out" / "manifest.csv").exists()


@pytest.mark.parametrize("fault", ["same file", "apex before onset", *BY_PICTURE])
def test_prepare_leaves_it_out_by_name_where_that_is_asked_for(tmp_path, capsys, fault):
    path, _ = manifest_of(tmp_path, {**BY_NAME, **BY_PICTURE}[fault])
    assert command("prepare", path, tmp_path, "--skip-errors") == 0
    said = capsys.readouterr().out
    assert "4 samples prepared" in said
    assert "bad" in said, "by name"
    report = read_report(tmp_path / "out")
    assert "bad" in report.failed or "bad" in {name for names in report.excluded.values() for name in names}
    assert [s.sample for s in open_data(tmp_path / "out")] == ["good0", "good1", "good2", "good3"]


@pytest.mark.parametrize("fault", [*BY_NAME, *BY_PICTURE, *FLOWS])
def test_the_library_refuses_and_names_every_one(tmp_path, fault):
    """A manifest that was made in Python has passed no reader."""
    _, manifest = manifest_of(tmp_path, {**BY_NAME, **BY_PICTURE, **FLOWS}[fault], frames=False)
    with pytest.raises(ManifestError, match="'bad': "):
        load_flow_set(manifest, QUICK, TemplateLandmarks())
    with pytest.raises(HtnetError, match="'bad': "):
        loso(manifest, "htnet_tiny", spec=QUICK, landmarker=TemplateLandmarks(), out=tmp_path / "run", progress=False)
    if fault not in FLOWS:
        with pytest.raises(HtnetError, match="'bad': "):
            prepare(manifest.subset([2]), tmp_path / "out", QUICK, TemplateLandmarks())


def test_several_are_named_at_once(tmp_path):
    samples = [Sample(f"bad{i}", "own", "p", "negative", **FLOWS["one value"](tmp_path / str(i))) for i in range(7)]
    with pytest.raises(ManifestError) as told:
        load_flow_set(Manifest(tuple(samples)), QUICK)
    assert all(f"'bad{i}'" in str(told.value) for i in range(7))


def still_composite(root):
    images = root / "STSNet_whole_norm_u_v_os"
    images.mkdir(parents=True)
    lines = ["dataset,sub,filename_o,label"]
    for i, name in enumerate(("006_1_2", "006_1_3")):
        picture = flow_picture(0, np.random.default_rng(i))
        picture[..., 1] = 50 if i else picture[..., 1]
        cv2.imwrite(str(images / f"006_{name} .png"), picture)
        lines.append(f"samm,006,{name},0")
    (root / "combined_3_class2_for_optical_flow.csv").write_text("\n".join(lines) + "\n")
    return read_composite(root), "006_006_1_3"


def still_three_norm(root):
    for part, name in (("u_train", "s02_s02_ne_01"), ("u_test", "s05_s05_ne_01")):
        folder = root / "s05" / part / "0"
        folder.mkdir(parents=True)
        picture = flow_picture(0, np.random.default_rng(1))
        picture[..., 2] = 50 if part == "u_train" else picture[..., 2]
        cv2.imwrite(str(folder / f"{name} .png"), picture)
    return read_three_norm(root, "s05")[0], "s02_s02_ne_01"


def still_prepared(root):
    manifest = Manifest(tuple(good(root / "frames")))
    prepared = prepare(manifest, root / "out", QUICK, TemplateLandmarks())
    cv2.imwrite(str(prepared.samples[1].flow), np.full((28, 28, 3), 9, np.uint8))
    (root / "out" / "keys" / "good1.json").unlink()  # a flow image that is not the one of its key is refused before
    return open_data(root / "out"), "good1"


@pytest.mark.parametrize("read", [still_composite, still_three_norm, still_prepared])
def test_published_layouts_and_prepared_folders_are_refused_with_a_flow_image_without_motion(tmp_path, read):
    manifest, name = read(tmp_path)
    with pytest.raises(ManifestError, match=f"'{name}': a channel of its flow image is constant"):
        load_flow_set(manifest, QUICK)


@pytest.mark.parametrize("fault", [*BY_NAME, *BY_PICTURE, *FLOWS])
def test_predictions_are_given_with_a_warning(tmp_path, capsys, fault):
    """Nothing is learned or scored by them, so the answer is given and flagged."""
    path, manifest = manifest_of(tmp_path, {**BY_NAME, **BY_PICTURE, **FLOWS}[fault], frames=False)
    weights = tmp_path / "weights"
    from htnet.hub import save_pretrained

    save_pretrained(tiny_model(), weights)
    words = ["predict", "--manifest", path, "--out", tmp_path / "p.csv", "--weights", weights]
    words += ["--landmarks", "template"]
    assert cli.main([str(word) for word in words]) == 0
    with (tmp_path / "p.csv").open(newline="") as file:
        flagged = {row["sample"]: row["warnings"] for row in csv.DictReader(file)}
    wanted = {"same": "same_frame", "apex": "frame_order", "offset": "frame_order"}.get(fault.split()[0], "motionless")
    if "JPEG" in fault:
        wanted = "same_frame"
    if fault == "same number":  # another picture under the same number
        wanted = "frame_order"
    assert wanted in flagged.pop("bad")
    assert not any(code in text for text in flagged.values() for code in ("same_frame", "frame_order", "motionless"))
    assert "bad" in capsys.readouterr().out
    predicted = {p.sample: p for p in Predictor(tiny_model(), landmarks="template").manifest(manifest)}
    assert wanted in {warning.code for warning in predicted["bad"].warnings}


def test_a_replaced_apex_stays_marked_from_the_sheet_to_the_scores(tmp_path):
    """The column of the prepared manifest, the report, what is read again, and predictions on it."""
    rows = [(i % 2 + 1, f"EP0{i}_01", 5, 5 if i == 1 else 9, 12, "happiness") for i in range(4)]
    official.casme2(tmp_path / "casme2", rows)
    found = read_dataset("casme2", tmp_path / "casme2")
    prepare(found, tmp_path / "out", QUICK, TemplateLandmarks())
    assert read_report(tmp_path / "out").middle_apex == ("sub02_EP01_01",)
    assert "sub02_EP01_01" in read_report(tmp_path / "out").text()
    again = open_data(tmp_path / "out")
    assert again.middle_apex == ("sub02_EP01_01",)
    assert [s.apex_source for s in again] == ["", "middle", "", ""]
    assert any(
        "1 apex is not annotated or impossible" in remark and "sub02_EP01_01" in remark for remark in again.remarks
    )
    answers = Predictor(tiny_model(), landmarks="template").manifest(again)
    assert {p.sample for p in answers if any(w.code == "middle_apex" for w in p.warnings)} == {"sub02_EP01_01"}
    report = json.loads(Path(tmp_path / "out" / "report.json").read_text())
    assert report["middle_apex"] == {"count": 1, "samples": ["sub02_EP01_01"]}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "manifest", "no_apex": "exclude"}, "no_apex"),
        ({"name": "composite", "degenerate": "skip"}, "degenerate"),
        ({"name": "composite", "missing": "skip"}, "missing"),
        ({"name": "casme3", "check_files": False}, "check_files"),
        ({"name": "casme3", "no_apex": "spot"}, "no_apex is 'spot'"),
    ],
)
def test_an_option_that_a_reader_cannot_obey_is_refused(tmp_path, options, says):
    name = options.pop("name")
    if name == "composite":
        still_composite(tmp_path)
    elif name == "casme3":
        READERS["read_casme3"](tmp_path, 10, 20, 30)
    else:
        Manifest(tuple(good(tmp_path))).write(tmp_path / "manifest.csv")
    with pytest.raises(ManifestError, match=says):
        open_data(tmp_path, **options)


def test_the_label_column_is_refused_for_a_sheet_without_it(tmp_path, capsys):
    READERS["casme3"](tmp_path, 10, 20, 30)
    (sheet,) = tmp_path.glob("*.xlsx")
    words = [
        "prepare",
        "casme3",
        "--root",
        tmp_path,
        "--annotation",
        sheet,
        "--label",
        "label_for_7",
        "--out",
        tmp_path / "o",
    ]
    assert cli.main([str(word) for word in words]) == 2
    assert "only the edited annotation (*edited.csv) has label_for_7" in capsys.readouterr().err
