import csv
import json

import pytest

from htnet.core.types import PreprocessSpec
from htnet.data import leave_one_subject_out, open_data
from htnet.evaluation import loso, protocols
from htnet.training import Recipe, load_flow_set, train_model
from tests.support.boards import scalars_of
from tests.support.flows import write_flow_set

QUICK = Recipe(name="quick", epochs=3, batch_size=8)
#: Of a subject, and no name of a file.
NAME = "王 小明/2-b"


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curves") / "set"
    write_flow_set(folder, 4, 2)
    table = folder / "manifest.csv"
    table.write_text(table.read_text("utf-8").replace(",s2,", f",{NAME},"), "utf-8")
    return open_data(folder)


def run(manifest, out, **options):
    options = {"protocols": ("last", "nested"), "tensorboard": True} | options
    return loso(manifest, "htnet_tiny", QUICK, out=out, progress=False, held_out=0.3, **options)


def rows_of(out):
    with (out / "training.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_curves_are_those_of_the_trainings_and_come_back_from_tensorboard(manifest, tmp_path):
    run(manifest, tmp_path / "run", seeds=[2])
    rows, folds = rows_of(tmp_path / "run"), leave_one_subject_out(manifest)
    assert len(rows) == len(folds) * 2 * QUICK.epochs
    assert {row["stage"] for row in rows} == {"all", "nested"}
    named = {(fold.name, "a", fold.subject) for fold in folds}
    assert {(row["fold"], row["dataset"], row["subject"]) for row in rows} == named
    assert [fold.title for fold in folds] == ["a s0", "a s1", "a s3", f"a {NAME}"]

    fold, told = folds[3], []
    data = load_flow_set(manifest, PreprocessSpec()).subset(fold.train)
    train_model(
        "htnet_tiny",
        data,
        QUICK,
        seed=protocols.fold_seed(2, fold.name),
        callbacks=[lambda report, model: told.append((report.loss, report.lr))],
    )
    own = [row for row in rows if row["fold"] == fold.name]
    whole = [row for row in own if row["stage"] == "all"]
    assert [int(row["epoch"]) for row in whole] == [1, 2, 3]
    assert [float(row["loss"]) for row in whole] == pytest.approx([loss for loss, _ in told], rel=1e-5)
    assert [float(row["lr"]) for row in whole] == pytest.approx([lr for _, lr in told])
    assert {row["held_out_uf1"] for row in whole} == {""}, "nobody is held out of it"

    nested = [row for row in own if row["stage"] == "nested"]
    chosen = json.loads((tmp_path / "run" / "folds" / "seed-2" / f"{fold.name}.json").read_text())
    best = max(float(row["held_out_uf1"]) for row in nested)
    assert float(nested[chosen["protocols"]["nested"]["epoch"] - 1]["held_out_uf1"]) == best

    for stage, part in (("all", whole), ("nested", nested)):
        found = scalars_of(tmp_path / "run" / "tensorboard" / "seed-2" / fold.name / stage)
        for name, points in found.items():
            assert [value for _, value in points] == pytest.approx([float(row[name]) for row in part], rel=1e-6)
        assert ("held_out_uf1" in found) == (stage == "nested")


@pytest.mark.slow
def test_a_run_that_goes_on_has_the_same_curves_and_asks_tensorboard_late(manifest, tmp_path):
    run(manifest, tmp_path / "run", tensorboard=False)
    before = (tmp_path / "run" / "training.csv").read_bytes()
    assert not (tmp_path / "run" / "tensorboard").exists()
    lost = sorted((tmp_path / "run" / "folds" / "seed-0").glob("*.json"))[1]
    lost.unlink()
    run(manifest, tmp_path / "run")
    assert (tmp_path / "run" / "training.csv").read_bytes() == before
    folders = sorted((tmp_path / "run" / "tensorboard" / "seed-0").glob("*/*"))
    assert len(folders) == 8
    assert all(len(scalars_of(folder)["loss"]) == 3 for folder in folders)


@pytest.mark.slow
def test_folds_of_older_versions_have_no_curve(manifest, tmp_path):
    run(manifest, tmp_path / "run", protocols=("last",))
    for k, path in enumerate(sorted((tmp_path / "run" / "folds" / "seed-0").glob("*.json"))):
        stored = json.loads(path.read_text())
        if k:
            del stored["curves"]
        path.write_text(json.dumps(stored))
    run(manifest, tmp_path / "run", protocols=("last",))
    assert len(rows_of(tmp_path / "run")) == QUICK.epochs
