"""One patient under two names is refused in every layout of graded faces."""

import dataclasses
import json

import cv2
import pytest

from htnet import cli
from htnet.core.errors import InputError, ManifestError
from htnet.hub import save_pretrained
from htnet.models import create_model
from htnet.palsy import PALSY_SPEC, read_palsy
from tests.palsy.faces import save_black, save_face

#: Two names that are one, or may be: typed otherwise, counted otherwise, seen from another side or at another time.
MAY_BE_ONE = [
    *(
        ("P07", other)
        for other in ("p7", "P-07", "P 07", "P+07", "P\u2014007", "P07.0", "\uff30\uff10\uff17", "P\u200b07")
    ),
    *(("P07", other) for other in ("\u042007", "P\u0660\u0667", "P\u2087", "Patient 7", "7", "007", "pat-07", "ID 7")),
    *(("P07", other) for other in ("P07 (1)", "P07~1", "P07 - Copy", "P07 Kopie (2)", "P07-left", "P07r", "P07post")),
    *(("sub1", "subject 01"), ("P07-left", "P07-right"), ("P07L", "P07R"), ("P07 pre", "P07 eyes closed")),
    *(("P07-1", "P07-2"), ("sub07-1", "subject 7-2"), ("P07", "P07-1")),
    *(
        ("P07 V1", "P07 V2"),
        ("P07 visit 1", "P07"),
        ("P07 Besuch 2", "P07 Besuch 3"),
        ("P07 follow-up", "P07-baseline"),
    ),
    *(
        ("P07 t0", "P07 t12"),
        ("P07 2024-01-31", "P07 2024-07-01"),
        ("P07 1.2.2024", "P07"),
        ("Anna pre-op", "Anna post-op"),
    ),
    *(("M\u00fcller", "muller"), ("Jose\u0301", "JOSE"), ("\u00c5sa", "Asa"), ("Anna (1)", "Anna (2)")),
]
#: First parts of file names that are no patients: beside them stands the patient, or nobody.
NO_PATIENTS = [
    *("visit1", "20210103", "2021-01-03", "2021", "img1", "DSC01", "scan1", "t0", "L", "a", "grade2", "male", "w"),
    *("hospitalA", "hospital1", "session2", "day1", "camera1", "left", "pre", "front", "OD", "m6", "site-2", "Klinik3"),
    *("female", "baseline", "c", "01", "1234", "besuch1", "frame12", "IMG-2021"),
]
#: Two people.
TWO = [("P07", "P70"), ("P07", "C07"), ("P07", "S07"), ("12-034", "12-035"), ("P07a", "P07b"), ("Wright", "W")]


def images(folder, files):
    for i, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"%d" % i)


def csv_of(folder, files, patients=None):
    images(folder, files)
    head, more = "image_path,grade", [""] * len(files)
    if patients is not None:
        head, more = head + ",patient", [f',"{name}"' for name in patients]
    rows = [f'"{file}",{i + 1}{text}' for i, (file, text) in enumerate(zip(files, more, strict=True))]
    (folder / "t.csv").write_text("\n".join([head, *rows]) + "\n", "utf-8")
    return folder / "t.csv"


def column(folder, names, place="auto"):
    return read_palsy(csv_of(folder, [f"{i}.png" for i in range(len(names))], names))


def csv_files(folder, names, place="auto"):
    return read_palsy(csv_of(folder, [f"{name}_{i}.png" for i, name in enumerate(names)]), patients=place)


def csv_folders(folder, names, place="auto"):
    return read_palsy(csv_of(folder, [f"of/{name}/{i}.png" for i, name in enumerate(names)]), patients="folder")


def files(folder, names, place="auto"):
    images(folder, [f"grade_{i + 1}/{name}_{i}.png" for i, name in enumerate(names)])
    return read_palsy(folder, patients=place)


def folders(folder, names, place="auto"):
    images(folder, [f"grade_{i + 1}/{name}/{i}.png" for i, name in enumerate(names)])
    return read_palsy(folder, patients="folder")


def folders_and_files(folder, names, place="auto"):
    images(folder, [f"grade_{i + 1}/{name}/{name}_{i}.png" for i, name in enumerate(names)])
    return read_palsy(folder, patients=place)


def ck_plus(folder, names, place="auto"):
    images(folder, [f"cohn-kanade-images/{name}/00{i}/{name}_00{i}_00000001.png" for i, name in enumerate(names)])
    rows = [f'"{name}/00{i}",{i + 1}' for i, name in enumerate(names)]
    (folder / "map.csv").write_text("\n".join(["sequence,grade", *rows]) + "\n", "utf-8")
    return read_palsy(folder, grade_map=folder / "map.csv")


LAYOUTS = [column, csv_files, csv_folders, files, folders, folders_and_files, ck_plus]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_names_that_may_be_one_patient_are_refused_with_both(layout, tmp_path):
    for i, (one, two) in enumerate(MAY_BE_ONE):
        if two.isdecimal() and layout is csv_folders:
            continue  # a folder that is a number may be a grade
        with pytest.raises(ManifestError) as caught:
            layout(tmp_path / str(i), [one, "X1", two])
        said = str(caught.value)
        assert repr(one) in said, (one, two, said)
        assert repr(two) in said, (one, two, said)
        assert "one spelling" in said or "alike" in said or "rename them" in said or "--patients" in said, said


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_two_people_are_two(layout, tmp_path):
    for i, (one, two) in enumerate(TWO):
        if "-" in one and layout in (csv_files, files, folders_and_files):
            continue  # "12-034_1.png" may be the patient 12
        found = layout(tmp_path / str(i), [one, "X1", two], "file")
        assert {subject for _, subject in found.subjects} == {one, "X1", two}


@pytest.mark.parametrize("layout", [files, csv_files], ids=lambda layout: layout.__name__)
def test_first_parts_that_are_no_patients_are_refused_with_the_cure(layout, tmp_path):
    for i, name in enumerate(NO_PATIENTS):
        given = tmp_path / str(i), [f"{name}_P1", f"{name}_P2"]
        with pytest.raises(ManifestError) as caught:
            layout(*given)
        said = str(caught.value)
        assert repr(name) in said, said
        assert "--patients '_(P[0-9]+)'" in said, said
        assert layout(*given, "_(P[0-9]+)").subjects == [("", "P1"), ("", "P2")]


@pytest.mark.parametrize("layout", [files, csv_files], ids=lambda layout: layout.__name__)
def test_two_parts_that_may_be_the_patient_are_refused_with_both_readings(layout, tmp_path):
    for i, (one, two) in enumerate(
        [("s1_P1", "s2_P1"), ("s1_x_P01", "s2_P1"), ("P07_s1", "P08_s1"), ("c1-P1", "c2-P1")]
    ):
        with pytest.raises(ManifestError, match=r"or both show the patient '(P0?1|s1)'.*--patients file"):
            layout(tmp_path / str(i), [one, two])
        layout(tmp_path / str(i), [one, two], "file")
    with pytest.raises(ManifestError, match="'P9a' and 'P9b', or one patient twice"):
        layout(tmp_path / "eyes", ["P9a", "P9b"])


@pytest.mark.parametrize("layout", [folders, csv_folders], ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("name", ["visit1", "2021-01-03", "left", "hospitalA"])
def test_folders_that_are_no_patients_are_refused(name, layout, tmp_path):
    with pytest.raises(ManifestError, match=f"the folder '{name}', which is not a name"):
        layout(tmp_path, [name, "P1"])


@pytest.mark.parametrize(
    "names", [["P07", "P08_smile", "P09-rest_2"], ["sub-07_ses-1", "sub-08_ses-1"], ["c07_rest1", "c08_rest1"]]
)
def test_first_parts_that_look_like_patients_are_taken(names, tmp_path):
    assert len(files(tmp_path, names).subjects) == len(names)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("P[0-9]+", "has no group"),
        ("_(P[0-9]+", "is not a regular expression"),
        ("fiel", "Did you mean 'file'"),
        ("_(Q[0-9]+)", "2 samples .*has no match"),
    ],
)
def test_an_expression_that_finds_no_patient_is_refused(pattern, said, tmp_path):
    images(tmp_path, ["grade_1/v_P1.png", "grade_2/v_P2.png"])
    with pytest.raises(ManifestError, match=said):
        read_palsy(tmp_path, patients=pattern)


@pytest.mark.parametrize("name", ["Patients", "PID", "MRN", "Patienten-Nr.", "Pt ID", "subj_no"])
def test_a_column_of_patients_is_known_by_more_names(name, tmp_path):
    table = csv_of(tmp_path, ["a_1.png", "b_1.png"], ["x", "x"])
    table.write_text(table.read_text().replace("patient", name))
    assert read_palsy(table).subjects == [("", "x")]


def test_a_column_that_may_name_patients_is_not_passed_over(tmp_path):
    table = csv_of(tmp_path, ["P1_1.png", "P2_1.png", "P3_1.png"], ["7", "7", "8"])
    table.write_text(table.read_text().replace("patient", "ID"))
    with pytest.raises(ManifestError, match="the column 'ID' has the same value in several rows.*Call it 'patient'"):
        read_palsy(table)
    table.write_text(table.read_text().replace(',"7"\n', ',"6"\n', 1))  # a number of each row
    assert len(read_palsy(table).subjects) == 3


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["1/P07/smile_1", "2/P08/smile_1"], "the names of files and of their folders disagree"),
        (["1/P07/P07_1", "2/other/P07_2"], "the names of files and of their folders disagree"),
        (["1/patient_01_smile", "2/control_02"], "'patient', which is not a name"),
        (["1/IMG_001", "2/P07_1"], "'IMG', which is not a name"),
        (["1/P07-smile_1", "2/P07-rest_1"], "'P07-smile' and 'P07-rest', or one patient twice"),
        (["1/P07/1", "2/P08/1"], "--patients folder"),
    ],
)
@pytest.mark.parametrize("kind", ["folders", "table"])
def test_where_a_patients_name_was_looked_for(kind, files, said, tmp_path):
    for file in files:
        save_black(tmp_path / f"grade_{file}.png")
    source = tmp_path
    if kind == "table":
        source = tmp_path / "t.csv"
        source.write_text("image_path,grade\n" + "".join(f"grade_{f}.png,{f[0]}\n" for f in files))
    with pytest.raises((ManifestError, InputError)) as refused:
        read_palsy(source)
    assert said in str(refused.value)
    if "/P07/" in files[0]:
        found = read_palsy(source, patients="folder")
        assert found.subjects[0] == ("", "P07")
        assert "folders" in found.identities_from


def test_patients_in_folders_that_say_the_same_are_taken(tmp_path):
    for file in ("1/P07/p7_1", "2/P07/P07_2".replace("P07_2", "p7_2"), "2/P08/p8_1"):
        save_black(tmp_path / f"grade_{file}.png")
    assert read_palsy(tmp_path).subjects == [("", "p7"), ("", "p8")]


@pytest.mark.parametrize("column", ["Patient", "patient_id", "Subject ID", "subject", "participant-no"])
def test_a_table_names_its_patients_in_any_such_column(column, tmp_path):
    for i in range(2):
        save_black(tmp_path / f"x{i}_1.png")
    (tmp_path / "t.csv").write_text(f"image_path,grade,{column}\nx0_1.png,1,anna\nx1_1.png,2,anna\n")
    found = read_palsy(tmp_path / "t.csv")
    assert found.subjects == [("", "anna")]
    assert found.identities_from.startswith(f"the column {column!r}")
    with pytest.raises(ManifestError, match="Leave patients"):
        read_palsy(tmp_path / "t.csv", patients="file")


def test_two_columns_of_people_must_agree(tmp_path):
    for i in range(2):
        save_black(tmp_path / f"x{i}_1.png")
    (tmp_path / "t.csv").write_text("image_path,grade,patient,subject\nx0_1.png,1,a,1\nx1_1.png,2,a,2\n")
    with pytest.raises((ManifestError, InputError), match="both name people and disagree"):
        read_palsy(tmp_path / "t.csv")


@pytest.mark.parametrize("ending", ["png", "bmp"])
def test_one_face_under_two_patients_is_refused_by_every_palsy_command(ending, tmp_path, capsys):
    for i in range(6):
        save_face(tmp_path / "in" / f"grade_{1 + i % 2}" / f"P{i}_0.png", i, 1 + i % 2, side=60)
    first = tmp_path / "in" / "grade_1" / "P0_0.png"
    cv2.imwrite(str(tmp_path / "in" / "grade_2" / f"P9_0.{ending}"), cv2.imread(str(first)))
    words = ["palsy", "prepare", tmp_path / "in", "--out", tmp_path / "p", "--landmarks", "template"]
    assert cli.main(list(map(str, words))) == (2 if ending == "png" else 0)
    said = capsys.readouterr()
    if ending == "png":
        assert "'grade_1/P0_0' (subject 'P0') and 'grade_2/P9_0' (subject 'P9') both have the same picture" in said.err
        return
    for command in (["train"], ["evaluate", "--weights", tmp_path / "w"]):
        if command[0] == "evaluate":
            model = create_model("htnet_palsy_tiny").eval()
            model.preprocess_spec = dataclasses.replace(PALSY_SPEC, size=model.config.image_size)
            save_pretrained(model, tmp_path / "w")
        words = ["palsy", *command, "--data", tmp_path / "p", "--out", tmp_path / command[0]]
        assert cli.main(list(map(str, words))) == 2
        said = capsys.readouterr().err
        assert "'grade_1/P0_0' (subject 'P0') and 'grade_2/P9_0' (subject 'P9') both have the same picture" in said


def test_the_report_says_where_patients_are_from(tmp_path, capsys):
    for i, grade in enumerate((1, 1, 4, 4)):
        save_face(tmp_path / "faces" / f"grade_{grade}" / f"P{i // 2}_{i}.png", i, grade, side=60)
    words = ["palsy", "prepare", tmp_path / "faces", "--out", tmp_path / "p", "--landmarks", "template"]
    assert cli.main([str(w) for w in words]) == 0
    assert "people: 2, from the file names in" in capsys.readouterr().out
    found = json.loads((tmp_path / "p" / "report.json").read_text())["identities"]
    assert found["samples_a_person"] == {"min": 2, "median": 2, "max": 2}
