"""What the page on the ceiling measures: curves, shared errors, action units, and its tables."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from benchmarks import ceiling, ceiling_table
from benchmarks.ceiling_learners import LEARNERS, Composite, mirrored, moved, svm, svm_of_sets
from htnet.evaluation.bootstrap import RESAMPLES
from htnet.models import get_entry
from htnet.training import load_flow_set
from tests.support.flows import write_flow_set


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6+12", 1),
        ("12", 1),  # happiness, of both sides; contempt is of one
        ("1+2", 2),
        ("1+2+5+26", 2),
        ("4+7", 0),
        ("9", 0),
        ("R14", 0),
        ("R12", -1),  # contempt or half a smile
        ("17", -1),  # in no prototype
        ("", None),
    ],
)
def test_prototypes_tell_the_class(text, expected):
    assert ceiling.prototype_class(ceiling._read(text)) == expected


def test_units_side_with_the_label_or_the_answer():
    told = [0, 1, 2, -1, None, 1]
    found = ceiling._sides(
        told, np.array([0, 0, 0, 0, 0, 1]), np.array([1, 1, 1, 1, 1, 2]), np.array([True] * 5 + [False])
    )
    assert found == {"label": 1, "answer": 1, "neither": 2, "no units": 1}


def test_a_law_is_found_again_and_foretells():
    """Scores of a known law: the fit through few people tells those of many."""
    sizes = ceiling.SIZES
    found = ceiling._fitted({size: [0.8 - 1.2 / size**0.7] for size in sizes})
    assert found["law"]["a"] == pytest.approx(0.8, abs=0.01)
    assert found["law"]["c"] == pytest.approx(0.7, abs=0.05)
    assert found["error"] < 1e-3
    for size, point in found["held_out"].items():
        assert int(size) > ceiling.FITTED
        assert point["foretold"] == pytest.approx(point["measured"], abs=2e-3)
    assert found["foretold"]["680"]["uf1"] == pytest.approx(0.8 - 1.2 / 680**0.7, abs=0.01)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    manifest = write_flow_set(tmp_path_factory.mktemp("set"), 6, 6, datasets=("smic", "samm"))
    people = np.array([f"{sample.dataset}/{sample.subject}" for sample in manifest])
    return Composite(manifest, load_flow_set(manifest, get_entry("ststnet").spec), people)


def test_nobody_is_learned_from_who_is_asked_for(data, monkeypatch):
    """Of each fit the people learned from are as many as told, and none of those answered for."""
    monkeypatch.setattr(ceiling, "TOGETHER", 3)
    pictures = {image.numpy().tobytes(): person for image, person in zip(data.flows.images, data.people, strict=True)}
    seen = []

    def learn(flows, seed):
        known = {pictures[image.numpy().tobytes()] for image in flows.images}

        def answer(new):
            asked = {pictures[image.numpy().tobytes()] for image in new.images}
            seen.append((known, asked))
            return np.eye(3)[new.labels.numpy()]

        return answer

    found = ceiling._fits(data, learn, 5, 1)
    assert (found.argmax(1) == data.truth).all()
    assert all(len(known) == 5 and len(asked) == 3 and not known & asked for known, asked in seen)
    assert set.union(*(asked for _, asked in seen)) == set(data.subjects)


def test_views_of_faces(data):
    right = moved(data.flows, 1, 0).images
    assert torch.equal(right[..., 1:], data.flows.images[..., :-1])
    twice = mirrored(mirrored(data.flows)).images
    assert (twice.int() - data.flows.images.int()).abs().max() <= 1
    assert not torch.equal(mirrored(data.flows).images, data.flows.images)


def test_the_machine_is_that_of_the_leaderboard(data):
    """The same probabilities as `benchmarks.classical`, whose row the table shows."""
    from benchmarks.classical import Half, run_classical
    from benchmarks.svm_row import MACHINE
    from htnet.data import leave_one_subject_out

    folds = leave_one_subject_out(data.manifest)
    [expected] = run_classical(MACHINE, Half(data.flows, folds, data.sets), 1, None).values()
    for fold in folds[:3]:
        answer = svm(data.flows.subset(list(fold.train)), 0)
        np.testing.assert_allclose(answer(data.flows.subset(list(fold.test))), expected[list(fold.test)], atol=2e-3)


def test_the_machine_of_sets_is_the_same_machine(data):
    """Without options it is `svm`; each option changes it, and so do other names of the sets then."""
    drawn = torch.from_numpy(np.random.default_rng(0).integers(0, 200, tuple(data.flows.images.shape)))
    # Noise, and a slope that only the faces of one set have.
    slope = torch.linspace(0, 55, drawn.shape[-1]) * torch.from_numpy(data.sets == "smic")[:, None, None, None]
    every = replace(data.flows, images=(drawn + slope).to(torch.uint8))
    person = data.subjects[0]
    rows, asked = data.rows([own for own in data.subjects if own != person]), data.rows([person])
    flows, new, names = every.subset(rows), every.subset(asked), data.sets[asked]
    plain = svm(flows, 0)(new)
    np.testing.assert_allclose(svm_of_sets(flows, data.sets[rows])(new, names), plain, atol=2e-3)
    other = np.where(names == "smic", "samm", "smic")
    for options in ({"each": True}, {"between": 0.5}):
        answer = svm_of_sets(flows, data.sets[rows], **options)
        assert np.abs(answer(new, names) - plain).max() > 0.02
        assert np.abs(answer(new, other) - answer(new, names)).max() > 0.02


def test_a_mixture_learns_from_the_sets_it_names(data, monkeypatch, tmp_path):
    """The people learned from are those of the sets that the row says, never the person tested."""
    pictures = {image.numpy().tobytes(): person for image, person in zip(data.flows.images, data.people, strict=True)}
    seen = {}

    def machine(flows, sets, **options):
        people = [pictures[image.numpy().tobytes()] for image in flows.images]
        assert [person.split("/")[0] for person in people] == list(sets)
        known = set(people)

        def answer(new, names):
            [person] = {pictures[image.numpy().tobytes()] for image in new.images}
            seen.setdefault(tuple(options), {})[person, len(seen.get(tuple(options), {}))] = known
            return np.eye(3)[new.labels.numpy()]

        return answer

    monkeypatch.setattr(ceiling, "svm_of_sets", machine)
    monkeypatch.setattr(ceiling, "half_of", lambda half: {"smic-" + p.split("/")[1] for p in data.people})
    monkeypatch.setattr(ceiling, "who", lambda dataset, subject: f"{dataset}-{subject}")
    found = ceiling.mixture(data, tmp_path)
    assert all(own["full"] == 1.0 for own in found.values())
    people = set(data.subjects)
    rows = [(person, known) for (person, _), known in seen[()].items()]
    everyone, same, others = (rows[start : start + len(people)] for start in range(0, len(rows), len(people)))
    assert all(known == people - {person} for person, known in everyone)
    assert all(
        known == {p for p in people if p.split("/")[0] == person.split("/")[0]} - {person} for person, known in same
    )
    assert all(known == {p for p in people if p.split("/")[0] != person.split("/")[0]} for person, known in others)


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_learners_answer_with_probabilities(data, name):
    rows = data.rows(data.subjects[:4])
    chances = LEARNERS[name](data.flows.subset(rows), 0)(data.flows.subset(data.rows(data.subjects[5:6])))
    np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)
    assert chances.shape == (6, 3)


def test_the_page_is_that_of_the_measurement():
    page, found = ceiling_table.PAGE.read_text("utf-8"), json.loads(ceiling.OUT.read_text("utf-8"))
    assert set(found) - {"machine"} == set(ceiling_table.PARTS) == set(ceiling.PARTS)
    for part in ceiling_table.PARTS:
        begin, end = ceiling_table.marks(part)
        assert page.split(begin)[1].split(end)[0].strip() == ceiling_table.table(part, found[part]).strip()


def test_what_relabeling_gains_is_that_of_the_rows():
    """The sentence below the table counts the models that would gain, by the unrounded scores of its rows."""
    rows = {
        name: {"uf1": 0.7, "casme2": 0.7, "samm": 0.7, "against_units": 0.7 + gain}
        for name, gain in (("svm-cells", -0.02), ("flow_mlp-mixed", 0.01), ("ststnet-default", 0.03))
    }
    found = json.loads(ceiling.OUT.read_text("utf-8"))["units"] | {"flow": rows}
    assert "UF1 would change by -0.020 to +0.030, and be higher for 2 of 3 models." in ceiling_table.table(
        "units", found
    )


def test_answers_beside_others_over_resampled_people(data):
    """Right answers beside wrong ones for one class: the gain is certain, and that of the scores."""
    other = np.where(data.truth == 1, 2, data.truth)
    found = ceiling._beside(data, data.truth, other)
    assert found["interval"] == [1.0, 1.0]
    assert found["gain"] == pytest.approx(1 - f1_score(data.truth, other, average="macro"), abs=1e-3)
    assert found["gain_interval"][0] > 0
    assert found["p"] == 1 / RESAMPLES
    assert ceiling._beside(data, other, data.truth)["gain"] == -found["gain"]


def test_an_ensemble_is_chosen_on_the_development_half_alone(data, monkeypatch):
    """One pair is right there and wrong for the others, the other pair the other way round."""
    chosen = {"smic-" + person.split("/")[1] for person in data.people if person.startswith("smic")}
    monkeypatch.setattr(ceiling, "half_of", lambda half: chosen)
    monkeypatch.setattr(ceiling, "who", lambda dataset, subject: f"{dataset}-{subject}")
    inside = np.array([person.startswith("smic") for person in data.people])
    right, wrong = np.eye(3)[data.truth], np.eye(3)[(data.truth + 1) % 3]
    here, there = np.where(inside[:, None], right, wrong), np.where(inside[:, None], wrong, right)
    found = ceiling.best_ensemble(data, {"a": here, "b": 0.9 * here, "c": there, "d": 5 * there})
    assert (found["rows"], found["tried"]) == (["a", "b"], 11)
    assert (found["development"], found["untouched"]) == (1.0, 0.0)
    assert (found["smic"], found["samm"]) == (1.0, 0.0)
    assert found["as_good"] == {"count": 1, "full": [found["full"]] * 2}  # with "c", which is outvoted
    assert (found["beside_one"]["gain"], found["beside_one"]["p"]) == (0, 1.0)  # "a" and "b" answer alike
    assert ceiling.best_ensemble(data, {"a": here}) is None
