"""One patient under two names is refused in every layout of graded faces."""

import pytest

from htnet.core.errors import ManifestError
from htnet.palsy import read_palsy

#: Two names that are one, or may be: typed otherwise, counted otherwise, seen from another side or at another time.
MAY_BE_ONE = [
    *(
        ("P07", other)
        for other in ("p7", "P-07", "P 07", "P+07", "P\u2014007", "P07.0", "\uff30\uff10\uff17", "P\u200b07")
    ),
    *(("P07", other) for other in ("\u042007", "P\u0660\u0667", "P\u2087", "Patient 7", "7", "007", "pat-07", "ID 7")),
    *(("P07", other) for other in ("P07 (1)", "P07~1", "P07 - Copy", "P07 Kopie (2)", "P07-left", "P07r", "P07post")),
    *(("sub1", "subject 01"), ("P07-left", "P07-right"), ("P07L", "P07R"), ("P07 pre", "P07 eyes closed")),
    *(("M\u00fcller", "muller"), ("Jose\u0301", "JOSE"), ("\u00c5sa", "Asa"), ("Anna (1)", "Anna (2)")),
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


def column(folder, names):
    return read_palsy(csv_of(folder, [f"{i}.png" for i in range(len(names))], names))


def csv_files(folder, names):
    return read_palsy(csv_of(folder, [f"{name}_{i}.png" for i, name in enumerate(names)]))


def csv_folders(folder, names):
    return read_palsy(csv_of(folder, [f"of/{name}/{i}.png" for i, name in enumerate(names)]), patients="folder")


def files(folder, names):
    images(folder, [f"grade_{i + 1}/{name}_{i}.png" for i, name in enumerate(names)])
    return read_palsy(folder)


def folders(folder, names):
    images(folder, [f"grade_{i + 1}/{name}/{i}.png" for i, name in enumerate(names)])
    return read_palsy(folder, patients="folder")


def folders_and_files(folder, names):
    images(folder, [f"grade_{i + 1}/{name}/{name}_{i}.png" for i, name in enumerate(names)])
    return read_palsy(folder)


def ck_plus(folder, names):
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
        assert "alike" in said or "rename them" in said or "--patients" in said, said


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_two_people_are_two(layout, tmp_path):
    for i, (one, two) in enumerate(TWO):
        if "-" in one and layout in (csv_files, files, folders_and_files):
            continue  # "12-034_1.png" may be the patient 12
        found = layout(tmp_path / str(i), [one, "X1", two])
        assert {subject for _, subject in found.subjects} == {one, "X1", two}


@pytest.mark.parametrize("name", ["Patients", "PID", "MRN", "Patienten-Nr.", "Pt ID", "subj_no"])
def test_a_column_of_patients_is_known_by_more_names(name, tmp_path):
    table = csv_of(tmp_path, ["a_1.png", "b_1.png"], ["x", "x"])
    table.write_text(table.read_text().replace("patient", name))
    assert read_palsy(table).subjects == [("", "x")]


def test_a_column_that_may_name_patients_is_not_passed_over(tmp_path):
    table = csv_of(tmp_path, ["a_1.png", "b_1.png", "c_1.png"], ["7", "7", "8"])
    table.write_text(table.read_text().replace("patient", "ID"))
    with pytest.raises(ManifestError, match="the column 'ID' names some rows alike.*Call it 'patient'"):
        read_palsy(table)
    table.write_text(table.read_text().replace(',"7"\n', ',"6"\n', 1))  # a number of each row
    assert len(read_palsy(table).subjects) == 3
