"""The leaderboard: what is kept of a run, and its table."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from benchmarks import leaderboard, leaderboard_precision, leaderboard_table
from benchmarks.ceiling_learners import Composite, svm
from benchmarks.leaderboard_rows import ROWS, TEN, draw_ten
from htnet.core.errors import InputError
from htnet.data.published import COMPOSITE, composite_list, read_list
from htnet.evaluation import loso
from htnet.evaluation.report import SampleResult
from htnet.models import get_entry, list_models
from htnet.training import get_recipe, load_flow_set
from htnet.training.recipe import RECIPES
from tests.support.flows import write_flow_set


def test_rows_name_models_and_recipes_that_there_are():
    networks = [row for row in ROWS.values() if row.model != "svm"]
    assert {row.model for row in networks} <= set(list_models())
    assert all(row.recipe in RECIPES for row in networks)
    assert all(len(row.published.scores) == 4 for row in ROWS.values() if row.published)


@pytest.mark.parametrize("words", [["--hours", "0"], ["--hours", "nan"], ["--hours", "2", "--workers", "0"]])
def test_limits_that_would_mean_no_limit_are_refused(words, monkeypatch, capsys):
    monkeypatch.setattr(leaderboard, "_train_all", lambda args: pytest.fail("it trained"))
    with pytest.raises(SystemExit, match="2"):
        leaderboard.main(words)
    assert f"{words[-2]} is {words[-1]}; give" in capsys.readouterr().err


def answers(rng, people, right):
    truth = rng.integers(3, size=len(people))
    lines = {}
    for seed in range(2):
        wrong = rng.random(len(people)) > right
        lines[str(seed)] = "".join(map(str, np.where(wrong, (truth + 1) % 3, truth)))
    return {
        "samples": [f"s{i}" for i in range(len(people))],
        "datasets": ["smic"] * len(people),
        "subjects": people,
        "truth": "".join(map(str, truth)),
        "predicted": {"last": lines},
    }


def test_differences_are_of_the_same_people_in_every_draw():
    people = [f"p{i // 6}" for i in range(120)]
    good, bad = (answers(np.random.default_rng(3), people, right) for right in (0.95, 0.4))
    told = leaderboard_table.difference({"answers": good}, {"answers": bad})
    assert told["low"] > 0.2
    assert told["p"] < 0.01
    itself = leaderboard_table.difference({"answers": good}, {"answers": good})
    assert itself == {"low": 0.0, "high": 0.0, "p": 1.0}


def test_drawn_scores_agree_with_scikit_learn():
    """Each person drawn once gives the plain score; so do draws on average, nearly."""
    people = [f"p{i // 6}" for i in range(120)]
    found = answers(np.random.default_rng(4), people, 0.7)
    truth = [int(d) for d in found["truth"]]
    plain = np.mean(
        [f1_score(truth, [int(d) for d in line], average="macro") for line in found["predicted"]["last"].values()]
    )
    assert leaderboard_table.drawn_uf1(found, "last").mean() == pytest.approx(plain, abs=0.02)


@pytest.mark.parametrize("form", ["table", "short_table"])
def test_the_pages_are_those_of_the_rows(form):
    page = {"table": leaderboard_table.PAGE, "short_table": leaderboard_table.SHORT_PAGE}[form]
    between = page.read_text("utf-8").split(leaderboard_table.BEGIN)[1].split(leaderboard_table.END)[0].strip()
    make = getattr(leaderboard_table, form)
    assert between == make(leaderboard_table.read_rows(leaderboard.FOLDER)).strip()


def test_the_short_table_has_the_best_row_of_each_family():
    one = next(iter(leaderboard_table.read_rows(leaderboard.FOLDER).values()))
    rows = dict.fromkeys(("rcn_a-rcn", "rcn_a-default", "ststnet-default", "mier_cvt-default"), one)
    lines = leaderboard_table.short_table(rows).splitlines()[4:]
    assert [line.split("`")[1::2] for line in lines] == [["rcn_a", "rcn"], ["ststnet", "default"]]
    many = dict.fromkeys(ROWS, one)
    assert len(leaderboard_table.short_table(many).splitlines()) == 4 + leaderboard_table.SHORT


def test_the_ten_are_drawn_from_the_list_of_the_set():
    """With the draw's own seed, from the published list of people; every class is among their samples."""
    known = [(name, *entry) for name in COMPOSITE for entry in read_list(name)]
    listed = composite_list()
    people = {(name, known.subject) for name, known, _ in known if known.sample in listed}
    assert len(people) == 68
    assert draw_ten(sorted(people)) == TEN
    labels = {(n, k.label) for n, k, _ in known if k.sample in listed and f"{n}/{k.subject}" in TEN}
    assert {label for _, label in labels} == {"negative", "positive", "surprise"}


def test_rows_on_ten_people_stand_apart():
    """The ten's own table compares all rows on the same samples, scored anew from what they answered."""
    people = [person.split("/")[1] for person in TEN for _ in range(5)] + ["somebody"] * 20
    sets = [person.split("/")[0] for person in TEN for _ in range(5)] + ["smic"] * 20
    found = {}
    for name, right in (("ststnet-default", 0.6), ("mhssa_gcn-default", 0.8)):
        kept = answers(np.random.default_rng(5), people, right) | {"datasets": sets}
        kept["predicted"] = dict.fromkeys(("last", "nested", "best_on_test"), kept["predicted"]["last"])
        scores = {"uf1": 0.5, "uar": 0.5}
        entry = {
            "mean": dict.fromkeys(("full", "smic", "casme2", "samm"), scores),
            "interval": {"full": {"uf1": [0, 1]}},
        }
        entry["calibration"] = {"raw": {"expected_calibration_error": 0.1}}
        protocols = dict.fromkeys(kept["predicted"], entry)
        found[name] = {"answers": kept, "protocols": protocols, "parameters": 5, "ms_an_image": 1.0, "recipe": {}}
    above, below = leaderboard_table.table(found).split("Rows in bold")
    assert "`ststnet`" in above
    assert "MHSSA" not in above
    scored, costs = below.split("The rows in bold, ")
    lines = {line.split("`")[1]: line for line in scored.splitlines() if "`default`" in line}
    truth = [int(d) for d in found["ststnet-default"]["answers"]["truth"][:50]]
    for name, row in found.items():
        seeds = row["answers"]["predicted"]["last"].values()
        plain = np.mean([f1_score(truth, [int(d) for d in line[:50]], average="macro") for line in seeds])
        assert f"{plain:.3f}" in lines[name.split("-")[0]]
    assert "**" in lines["mhssa_gcn"]
    assert "**" not in lines["ststnet"].replace("(**leaks**)", "")
    assert "| 5 | 1 | 0.100 |" in costs
    assert "ststnet" not in costs
    # Intervals and p values are those of a set of these ten people alone.
    alone = {}
    for name, row in found.items():
        kept = row["answers"]
        short = {key: kept[key][:50] for key in ("datasets", "subjects", "truth")}
        short["predicted"] = {"last": {seed: line[:50] for seed, line in kept["predicted"]["last"].items()}}
        low, high = np.percentile(leaderboard_table.drawn_uf1(short, "last"), (2.5, 97.5))
        assert lines[name.split("-")[0]].count(f"| {low:.2f} to {high:.2f} |") == 2
        alone[name] = {"answers": short}
    p = leaderboard_table.difference(alone["mhssa_gcn-default"], alone["ststnet-default"])["p"]
    assert f"| {p:.2g} |" in lines["mhssa_gcn"]


def test_the_row_of_the_machine(tmp_path, monkeypatch):
    """Its answers are those of machines that have not seen the person, and all protocols are the same."""
    manifest = write_flow_set(tmp_path / "set", 4, 3)
    people = np.array([f"{sample.dataset}/{sample.subject}" for sample in manifest])
    data = Composite(manifest, load_flow_set(manifest, get_entry("ststnet").spec), people)
    monkeypatch.setattr(leaderboard, "read_composite", lambda: data)
    found = json.loads(json.dumps(leaderboard.train_svm(ROWS["svm-cells"])))
    kept = found["answers"]
    assert kept["predicted"]["last"] == kept["predicted"]["nested"] == kept["predicted"]["best_on_test"]
    for person in data.subjects:
        asked = data.rows([person])
        others = [row for row in range(len(manifest)) if row not in asked]
        said = svm(data.flows.subset(others), 0)(data.flows.subset(asked)).argmax(1)
        names = [manifest.samples[row].sample for row in asked]
        assert [int(kept["predicted"]["last"]["0"][kept["samples"].index(name)]) for name in names] == said.tolist()
    truth, line = ([int(d) for d in text] for text in (kept["truth"], kept["predicted"]["last"]["0"]))
    assert found["protocols"]["last"]["mean"]["full"]["uf1"] == pytest.approx(f1_score(truth, line, average="macro"))


@pytest.fixture
def row(tmp_path, monkeypatch):
    """A row that is trained for two epochs on a small set."""
    data = write_flow_set(tmp_path / "set", 4, 3)
    quick = get_recipe("default", epochs=2)
    monkeypatch.setattr(leaderboard, "open_data", lambda path: data)
    monkeypatch.setattr(leaderboard, "loso", lambda manifest, model, recipe, **o: loso(manifest, model, quick, **o))
    return ROWS["ststnet-default"]


def test_a_row_is_trained_kept_and_shown(tmp_path, row):
    options = {"workers": 1, "progress": False}
    first = leaderboard.train(row, tmp_path, options, seeds=1)
    found = json.loads(json.dumps(leaderboard.train(row, tmp_path, options, seeds=2)))
    assert leaderboard_table.seeds_of(first) == 1
    assert first["answers"]["predicted"]["last"]["0"] == found["answers"]["predicted"]["last"]["0"]
    assert set(found["answers"]["predicted"]) == {"last", "nested", "best_on_test"}
    scores = []
    for protocol, seeds in found["answers"]["predicted"].items():
        assert list(seeds) == ["0", "1"]
        truth = [int(digit) for digit in found["answers"]["truth"]]
        scores = [f1_score(truth, [int(digit) for digit in line], average="macro") for line in seeds.values()]
        assert found["protocols"][protocol]["mean"]["full"]["uf1"] == pytest.approx(np.mean(scores))
    assert np.abs(np.sum(found["answers"]["thousandths"], 1) - 1000).max() <= 2
    assert len(found["answers"]["thousandths"]) == 12
    for entry in found["protocols"].values():
        entry["mean"] |= dict.fromkeys(("smic", "casme2", "samm"), entry["mean"]["full"])
    text = leaderboard_table.table({row.name: found})
    assert "STSTNet (`ststnet`)" in text
    assert "Not trained yet (hours of one processor for each seed): `flow_mlp-mixed`" in text


def test_a_clone_goes_on_with_the_folds_that_were_kept(tmp_path, monkeypatch, row):
    monkeypatch.setattr(leaderboard, "FOLDS", tmp_path / "kept")
    monkeypatch.setattr(leaderboard, "FOLDER", tmp_path / "rows")
    options = {"workers": 1, "progress": False}
    whole = leaderboard.train(row, tmp_path / "here", options, seeds=1)
    folds = sorted((tmp_path / "here" / row.name / "folds" / "seed-0").glob("*.json"))
    folds[0].unlink()  # as if it had been interrupted
    assert leaderboard.main(["--keep-folds", "--out", str(tmp_path / "here")]) == 0
    kept = tmp_path / "kept" / row.name
    assert sorted(str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file()) == [
        *(f"folds/seed-0/{path.name}" for path in folds[1:]),
        "run.json",
    ]
    when = (kept / "folds" / "seed-0" / folds[1].name).stat().st_mtime_ns
    there = leaderboard.train(row, tmp_path / "there", options, seeds=1)
    assert there["answers"] == whole["answers"]
    found = tmp_path / "there" / row.name / "folds" / "seed-0" / folds[1].name
    assert found.stat().st_mtime_ns == when, "the kept fold was trained again"
    assert leaderboard.main(["--keep-folds", "--out", str(tmp_path / "elsewhere")]) == 0
    assert kept.exists(), "a folder without the row says nothing about it"
    (tmp_path / "there" / row.name / "folds" / "seed-0" / folds[2].name).unlink()
    assert leaderboard.main(["--keep-folds", row.name, "--out", str(tmp_path / "there")]) == 0
    assert len(list(kept.glob("folds/*/*.json"))) == len(folds), "folds that are kept stay"
    assert leaderboard.main(["--keep-folds", "no_such-row"]) == 2
    (tmp_path / "rows").mkdir()
    whole["answers"]["predicted"]["last"] |= {"1": "", "2": ""}  # all three seeds
    (tmp_path / "rows" / f"{row.name}.json").write_text(json.dumps(whole), "utf-8")
    assert leaderboard.main(["--keep-folds", "--out", str(tmp_path / "here")]) == 0
    assert not kept.exists()


def test_fewer_seeds_do_not_replace_a_row(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(leaderboard, "FOLDER", tmp_path)
    monkeypatch.setattr(leaderboard, "write_page", lambda folder: None)
    monkeypatch.setattr(leaderboard, "train", lambda row, out, options, seeds: row_of(seeds))

    def row_of(seeds):
        predicted = {"last": dict.fromkeys(map(str, range(seeds)), "")}
        return {"answers": {"predicted": predicted}, "protocols": {"last": {"mean": {"full": {"uf1": 0.5}}}}}

    path = tmp_path / "ststnet-default.json"
    for seeds, kept in ((2, 2), (1, 2), (3, 3)):
        assert leaderboard.main(["ststnet-default", "--seeds", str(seeds)]) == 0
        assert leaderboard_table.seeds_of(json.loads(path.read_text("utf-8"))) == kept
        assert ("not written, because the row has 2 seeds" in capsys.readouterr().out) == (seeds == 1)


def test_published_scores_are_compared_with_both_intervals():
    row = ROWS["ststnet-default"]
    uf1, uar = row.published.scores[0]
    includes, below, above = (uf1, uf1 + 0.01), (0, uf1 - 0.01), (uf1 + 0.01, 1)
    for honest, leaking, where in (
        (includes, above, "in `last`"),
        (below, includes, "in `best_on_test`"),
        (includes, includes, "in `last` and `best_on_test`"),
        (below, above, "in none"),
    ):
        told = leaderboard_table._published(row, {"last": honest, "best_on_test": leaking})
        assert told == f"{uf1:g} / {uar:g}, {where}"
    assert leaderboard_table._published(row) == f"{uf1:g} / {uar:g}"
    assert leaderboard_table._published(ROWS["flow_mlp-mixed"], {"last": (0, 1)}) == "–"


def test_a_row_in_fewer_bits_or_seeds_says_so():
    def told(name, seeds, **recipe):
        answers = {"predicted": {"last": dict.fromkeys(map(str, range(seeds)), "")}}
        return leaderboard_table._name(ROWS[name], {"answers": answers, "recipe": recipe})[1]

    bits = next(row.name for row in ROWS.values() if row.precision == "bfloat16")
    assert told(bits, 3, precision="bfloat16").endswith(", in bfloat16")
    assert told(bits, 1, precision="bfloat16").endswith(", in bfloat16, 1 seed")
    assert "bfloat16" not in told(bits, 1, precision="float32"), "it was trained before the row was changed"
    assert told("ststnet-default", 2).endswith("ours, 2 seeds")
    assert told("ststnet-default", 3).endswith("ours")
    assert told("svm-cells", 1).endswith("ours")


def test_the_comparison_of_precisions():
    first = [SampleResult(f"s{i}", "smic", "p", 0, "last", 0, i % 2, (1 - i % 2, i % 2, 0)) for i in range(4)]
    assert leaderboard_precision.compare(first, first) == {"same_predictions": 1.0, "mean_difference": 0.0}
    other = [replace(first[0], prediction=1, probabilities=(0.4, 0.6, 0.0)), *first[:0:-1]]
    found = leaderboard_precision.compare(first, other)
    assert found == {"same_predictions": 0.75, "mean_difference": pytest.approx(1.2 / 12)}
    with pytest.raises(InputError, match="not of the same samples"):
        leaderboard_precision.compare(first, first[1:])
    with pytest.raises(InputError, match="no row 'svm-cells' of a network"):
        leaderboard_precision.measure("svm-cells", None)


def test_hours_are_measured_and_shown(tmp_path, monkeypatch, capsys):
    data = write_flow_set(tmp_path / "set", 4, 3)
    monkeypatch.setattr(leaderboard, "open_data", lambda path: data)
    for module in (leaderboard, leaderboard_table):
        monkeypatch.setattr(module, "HOURS", tmp_path / "hours.json")
        monkeypatch.setattr(module, "write_page", lambda folder: None)
    assert leaderboard.main(["ststnet-default", "--estimate"]) == 0
    kept = json.loads((tmp_path / "hours.json").read_text("utf-8"))
    assert kept["ststnet-default"]["hours_a_seed"] > 0
    assert "hours of one processor for each seed" in capsys.readouterr().out
    (tmp_path / "hours.json").write_text('{"rcn_f-rcn": {"hours_a_seed": 1.26}}', "utf-8")
    one = next(iter(leaderboard_table.read_rows(leaderboard.FOLDER).values()))
    assert "`rcn_f-rcn` (1.3), `rcn_s-rcn`, " in leaderboard_table.table({one["row"]: one})
    assert leaderboard.main(["no_such-row"]) == 2


def test_the_page_says_what_fewer_bits_change():
    row = json.loads(leaderboard_precision.OUT.read_text("utf-8"))["rcn_a-rcn"]
    kept, seconds = row["against_float32_seed_0"], row["seconds_an_epoch"]
    text = " ".join(leaderboard_table.PAGE.read_text("utf-8").split())
    bits, seed = kept["bfloat16, seed 0"], kept["float32, seed 1"]
    assert f"{bits['same_predictions']:.0%}".replace("%", " %") + " of the predictions are those of float32" in text
    assert f"({seed['same_predictions']:.0%}".replace("%", " %") + " with another seed)" in text
    assert f"differ by {bits['mean_difference']:.3f} on average ({seed['mean_difference']:.3f} with another" in text
    assert f"(RCN-A: {seconds['bfloat16']:.3g} s an epoch, float32 {seconds['float32']:.3g} s)" in text


def test_the_page_says_what_off_apexnet_scores():
    row = leaderboard_table.read_rows(leaderboard.FOLDER)["off_apexnet-off_apexnet"]
    honest, leaking = (row["protocols"][name]["mean"]["full"]["uf1"] for name in ("last", "best_on_test"))
    text = " ".join(leaderboard_table.PAGE.read_text("utf-8").split())
    seeds = {1: "one seed", 3: "three seeds"}[leaderboard_table.seeds_of(row)]
    assert f"own recipe scores here by the last epoch ({honest:.3f}, {seeds})" in text
    assert f"the same run scores {leaking:.3f}." in text


def test_epochs_are_timed_in_both_precisions(tmp_path, monkeypatch):
    data = write_flow_set(tmp_path / "set", 4, 3)
    monkeypatch.setattr(leaderboard_precision, "open_data", lambda path: data)
    trained = []
    monkeypatch.setattr(leaderboard_precision, "train_model", lambda name, flows, recipe: trained.append(recipe))
    found = leaderboard_precision.epoch_seconds(leaderboard.ROWS["ststnet-default"], repeats=2)
    assert found.keys() == {"float32", "bfloat16"}
    assert [(r.precision, r.epochs) for r in trained] == [("float32", 1), ("bfloat16", 1)] * 3


@pytest.mark.parametrize("name", sorted({row.model for row in leaderboard.ROWS.values()} - {"svm"}))
def test_each_model_of_a_row_is_timed(name, tmp_path, monkeypatch):
    # The time is measured after hours of training.
    data = write_flow_set(tmp_path / "set", 2, 2)
    monkeypatch.setattr(leaderboard, "open_data", lambda path: data)
    seen = []
    monkeypatch.setattr(leaderboard, "_median_ms", lambda call: seen.append(call()) or 1.0)
    assert leaderboard.milliseconds(name) == 1.0
    assert seen[0].shape == (1, 3)
    assert seen[0].isfinite().all()
