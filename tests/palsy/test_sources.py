"""Readers of graded faces, and what they refuse."""

import pytest

from htnet.core.errors import ManifestError
from htnet.palsy import GRADES, SCHEMES, describe_class, grade_scheme, read_palsy
from tests.palsy.faces import save_face, write_ck_plus, write_csv, write_small_fnp

SEQUENCES = {"S005/001": (3, 3), "S005/002": (12, 7), "S010/001": (2, None), "S011/006": (1, 1)}


def labels(manifest):
    return {s.sample: s.label for s in manifest}


@pytest.mark.parametrize(
    ("text", "six", "three"),
    [
        ("1", "I", "I-II"),
        ("III", "III", "III-IV"),
        ("vi", "VI", "V-VI"),
        ("4.0", "IV", "III-IV"),
        (" 2 ", "II", "I-II"),
    ],
)
def test_grades_as_people_write_them(text, six, three):
    assert SCHEMES[6].class_of(text, "here") == six
    assert SCHEMES[3].class_of(text, "here") == three
    assert SCHEMES[3].class_of(three, "here") == three


@pytest.mark.parametrize("text", ["0", "7", "", "2.5", "nan", "IIII", "I-II", "grade 1"])
def test_what_is_no_grade_is_named(text):
    with pytest.raises(ManifestError, match=r"table, line 3: the grade (is empty|is '.*'); give a House-Brackmann"):
        SCHEMES[6].class_of(text, "table, line 3")


def test_schemes_cover_every_grade_once_in_order():
    for count, scheme in SCHEMES.items():
        assert len(scheme.names) == count
        assert [g for grades in scheme.classes.values() for g in grades] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(ManifestError, match="classes is 4; give 6 .* or 3"):
        grade_scheme(4)


def test_names_in_words():
    assert describe_class("III") == "House-Brackmann III (moderate dysfunction)"
    assert describe_class("V-VI") == f"House-Brackmann V-VI ({GRADES['V']} to {GRADES['VI']})"
    assert describe_class("class_2") == "class_2"


def test_grade_folders(tmp_path):
    root = write_small_fnp(tmp_path, {"P1": [1, 6], "P2": [4]})
    (root / "notes").mkdir()
    (root / "grade_4" / "readme_1.txt").write_text("no image")
    found = read_palsy(root)
    assert labels(found) == {"grade_1/P1_0": "I", "grade_6/P1_1": "VI", "grade_4/P2_0": "IV"}
    assert {s.sample: s.subject for s in found} == {"grade_1/P1_0": "P1", "grade_6/P1_1": "P1", "grade_4/P2_0": "P2"}
    assert found.classes == SCHEMES[6].names, "grades without images keep their place"
    assert set(labels(read_palsy(root, classes=3)).values()) == {"I-II", "III-IV", "V-VI"}


def test_folders_that_are_no_grades_are_named(tmp_path):
    with pytest.raises(ManifestError, match=r"no folders grade_1 \.\.\. grade_6"):
        read_palsy(tmp_path)
    write_small_fnp(tmp_path, {"P1": [0]})
    with pytest.raises(ManifestError, match=r"grade_0: the grade is '0'"):
        read_palsy(tmp_path)


def test_files_without_patient_are_named(tmp_path):
    write_small_fnp(tmp_path, {"P1": [1]})
    save_face(tmp_path / "grade_2" / "nobody.png")
    with pytest.raises(ManifestError, match=r"1 sample \('grade_2/nobody'\) without patient.*column 'patient'"):
        read_palsy(tmp_path)


def test_empty_grade_folders_are_named(tmp_path):
    (tmp_path / "grade_1").mkdir()
    with pytest.raises(ManifestError, match="grade_1 in .* contain no images"):
        read_palsy(tmp_path)


def rows(tmp_path, *values):
    for path, *_ in values:
        if not path.startswith("none"):
            save_face(tmp_path / path, side=24)
    return [dict(zip(("image_path", "grade", "split", "patient"), row, strict=False)) for row in values]


def test_table(tmp_path):
    table = rows(
        tmp_path, ("a/x_1.png", "2", "train", "p1"), ("a/x_2.png", "VI", "Test", "p2"), ("none.png", "1", "val", "p3")
    )
    found = read_palsy(write_csv(tmp_path / "t.csv", table))
    assert [(s.sample, s.subject, s.label, s.split) for s in found] == [
        ("a/x_1", "p1", "II", "train"),
        ("a/x_2", "p2", "VI", "test"),
    ]
    assert found.skipped == ("none",)
    assert found.missing_files == (str(tmp_path / "none.png"),)


def test_paths_that_no_file_can_have_are_missing_files(tmp_path):
    table = rows(tmp_path, ("a/x_1.png", "2", "train", "p1"), ("none" * 1000, "1", "train", "p3"))
    assert read_palsy(write_csv(tmp_path / "t.csv", table)).skipped == ("none" * 1000,)


def test_table_without_split_and_patient(tmp_path):
    table = rows(tmp_path, ("P7_1.png", "2"), ("P8_1.png", "3"))
    found = read_palsy(write_csv(tmp_path / "t.csv", table))
    assert [(s.subject, s.split) for s in found] == [("P7", ""), ("P8", "")]


def test_patient_in_two_splits_is_refused(tmp_path):
    table = rows(tmp_path, ("P7_1.png", "2", "train"), ("P7_2.png", "2", "test"))
    with pytest.raises(ManifestError, match=r"subject 'P7' is in two splits: sample 'P7_1' in 'train', sample 'P7_2'"):
        read_palsy(write_csv(tmp_path / "t.csv", table))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([{"image_path": "a_1.png", "grade": "9"}], r"line 2: the grade is '9'"),
        ([{"image_path": "", "grade": "1"}], r"line 2: image_path is empty"),
        (
            [{"image_path": "a.png", "grade": "1", "patient": "#REF!"}],
            r"line 2: patient is '#REF!', the error of a form",
        ),
        ([{"path": "a_1.png", "grade": "1"}], "there is no column 'image_path'"),
        ([{"image_path": "a_1.png", "grade": "1", "split": ""}], r"line 2: the split is empty.*Fill it in every row"),
        ([{"image_path": "a_1.png", "grade": "1", "split": "trian"}], r"split is 'trian'. Did you mean 'train'"),
        ([{"image_path": "a.png", "grade": "1"}], "without patient"),
    ],
)
def test_bad_tables_are_named(tmp_path, table, message):
    with pytest.raises(ManifestError, match=message):
        read_palsy(write_csv(tmp_path / "t.csv", table))


def test_ck_plus_by_sequence_takes_the_last_frame(tmp_path):
    root = write_ck_plus(tmp_path / "ck", SEQUENCES)
    grades = write_csv(tmp_path / "g.csv", [{"sequence": "S005/002", "grade": 1}, {"sequence": "S011_006", "grade": 5}])
    for source in (root, root / "cohn-kanade-images"):
        found = read_palsy(source, grade_map=grades)
        assert labels(found) == {"S005_002": "I", "S011_006": "V"}
        assert found.samples[0].image.name == "S005_002_00000012.png"
        assert found.samples[0].subject == "S005"
        assert dict(found.excluded) == {"S005_001": "not in the grade map", "S010_001": "not in the grade map"}


def test_ck_plus_by_emotion(tmp_path):
    root = write_ck_plus(tmp_path / "ck", SEQUENCES)
    grades = write_csv(tmp_path / "g.csv", [{"emotion": 3, "grade": "II"}, {"emotion": 7, "grade": "I"}])
    found = read_palsy(root, grade_map=grades)
    assert labels(found) == {"S005_001": "II", "S005_002": "I"}
    assert dict(found.excluded) == {"S010_001": "no emotion", "S011_006": "emotion 1 (not in the grade map)"}


def test_an_emotion_that_is_no_text_is_named(tmp_path):
    root = write_ck_plus(tmp_path / "ck", SEQUENCES)
    grades = write_csv(tmp_path / "g.csv", [{"emotion": 3, "grade": "II"}])
    file = next((root / "Emotion" / "S005" / "001").iterdir())
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match=f"{file.name} cannot be read .*Copy CK"):
        read_palsy(root, grade_map=grades)


def test_ck_plus_needs_a_grade_map(tmp_path):
    root = write_ck_plus(tmp_path / "ck", SEQUENCES)
    with pytest.raises(ManifestError, match="has no palsy grades. Give a grade map"):
        read_palsy(root)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([{"sequence": "S999/001", "grade": 1}], "no sequence has a grade in"),
        ([{"sequence": "S005/001", "grade": 1}, {"sequence": "S999/001", "grade": 1}], r"does not contain: .*S999_001"),
        ([{"sequence": "S005/001", "grade": 0}], "line 2: the grade is '0'"),
        ([{"sequence": "S005/001", "grade": 1}, {"sequence": "S005_001", "grade": 2}], "'S005_001' has two grades"),
        ([{"sequence": "S005/001", "emotion": 3, "grade": 1}], "needs one of the columns sequence and emotion"),
        ([{"grade": 1}], "needs one of the columns"),
    ],
)
def test_bad_grade_maps_are_named(tmp_path, table, message):
    root = write_ck_plus(tmp_path / "ck", SEQUENCES)
    with pytest.raises(ManifestError, match=message):
        read_palsy(root, grade_map=write_csv(tmp_path / "g.csv", table))


def test_other_sources_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="takes no grade map"):
        read_palsy(write_small_fnp(tmp_path / "fnp", {"P1": [1]}), grade_map="g.csv")
    with pytest.raises(ManifestError, match="nothing does not exist"):
        read_palsy(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="contains no folders grade_1"):
        read_palsy(tmp_path / "empty")


def test_paths_of_windows_are_turned_or_counted_as_missing(tmp_path):
    save_face(tmp_path / "a" / "b" / "1.jpg")
    sheet = tmp_path / "grades.csv"
    sheet.write_text("image_path,grade,patient\na\\b\\1.jpg,1,p\n")
    (sample,) = read_palsy(sheet)
    assert sample.image == tmp_path / "a" / "b" / "1.jpg"
    sheet.write_text("image_path,grade,patient\nD:\\a\\9.jpg,1,p\n")
    assert read_palsy(sheet).missing_files
