"""What the composite set's input and labels can carry: learning curves, shared errors, stability, action units.

``python -m benchmarks.ceiling`` measures all parts, or those that are named, and rewrites the tables of
``docs/ceiling.md``. Parts are written to ``benchmarks/results/ceiling.json`` one by one; single fits are kept in
``--out`` and not repeated. It reads the licensed set.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.ceiling_learners import (
    LEARNERS,
    Composite,
    Floats,
    Ints,
    mirrored,
    moved,
    read_composite,
    svm,
    svm_of_sets,
    uf1,
)
from benchmarks.ceiling_table import write_page
from benchmarks.halves import subjects as half_of
from benchmarks.halves import who
from benchmarks.leaderboard import FOLDER
from benchmarks.leaderboard_rows import ROWS
from benchmarks.leaderboard_table import gained, read_rows
from benchmarks.measure import COMPOSITE, provenance
from benchmarks.results_table import RESULTS
from htnet.core.errors import HtnetError, InputError, did_you_mean
from htnet.core.types import EMOTIONS
from htnet.data import EMOTION_PROTOTYPES, parse_action_units
from htnet.evaluation.bootstrap import interval, resampled_confusions
from htnet.evaluation.metrics import uf1_of_each
from htnet.evaluation.store import to_json, write_atomic

OUT = RESULTS / "ceiling.json"
#: People who are answered for in one fit, so that 64 others can be learned from.
TOGETHER = 4
#: Numbers of people learned from. The last two are not fitted: the curve has to foretell them.
SIZES = (8, 12, 16, 24, 32, 40, 48, 56, 64)
FITTED = 48
#: Draws of the people learned from.
DRAWS = {"svm": 10, "flow_mlp-mixed": 3, "ststnet-default": 2}
#: Fits for the interval of a curve.
REFITS = 500
#: Curves are told for so many people.
FORETOLD = (67, 136, 272, 680)
SHEETS = ("casme_class2_for_optical_flow.csv", "samm_class2_for_optical_flow.csv")


def curves(data: Composite, out: Path) -> dict[str, Any]:
    """UF1 by the number of people learned from, of each learner, with a fitted curve and what it foretells."""
    found = {}
    for name, learn in LEARNERS.items():
        scores = {size: [] for size in SIZES}
        answers: dict[int, list[Ints]] = {size: [] for size in SIZES}
        for draw in range(DRAWS[name]):
            for size in SIZES:
                chances = _kept(out / f"curve-{name}-{size}-{draw}.npy", lambda: _fits(data, learn, size, draw))  # noqa: B023
                answers[size].append(chances.argmax(1))
                scores[size].append(uf1(data.truth, chances.argmax(1)))
        found[name] = {
            "uf1": {str(size): [round(value, 4) for value in values] for size, values in scores.items()},
            **_fitted(scores),
            "sets": {
                str(size): {
                    own: round(float(np.mean([_of_set(data, a, own) for a in answers[size]])), 4)
                    for own in sorted(set(data.sets))
                }
                for size in (SIZES[0], 24, SIZES[-1])
            },
        }
    pooled = {size: [float(np.mean(found[name]["uf1"][str(size)])) for name in LEARNERS] for size in SIZES}
    return {"sizes": SIZES, "fitted_up_to": FITTED, "learners": found, "pooled": _fitted(pooled)}


def _fits(data: Composite, learn: Callable[..., Any], size: int, draw: int) -> Floats:
    """Probabilities of every sample, from so many people drawn among those of other groups."""
    rng = np.random.default_rng([draw, size])
    people = list(np.random.default_rng(draw).permutation(data.subjects))
    found = np.zeros((len(data.flows), len(EMOTIONS)))
    for start in range(0, len(people), TOGETHER):
        tested = people[start : start + TOGETHER]
        others = [person for person in people if person not in tested]
        rows = data.rows(list(rng.choice(others, size, replace=False)))
        if set(data.truth[rows]) != set(range(len(EMOTIONS))):
            raise InputError(f"{size} people drawn lack a class; draw more.")
        asked = data.rows(tested)
        found[asked] = learn(data.flows.subset(rows), draw)(data.flows.subset(asked))
    return found


def _of_set(data: Composite, answers: Ints, name: str) -> float:
    rows = data.sets == name
    return uf1(data.truth[rows], answers[rows])


def _fitted(scores: dict[int, list[float]]) -> dict[str, Any]:
    """The law a - b / n^c through means of up to `FITTED` people, and what it says of more."""
    from scipy.optimize import curve_fit

    sizes = [size for size in scores if size <= FITTED]
    means = [float(np.mean(scores[size])) for size in sizes]

    def law(n: Any, a: float, b: float, c: float) -> Any:
        return a - b * np.power(n, -c)

    known, options = (
        np.array(sizes, float),
        {"p0": (0.78, 1.0, 0.7), "bounds": ([0, 0, 0.1], [1, 5, 2]), "maxfev": 20000},
    )
    values = curve_fit(law, known, means, **options)[0]
    fitted = law(known, *values)
    # The parametric bootstrap: fits to the law with noise as large as what it leaves, three parameters taken off.
    noise = float(np.sqrt(np.sum((fitted - means) ** 2) / (len(sizes) - 3)))
    rng = np.random.default_rng(0)
    draws = np.array(
        [curve_fit(law, known, fitted + rng.normal(0, noise, len(sizes)), **options)[0] for _ in range(REFITS)]
    )
    asked = [size for size in scores if size > FITTED]
    return {
        "law": {"a": round(float(values[0]), 4), "b": round(float(values[1]), 4), "c": round(float(values[2]), 4)},
        "error": round(noise, 4),
        "held_out": {
            str(size): {
                "foretold": round(float(law(size, *values)), 4),
                "measured": round(float(np.mean(scores[size])), 4),
            }
            for size in asked
        },
        "foretold": {
            str(n): {
                "uf1": round(float(law(n, *values)), 4),
                "interval": [round(float(q), 4) for q in np.quantile(law(n, *draws.T), (0.025, 0.975))],
            }
            for n in FORETOLD
        },
    }


def stability(data: Composite, out: Path) -> dict[str, Any]:
    """Answers that change when a face is moved by one pixel or mirrored; no model has seen the person."""
    changes = {
        "in place": lambda flows: flows,
        "1 px right": lambda flows: moved(flows, 1, 0),
        "1 px left": lambda flows: moved(flows, -1, 0),
        "1 px down": lambda flows: moved(flows, 0, 1),
        "1 px up": lambda flows: moved(flows, 0, -1),
        "mirrored": mirrored,
    }
    found: dict[str, Any] = {}
    for name, learn in LEARNERS.items():

        def all_folds(learn: Callable[..., Any] = learn) -> Floats:
            chances = np.zeros((len(changes), len(data.flows), len(EMOTIONS)))
            for person in data.subjects:
                asked = data.rows([person])
                rows = [row for row in range(len(data.flows)) if row not in set(asked)]
                answer, tested = learn(data.flows.subset(rows), 0), data.flows.subset(asked)
                for number, change in enumerate(changes.values()):
                    chances[number, asked] = answer(change(tested))
            return chances

        chances = _kept(out / f"stability-{name}.npy", all_folds)
        answers = chances.argmax(-1)
        found[name] = {
            label: {
                "changed": round(float((answers[number] != answers[0]).mean()), 4),
                "uf1": round(uf1(data.truth, answers[number]), 4),
            }
            for number, label in enumerate(changes)
        }
        found[name]["any of them"] = {"changed": round(float((answers != answers[0]).any(0).mean()), 4)}
    return found


def detail(data: Composite, out: Path) -> dict[str, Any]:
    """UF1 of the machine by the size of its cells, and by the channels that it is shown."""
    names = data.flows.spec.channels
    every = range(len(names))
    asked: dict[str, tuple[int, Sequence[int]]] = {f"{cell} px": (cell, every) for cell in (14, 7, 4, 2, 1)}
    asked |= {f"{names[c]} alone": (4, [c]) for c in every}
    found = {}
    for label, (cell, channels) in asked.items():

        def fit(cell: int = cell, channels: Sequence[int] = channels) -> Floats:
            chances = np.zeros((len(data.flows), len(EMOTIONS)))
            for person in data.subjects:
                tested = data.rows([person])
                rows = [row for row in range(len(data.flows)) if row not in set(tested)]
                chances[tested] = svm(data.flows.subset(rows), 0, cell, channels)(data.flows.subset(tested))
            return chances

        chances = _kept(out / f"detail-{label.replace(' ', '-')}.npy", fit)
        answers = chances.argmax(1)
        found[label] = {"full": round(uf1(data.truth, answers), 4)}
        found[label] |= {own: round(_of_set(data, answers, own), 4) for own in sorted(set(data.sets))}
    return found


def mixture(data: Composite, out: Path) -> dict[str, Any]:
    """UF1 of the machine by the data sets that it learns from, and by what it is told of them."""
    sets = data.sets
    asked: dict[str, tuple[Callable[[str], Any], dict[str, Any]]] = {
        "all three": (lambda own: sets == sets, {}),
        "all three, each standardized by itself": (lambda own: sets == sets, {"each": True}),
        "all three, kernel between sets halved": (lambda own: sets == sets, {"between": 0.5}),
        "the same set only": (lambda own: sets == own, {}),
        "the other two sets only": (lambda own: sets != own, {}),
    }
    found = {}
    for label, (taken, options) in asked.items():

        def fit(taken: Callable[[str], Any] = taken, options: dict[str, Any] = options) -> Floats:
            chances = np.zeros((len(data.flows), len(EMOTIONS)))
            for person in data.subjects:
                tested = data.people == person
                rows = np.flatnonzero(taken(person.split("/")[0]) & ~tested)
                answer = svm_of_sets(data.flows.subset(rows.tolist()), sets[rows], **options)
                # The kernel knows only sets that it learned from; where it treats all alike, any name will do.
                names = sets[tested] if options else np.repeat(sets[rows][:1], int(tested.sum()))
                chances[tested] = answer(data.flows.subset(np.flatnonzero(tested).tolist()), names)
            return chances

        answers = _kept(out / f"mixture-{label.replace(' ', '-').replace(',', '')}.npy", fit).argmax(1)
        found[label] = _by_half(data, answers)
    return found


def agreement(data: Composite, out: Path) -> dict[str, Any]:
    """Which samples all rows of the leaderboard get wrong, and whether the rows err together."""
    names, answers = [sample.sample for sample in data.manifest], _answers(data, out)
    wrong = {name: own != data.truth for name, own in answers.items()}
    everyone = np.all(list(wrong.values()), axis=0)
    same = everyone & (np.ptp(np.array(list(answers.values())), axis=0) == 0)
    expected = float(np.prod([own.mean() for own in wrong.values()]))
    units = _units()
    groups = {
        "data set": {n: _share(everyone, data.sets == n) for n in sorted(set(data.sets))},
        "label": {n: _share(everyone, data.truth == i) for i, n in enumerate(EMOTIONS)},
        "class by the units": {
            said: _share(everyone, np.array([prototype_class(units.get(n)) == wanted for n in names]))
            for said, wanted in [*((n, i) for i, n in enumerate(EMOTIONS)), ("undecided", -1), ("no units", None)]
        },
    }
    pairs = [
        float(np.mean(wrong[a] & wrong[b]) / (np.mean(wrong[a]) * np.mean(wrong[b]))) for a, b in combinations(wrong, 2)
    ]
    voted = np.array([_most(column) for column in np.array(list(answers.values())).T])
    return {
        "rows": {name: round(uf1(data.truth, own), 4) for name, own in answers.items()},
        "wrong_for_everyone": int(everyone.sum()),
        "with_one_answer": int(same.sum()),
        "right_for_everyone": int((~np.any(list(wrong.values()), axis=0)).sum()),
        "expected_if_independent": round(expected * len(names), 2),
        "wrong_together_over_chance": [round(min(pairs), 2), round(float(np.median(pairs)), 2), round(max(pairs), 2)],
        "groups": groups,
        "units_of_one_wrong_answer": _sides(
            [prototype_class(units.get(name)) for name in names], data.truth, next(iter(answers.values())), same
        ),
        "units_of_wrong": Counter(
            unit for n, bad in zip(names, everyone, strict=True) if bad for unit, _ in units.get(n, ())
        ).most_common(8),
        "majority": _by_half(data, voted),
        "ensemble": best_ensemble(data, _chances(data)),
        "if_wrong_for_everyone_with_one_answer_were_mislabeled": {
            name: round(uf1(np.where(same, own, data.truth), own), 4) for name, own in answers.items()
        },
    }


def _in_development(data: Composite) -> npt.NDArray[np.bool_]:
    """(N,), whether the person of each sample is in the development half."""
    half = half_of("development")
    return np.array([who(*person.split("/", 1)) in half for person in data.people])


def _by_half(data: Composite, answers: Ints) -> dict[str, float]:
    """UF1 on all, on both halves of the people, and on each data set."""
    chosen = _in_development(data)
    return {
        "full": round(uf1(data.truth, answers), 4),
        "development": round(uf1(data.truth[chosen], answers[chosen]), 4),
        "untouched": round(uf1(data.truth[~chosen], answers[~chosen]), 4),
        **{own: round(_of_set(data, answers, own), 4) for own in sorted(set(data.sets))},
    }


def best_ensemble(data: Composite, chances: dict[str, Floats]) -> dict[str, Any] | None:
    """The mean of the class probabilities of two rows or more, chosen by the UF1 of the development half alone.

    Args:
        data: the set.
        chances: (N, classes) of each row, see `_chances`.

    Returns:
        Its rows, its UF1, how many were tried, and the UF1 of those that are as good on the development half; None
        where there is nothing to choose from.
    """
    tried = {
        names: np.sum([chances[name] for name in names], axis=0).argmax(1)
        for count in range(2, len(chances) + 1)
        for names in combinations(chances, count)
    }
    if not tried:
        return None
    chosen = _in_development(data)
    truth = data.truth[chosen]
    scores = {names: round(uf1(truth, answers[chosen]), 4) for names, answers in tried.items()}
    best = max(scores, key=lambda names: (scores[names], -len(names)))
    equal = [round(uf1(data.truth, tried[names]), 4) for names, found in scores.items() if found == scores[best]]
    alone = {name: own.argmax(1) for name, own in chances.items()}
    single = max(alone, key=lambda name: uf1(data.truth, alone[name]))
    return {
        "rows": list(best),
        "tried": len(tried),
        "as_good": {"count": len(equal) - 1, "full": [min(equal), max(equal)]},
        **_by_half(data, tried[best]),
        "beside_one": {"row": single, **_beside(data, tried[best], alone[single])},
    }


def _beside(data: Composite, answers: Ints, other: Ints) -> dict[str, Any]:
    """The interval of UF1 over resampled people, and of its gain over other answers with a two-sided p value."""
    people = data.people.tolist()
    draws, others = (
        uf1_of_each(resampled_confusions(data.truth, own, people, len(EMOTIONS))) for own in (answers, other)
    )
    gain = gained(draws - others)
    return {
        "interval": [round(value, 4) for value in interval(draws)],
        "gain": round(uf1(data.truth, answers) - uf1(data.truth, other), 4),
        "gain_interval": [round(gain["low"], 4), round(gain["high"], 4)],
        "p": round(gain["p"], 4),
    }


def _chances(data: Composite) -> dict[str, Floats]:
    """Class probabilities of each row that has kept them, the mean over its seeds under "last"."""
    found = {}
    for name, row in read_rows(FOLDER).items():
        kept = row["answers"]
        if "thousandths" in kept and not ROWS[name].ten:
            order = {sample: place for place, sample in enumerate(kept["samples"])}
            rows = [order[sample.sample] for sample in data.manifest]
            found[name] = np.array(kept["thousandths"], np.float64)[rows] / 1000
    return found


def units(data: Composite, out: Path) -> dict[str, Any]:
    """How far the action units of the sheets tell the labels: a bound for whoever sees only the motion of a face."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import BernoulliNB

    found, names = _units(), [sample.sample for sample in data.manifest]
    rows = [row for row, name in enumerate(names) if found.get(name)]
    truth, people, sets = data.truth[rows], data.people[rows], data.sets[rows]
    numbers = [frozenset(number for number, _ in found[names[row]]) for row in rows]
    every = sorted(frozenset().union(*numbers))
    active = np.array([[unit in own for unit in every] for own in numbers], dtype=float)
    table = np.array([prototype_class(found[names[row]]) for row in rows])
    combination = np.array(["+".join(map(str, sorted(own))) for own in numbers])
    # Everybody with the same units gets the label that most of them have: nobody can do better from units.
    best = np.array([_most(truth[combination == own]) for own in combination])
    learned = {}
    for title, machine in {
        "logistic regression": LogisticRegression(C=1.0, max_iter=2000),
        "naive Bayes": BernoulliNB(),
    }.items():
        answers = np.zeros(len(rows), np.int64)
        for person in sorted(set(people)):
            tested = people == person
            answers[tested] = machine.fit(active[~tested], truth[~tested]).predict(active[tested])
        learned[title] = answers
    readers = {
        "prototypes of EMFACS": np.where(table < 0, 0, table),
        **learned,
        "best of all readings (sees the labels)": best,
    }
    alike = [own for own, count in Counter(combination).items() if count > 1]
    split = [own for own in alike if len(set(truth[combination == own])) > 1]
    told = table >= 0
    return {
        "samples": len(rows),
        "without_units": len(names) - len(rows),
        "readers": {
            name: {
                "uf1": round(uf1(truth, answers), 4),
                "right": round(float((answers == truth).mean()), 4),
                **{own: round(uf1(truth[sets == own], answers[sets == own]), 4) for own in sorted(set(sets))},
            }
            for name, answers in readers.items()
        },
        "table_undecided": int((~told).sum()),
        "table_contradicts_label": int((told & (table != truth)).sum()),
        "contradictions": Counter(
            f"{EMOTIONS[t]} labeled, {EMOTIONS[p]} by units"
            for t, p in zip(truth[told], table[told], strict=True)
            if t != p
        ),
        "combinations_of_several_samples": len(alike),
        "of_them_with_several_labels": len(split),
        "samples_in_those": int(np.isin(combination, split).sum()),
        # The same answers scored twice: against the labels, and against what a second look by units would label.
        "flow": {
            name: {
                "uf1": round(uf1(truth, answers[rows]), 4),
                **{own: round(uf1(truth[sets == own], answers[rows][sets == own]), 4) for own in sorted(set(sets))},
                "against_units": round(uf1(learned["logistic regression"], answers[rows]), 4),
            }
            for name, answers in _answers(data, out).items()
        },
    }


def _answers(data: Composite, out: Path) -> dict[str, Ints]:
    """What each row of the leaderboard that answers for everybody says under "last": what most seeds say.

    A learner that has no row yet answers by one seed, that of the part on stability.
    """
    names = [sample.sample for sample in data.manifest]
    found: dict[str, Ints] = {}
    for name, row in read_rows(FOLDER).items():
        if ROWS[name].ten:
            continue
        kept = row["answers"]
        order = {sample: place for place, sample in enumerate(kept["samples"])}
        seeds = np.array([[int(line[order[n]]) for n in names] for line in kept["predicted"]["last"].values()])
        found[name] = np.array([_most(column) for column in seeds.T])
    for name in LEARNERS:
        kept_chances = out / f"stability-{name}.npy"
        if name != "svm" and name not in found and kept_chances.is_file():
            found[name] = np.load(kept_chances)[0].argmax(1)
    return found


def _units() -> dict[str, frozenset[tuple[int, bool]]]:
    """Action units of the samples whose sheets tell them, and whether each is of one side; SMIC's tell none."""
    found = {}
    for name in SHEETS:
        with (COMPOSITE / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found[row["imagename"].removesuffix(".jpg")] = _read(row["Action Units"])
    return found


def _read(text: str) -> frozenset[tuple[int, bool]]:
    return frozenset((unit.number, unit.side is not None) for term in parse_action_units(text) for unit in term)


def prototype_class(active: frozenset[tuple[int, bool]] | None) -> int | None:
    """The class whose prototypes of EMFACS share most with these units by Jaccard's index, -1 if two classes tie.

    Contempt is of one side: a unit of both sides is not its.
    """
    if not active:
        return None
    classes = {"happiness": 1, "surprise": 2}
    best: dict[int, float] = {}
    for emotion, text in EMOTION_PROTOTYPES.items():
        own = _read(text)
        sided = all(one for _, one in own)
        shared = {unit for unit, one in active if unit in {number for number, _ in own} and (one or not sided)}
        number = classes.get(emotion, 0)
        best[number] = max(best.get(number, 0.0), len(shared) / (len(active) + len(own) - len(shared)))
    top = max(best.values())
    winners = [number for number, value in best.items() if value == top]
    return winners[0] if top > 0 and len(winners) == 1 else -1


def _most(values: Ints) -> int:
    """The most frequent value; of several the one that comes first."""
    return Counter(values.tolist()).most_common(1)[0][0]


def _sides(told: Sequence[int | None], truth: Ints, answer: Ints, chosen: Any) -> dict[str, int]:
    """Whether the units of the chosen samples speak for the label or for what all models answer."""
    found = dict.fromkeys(("label", "answer", "neither", "no units"), 0)
    for unit_class, label, said in zip(np.array(told, object)[chosen], truth[chosen], answer[chosen], strict=True):
        known = "no units" if unit_class is None else "neither"
        found["label" if unit_class == label else "answer" if unit_class == said else known] += 1
    return found


def _share(chosen: Any, group: Any) -> list[int]:
    return [int((chosen & group).sum()), int(group.sum())]


def _kept(path: Path, make: Callable[[], Floats]) -> Floats:
    """An array on file, computed if it is not there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = make()
        with path.with_suffix(".tmp").open("wb") as file:
            np.save(file, made)
        path.with_suffix(".tmp").replace(path)
    return np.load(path)


#: In the order in which they are measured.
PARTS: dict[str, Callable[[Composite, Path], dict[str, Any]]] = {
    "stability": stability,
    "detail": detail,
    "mixture": mixture,
    "units": units,
    "agreement": agreement,
    "curves": curves,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all")
    parser.add_argument("--out", type=Path, default=Path("runs/ceiling"), help="folder of single fits")
    parser.add_argument("--table", action="store_true", help="only rewrite the page")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        if unknown := [name for name in args.parts if name not in PARTS]:
            raise InputError(f"There is no part {unknown[0]!r}. {did_you_mean(unknown[0], PARTS)}")
        data = None if args.table else read_composite()
        for name in () if data is None else args.parts or PARTS:
            found = json.loads(OUT.read_text("utf-8")) if OUT.is_file() else {}
            write_atomic(OUT, to_json({**found, name: PARTS[name](data, args.out), "machine": provenance()}))
            print(f"{name}: done", flush=True)
        write_page(json.loads(OUT.read_text("utf-8")))
    except HtnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
