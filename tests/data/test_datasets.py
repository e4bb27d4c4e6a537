"""Readers of the official trees, each on a small generated copy."""

import random
import shutil

import pytest

from htnet.core.errors import ManifestError
from htnet.core.types import EMOTIONS
from htnet.data import DATASETS, open_data, read_casme3, read_dataset, read_manifest
from htnet.data.prepare import prepare
from htnet.preprocess import TemplateLandmarks
from tests.data import official, test_layouts
from tests.support.pairs import QUICK, invented_casme3, write_casme3

CASME2 = [(1, "EP02_01f", 46, 59, 86, "happiness"), (1, "EP03_02", 131, 161, 181, "others"),
          (2, "EP01_11f", 46, 91, 100, "repression"), (2, "EP06_01f", 1, 10, 21, "disgust"),
          (17, "EP15_01", 11, 17, 30, "sadness"), (26, "EP18_44", 3, 5, 9, "surprise")]  # fmt: skip
SAMM = [(6, "006_1_2", 5562, 5588, 5632, "Anger"), (6, "006_1_3", 100, 110, 130, "Contempt"),
        (7, "007_3_1", 1, 2, 9, "Other"), (11, "011_1_4", 20, 25, 31, "Happiness"),
        (37, "037_3_2", 7, 8, 19, "Fear"), (37, "037_3_3", 7, 8, 19, "Surprise")]  # fmt: skip
MMEW = [(1, "S01-01-001", 1, 5, 9, "happiness"), (1, "S01-03-002", 2, 4, 6, "surprise"),
        (12, "S12-07-010", 1, 3, 4, "anger"), (12, "S12-06-001", 1, 3, 4, "others")]  # fmt: skip
CASME3 = [("spNO.1", "b", 166, 175, 179, "disgust"), ("spNO.1", "j", 28, 33, 49, "happy"),
          ("spNO.1", "j", 102, 105, 113, "surprise"), ("spNO.2", "L", 5, 6, 9, "others")]  # fmt: skip
FOURDME = [("S13_1st", "001_01_1", 10, 14, 20, "Positive"), ("S13_1st", "001_01_2", 30, 34, 44, "Repression"),
           ("S14", "001_01", 1, 4, 9, "Surprise+Positive"), ("S14", "002_01", 1, 4, 9, "Others")]  # fmt: skip
CASME = [(1, "EP01_5", 67, 80, 90, "disgust"), (1, "EP03_1", 5, 9, 12, "tense"),
         (19, "EP06_02", 10, 14, 30, "repression"), (20, "EP01_1", 3, 8, 9, "surprise")]  # fmt: skip
DFME = [(3, "sub0003_01", 12, 20, 31, "Happiness"), (3, "sub0003_02", 5, 9, 12, "Contempt"),
        (671, "sub0671_01", 10, 14, 30, "Others"), (671, "sub0671_02", 3, 8, 9, "Surprise")]  # fmt: skip
SQUARE = [(1, "disgust1_1", 11, 14, 18, "negative"), (1, "anger1_1", 11, 24, 90, "negative", "macro"),
          (2, "happy1_3", 40, 44, 50, "positive"), (2, "happy1_4", 70, 74, 80, "others"),
          (2, "happy1_12", 340, 344, 350, "surprise")]  # fmt: skip
SMIC = ["s1_ne_01", "s1_po_01", "s11_sur_02"]


def facts(manifest):
    return [(s.sample, s.subject, s.label, s.onset.name, s.apex.name) for s in manifest]


@pytest.mark.parametrize(("tree", "pattern"), [("Cropped", "reg_img{}.jpg"), ("CASME2_RAW/selected", "img{:04d}.png")])
@pytest.mark.parametrize("file", ["CASME2-coding-20140508.xlsx", "CASME2-coding-20190701.csv"])
@pytest.mark.parametrize("as_text", [True, False])
def test_casme2(tmp_path, tree, pattern, file, as_text):
    official.casme2(tmp_path, CASME2, tree, pattern, file, as_text)
    found = read_dataset("casme2", tmp_path)
    name = pattern.format
    assert facts(found) == [
        ("sub01_EP02_01f", "sub01", "positive", name(46), name(59)),
        ("sub02_EP01_11f", "sub02", "negative", name(46), name(91)),
        ("sub02_EP06_01f", "sub02", "negative", name(1), name(10)),
        ("sub26_EP18_44", "sub26", "surprise", name(3), name(5)),
    ]
    assert {s.dataset for s in found} == {"casme2"}
    assert found.samples[0].onset == tmp_path / tree / "sub01" / "EP02_01f" / name(46)
    assert (found.classes, found.skipped, found.missing_files, found.middle_apex) == (EMOTIONS, (), (), ())
    assert found.excluded == (("sub01_EP03_02", "others"), ("sub17_EP15_01", "sadness"))
    own = read_dataset("casme2", tmp_path, classes="own")
    assert own.classes == ("happiness", "disgust", "repression", "surprise", "others")
    assert own.labels().tolist() == [0, 4, 2, 1, 3]
    assert own.excluded == (("sub17_EP15_01", "sadness"),)


def test_casme2_defects_of_the_sheet(tmp_path):
    rows = [
        (4, "EP12_01f", 261, "/", 321, "disgust"),  # no apex
        (5, "EP12_03f", 10, 15, 20, "surprise"),
        (5, "EP12_03f", 12, 16, 20, "surprise"),  # once more
        (6, "EP01_01", 30, 60, 50, "happiness"),  # a mistyped offset: the apex frame is there
        (7, "EP01_01", 30, 30, 50, "disgust"),  # an apex at the onset
        (8, "EP01_01", 30, 80, 50, "disgust"),  # an apex outside
    ]
    official.casme2(tmp_path, rows)
    official.frames(tmp_path / "Cropped/sub06/EP01_01", "reg_img{}.jpg", [30, 60, 70])
    found = read_dataset("casme2", tmp_path)
    image = "reg_img{}.jpg".format
    assert facts(found) == [
        ("sub04_EP12_01f", "sub04", "negative", image(261), image(291)),
        ("sub05_EP12_03f", "sub05", "surprise", image(10), image(15)),
        ("sub06_EP01_01", "sub06", "positive", image(30), image(60)),
        ("sub07_EP01_01", "sub07", "negative", image(30), image(40)),
        ("sub08_EP01_01", "sub08", "negative", image(30), image(40)),
    ]
    assert found.excluded == (("sub05_EP12_03f", "surprise (repeated row with other frames, the first counts)"),)
    assert found.middle_apex == ("sub04_EP12_01f", "sub07_EP01_01", "sub08_EP01_01")
    strict = read_dataset("casme2", tmp_path, no_apex="exclude")
    assert [s.sample for s in strict] == ["sub05_EP12_03f", "sub06_EP01_01"]
    assert strict.middle_apex == ()
    assert strict.excluded[0] == ("sub04_EP12_01f", "disgust (no apex)")
    official.casme2(tmp_path, [*rows, (5, "EP12_03f", 10, 15, 20, "disgust")])
    with pytest.raises(ManifestError, match=r"row 8: 'sub05_EP12_03f' is 'disgust' here and 'surprise' above"):
        read_dataset("casme2", tmp_path)


def test_a_repeated_row_with_other_frames_says_so(tmp_path):
    rows = [(5, "EP12_03f", 10, 20, 30, "surprise"), (5, "EP12_03f", 10, 25, 30, "surprise")]
    official.casme2(tmp_path, rows)
    found = read_dataset("casme2", tmp_path)
    assert found.samples[0].apex.name == "reg_img20.jpg"
    assert found.excluded == (("sub05_EP12_03f", "surprise (repeated row with other frames, the first counts)"),)


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("tree", [".", "SAMM_CROP"])
def test_samm(tmp_path, tree, as_text):
    official.samm(tmp_path, [*SAMM, (28, "028_4_1", 50, 10, 60, "Sadness")], tree, as_text=as_text)
    found = read_dataset("samm", tmp_path)
    assert facts(found) == [
        ("006_006_1_2", "006", "negative", "006_05562.jpg", "006_05588.jpg"),
        ("006_006_1_3", "006", "negative", "006_00100.jpg", "006_00110.jpg"),
        ("011_011_1_4", "011", "positive", "011_00020.jpg", "011_00025.jpg"),
        ("037_037_3_2", "037", "negative", "037_00007.jpg", "037_00008.jpg"),
        ("037_037_3_3", "037", "surprise", "037_00007.jpg", "037_00008.jpg"),
        ("028_028_4_1", "028", "negative", "028_00050.jpg", "028_00055.jpg"),
    ]
    assert (found.excluded, found.middle_apex) == ((("007_007_3_1", "Other"),), ("028_028_4_1",))
    own = read_dataset("samm", tmp_path, classes="own")
    assert own.classes == ("happiness", "surprise", "anger", "contempt", "other")
    assert own.labels().tolist() == [2, 3, 4, 0, 1]
    assert own.excluded == (("037_037_3_2", "Fear"), ("028_028_4_1", "Sadness"))


@pytest.mark.parametrize(("tree", "pattern"), [("SMIC_all_cropped/HS", "reg_image{:06d}.bmp"), (".", "image{}.jpg")])
def test_smic(tmp_path, tree, pattern):
    official.smic(tmp_path, SMIC, tree, pattern)
    found = read_dataset("smic", tmp_path)
    first, middle = pattern.format(1203), pattern.format(1205)
    assert facts(found) == [
        ("s01_s01_ne_01", "s01", "negative", first, middle),
        ("s01_s01_po_01", "s01", "positive", first, middle),
        ("s11_s11_sur_02", "s11", "surprise", first, middle),
    ]
    assert found.middle_apex == tuple(s.sample for s in found)
    assert read_dataset("smic", tmp_path, classes="own").classes == EMOTIONS
    numbered = tmp_path / "apex.csv"
    numbered.write_text("Filename,OnsetFrame,ApexFrame\ns1_ne_01,1204,1206\ns11_sur_02,,1204\n")
    apexes = read_dataset("smic", tmp_path, annotation=numbered)
    name = pattern.format
    assert [(s.onset.name, s.apex.name) for s in apexes] == [
        (name(1204), name(1206)),
        (name(1203), name(1205)),
        (name(1203), name(1204)),
    ]
    assert apexes.middle_apex == ("s01_s01_po_01",)
    only = read_dataset("smic", tmp_path, annotation=numbered, no_apex="exclude")
    assert [s.sample for s in only] == ["s01_s01_ne_01", "s11_s11_sur_02"]


def test_smic_trees_and_bad_sheets(tmp_path):
    official.smic(tmp_path, SMIC)
    official.smic(tmp_path, SMIC[:1], "SMIC_all_cropped/VIS")
    assert len(read_dataset("smic", tmp_path)) == 3, "HS is meant where it lies beside VIS and NIR"
    assert len(read_dataset("smic", tmp_path / "SMIC_all_cropped/VIS")) == 1
    for text, says in (
        ("s1_ne_01,1\ns01_ne_1,1\n", "'s01_ne_01' was already in"),
        ("s9_ne_01,1\n", r"1 file\(s\) do not exist(.|\n)*s09/micro/negative/s09_ne_01"),
        ("EP01,1\n", "'EP01' is not a clip"),
    ):
        (tmp_path / "a.csv").write_text("Filename,Apex\n" + text)
        with pytest.raises(ManifestError, match=says):
            read_dataset("smic", tmp_path, annotation=tmp_path / "a.csv")
    micro = tmp_path / "SMIC_all_cropped/HS/s1/micro"
    shutil.move(micro / "negative/s1_ne_01", micro / "positive")
    with pytest.raises(ManifestError, match="is negative by its name, but is in positive"):
        read_dataset("smic", tmp_path)


@pytest.mark.parametrize("clips", [True, False])
def test_casme3(tmp_path, clips):
    official.casme3(tmp_path, CASME3, clips)
    found = read_dataset("casme3", tmp_path)
    assert facts(found) == [
        ("spNO.1_b_175", "spNO.1", "negative", "166.jpg", "175.jpg"),
        ("spNO.1_j_33", "spNO.1", "positive", "28.jpg", "33.jpg"),
        ("spNO.1_j_105", "spNO.1", "surprise", "102.jpg", "105.jpg"),
    ]
    assert found.excluded == (("spNO.2_L_6", "others"),)
    own = read_dataset("casme3", tmp_path, classes="own")
    assert own.classes == ("happy", "surprise", "sad", "disgust", "fear", "anger", "others")
    assert own.labels().tolist() == [3, 0, 1, 6]


def test_casme3_edited_csv(tmp_path):
    test_layouts.casme3(tmp_path, test_layouts.FRAMES)
    three, own = (read_dataset("casme3", tmp_path, classes=kind) for kind in ("3", "own"))
    assert [s.label for s in three] == ["negative", "positive", "negative"]
    assert own.classes[-1] == "others"
    assert own.labels().tolist() == [3, 0, 4]
    (tmp_path / "spNO.1/j/color/28.jpg").unlink()
    found = read_dataset("casme3", tmp_path, missing="skip")
    assert found.skipped == ("spNO.1_j_33",)
    assert found.missing_files == (str(tmp_path / "spNO.1/j/color/28.jpg"),)
    official.casme3(tmp_path, CASME3)
    with pytest.raises(ManifestError, match="2 annotation sheets"):
        read_dataset("casme3", tmp_path)


def test_mmew(tmp_path):
    official.mmew(tmp_path, MMEW)
    found = read_dataset("mmew", tmp_path)
    assert facts(found) == [
        ("S01_S01-01-001", "S01", "positive", "1.jpg", "5.jpg"),
        ("S01_S01-03-002", "S01", "surprise", "2.jpg", "4.jpg"),
        ("S12_S12-07-010", "S12", "negative", "1.jpg", "3.jpg"),
    ]
    assert found.excluded == (("S12_S12-06-001", "others"),)
    own = read_dataset("mmew", tmp_path, classes="own")
    assert own.classes == ("happiness", "anger", "surprise", "disgust", "fear", "sadness", "others")
    assert own.labels().tolist() == [0, 2, 1, 6]


def test_4dme(tmp_path):
    official.fourdme(tmp_path, FOURDME)
    found = read_dataset("4dme", tmp_path)
    assert facts(found) == [
        ("S13_1st_001_01_1", "S13_1st", "positive", "10.jpg", "14.jpg"),
        ("S13_1st_001_01_2", "S13_1st", "negative", "30.jpg", "34.jpg"),
    ]
    assert found.excluded == (("S14_001_01", "Surprise+Positive"), ("S14_002_01", "Others"))
    own = read_dataset("4dme", tmp_path, classes="own")
    assert own.classes == ("positive", "negative", "surprise", "repression", "others")
    assert own.labels().tolist() == [0, 3, 4]


def test_casme(tmp_path):
    official.casme(tmp_path, CASME)
    found = read_dataset("casme", tmp_path)
    assert facts(found) == [
        ("sub01_EP01_5", "sub01", "negative", "reg_EP01_5-67.jpg", "reg_EP01_5-80.jpg"),
        ("sub19_EP06_02", "sub19", "negative", "reg_EP06_02-10.jpg", "reg_EP06_02-14.jpg"),
        ("sub20_EP01_1", "sub20", "surprise", "reg_EP01_1-3.jpg", "reg_EP01_1-8.jpg"),
    ]
    assert found.excluded == (("sub01_EP03_1", "tense"),)
    own = read_dataset("casme", tmp_path, classes="own")
    assert [s.label for s in own] == ["disgust", "tense", "repression", "surprise"]


def test_dfme(tmp_path):
    official.dfme(tmp_path, DFME[:2])
    official.dfme(tmp_path, DFME[2:], "testA_full_with_AU.xlsx", "test_data_A")
    found = read_dataset("dfme", tmp_path)
    assert facts(found) == [
        ("sub0671_sub0671_02", "sub0671", "surprise", "00003.png", "00008.png"),
        ("sub0003_sub0003_01", "sub0003", "positive", "00012.png", "00020.png"),
        ("sub0003_sub0003_02", "sub0003", "negative", "00005.png", "00009.png"),
    ]
    assert [s.action_units for s in found] == ["AU4+AD38"] * 3
    assert found.excluded == (("sub0671_sub0671_01", "Others"),)
    shutil.copytree(tmp_path / "train_data", tmp_path / "train_cropped")
    with pytest.raises(ManifestError, match="contains the clip sub0003_01 twice"):
        read_dataset("dfme", tmp_path)


@pytest.mark.parametrize("naming", [True, False])
def test_micro_expressions_of_casme_sq(tmp_path, naming):
    official.casme_sq(tmp_path, SQUARE, naming=naming)
    found = read_dataset("casme_sq", tmp_path)
    assert facts(found) == [
        ("s15_disgust1_1", "s15", "negative", "img0011.jpg", "img0014.jpg"),
        ("s16_happy1_3", "s16", "positive", "img0040.jpg", "img0044.jpg"),
        ("s16_happy1_12", "s16", "surprise", "img0340.jpg", "img0344.jpg"),
    ]
    assert found.samples[1].clip == found.samples[2].clip
    assert (found.samples[1].clip_first, found.samples[1].clip_last) == ("img0040.jpg", "img0050.jpg")
    assert found.excluded == (("s16_happy1_4", "others"),)


BUILDERS = {
    "casme2": (official.casme2, CASME2),
    "samm": (official.samm, SAMM),
    "smic": (official.smic, SMIC),
    "casme3": (official.casme3, CASME3),
    "mmew": (official.mmew, MMEW),
    "4dme": (official.fourdme, FOURDME),
    "dfme": (official.dfme, DFME),
    "casme": (official.casme, CASME),
    "casme_sq": (official.casme_sq, SQUARE),
}


@pytest.mark.parametrize("name", DATASETS)
def test_missing_files_are_listed_and_the_rest_is_read(tmp_path, name):
    build, rows = BUILDERS[name]
    build(tmp_path, rows)
    whole = read_dataset(name, tmp_path)
    lost, kept = (whole.samples[i] for i in random.sample(range(len(whole)), 2))
    file = lost.onset if name != "smic" else lost.onset.parent
    (shutil.rmtree if file.is_dir() else type(file).unlink)(file)
    if name == "smic":  # the folder is the annotation: an empty one is a clip without its frames
        file.mkdir()
    with pytest.raises(ManifestError, match=r"1 file\(s\) do not exist. Complete .*missing='skip'") as caught:
        read_dataset(name, tmp_path)
    assert str(file) in str(caught.value)
    found = read_dataset(name, tmp_path, missing="skip")
    assert found.samples == tuple(s for s in whole if s != lost)
    assert kept in found.samples
    assert (found.skipped, found.missing_files) == ((lost.sample,), (str(file),))


@pytest.mark.parametrize("name", DATASETS)
def test_class_order_survives_writing(tmp_path, name):
    build, rows = BUILDERS[name]
    build(tmp_path, rows)
    found = read_dataset(name, tmp_path, classes="own")
    found.write(tmp_path / "out" / "manifest.csv")
    again = read_manifest(tmp_path / "out" / "manifest.csv")
    assert again.classes == found.classes
    assert again.labels().tolist() == found.labels().tolist()


def test_the_middle_is_the_nearest_frame_but_never_the_onset(tmp_path):
    folder = tmp_path / "HS/s1/micro/negative/s1_ne_01"
    for numbers, middle in (([1, 2, 9], 2), ([1, 7, 9], 7), ([1, 4, 6, 9], 4), ([1, 9], 9), ([8, 9], 9)):
        official.frames(folder, "image{:03d}.jpg", numbers)
        (sample,) = read_dataset("smic", tmp_path)
        assert (sample.onset.name, sample.apex.name) == (f"image{numbers[0]:03d}.jpg", f"image{middle:03d}.jpg")
        shutil.rmtree(folder)
    official.frames(folder, "image{:03d}.jpg", [8])
    with pytest.raises(ManifestError, match="image009.jpg"):
        read_dataset("smic", tmp_path)


def test_class_order_survives_preparing(tmp_path):
    official.casme3(tmp_path, CASME3)
    found = read_dataset("casme3", tmp_path, classes="own")
    prepare(found, tmp_path / "out", QUICK, TemplateLandmarks())
    again = open_data(tmp_path / "out")
    assert again.classes == ("happy", "surprise", "sad", "disgust", "fear", "anger", "others")
    assert [s.label for s in again] == ["disgust", "happy", "surprise", "others"]


def test_a_whole_clip_is_missing(tmp_path):
    official.casme2(tmp_path, CASME2)
    shutil.rmtree(tmp_path / "Cropped/sub02/EP01_11f")
    found = read_dataset("casme2", tmp_path, missing="skip")
    assert found.skipped == ("sub02_EP01_11f",)
    assert found.missing_files == (str(tmp_path / "Cropped/sub02/EP01_11f"),)


def test_files_that_are_no_frames(tmp_path):
    official.casme2(tmp_path, CASME2)
    clip = tmp_path / "Cropped/sub01/EP02_01f"
    for name in (".DS_Store", "._reg_img46.jpg", "Thumbs.db", "cover.jpg", "46.txt"):
        (clip / name).touch()
    assert len(read_dataset("casme2", tmp_path)) == 4
    official.frames(clip, "img{:03d}.png", [46])
    with pytest.raises(ManifestError, match=r"img046.png and reg_img46.jpg are both frame 46. Remove one"):
        read_dataset("casme2", tmp_path)


def test_root_is_any_folder_on_the_way_but_one_tree(tmp_path):
    official.casme2(tmp_path, CASME2)
    whole = read_dataset("casme2", tmp_path)
    assert read_dataset("casme2", tmp_path / "Cropped").samples == whole.samples
    official.casme2(tmp_path, CASME2, "CASME2_RAW_selected", "img{}.jpg")
    with pytest.raises(ManifestError, match=r"several copies .*CASME2_RAW_selected, .*Cropped. Give one of them"):
        read_dataset("casme2", tmp_path)
    assert read_dataset("casme2", tmp_path / "Cropped") == whole


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "casme4"}, "'casme4'. Did you mean 'casme"),
        ({"classes": "5"}, "classes is '5'. Known: 3, own"),
        ({"missing": "ignore"}, "missing is 'ignore'. Known: raise, skip"),
        ({"no_apex": "spot"}, "no_apex is 'spot'. Known: exclude, middle"),
        ({"annotation": "none.csv"}, "none.csv does not exist"),
        ({"root": "none"}, "none"),
    ],
)
def test_bad_arguments(tmp_path, options, says):
    official.casme2(tmp_path, CASME2)
    options = {"name": "casme2", "root": tmp_path, **options}
    with pytest.raises(ManifestError, match=says):
        read_dataset(**options)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ((1, "EP02_01f", 46, 59, 86, "hapiness"), "row 2: 'hapiness' is not a label of this data set. Did you mean"),
        (("x", "EP02_01f", 46, 59, 86, "happiness"), "row 2: the subject is 'x'; give a number such as 01"),
    ],
)
def test_bad_rows(tmp_path, row, says):
    official.casme2(tmp_path, [CASME2[0]])
    cells = dict(zip([c for c in official.CASME2 if c], (row[0], *row[1:5], "", row[5]), strict=True))
    official.sheet(tmp_path / "CASME2-coding-20140508.xlsx", official.CASME2, [cells])
    with pytest.raises(ManifestError, match=says):
        read_dataset("casme2", tmp_path)


def test_no_clips(tmp_path):
    official.casme2(tmp_path, CASME2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="empty contains no clips of CASME II"):
        read_dataset("casme2", tmp_path / "empty")


def clips(manifest):
    return [(s.clip.name, s.clip_first, s.clip_last) for s in manifest]


def test_clips_are_the_frames_from_onset_to_offset(tmp_path):
    """Folders hold more: frames before and after, other expressions."""
    folder, image = tmp_path / "casme2" / "Cropped" / "sub05" / "EP12_03f", "reg_img{}.jpg"
    official.casme2(tmp_path / "casme2", [(5, "EP12_03f", 10, 15, 20, "surprise")])
    official.frames(folder, image, range(7, 31))
    (folder / "img_notes 25.txt").write_text("no frame")
    found = read_dataset("casme2", tmp_path / "casme2")
    assert clips(found) == [("EP12_03f", image.format(10), image.format(20))]
    (folder / image.format(20)).unlink()
    assert clips(read_dataset("casme2", tmp_path / "casme2"))[0][2] == image.format(19), "the last one that is there"

    official.casme2(tmp_path / "odd", [(6, "EP01_01", 30, 60, 50, "happiness")])
    official.frames(tmp_path / "odd" / "Cropped/sub06/EP01_01", image, range(30, 71))
    found = read_dataset("casme2", tmp_path / "odd")
    assert clips(found) == [("EP01_01", image.format(30), image.format(60))], "an apex after the offset is in it"

    official.smic(tmp_path / "smic", ["s1_ne_01"])
    assert clips(read_dataset("smic", tmp_path / "smic")) == [
        ("s1_ne_01", "reg_image001203.bmp", "reg_image001207.bmp")
    ]


def test_clips_of_the_edited_csv(tmp_path):
    rows = invented_casme3(2, 2)
    root = write_casme3(tmp_path, rows)
    assert [s.clip for s in read_casme3(None, root)] == [None] * 4, "the offset frames are not there"
    for row in rows[:2]:
        shutil.copy(root / row["imagename_onset"], root / row["imagename_apex_offset"])
    found = read_casme3(None, root).samples
    for row, sample in zip(rows[:2], found[:2], strict=True):
        assert sample.clip == (root / row["imagename_onset"]).parent
        assert (sample.clip_first, sample.clip_last) == (f"{row['Onset']}.jpg", f"{row['Offset']}.jpg")
    assert found[2].clip is None
