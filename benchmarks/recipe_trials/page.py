"""The tables of trials in docs/synthesis.md, which `benchmarks.synthesis_page` writes."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean
from typing import Any

from benchmarks.recipe_trials.listed import GROUPS, TRIALS
from benchmarks.recipe_trials.scores import read
from benchmarks.recipe_trials.settings import Pretraining

#: The readout that a trial is judged by, and the same with the mirrored face; linear and kernel methods have one.
MAIN, MIRRORED, BLEND, VIEWS = "averaged", "averaged+mirror", "blend 0.7", "views"
#: Fewer seeds than the issue of the search asked for.
FEW = 3
#: What is read out of the same trainings besides, each with what it is compared with.
READOUTS = {
    "plain": ("the last weights", MAIN),
    MIRRORED: ("averaged weights, mean with the mirrored face", MAIN),
    "blend 0.3": ("0.3 of the way from the start to the averaged weights", MAIN),
    "blend 0.5": ("0.5 of the way", MAIN),
    "blend 0.7": ("0.7 of the way", MAIN),
    "blend 0.7+mirror": ("0.7 of the way, mean with the mirrored face", MAIN),
    "soup of 3": ("mean of the weights of three seeds", MAIN),
}


def tables(trials: Mapping[str, Any] | None = None) -> str:
    """One table a group of trials, and one of what is read out of them."""
    found = read() if trials is None else trials
    parts = [_summary(found)]
    parts += [
        f"**{title}**\n\n{_group(list(group), found)}" for title, group in GROUPS.items() if set(group) & set(found)
    ]
    parts.append(f"**What is read out of the same trainings**\n\n{_readouts(found)}")
    return "\n\n".join(parts)


def _summary(found: Mapping[str, Any]) -> str:
    few = sum(trial["seeds"] < FEW for name, trial in found.items() if _random(trial))
    readouts = sum(len(trial["readouts"]) for trial in found.values())
    rest = [f"`{name}`" for name in TRIALS if name not in found]
    text = f"{len(found)} settings with scores, {readouts} with all that was read out of them; {few} have fewer than "
    text += f"{FEW} seeds, which the column shows in bold."
    best = max(((own["mean"], name, way) for name, trial in found.items() for way, own in trial["readouts"].items()))
    text += f" The highest UF1 of all is {best[0]:.3f}, `{best[1]}` read out as '{best[2]}'."
    return text + (f" Listed but not run: {', '.join(rest)}." if rest else "")


def _random(trial: Mapping[str, Any]) -> bool:
    """Whether seeds differ: not for linear and kernel methods on the flow itself."""
    settings = trial["settings"]
    return settings["kind"] != "classical" or settings.get("features") == "frozen"


def _group(names: list[str], found: Mapping[str, Any]) -> str:
    """A row each, best first; those that others of the group are compared with come along from other groups."""
    own = [name for name in names if name in found]
    others = dict.fromkeys(against for name in own if (against := _against(name)))
    guests = [name for name in others if name in found and name not in own]
    rows = [
        "| trial | what | seeds | UF1 | mirrored too | 0.7 of the way | SAMM | log loss | worth |",
        "| --- " * 9 + "|",
    ]
    for name in sorted(own + guests, key=lambda n: -_main(found[n])["mean"]):
        rows.append(_row(name, found, name in guests))
    return "\n".join(rows)


def _against(name: str) -> str | None:
    """The trial that it is compared with."""
    tried = TRIALS[name]
    return None if isinstance(tried, Pretraining) else tried.against


def _main(trial: Mapping[str, Any]) -> Mapping[str, Any]:
    return trial["readouts"].get(MAIN) or trial["readouts"][VIEWS]


def _row(name: str, found: Mapping[str, Any], guest: bool) -> str:
    trial = found[name]
    main, mirrored, blend = _main(trial), trial["readouts"].get(MIRRORED), trial["readouts"].get(BLEND)
    seeds = str(trial["seeds"]) if _random(trial) else "–"
    if _random(trial) and trial["seeds"] < FEW:
        seeds = f"**{seeds}**"
    against = _against(name)
    worth = "–"
    if guest:
        worth = "from another group"
    elif against is not None and against in found:
        worth = f"{_signed(main['mean'] - _main(found[against])['mean'])} on `{against}`"
    cells = [f"`{name}`", TRIALS[name].what, seeds, _with_error(main), _with_error(mirrored) if mirrored else "in it"]
    cells += [_with_error(blend) if blend else "–", f"{main['sets']['samm']:.3f}", f"{main['log_loss']:.3f}", worth]
    return f"| {' | '.join(cells)} |"


def _with_error(readout: Mapping[str, Any]) -> str:
    error = readout["standard_error"]
    return f"{readout['mean']:.3f}" + (f" ± {error:.3f}" if error is not None else "")


def _readouts(found: Mapping[str, Any]) -> str:
    """Mean differences over all trials that have both, and in how many the readout was the better."""
    rows = ["| readout | trials | UF1 against averaged weights | better in | log loss |", "| --- " * 5 + "|"]
    every = [trial["readouts"] for trial in found.values() if trial["settings"]["kind"] == "trial"]
    for name, (what, against) in READOUTS.items():
        for fresh in (False, True) if name.startswith("soup") else (None,):
            both = [
                trial["readouts"]
                for trial in found.values()
                if {name, against} <= set(trial["readouts"])
                and trial["settings"]["kind"] == "trial"
                and (fresh is None or fresh == ("start" not in trial["settings"]))
            ]
            label = what if fresh is None else f"{what}, {'fresh' if fresh else 'one start'}"
            rows += _difference(label, [(own[name], own[against]) for own in both])
    pairs = [(own[MAIN] | {"mean": own[MAIN]["ensemble_uf1"]}, own[MAIN]) for own in every if own[MAIN]["ensemble_uf1"]]
    rows += _difference("ensemble: mean of the probabilities of all seeds", pairs, loss=False)
    return "\n".join(rows)


def _difference(what: str, pairs: list[tuple[Mapping[str, Any], Mapping[str, Any]]], loss: bool = True) -> list[str]:
    if not pairs:
        return []
    uf1 = [own["mean"] - other["mean"] for own, other in pairs]
    change = _signed(mean(own["log_loss"] - other["log_loss"] for own, other in pairs)) if loss else "not kept"
    return [f"| {what} | {len(pairs)} | {_signed(mean(uf1))} | {sum(d > 0 for d in uf1)} | {change} |"]


def _signed(value: float) -> str:
    """Three digits with a sign, which zero has not."""
    return f"{value:+.3f}" if abs(value) >= 5e-4 else "0.000"
