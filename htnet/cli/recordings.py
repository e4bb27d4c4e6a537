"""``htnet evaluate-spotting``."""

from __future__ import annotations

import argparse
import filecmp
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from htnet.core.command_line import AddCommand, answer, show_warnings
from htnet.core.errors import InputError
from htnet.core.megc import FIRST_FRAME

if TYPE_CHECKING:
    from htnet.data import RecordingSet
    from htnet.evaluation.spotting import KindScores, SpottingCounts, SpottingScores

#: Not imported from htnet.data, so that the command starts quickly.
SETS = ("samm_lv", "casme_sq", "casme3a", "casme3c")
UNITS = ("frames", "ms")


def add_commands(add: AddCommand) -> None:
    """Add this group's commands."""
    command = add(
        "evaluate-spotting",
        _evaluate,
        "score predicted events of recordings by the rules of the MEGC challenges",
        "htnet evaluate-spotting --truth recordings.csv --predictions predicted.csv",
    )
    command.add_argument(
        "--truth",
        required=True,
        metavar="TABLE",
        help="CSV file of recordings and their true events; with --dataset, the folder of that data set",
    )
    command.add_argument(
        "--predictions",
        required=True,
        metavar="TABLE|DIR",
        help="CSV file in the format of the challenges or of --truth, JSON of htnet, or a folder of such files",
    )
    command.add_argument("--dataset", choices=SETS, help="data set of long recordings that --truth contains")
    command.add_argument(
        "--annotation", metavar="SHEET", help="its annotation sheet (default: the one found in --truth)"
    )
    command.add_argument("--fps", type=float, help="frames per second, for recordings whose table does not state them")
    command.add_argument("--iou", default="0.5", help="minimum intersection over union (default: %(default)s)")
    command.add_argument(
        "--unit", choices=UNITS, default="frames", help="unit in which intervals are compared (default: %(default)s)"
    )
    command.add_argument(
        "--first-frame",
        type=int,
        default=FIRST_FRAME,
        metavar="N",
        help="number of a recording's first frame in tables of the challenges (default: %(default)s)",
    )
    command.add_argument(
        "--classes", help="emotions for the recognition scores, comma-separated (default: all annotated ones)"
    )


def _evaluate(args: argparse.Namespace) -> None:
    from htnet.data import read_events
    from htnet.evaluation.spotting import evaluate_spotting

    truth = _truth(args).with_rate(args.fps)
    classes = None if args.classes is None else tuple(name.strip().casefold() for name in args.classes.split(","))
    found = read_events(args.predictions)
    for file in dict.fromkeys(entry.file for entry in found.found):
        if _are_one_file(str(file), args.truth):
            what = "" if os.path.samefile(file, args.truth) else f" {file} is a copy of it, byte for byte."
            raise InputError(
                f"{args.truth} contains the true events and is among the predictions.{what} Give the predictions."
            )
    answers = found.of(truth.recordings, args.first_frame)
    scores = evaluate_spotting(truth.recordings, answers, iou=args.iou, unit=args.unit, classes=classes)
    if not args.json:
        show_warnings(scores.warnings)
    for note in (*truth.notes, *found.notes):
        print(f"note: {note}", file=sys.stderr if args.json else sys.stdout)
    if args.json:
        answer(args, scores.to_dict())
        return
    show_scores(scores)


def _are_one_file(one: str, other: str) -> bool:
    """Whether two files are one file, or have equal bytes; folders are not compared."""
    if not os.path.isfile(other):
        return False
    return os.path.samefile(one, other) or filecmp.cmp(one, other, shallow=False)


def _truth(args: argparse.Namespace) -> RecordingSet:
    from htnet.data import read_annotated_recordings, read_recordings

    if args.dataset is not None:
        return read_annotated_recordings(args.dataset, args.truth, annotation=args.annotation)
    if args.annotation is not None:
        raise InputError("--annotation is the sheet of a data set; give --dataset too, or leave --annotation out.")
    return read_recordings(args.truth, first_frame=args.first_frame)


def show_scores(scores: SpottingScores) -> None:
    """Print the scores of each kind, then those of each recording."""
    length = "" if scores.minutes is None else f", {scores.minutes:.1f} min"
    least = float(scores.iou)
    print(f"{len(scores.recordings)} recordings{length}; intersection over union at least {least:g}, in {scores.unit}")
    kinds = [("overall", scores.overall), *scores.kinds.items()]
    _columns([_HEAD, *(_row(name, kind.counts, kind) for name, kind in kinds)])
    for name, kind in kinds[:3]:
        for line in _more(kind, scores.groups):
            print(f"  {name}: {line}")
    print("recordings, micro- and macro-expressions together:")
    _columns([_HEAD[:7], *(_row(one.recording, one.overall) for one in scores.recordings)])
    print("confusion, one row per true kind, one column per predicted kind:")
    kinds_there = list(scores.confusion)
    _columns([("", *kinds_there), *((kind, *map(str, row.values())) for kind, row in scores.confusion.items())])


_HEAD = ("", "TP", "FP", "FN", "precision", "recall", "F1", "false/min")


def _row(name: str, counts: SpottingCounts, kind: KindScores | None = None) -> tuple[str, ...]:
    scores = [_share(value) for value in (counts.precision, counts.recall, counts.f1)]
    false = () if kind is None else (_share(kind.false_per_minute, 2),)
    return (name, *map(str, (counts.tp, counts.fp, counts.fn)), *scores, *false)


def _more(kind: KindScores, groups: str) -> Iterable[str]:
    if kind.f1_interval is not None:
        low, high = kind.f1_interval
        yield f"F1 {low:.3f} to {high:.3f} (95 %, {groups} resampled)"
    if kind.apex.ms:
        apex = kind.apex.to_dict()
        yield (
            f"median apex error {apex['median_frames']:g} frames ({apex['median_ms']:.0f} ms), "
            f"{apex['within_80_ms']:.0%} within 80 ms"
        )
    if kind.recognition is not None and kind.strs is not None:
        named = kind.recognition
        yield (
            f"spot-then-recognize score (STRS) {kind.strs:.3f}: F1 of recognition {named.f1:.3f}, UF1 "
            f"{_share(named.uf1)}, UAR {_share(named.uar)} over {named.pairs} found events"
        )


def _share(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _columns(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        print("  " + "  ".join([first.ljust(widths[0]), *cells]).rstrip())
