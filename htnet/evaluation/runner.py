"""Evaluation that leaves out one subject, or one data set, at a time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from htnet._version import __version__
from htnet.core.errors import InputError, did_you_mean
from htnet.core.parallel import choose_jobs, run_tasks
from htnet.core.types import PreprocessSpec
from htnet.data import Fold, Manifest, leave_one_dataset_out, leave_one_subject_out, open_data
from htnet.data.prepare import prepared_notes
from htnet.data.published import with_differences
from htnet.data.reader import refuse_shared_pictures
from htnet.evaluation.protocols import FoldJob, check_protocols, run_fold, run_together
from htnet.evaluation.report import LosoResult, collect, summarize, write_results
from htnet.evaluation.store import RunStore
from htnet.models import EmotionModel, create_model, get_entry
from htnet.preprocess import Landmarker
from htnet.training import (
    Recipe,
    StartFrom,
    check_classes,
    check_wise_ft,
    counted_units,
    get_recipe,
    load_flow_set,
    refuse_not_vmappable,
    with_units,
)

#: What a fold can leave out, and what makes the folds.
LEAVE = {"subject": leave_one_subject_out, "dataset": leave_one_dataset_out}
#: What stands for the table of action units in a run's config where each fold has one of its own.
COUNTED = "counted over the training subjects of each fold"


def loso(
    data: Manifest | str | PathLike[str],
    model: str = "htnet_small",
    recipe: str | Recipe = "default",
    *,
    out: str | PathLike[str],
    leave: str = "subject",
    protocols: Sequence[str] = ("last",),
    seeds: int | Sequence[int] = 1,
    spec: PreprocessSpec | None = None,
    landmarker: Landmarker | None = None,
    settings: dict[str, Any] | None = None,
    jobs: int | None = 1,
    stack: int | None = None,
    count_units: bool = False,
    start: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
    start_is_disjoint: bool = False,
    device: str = "cpu",
    held_out: float = 0.2,
    checkpoint_every: float = 60.0,
    progress: bool = True,
    overwrite: bool = False,
) -> LosoResult:
    """Train once for every subject on all others, test on that subject; or the same for every data set.

    A run can be interrupted at any moment and started again with the same call: finished folds are
    kept, an unfinished one goes on from its last checkpoint, and the final files are the same to the
    byte (with the same number of jobs on the same machine).

    Args:
        data: labelled samples with subjects: a manifest, or a path for `htnet.data.open_data`.
        model: registered model name.
        recipe: how to train.
        out: run folder.
        leave: what is left out of a training and tested on: "subject", or "dataset" (leave-one-database-out, LODO).
        protocols: any of "last" (no selection), "nested" (epoch chosen on subjects held out of the
            training part), "best_on_test" (leaks; to compare with papers only).
        seeds: number of seeds, counted from 0, or the seeds themselves.
        spec: preprocessing; the model's own unless given. What the images of a prepared folder were made with is the
            folder's, see `htnet.training.load_flow_set`.
        landmarker: finds landmarks of samples without; see `htnet.training.load_flow_set`.
        settings: overrides of the model's config.
        jobs: processes; None takes one a core on the CPU (at most 8). More than one needs the caller
            to be guarded by ``if __name__ == "__main__":``.
        stack: folds trained at once in a process, their weights stacked (see `htnet.training.train_vmapped`); None
            takes as many as pay: see `choose_stack`.
        start: weights that each fold's training starts from, for `htnet.load_pretrained`; or several, one for each
            seed, so that the scores vary with them too. They must have been trained on nobody of this evaluation.
        start_is_disjoint: your word that they were not, where their card cannot tell; the summary says so.
        count_units: count the model's ``au_cooccurrence`` anew in each fold, over the annotated action units of its
            training subjects alone; see `htnet.data.training_cooccurrence`.
        device: where to train.
        held_out: share of the training subjects that "nested" holds out.
        checkpoint_every: least seconds between two writes of an unfinished training's state.
        progress: show progress bars.
        overwrite: replace results of more seeds, of the same run, by those of ``seeds``.

    Returns:
        The result; ``out`` then holds ``predictions.csv`` and ``summary.json``.

    Raises:
        OverwriteError: ``out`` holds results of something else, or of more seeds and ``overwrite`` is not given.
        RunError: ``out`` holds another run, or is in use.
        RecipeError: an unknown recipe, or one that keeps a share of a start, without a start.
        ManifestError: samples lack a label, the subject or data set to leave out, or an expression (see
            `htnet.data.reader.degenerate`), two people have one picture, or there are fewer than two to leave out;
            action units are to be counted and none are annotated.
        InputError: ``leave``, a protocol or a number is none that can be; ``start`` was trained on data of this
            evaluation, or may have been; action units are to be counted for a model that reads none, or whose folds
            are stacked.
    """
    from huggingface_hub.utils import tqdm

    if leave not in LEAVE:
        raise InputError(f"Unknown leave: {leave!r}. {did_you_mean(leave, LEAVE)}")
    # A manifest of the caller's own may be a known set, too.
    manifest = with_differences(data) if isinstance(data, Manifest) else _open(data)
    folds = LEAVE[leave](manifest)
    recipe, protocols = get_recipe(recipe), check_protocols(protocols)
    check_wise_ft(recipe, start is not None)
    seeds = _check_seeds(seeds)
    if not 0 < held_out < 1:
        raise InputError(f"held_out is {held_out}; give a share between 0 and 1.")
    spec, extras = spec or get_entry(model).spec, get_entry(model).model_class.extra_inputs
    check_classes(recipe, manifest.classes)
    settings = with_units(model, recipe, {**(settings or {}), "num_classes": len(manifest.classes)})
    config = create_model(model, **settings).config
    starts = _starts_from(start, seeds, manifest, start_is_disjoint)
    if count_units:
        _check_counted(manifest, folds, model, settings, stack)
        stack = 1
    flows = load_flow_set(
        manifest,
        spec,
        landmarker,
        lambda s: tqdm(s, desc="reading", unit="sample", disable=not progress),
        extras,
    )
    refuse_shared_pictures(manifest, flows.images.numpy())
    spec = flows.spec  # a prepared folder says how its images were made
    described = {
        "htnet": __version__,
        "torch": torch.__version__,
        **({"leave": leave} if leave != "subject" else {}),  # left out where it was the only kind there was
        "model": model,
        "config": config.to_dict() | ({"au_cooccurrence": COUNTED} if count_units else {}),
        "recipe": recipe.to_dict(),
        "preprocess": spec.to_dict(),
        "protocols": list(protocols),
        "held_out": held_out if "nested" in protocols else None,
        "classes": list(manifest.classes),
        "regions_at": flows.regions_at_counts(),
        **({"points68_from": flows.points68_counts()} if flows.points68 is not None else {}),
        **({"action_units": [s.action_units for s in manifest]} if count_units else {}),
        **({"started_from": _describe_starts(starts, start_is_disjoint)} if starts else {}),
        "samples": [s.sample for s in manifest],
        "data_sha256": flows.digest(),
    }
    store = RunStore(Path(out))
    with store.locked():
        store.begin(described)
        store.check_seeds(seeds, overwrite)
        job = FoldJob(
            manifest=manifest,
            data=flows,
            model=model,
            settings=settings,
            recipe=recipe,
            protocols=protocols,
            held_out=held_out,
            device=device,
            checkpoint_every=checkpoint_every,
            store=store,
            count_units=count_units,
            starts=starts,
        )
        tasks = [(f, s) for s in seeds for f in folds if store.read_fold(s, f.name) is None]
        stack = 1 if recipe.generated and stack is None else stack  # `train_vmapped` draws no companions
        size = choose_stack(stack, create_model(model, **settings), device)
        groups = [(tasks[i : i + size],) for i in range(0, len(tasks), size)]
        jobs = choose_jobs(jobs, len(groups), device)
        total = len(folds) * len(seeds)
        with tqdm(total=total, initial=total - len(tasks), desc="folds", disable=not progress) as bar:
            for (group,), _ in run_tasks(_run_group, job, groups, jobs):
                fold, seed = group[-1]
                bar.set_postfix_str(f"{fold.name}, seed {seed}")
                bar.update(len(group))
        samples = collect(store, manifest, folds, seeds, protocols)
        notes = prepared_notes(manifest.source)
        shown = {k: v for k, v in described.items() if k not in ("samples", "action_units")} | {"seeds": list(seeds)}
        shown |= {"data_notes": list(notes)} if notes else {}
        summary = summarize(samples, manifest, seeds, shown)
        write_results(store, manifest, samples, summary)
    return LosoResult(summary, samples, store.root)


def _open(data: str | PathLike[str]) -> Manifest:
    """The data set, with a warning for each of its notes, which are not seen otherwise."""
    manifest = open_data(data)
    for note in manifest.notes:
        warnings.warn(note, UserWarning, stacklevel=3)
    return manifest


#: On a CUDA device folds are stacked until their weights, gradients, averages and optimiser states take so many bytes.
STACKED_BYTES = 8 * 2**30


def choose_stack(stack: int | None, model: EmotionModel, device: str) -> int:
    """Number of folds that are trained at once.

    Args:
        stack: what was asked for; None chooses. On the CPU that is 1: its cores are better used by one process each
            (`jobs`; benchmarks/results/training_cpu.json). On a CUDA device, where a step of one small model is too
            little work, it is as many as fit into `STACKED_BYTES`, if the model can be stacked at all.
        model: one like those to be trained.
        device: where.

    Raises:
        InputError: less than 1, or more than 1 of a model that cannot be stacked.
    """
    if stack is None:
        if torch.device(device).type != "cuda" or not model.repeatable:
            return 1
        # Weights, gradients, two averages of the optimiser, the averaged weights.
        bytes_each = 5 * sum(p.numel() * p.element_size() for p in model.parameters())
        return max(1, STACKED_BYTES // bytes_each)
    if isinstance(stack, bool) or stack < 1:
        raise InputError(f"stack is {stack!r}; give 1 or more.")
    if stack > 1:
        refuse_not_vmappable(model)
    return stack


def _run_group(job: FoldJob, tasks: Sequence[tuple[Fold, int]]) -> None:
    if len(tasks) == 1:
        run_fold(job, *tasks[0])
    else:
        run_together(job, tasks)


def _starts_from(
    start: str | PathLike[str] | Sequence[str | PathLike[str]] | None,
    seeds: Sequence[int],
    manifest: Manifest,
    disjoint: bool,
) -> dict[int, StartFrom]:
    """The weights that each seed starts from; refuses those that may have seen a test subject."""
    if start is None:
        return {}
    if isinstance(start, (str, PathLike)):
        found = _start_from(start, manifest, disjoint)
        return dict.fromkeys(seeds, found)
    if len(start) != len(seeds):
        raise InputError(
            f"start names {len(start)} weights for {len(seeds)} seed(s). Give one for all, or one for each seed."
        )
    return {seed: _start_from(one, manifest, disjoint) for seed, one in zip(seeds, start, strict=True)}


def _start_from(start: str | PathLike[str], manifest: Manifest, disjoint: bool) -> StartFrom:
    found = StartFrom(start, manifest.classes)
    found.refuse_known(manifest, disjoint)
    return found


def _describe_starts(starts: dict[int, StartFrom], disjoint: bool) -> dict[str, Any] | list[dict[str, Any]]:
    """One description where all seeds start alike, else one for each seed, in their order."""
    found = [_describe_start(start, disjoint) for start in starts.values()]
    return found[0] if all(each == found[0] for each in found) else found


def _describe_start(start: StartFrom, disjoint: bool) -> dict[str, Any]:
    word = {"disjoint_by_word_of_the_user": True} if disjoint else {}
    return {"name": start.source.name, "trained_on": start.source.trained_on, "sha256": start.digest(), **word}


def _check_counted(
    manifest: Manifest, folds: Sequence[Fold], model: str, settings: dict[str, Any], stack: int | None
) -> None:
    """Refuse to count action units where that cannot be done, before anything is trained."""
    if "au_cooccurrence" in settings:
        raise InputError("count_units counts au_cooccurrence, which is among the settings too. Leave one of them out.")
    if stack is not None and stack != 1:
        raise InputError(f"stack is {stack}, but models with tables of their own cannot be stacked. Give stack=1.")
    for fold in folds:
        counted_units(model, [manifest.samples[i] for i in fold.train])


def _check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not found or len(set(found)) != len(found) or any(s < 0 for s in found):
        raise InputError(f"seeds is {seeds!r}; give a number of seeds of 1 or more, or distinct seeds of 0 or more.")
    return found


__all__ = ["LosoResult", "loso"]
