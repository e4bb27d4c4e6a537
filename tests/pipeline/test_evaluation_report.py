"""The report of an evaluation."""

import base64
import dataclasses
import json
import re
import shutil

import cv2
import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, recall_score

import htnet
from htnet import cli
from htnet.core.errors import InputError, OverwriteError, RunError
from htnet.core.schema import misfit, read_schema
from htnet.data import Manifest, open_data
from htnet.data.reader import SampleReader
from htnet.evaluation import SampleResult, read_run
from htnet.evaluation.curves import read_curves
from htnet.pipeline import evaluate
from htnet.pipeline.evaluation_report import evaluation_report_text, report
from htnet.pipeline.worst_samples import Pictures, worst_samples
from tests.support.flows import CLASSES, write_flow_set
from tests.support.pairs import QUICK, pair_manifest
from tests.support.runs import EPOCHS, write_run

SURE = {"last": 1.0, "nested": 1.1, "best_on_test": 2.5}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set of two sets and a run on it."""
    root = tmp_path_factory.mktemp("made")
    write_flow_set(root / "set", subjects=4, per_subject=4, datasets=("a", "b"))
    write_run(root / "run", open_data(root / "set"), SURE)
    return root


@pytest.fixture
def run(made, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(made / "run", tmp_path / "run")


def rows_of(text, title):
    """The cells of the first table after a heading, without marks."""
    table = text.split(f"<h2>{title}")[1].split("</table>")[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.DOTALL)
    return [[re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def score_of(answers):
    return f1_score([s.truth for s in answers], [s.prediction for s in answers], average="macro")


def test_scores_are_those_of_scikit_learn_and_intervals_those_of_a_plain_bootstrap(made):
    found = read_run(made / "run")
    seeds = found.of("last")
    scores = found.scores("last")
    assert list(scores) == ["full", "a", "b"]
    assert scores["full"].uf1 == pytest.approx(np.mean([score_of(one) for one in seeds]))
    recalls = [recall_score([s.truth for s in one], [s.prediction for s in one], average="macro") for one in seeds]
    assert scores["full"].uar == pytest.approx(np.mean(recalls))
    of_a = [[s for s in one if s.dataset == "a"] for one in seeds]
    assert scores["a"].uf1 == pytest.approx(np.mean([score_of(one) for one in of_a]))
    assert (scores["full"].samples, scores["full"].people, scores["a"].people) == (32, 8, 4)

    people = sorted({(s.dataset, s.subject) for s in seeds[0]})
    drawn = np.random.default_rng(0).integers(len(people), size=(2000, len(people)))
    draws = []
    for one in seeds:
        own = [
            confusion_matrix(
                *zip(*[(s.truth, s.prediction) for s in one if (s.dataset, s.subject) == who], strict=True),
                labels=[0, 1, 2],
            )
            for who in people
        ]
        counts = np.array(own)[drawn].sum(1)
        hits, true, said = counts.diagonal(axis1=1, axis2=2), counts.sum(2), counts.sum(1)
        with np.errstate(invalid="ignore"):
            draws.append(np.nanmean(np.where(true > 0, 2 * hits / (true + said), np.nan), axis=1))
    expected = np.quantile(np.mean(draws, axis=0), (0.025, 0.975))
    assert scores["full"].intervals["uf1"] == pytest.approx(tuple(expected), abs=1e-12)
    assert scores["full"].intervals["uf1"] == pytest.approx(
        found.summary["protocols"]["last"]["interval"]["full"]["uf1"]
    )


def test_the_page_says_these_numbers_and_marks_what_leaks(made):
    found = read_run(made / "run")
    text = evaluation_report_text([found])
    full = found.scores("last")["full"]
    low, high = full.intervals["uf1"]
    row = rows_of(text, "Scores")[1]
    assert row[:4] == ["all samples", "32", f"{full.uf1:.3f}", f"{low:.3f} to {high:.3f}"]
    assert [row[0] for row in rows_of(text, "Scores")[2:]] == ["a", "b"]
    compared = rows_of(text, "Protocols and runs")[1:]
    assert [row[1] for row in compared] == ["last", "nested", "best_on_test leaks"]
    assert compared[0][-1] == "reported above"
    gain = found.scores("best_on_test")["full"].uf1 - full.uf1
    assert compared[2][-1].startswith(f"{gain:+.3f} (")
    counts = found.confusion("last")
    pairs = [(s.truth, s.prediction) for one in found.of("last") for s in one]
    np.testing.assert_array_equal(counts, confusion_matrix(*zip(*pairs, strict=True)))
    shown = re.findall(r'--share:[\d.]+">(\d+)<', text.split("<h3>all samples</h3>")[1].split("</table>")[0])
    assert shown == [str(n) for n in counts.ravel()]
    subjects = rows_of(text, "Subjects")[1:]
    assert len(subjects) == 8
    shares = [float(row[3]) for row in subjects]
    assert shares == sorted(shares)
    worst = [s for one in found.of("last") for s in one if (s.dataset, s.subject) == (subjects[0][1], subjects[0][0])]
    assert shares[0] == pytest.approx(np.mean([s.truth == s.prediction for s in worst]), abs=5e-4)


def test_a_run_that_only_leaks_is_said_to_be_no_result(made, tmp_path):
    write_run(tmp_path / "leaking", open_data(made / "set"), {"best_on_test": 2.0})
    text = evaluation_report_text([read_run(tmp_path / "leaking")])
    assert "Do not report its scores" in text
    assert "as the published code does. Do not report it as a result." in text
    assert "Do not report its scores" not in evaluation_report_text([read_run(made / "run")])


def test_nothing_is_fetched_and_nothing_runs(made):
    text = evaluation_report_text([read_run(made / "run")])
    assert "default-src 'none'" in text
    assert not re.search(r"https?:|url\(|@import|<link|<iframe", text)
    assert text.count("<script>") == 1, "that of all reports, for pages that show one"


def test_the_worst_samples_come_first_with_their_flow_image(made):
    found, manifest = read_run(made / "run"), open_data(made / "set")
    chances = {}
    for one in found.of("last"):
        for s in one:
            chances.setdefault(s.sample, []).append(s.probabilities[s.truth])
    expected = sorted(chances, key=lambda name: np.prod(chances[name]))[:5]
    assert [one.sample.sample for one in worst_samples(found.of("last"), 5)] == expected
    text = evaluation_report_text([found], worst=5)
    shown = re.findall(r'<h4>(.*?)</h4><img alt="[^"]*" src="data:image/png;base64,([^"]*)"', text)
    assert [name for name, _ in shown] == expected
    files = {sample.sample: sample.flow for sample in manifest}
    for name, data in shown:
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(picture, cv2.imread(str(files[name])))
    assert "Worst samples" not in evaluation_report_text([found], worst=0)


def test_data_that_are_not_there_are_told_and_others_refused(made, run, tmp_path):
    summary = json.loads((run / "summary.json").read_text())
    summary["data"] = "gone/manifest.csv"
    (run / "summary.json").write_text(json.dumps(summary))
    text = evaluation_report_text([read_run(run)])
    assert "Pictures of their flow are missing: the data of the run, gone/manifest.csv, do not exist" in text
    assert "<img" not in text
    assert text.count("<article>") == 12
    (run / "summary.json").write_text(json.dumps({**summary, "data": "x" * 5000}))
    assert "do not exist" in evaluation_report_text([read_run(run)]), "a name that no file can have"
    assert evaluation_report_text([read_run(run)], data=made / "set").count("<img") == 12
    manifest = open_data(made / "set")
    swapped = [dataclasses.replace(s, label=CLASSES[(CLASSES.index(s.label) + 1) % 3]) for s in manifest]
    with pytest.raises(InputError, match="holds 0 of the 32 samples"):
        evaluation_report_text([read_run(run)], data=Manifest(tuple(swapped), CLASSES))
    (tmp_path / "lost").mkdir()
    moved = [dataclasses.replace(s, flow=tmp_path / "lost" / "x.png") for s in manifest]
    text = evaluation_report_text([read_run(run)], data=Manifest(tuple(moved), CLASSES), worst=3)
    assert len(re.findall('class="none">No picture: Flow image .*? does not exist', text)) == 3


def test_a_protocol_that_the_summary_does_not_know_is_told(run):
    path = run / "predictions.csv"
    lines = path.read_text().splitlines()
    cells = lines[-1].split(",")
    cells[lines[0].split(",").index("protocol")] = "first"
    path.write_text("\n".join([*lines, ",".join(cells)]) + "\n")
    with pytest.raises(RunError, match="has predictions of first, seed 1, which .* does not contain"):
        read_run(run)


def test_a_data_set_of_one_protocol_alone_is_no_part_of_others(run):
    found = read_run(run)
    one = dataclasses.replace(found.samples[0], dataset="other", protocol="more")
    mixed = dataclasses.replace(found, samples=(*found.samples, one))
    assert "other" not in mixed.scores(found.main)


def test_flow_is_computed_where_there_are_only_frames(tmp_path):
    samples = {sample.sample: sample for sample in pair_manifest(tmp_path, 2)}
    name, sample = next(iter(samples.items()))
    asked = SampleResult(name, "", "", 0, "last", 0, 0, (1.0, 0.0, 0.0))
    shown = Pictures(samples, SampleReader(QUICK, "template"), "").html(asked)
    data = re.search(r'src="data:image/jpeg;base64,([^"]*)"', shown)[1]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (224, 224, 3)
    assert picture.std() > 10
    lost = {name: dataclasses.replace(sample, apex=None)}
    assert "No picture: it has no onset and apex frames" in Pictures(lost, SampleReader(QUICK, "template"), "").html(
        asked
    )


def test_curves_are_means_over_the_folds(made):
    curves = read_curves(made / "run" / "training.csv")
    assert set(curves) == {"all", "nested"}
    loss = curves["all"]["loss"]
    assert loss.shape == (16, EPOCHS)
    expected = np.mean([1.0 + 0.1 * k + seed for seed in (0, 1) for k in range(8)]) - 0.2 * np.arange(EPOCHS)
    np.testing.assert_allclose(loss.mean(0), expected)
    assert np.isnan(curves["all"]["held_out_uf1"]).all()
    text = evaluation_report_text([read_run(made / "run")])
    assert text.count('aria-label="loss over the epochs') == 2
    assert "Held-out training subjects" in text
    assert "It includes no tested subject" in text


def test_a_run_without_curves_says_so(run):
    (run / "training.csv").unlink()
    assert "There are no learning curves" in evaluation_report_text([read_run(run)])


def test_texts_are_escaped(made, tmp_path):
    samples = [
        dataclasses.replace(s, subject=f"<i>{s.subject}", sample=f"<b>{s.sample}") for s in open_data(made / "set")
    ]
    write_run(tmp_path / "run", Manifest(tuple(samples), CLASSES, "<u>set"), {"last": 1.0})
    text = evaluation_report_text([read_run(tmp_path / "run")], data=Manifest(tuple(samples), CLASSES, "<u>set"))
    assert not re.search("<i>s|<b>a_|<u>", text)
    assert "&lt;b&gt;a_" in text


def test_unnamed_people_have_no_intervals(made, tmp_path):
    manifest = open_data(made / "set")
    write_run(tmp_path / "run", manifest, {"last": 1.0}, seeds=(0,))
    # As of data sets that are left out whole, where people may be unknown.
    for name, known, unknown in (("predictions.csv", ",s0,", ",,"), ("summary.json", '"subject"', '"dataset"')):
        file = tmp_path / "run" / name
        file.write_text(file.read_text().replace(known, unknown))
    found = read_run(tmp_path / "run")
    assert found.scores("last")["full"].intervals is None
    text = evaluation_report_text([found])
    assert "There are no intervals" in text
    assert "not named" in text


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "summary.json").unlink(), "not finished; run the same command again"),
        (lambda run: [(run / n).unlink() for n in ("summary.json", "run.json")], "Give the run folder"),
        (lambda run: (run / "summary.json").write_text("{"), "is damaged"),
        (
            lambda run: (run / "summary.json").write_text(
                (run / "summary.json").read_text().replace("calibration", "c")
            ),
            "of an older version.*writes its summary again",
        ),
        (
            lambda run: (run / "summary.json").write_text('{"schema": "htnet.prediction"}'),
            "a document 'htnet.prediction'",
        ),
        (lambda run: (run / "predictions.csv").unlink(), "does not exist"),
        (
            lambda run: (run / "summary.json").write_text((run / "summary.json").read_text().replace('"run"', '"ran"')),
            "of an older version: run is missing",
        ),
        (
            lambda run: (run / "predictions.csv").write_text(
                re.sub(
                    ",(negative|positive|surprise),(negative|positive|surprise),",
                    r",\1,\1,",
                    (run / "predictions.csv").read_text(),
                )
            ),
            "do not belong together",
        ),
        (
            lambda run: (run / "predictions.csv").write_text(
                (run / "predictions.csv").read_text().replace("surprise,", "joy,", 1)
            ),
            "'joy' is no class|lacks|no column",
        ),
    ],
)
def test_folders_that_are_no_finished_run_are_refused(run, spoil, message):
    spoil(run)
    with pytest.raises(RunError, match=message):
        htnet.report(run)


def _rows(run, change):
    file = run / "predictions.csv"
    header, *rows = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text(header + "".join(change(rows)), "utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [*rows, rows[0]], "has two predictions for"),
        (lambda rows: rows[1:], "lacks predictions for .* of some protocol or seed"),
        (lambda rows: [row for row in rows if not row.startswith(rows[0].split(",")[0])], "summary.json states 32"),
        (
            lambda rows: [
                re.sub("^[^,]*,", "other,", row) if row.startswith(rows[0].split(",")[0] + ",") else row for row in rows
            ],
            "is not a sample in run.json",
        ),
    ],
    ids=["twice", "not by all", "fewer", "others"],
)
def test_answers_of_other_samples_than_the_run_has_are_refused(run, change, said):
    samples = sorted({row.split(",")[0] for row in (run / "predictions.csv").read_text("utf-8").splitlines()[1:]})
    (run / "run.json").write_text(json.dumps({"samples": samples}), "utf-8")
    read_run(run)
    _rows(run, change)
    with pytest.raises(RunError, match=said):
        read_run(run)


def _changed(run, change):
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    change(summary)
    (run / "summary.json").write_text(json.dumps(summary), "utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s["protocols"]["last"]["seeds"]["0"]["full"].update(uf1=float("nan")), "uf1 is nan; it must be a f"),
        (lambda s: s["protocols"]["last"]["seeds"]["0"]["full"].update(uf1=None), "uf1 is None; it must be of type nu"),
        (
            lambda s: s["protocols"]["last"]["mean"]["full"].update(uar=1.5),
            "mean.full.uar is 1.5; it must be at most 1",
        ),
        (lambda s: s["protocols"]["last"].pop("leaks"), "protocols.last.leaks is missing"),
        (lambda s: s["protocols"].clear(), "protocols is empty"),
        (lambda s: s.update(protocols=[]), r"protocols is \[\]; it must be of type object"),
        (lambda s: s.update(classes="abc"), "classes is 'abc'; it must be of type array"),
        (lambda s: s.update(samples=True), "samples is True; it must be of type integer"),
        (lambda s: s.update(subjects=-1), "subjects is -1; it must be at least 0"),
        (lambda s: s.update({"leave": "person"}), "leave is 'person'; it must be one of subject"),
        (lambda s: s.update(schema_version=2), "schema_version is 2; it must be 1"),
        (lambda s: s["run"].pop("recipe"), "run.recipe is missing"),
        (lambda s: s["warnings"].append({"code": "a"}), r"warnings\[\d\].message is missing"),
        (lambda s: s["run"].update(seeds=[5]), "protocols.last.seeds has the seeds 0, 1, but run.seeds is"),
        (lambda s: s["protocols"].pop("nested"), "predictions.csv has predictions of nested, seed 0, which"),
    ],
)
def test_what_a_summary_lacks_is_named(run, change, said):
    _changed(run, change)
    with pytest.raises(RunError, match=said) as caught:
        htnet.report(run)
    assert str(run / "summary.json") in str(caught.value)


def test_the_validator_is_that_of_the_schema(run):
    """What it refuses, jsonschema refuses, too; new fields are passed over."""
    jsonschema = pytest.importorskip("jsonschema", reason="part of the extra dev")
    schema = read_schema()
    check = jsonschema.Draft202012Validator({**schema["$defs"]["evaluation"], "$defs": schema["$defs"]})
    summary = json.loads((run / "summary.json").read_text("utf-8"))
    assert not list(check.iter_errors(summary))
    assert misfit(summary, "evaluation") == ""
    assert misfit({**summary, "new": 1}, "evaluation") == ""
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(300):
        spoiled = json.loads(json.dumps(summary))
        place = spoiled
        while True:
            key = (
                rng.choice(np.array(list(place), dtype=object)) if isinstance(place, dict) else rng.integers(len(place))
            )
            if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.8:
                place = place[key]
                continue
            place[key] = [None, -1, 2.5, "a", [], {}, True][rng.integers(7)]
            break
        wrong = bool(list(check.iter_errors(spoiled)))
        assert bool(misfit(spoiled, "evaluation")) == wrong, (key, place[key])
        refused += wrong
    assert refused > 50


@pytest.mark.parametrize("cell", ["1.5", "-0.25", "nan", "inf"])
def test_probabilities_are_numbers_from_0_to_1(run, cell):
    lines = (run / "predictions.csv").read_text("utf-8").splitlines()
    cells = lines[3].split(",")
    at = lines[0].split(",").index("probability_negative")
    lines[3] = ",".join([*cells[:at], cell, *cells[at + 1 :]])
    (run / "predictions.csv").write_text("\n".join(lines), "utf-8")
    with pytest.raises(
        RunError, match=r"predictions.csv, line 4: probability_negative is .*; probabilities are numbers"
    ):
        htnet.report(run)


@pytest.mark.parametrize(
    ("name", "cell", "message"),
    [("probability_negative", "1.0", "add up to 1.*, not 1"), ("seed", "\u00b2", "the seed is missing")],
)
def test_rows_that_a_run_cannot_have_written_are_refused(run, name, cell, message):
    lines = (run / "predictions.csv").read_text("utf-8").splitlines()
    cells = lines[3].split(",")
    cells[lines[0].split(",").index(name)] = cell
    (run / "predictions.csv").write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]), "utf-8")
    with pytest.raises(RunError, match=f"line 4: .*{message}"):
        htnet.report(run)


def test_paths_of_a_run_are_found_from_another_folder(made, tmp_path, monkeypatch):
    project = tmp_path / "project"
    shutil.copytree(made / "set", project / "data" / "set")
    write_run(project / "out" / "run", open_data(project / "data" / "set"), {"last": 1.0})
    _changed(project / "out" / "run", lambda s: s.update(data="data/set"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert evaluation_report_text([read_run(project / "out" / "run")]).count("<img") == 12
    monkeypatch.chdir(project)
    assert evaluation_report_text([read_run("out/run")]).count("<img") == 12
    found = read_run("out/run")
    assert found.path_of("data/set") == project / "data" / "set"
    assert found.path_of("data/none").as_posix() == "data/none"


def test_scores_of_weights_are_reported(made, tmp_path):
    from tests.pipeline.test_scoring import fresh

    found = evaluate(open_data(made / "set"), fresh(1), against=fresh(2), resamples=200)
    found.write(tmp_path / "scores")
    text = evaluation_report_text([read_run(tmp_path / "scores")])
    row = rows_of(text, "Scores")[1]
    assert row[2] == f"{found.scores()['full'].uf1:.3f}"
    compared = rows_of(text, "Protocols and runs")[1:]
    assert [row[1] for row in compared] == ["trained weights", "compared weights"]
    assert compared[1][4] == f"{found.scores(found.against)['full'].uf1:.3f}"
    assert compared[1][-1].startswith(f"{-found.difference()['uf1']['value']:+.3f}")
    assert text.count("<img") == 12
    assert "raw: expected calibration error" in text
    assert "There is no training.csv beside the weights" in text


def test_several_runs_are_compared_over_the_same_people(made, tmp_path, capsys):
    manifest = open_data(made / "set")
    write_run(tmp_path / "other", manifest, {"last": 2.0}, model="flow_mlp")
    write_run(tmp_path / "less", manifest.subset(range(16)), {"last": 2.0}, seeds=(0,))
    words = ["report", *(str(p) for p in (made / "run", tmp_path / "other", tmp_path / "less"))]
    out = tmp_path / "new" / "page.html"
    assert cli.main([*words, "--out", str(out), "--worst", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == [str(out)]
    compared = rows_of(out.read_text(), "Protocols and runs")[1:]
    assert [row[0] for row in compared] == ["run"] * 3 + ["other", "less"]
    first, other = read_run(made / "run"), read_run(tmp_path / "other")
    value, low, high = first.difference("last", other, "last")["uf1"]
    assert value == pytest.approx(other.scores("last")["full"].uf1 - first.scores("last")["full"].uf1)
    assert low < value < high
    assert compared[3][-1] == f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
    assert compared[4][-1] == "-"
    assert "missing where samples or classes are not the same" in out.read_text()
    assert first.difference("last", first, "last")["uf1"] == (0.0, 0.0, 0.0)


def test_a_run_is_not_compared_with_itself(run, tmp_path, capsys):
    (tmp_path / "link").symlink_to(run)
    for other in (run, run / "summary.json", tmp_path / "link"):
        with pytest.raises(InputError, match="would be compared with itself. Give each run once"):
            report([run, other], tmp_path / "r.html")
    assert cli.main(["report", str(run), str(run)]) == 2
    assert f"{run} is given twice" in capsys.readouterr().err


def test_files_are_not_overwritten_and_names_are_checked(run):
    path = htnet.report(run)
    assert path == run / "report.html"
    with pytest.raises(OverwriteError, match="report.html already exists"):
        htnet.report(run)
    before = path.read_bytes()
    htnet.report(run, overwrite=True)
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="ends in .html"):
        htnet.report(run, run / "a.pdf")
    with pytest.raises(InputError, match="No run was given"):
        htnet.report([])
    with pytest.raises(InputError, match="worst is -1"):
        htnet.report(run, worst=-1)


def test_a_run_is_named_by_its_summary_too(run):
    assert htnet.report(run / "summary.json") == run / "report.html"


def test_protocols_and_data_sets_that_a_run_lacks_are_named(made):
    run = read_run(made / "run")
    for ask in (
        lambda: run.of("best"),
        lambda: run.scores("best"),
        lambda: run.confusion("best"),
        lambda: run.leaks("best"),
        lambda: run.reliability("best"),
        lambda: run.difference("best", run, run.main),
        lambda: run.difference(run.main, run, "best"),
    ):
        with pytest.raises(InputError, match=f"The run has no protocol 'best'; it has {', '.join(run.protocols)}"):
            ask()
    for ask in (run.of, run.confusion):
        with pytest.raises(InputError, match="The run has no data set 'nowhere'"):
            ask(run.main, "nowhere")
    for other in (str(made), made, None):
        with pytest.raises(InputError, match="give what htnet.evaluation.read_run returns"):
            run.difference(run.main, other, run.main)
