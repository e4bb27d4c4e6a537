"""The report of an evaluation: one self-contained HTML file that opens offline and can be printed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from os import PathLike
from pathlib import Path

import numpy as np

from htnet._version import __version__
from htnet.core.errors import InputError
from htnet.core.fields import whole
from htnet.core.files import check_outputs, write_text
from htnet.core.identity import is_named
from htnet.core.paths import as_path, real_path
from htnet.core.schema import Warned
from htnet.core.types import QualityWarning
from htnet.core.words import counted, people_counted
from htnet.data import Manifest
from htnet.evaluation import PROTOCOLS
from htnet.evaluation.curves import read_curves
from htnet.evaluation.finished import WEIGHTS, FinishedRun, GroupScores, read_run
from htnet.pipeline.evaluation_charts import confusion, curve_chart, range_bar, reliability_chart, table
from htnet.pipeline.page import check_name, class_bars, page
from htnet.pipeline.worst_samples import Pictures, worst_samples
from htnet.training.curves import CURVE_FILE

_SUMMARY = "summary.json"
_LEAKS = '<span class="leaks">leaks</span>'
_KINDS = {
    "subject": "leave one subject out (LOSO)",
    "dataset": "leave one database out (LODO)",
    "fold": "folds of several subjects",
    "split": "the fixed split of the manifest",
}


def report(
    run: str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None = None,
    *,
    data: Manifest | str | PathLike[str] | None = None,
    worst: int = 12,
    overwrite: bool = False,
) -> Path:
    """Write the report of an evaluation as one HTML file.

    It shows the scores with 95 % intervals over people, a comparison of the protocols, confusion matrices, scores of
    each class, data set and subject, calibration, learning curves, and the samples with the largest errors, with their
    flow.

    Args:
        run: the folder of a run (`htnet.evaluation.loso`, `lodo`, `kfold`, `holdout`), or what `htnet.evaluate` wrote.
            If there are several, the first is reported and the others are compared with it.
        out: the file, .html; missing folders are created. By default ``report.html`` in the first folder.
        data: the samples, for pictures of their flow: a manifest, or a path for `htnet.data.open_data`. By default the
            data that the run names. If they no longer exist, the report says that pictures are missing.
        worst: number of samples with the largest errors that are shown; 0 for none.
        overwrite: replace a file that exists.

    Returns:
        The path of the file.

    Raises:
        RunError: a folder does not hold a finished evaluation, or its files do not belong together.
        OverwriteError: the file exists and ``overwrite`` is not given.
        InputError: a run is given twice, the name has another ending, the file cannot be written, ``worst`` is
            negative, or the data lack samples of the run.
        ManifestError: the data cannot be read.
    """
    several: Iterable[str | PathLike[str]] = (
        [run] if isinstance(run, (str, PathLike)) or not isinstance(run, Iterable) else run
    )
    folders = [as_path(one, "run") for one in several]
    if not folders:
        raise InputError("No run was given. Give the folder of a run.")
    whole(0).check("worst", worst)
    seen: dict[str, Path] = {}
    for folder in folders:
        place = real_path(folder.parent if folder.name == _SUMMARY else folder)
        if (other := seen.setdefault(place, folder)) is not folder:
            said = "is given twice" if other == folder else f"and {folder} are the same run"
            raise InputError(f"{other} {said}: it would be compared with itself. Give each run once.")
    first = folders[0]
    path = check_name((first.parent if first.name == _SUMMARY else first) / "report.html" if out is None else out)
    check_outputs(path, overwrite=overwrite)
    runs = [read_run(folder) for folder in folders]
    write_text(path, evaluation_report_text(runs, data=data, worst=worst))
    return path


def evaluation_report_text(
    runs: Sequence[FinishedRun], *, data: Manifest | str | PathLike[str] | None = None, worst: int = 12
) -> str:
    """The report as HTML, see `report`. The first run is reported; the others are compared with it."""
    first = runs[0]
    protocol = first.main
    said = "" if len(runs) == 1 else f", compared with {counted(len(runs) - 1, 'other')}"
    parts = [
        _scores(first, protocol),
        _comparison(runs),
        _confusions(first, protocol),
        _subjects(first, protocol),
        _calibration(first, protocol),
        _curves(first),
        _worst(first, protocol, data, worst) if worst else "",
    ]
    return page(
        _name(first) + said,
        _facts(first),
        "\n".join(part for part in parts if part),
        warnings=_warnings(first),
        notes=_notes(first, protocol),
        css="evaluation.css",
    )


def _name(run: FinishedRun) -> str:
    return run.root.resolve().name or str(run.root)


def _model(run: FinishedRun) -> str:
    if run.trained:
        settings = run.summary["run"]
        return f"{settings['model']}, recipe {settings['recipe']['name']}"
    return str(run.summary["model"]["weights"])


def _facts(run: FinishedRun) -> str:
    what = run.summary
    kind = _KINDS[what.get("leave", "subject")] if run.trained else "trained weights on labeled samples"
    seeds = counted(len(run.of(run.main)), "seed") if run.trained else ""
    data = what.get("data") or ""
    size = f"{counted(what['samples'], 'sample')} of {people_counted(what['subjects'])}"
    if only := what.get("run", {}).get("only_subjects"):
        kind += f", {people_counted(len(only))} left out in turn, not all"
    facts = (_model(run), kind, size, seeds, data, f"htnet {what['htnet_version']}, report {__version__}")
    return " · ".join(part for part in facts if part)


def _notes(run: FinishedRun, protocol: str) -> str:
    said = ""
    if run.leaks(protocol):
        said = (
            f"<p>{_LEAKS} Every protocol of this run leaks: the epoch of each fold was chosen on the samples that it "
            "is tested on. Do not report its scores as a result.</p>"
        )
    return said + "".join(f"<p>{escape(note)}</p>" for note in run.summary.get("notes", ()))


def _warnings(run: FinishedRun) -> list[Warned]:
    return [QualityWarning(one["code"], one["message"]) for one in run.summary.get("warnings", ())]


def _protocol(run: FinishedRun, protocol: str) -> str:
    """The name of a protocol as HTML, with a mark if it leaks."""
    name = "trained weights" if protocol == WEIGHTS else protocol
    return f"{escape(name)} {_LEAKS}" if run.leaks(protocol) else escape(name)


def _cells(scores: GroupScores) -> Iterator[str]:
    """UF1 and UAR with their intervals and bars, and the accuracy."""
    for name in ("uf1", "uar"):
        bounds = None if scores.intervals is None else scores.intervals[name]
        yield f"{getattr(scores, name):.3f}"
        yield "" if bounds is None else f"{bounds[0]:.3f} to {bounds[1]:.3f}"
        if name == "uf1":
            yield range_bar(scores.uf1, bounds)
    yield f"{scores.accuracy:.3f}"


def _box(title: str, content: str) -> str:
    return f'<h2>{title}</h2>\n<section class="box verdict">{content}</section>'


def _scores(run: FinishedRun, protocol: str) -> str:
    found = run.scores(protocol)
    rows = [
        [escape("all samples" if name == "full" else name), f"{one.samples}", *_cells(one)]
        for name, one in found.items()
    ]
    head = ["", "samples", "UF1", "95 %", "", "UAR", "95 %", "accuracy"]
    numbers = (1, 2, 5, 7)
    said = (
        "95 % intervals from a bootstrap over people, not samples."
        if found["full"].intervals
        else "There are no intervals: not every sample has a subject, or there is only one person."
    )
    per_class = table(
        ["class", "F1", "recall", "precision", "samples"],
        _class_rows(run, protocol),
        (1, 2, 3, 4),
    )
    what = f"Protocol {_protocol(run, protocol)}: {escape(PROTOCOLS[protocol])}. " if run.trained else ""
    seeds = len(run.of(protocol))
    mean = f"Means of {seeds} seeds. " if seeds > 1 else ""
    more = "" if seeds == 1 else f'<p class="said">UF1 of each seed: {_by_seed(run, protocol)}.</p>'
    return (
        _box("Scores", f'{table(head, rows, numbers, (0,))}<p class="said">{what}{mean}{said}</p>{more}')
        + "\n"
        + _box("Classes", f"{per_class}<p class='said'>Predictions of all seeds.</p>" if seeds > 1 else per_class)
    )


def _by_seed(run: FinishedRun, protocol: str) -> str:
    seeds = run.summary["protocols"][protocol]["seeds"]
    return ", ".join(f"{scores['full']['uf1']:.3f} ({seed})" for seed, scores in seeds.items())


def _class_rows(run: FinishedRun, protocol: str) -> Iterator[list[str]]:
    counts, seeds = run.confusion(protocol), len(run.of(protocol))
    for k, name in enumerate(run.classes):
        hits, true, answered = int(counts[k, k]), int(counts[k].sum()), int(counts[:, k].sum())
        shares = ((2 * hits, true + answered if true else 0), (hits, true), (hits, answered))
        yield [escape(name), *(f"{a / b:.3f}" if b else "-" for a, b in shares), f"{true // seeds}"]


def _comparison(runs: Sequence[FinishedRun]) -> str:
    """Table of all protocols of all runs, with the difference of each from the reported one."""
    first, base = runs[0], runs[0].main
    against = first.summary.get("against")
    if len(runs) == 1 and len(first.protocols) == 1 and not against:
        return ""
    rows, others = [], False
    for run in runs:
        for protocol in run.protocols:
            one = run.scores(protocol)["full"]
            row = [f"{escape(_name(run))}", _protocol(run, protocol), escape(_model(run)), f"{one.samples}"]
            row += list(_cells(one))
            if (run, protocol) == (first, base):
                row.append("reported above")
            else:
                difference = first.difference(base, run, protocol)
                others |= not difference
                row.append(_signed(difference["uf1"]) if difference else "-")
            rows.append(row)
    if against:
        own = against["scores"]["full"]
        bounds = {name: tuple(pair) for name, pair in (against["interval"] or {}).items()} or None
        scores = GroupScores(own["uf1"], own["uar"], own["accuracy"], bounds, own["num_samples"], 0)
        low = against["difference"]["uf1"]
        told = "-"
        if low["interval"] is not None:
            told = _signed((-low["value"], -low["interval"][1], -low["interval"][0]))
        name = escape(against["model"]["weights"])
        rows.append([escape(_name(first)), "compared weights", name, f"{scores.samples}", *_cells(scores), told])
    head = ["run", "protocol", "model", "samples", "UF1", "95 %", "", "UAR", "95 %", "accuracy", "UF1 minus the first"]
    said = "For each difference, both scores use the same people in every draw of the bootstrap."
    said += " A difference is missing where samples or classes are not the same." if others else ""
    if any(run.leaks(protocol) for run in runs for protocol in run.protocols):
        said += (
            f" {_LEAKS} marks scores whose epoch was chosen on the tested samples, as the published code does. They "
            "are too high. Use them only to compare with papers."
        )
    return _box("Protocols and runs", f'{table(head, rows, (3, 4, 7, 9), (0,))}<p class="said">{said}</p>')


def _signed(difference: tuple[float, float, float]) -> str:
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*difference)


def _confusions(run: FinishedRun, protocol: str) -> str:
    groups = list(run.scores(protocol))
    boxes = []
    for name in groups:
        counts = run.confusion(protocol, None if name == "full" else name)
        title = "all samples" if name == "full" else escape(name)
        content = confusion(counts.tolist(), run.classes)
        boxes.append(f'<section class="box verdict"><h3>{title}</h3>{content}</section>')
    seeds = len(run.of(protocol))
    said = f" <span class='where'>· counts over {seeds} seeds</span>" if seeds > 1 else ""
    return f'<h2>Confusion{said}</h2>\n<div class="pair">{"".join(boxes)}</div>'


def _subjects(run: FinishedRun, protocol: str) -> str:
    """Table of the accuracy of each person, the lowest first."""
    people: dict[tuple[str, str], list[bool]] = {}
    for sample in (one for of_seed in run.of(protocol) for one in of_seed):
        people.setdefault((sample.dataset, sample.subject), []).append(sample.truth == sample.prediction)
    seeds = len(run.of(protocol))
    rows = [
        [
            escape(subject) if is_named(subject) else "not named",
            escape(dataset),
            f"{len(right) // seeds}",
            f"{np.mean(right):.3f}",
            range_bar(float(np.mean(right)), None),
        ]
        for (dataset, subject), right in sorted(people.items(), key=lambda item: (np.mean(item[1]), item[0]))
    ]
    content = table(["subject", "data set", "samples", "accuracy", ""], rows, (2, 3))
    title = f"{counted(len(rows), 'subject')}, the lowest accuracy first"
    return _box("Subjects", f"<details{' open' * (len(rows) <= 30)}><summary>{title}</summary>{content}</details>")


def _calibration(run: FinishedRun, protocol: str) -> str:
    boxes = []
    for name, bins in run.reliability(protocol).items():
        error = f"expected calibration error {bins.error:.3f}"
        boxes.append(
            f'<section class="box verdict"><h3>{escape(name)}: {error}</h3>{reliability_chart(bins, name)}'
            '<p class="said">Blue: fraction of correct predictions; gray: share of predictions with this confidence. '
            "Below the line the model is overconfident.</p></section>"
        )
    told = (run.summary["protocols"][protocol] if run.trained else run.summary)["calibration"]
    raw = told["raw"] if run.trained else told
    said = f"log loss {raw['log_loss']:.3f}"
    if run.trained:
        after = told["after_temperature"]
        said += "" if after is None else f", after temperature {after['log_loss']:.3f}"
        said += f"; temperature for weights trained on everyone {told['temperature']:.3g}"
    return f'<h2>Calibration <span class="where">· {said}</span></h2>\n<div class="pair">{"".join(boxes)}</div>'


def _curves(run: FinishedRun) -> str:
    """Charts of the training loss and the scores of held-out subjects over the epochs."""
    own = run.root / CURVE_FILE
    if not run.trained:
        weights = run.summary["model"]["weights"]
        own = run.path_of(weights) / CURVE_FILE if weights else Path(os.devnull)
    if not os.path.isfile(own):
        why = (
            "The version of htnet that made the run did not store them."
            if run.trained
            else f"There is no training.csv beside the weights {escape(_model(run))}."
        )
        return _box("Learning curves", f"<p>There are no learning curves. {why}</p>")
    found = read_curves(own)
    boxes = []
    for stage, numbers in found.items():
        name = {"all": "the whole training part", "nested": "the training part without held-out subjects"}.get(stage)
        at = f": {name}" if name else ""
        several = len(numbers["loss"]) > 1
        ranges = f"Mean of {len(numbers['loss'])} trainings; the band contains 90 % of them. " if several else ""
        boxes.append(
            f'<section class="box verdict"><h3>Loss{at}</h3>'
            f"{curve_chart('loss over the epochs' + at, [('loss', numbers['loss'])])}"
            f'<p class="said">{ranges}Training loss during the epoch, with augmentation.</p></section>'
        )
        if (held := numbers.get("held_out_uf1")) is not None and np.isfinite(held).any():
            lines = [("UF1", held), ("loss", numbers["held_out_loss"])]
            boxes.append(
                '<section class="box verdict"><h3>Held-out training subjects: UF1 (blue) and log loss</h3>'
                f"{curve_chart('UF1 and loss of held-out subjects over the epochs', lines)}"
                '<p class="said">The protocol nested chooses its epoch by this UF1. It includes no tested subject.'
                "</p></section>"
            )
    return f'<h2>Learning curves</h2>\n<div class="pair">{"".join(boxes)}</div>'


def _worst(run: FinishedRun, protocol: str, data: Manifest | str | PathLike[str] | None, count: int) -> str:
    chosen = worst_samples(run.of(protocol), count)
    pictures = Pictures.of(run, data)
    cards = []
    for one in chosen:
        sample = one.sample
        chances = dict(zip(run.classes, one.probabilities, strict=True))
        cards.append(
            f"<article><h4>{escape(sample.sample)}</h4>{pictures.html(sample)}"
            f"<p>{escape(run.classes[sample.truth])}, predicted as "
            f"{escape(', '.join(run.classes[k] for k in one.answers))}</p>{class_bars(chances)}"
            f'<p class="said">{escape(sample.dataset)} {escape(sample.subject)}</p></article>'
        )
    told = (
        f"The {len(chosen)} samples whose true class got the lowest probability (geometric mean over the seeds). "
        f"{pictures.said}"
    )
    return _box("Worst samples", f'<p>{told}</p><div class="worst">{"".join(cards)}</div>')
