"""Evaluations in folds: leave-one-subject-out (LOSO), leave-one-database-out (LODO), k-fold and a fixed split."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec

import torch

from htnet._version import __version__
from htnet.core.deprecated import moved_calls, renamed_arguments
from htnet.core.described import own_code
from htnet.core.engines import make_engine
from htnet.core.errors import InputError, did_you_mean
from htnet.core.fields import flag, function, optional, seed_number, whole
from htnet.core.files import refuse_same_folder
from htnet.core.global_state import usual_settings
from htnet.core.optional import usable_device
from htnet.core.parallel import one_thread
from htnet.core.paths import as_path
from htnet.core.progress import progress_bar, ticker
from htnet.core.types import PreprocessSpec
from htnet.core.warn import warn_user
from htnet.core.words import abridged, counted
from htnet.data import (
    Fold,
    Manifest,
    fixed_split,
    k_folds,
    leave_one_dataset_out,
    leave_one_subject_out,
    open_data,
)
from htnet.data.prepare import prepared_notes
from htnet.data.published import with_differences
from htnet.data.reader import refuse_shared_pictures
from htnet.evaluation.curves import fold_to_tensorboard, write_curves
from htnet.evaluation.plan import EvaluationPlan, Weights
from htnet.evaluation.protocols import FoldRun, run_fold, run_vmapped
from htnet.evaluation.report import LosoResult, collect, summarize, write_results
from htnet.evaluation.store import RunStore
from htnet.models import EmotionModel, create_model, get_entry
from htnet.models.base import model_of
from htnet.preprocess import Landmarker
from htnet.training import (
    Recipe,
    StartFrom,
    check_classes,
    check_wise_ft,
    counted_units,
    get_recipe,
    load_flow_set,
    spec_for,
    with_units,
)
from htnet.training.curves import check_tensorboard
from htnet.training.job import refuse_other_count

#: Value of ``au_cooccurrence`` in a run's config if each fold has its own table of action units.
COUNTED = "counted over the training subjects of each fold"
#: Called with the number of finished folds, the number of all folds, and an estimate of the remaining time, s.
OnFold = Callable[[int, int, float], None]


P = ParamSpec("P")


@renamed_arguments
@moved_calls
def loso(
    data: Manifest | str | PathLike[str],
    model: str = "htnet_small",
    recipe: str | Recipe = "default",
    *,
    out: str | PathLike[str],
    overwrite: bool = False,
    protocols: Sequence[str] = ("last",),
    seeds: int | Sequence[int] = 1,
    spec: PreprocessSpec | None = None,
    landmarker: Landmarker | None = None,
    settings: dict[str, Any] | None = None,
    workers: int | None = 1,
    engine: str = "local",
    address: str | None = None,
    vmap_folds: int | None = None,
    count_units: bool = False,
    subjects: Sequence[str] | None = None,
    start: Weights | Sequence[Weights] | None = None,
    start_is_disjoint: bool = False,
    device: str = "cpu",
    held_out: float = 0.2,
    checkpoint_every: float = 60.0,
    progress: bool = True,
    tensorboard: bool = False,
    on_fold: OnFold | None = None,
) -> LosoResult:
    """Leave-one-subject-out (LOSO) evaluation: for every subject, train on all others and test on that subject.

    A run can be interrupted at any moment and resumed with the same call. Finished folds are kept, and an unfinished
    fold resumes from its last checkpoint. The final files are byte-identical to those of an uninterrupted run, with the
    same number of workers on the same machine.

    Args:
        data: labeled samples with subjects: a manifest, or a path for `htnet.data.open_data`.
        model: registered model name.
        recipe: training recipe.
        out: run folder.
        overwrite: replace the results of the same run with more seeds by the results of ``seeds``.
        on_fold: called after each fold, or group of vmapped folds, with the number of finished folds, the number of all
            folds, and an estimate of the remaining time, s.
        protocols: see `EvaluationPlan`, which describes all other arguments too.

    Returns:
        The result; ``out`` then contains ``predictions.csv``, ``summary.json`` and the learning curves,
        ``training.csv``.

    Raises:
        OverwriteError: ``out`` contains results of another kind, or of more seeds and ``overwrite`` is not given.
        RunError: ``out`` contains another run, or is in use; the Ray cluster does not respond or cannot run htnet.
        MissingExtraError: Ray is not installed.
        RecipeError: the recipe is unknown, or it interpolates with a start (WiSE-FT) and there is none.
        ManifestError: samples lack a label, the subject to leave out, or an expression (see
            `htnet.data.reader.degenerate`), two people share a picture, or there are fewer than two folds;
            ``count_units`` is given and no action units are annotated.
        MissingExtraError: ``tensorboard`` is given and the package is not installed.
        InputError: an option is unknown or impossible; ``out`` is the folder of the data or of ``start``;
            ``subjects`` names a subject that is not in the data, or a name that occurs in several data sets; ``start``
            was or may have been trained on data of this evaluation; ``count_units`` is given for a model without a
            table of action units, or with vmapped folds.
    """
    return _evaluate("subject", leave_one_subject_out, **locals())


def _arguments_of(other: Callable[P, LosoResult]) -> Callable[[Callable[..., LosoResult]], Callable[P, LosoResult]]:
    """Decorator that gives a function the signature of another one, for help texts, editors and type checkers."""

    def decorate(function: Callable[..., LosoResult]) -> Callable[P, LosoResult]:
        function.__signature__ = inspect.signature(other)  # type: ignore[attr-defined]
        return function

    return decorate


@renamed_arguments
@_arguments_of(loso)
def lodo(*args: Any, **options: Any) -> LosoResult:
    """Leave-one-database-out (LODO) evaluation: for every data set, train on all others and test on that data set.

    Arguments, result and errors are those of `loso`.
    """
    given = inspect.signature(loso).bind(*args, **options)
    given.apply_defaults()
    return _evaluate("dataset", leave_one_dataset_out, **given.arguments)


def kfold(*args: Any, folds: int = 5, fold_seed: int = 0, **options: Any) -> LosoResult:
    """Cross-validation over folds of several subjects: for every fold, train on all others and test on that fold.

    It takes ``folds`` trainings per seed, where `loso` takes one per subject. Each training has fewer people than with
    `loso`.

    Args:
        *args: as for `loso`.
        folds: number of folds, see `htnet.data.k_folds`.
        fold_seed: seed of the division into folds. ``seeds`` are the seeds of the trainings, which share the folds.
        **options: as for `loso`.

    Returns:
        As for `loso`, which also lists the errors.
    """
    given = inspect.signature(loso).bind(*args, **options)
    given.apply_defaults()
    described = {
        "folds": whole(ge=2).check("folds", folds),
        "fold_seed": seed_number().check("fold_seed", fold_seed),
    }
    return _evaluate("fold", partial(k_folds, folds=folds, seed=fold_seed), **given.arguments, described=described)


def holdout(*args: Any, **options: Any) -> LosoResult:
    """One training on the split "train" of a manifest and one test on its split "test"; see `htnet.data.fixed_split`.

    Args:
        *args: as for `loso`.
        **options: as for `loso`.

    Returns:
        As for `loso`, over the samples of the split "test". `loso` also lists the errors.
    """
    given = inspect.signature(loso).bind(*args, **options)
    given.apply_defaults()
    return _evaluate("split", fixed_split, **given.arguments)


@usual_settings(grad=True)
def _evaluate(
    leave: str,
    make_folds: Callable[[Manifest], Sequence[Fold]],
    data: Manifest | str | PathLike[str],
    recipe: str | Recipe,
    out: str | PathLike[str],
    overwrite: bool,
    on_fold: OnFold | None,
    described: Mapping[str, Any] | None = None,
    **fields: Any,
) -> LosoResult:
    plan = EvaluationPlan(recipe=get_recipe(recipe), **fields)
    flag().check("overwrite", overwrite)
    optional(function()).check("on_fold", on_fold)
    check_tensorboard(plan.tensorboard)
    refuse_same_folder(out, *_paths(data.source if isinstance(data, Manifest) else data), *_paths(plan.start))
    if plan.engine == "local":
        usable_device(plan.device)
    engine = make_engine(plan.engine, plan.address, plan.workers, plan.device, gpus=True)
    # A manifest that the caller passes may be a published data set, too.
    manifest = with_differences(data) if isinstance(data, Manifest) else _open(data)
    manifest = manifest.subset(manifest.by_name())
    folds, seeds, entry = _asked_for(make_folds(manifest), plan.subjects, leave), plan.seed_list, get_entry(plan.model)
    check_wise_ft(plan.recipe, plan.start is not None)
    check_classes(plan.recipe, manifest.classes)
    if unlearned := _unlearned(manifest, folds):
        warn_user(abridged(unlearned))
    refuse_other_count(plan.settings or {}, manifest.classes)
    settings = with_units(plan.model, plan.recipe, {**(plan.settings or {}), "num_classes": len(manifest.classes)})
    fresh = create_model(plan.model, **settings)
    starts = _starts_from(plan, manifest)
    if plan.count_units:
        for fold in folds:  # raises errors before anything is trained
            counted_units(plan.model, [manifest.samples[i] for i in fold.train])
    size = plan.folds_at_once(fresh)
    flows = load_flow_set(
        manifest,
        spec_for(plan.model, plan.spec),
        plan.landmarker,
        lambda samples: progress_bar(samples, "reading", show=plan.progress),
        entry.model_class.extra_inputs,
    )
    refuse_shared_pictures(manifest, flows.images.numpy())
    described = {
        **(described or {}),
        "htnet": __version__,
        "torch": torch.__version__,
        **({"leave": leave} if leave != "subject" else {}),  # not written for subjects, as in older versions
        **({"only_subjects": [fold.title for fold in folds]} if plan.subjects is not None else {}),
        "model": plan.model,
        **({"model_code": code} if (code := own_code(type(fresh))) else {}),
        "config": fresh.config.to_dict() | ({"au_cooccurrence": COUNTED} if plan.count_units else {}),
        "recipe": plan.recipe.to_dict(),
        "preprocess": flows.spec.to_dict(),  # for a prepared folder: how its images were made
        "protocols": list(plan.protocols),
        "held_out": plan.held_out if "nested" in plan.protocols else None,
        "classes": list(manifest.classes),
        "regions_at": flows.regions_at_counts(),
        **({"points68_from": flows.points68_counts()} if flows.points68 is not None else {}),
        **({"action_units": [s.action_units for s in manifest]} if plan.count_units else {}),
        **({"started_from": _describe_starts(starts, plan.start_is_disjoint)} if starts else {}),
        "samples": [s.sample for s in manifest],
        "data_sha256": flows.digest(),
        "folds_sha256": _folds_digest(folds, manifest),
    }
    store = RunStore(as_path(out, "out"))
    with store.locked():
        store.begin(described)
        store.check_seeds(seeds, overwrite)
        # Other machines cannot write checkpoints here. The landmarker is no longer needed.
        kept = None if engine.remote else store
        run = FoldRun(dataclasses.replace(plan, landmarker=None), manifest, flows, settings, kept, starts)
        tasks = [(f, s) for s in seeds for f in folds if store.read_fold(s, f.name) is None]
        groups = [(tasks[i : i + size],) for i in range(0, len(tasks), size)]
        total, begun = len(folds) * len(seeds), time.monotonic()
        done = total - len(tasks)
        if plan.tensorboard:  # also for folds of earlier calls
            for seed, fold in ((s, f) for s in seeds for f in folds if (f, s) not in tasks):
                fold_to_tensorboard(store, seed, fold.name)
        with (
            closing(engine.run(_run_group, run, groups)) as ran,
            ticker(total, "folds", "fold", done=done, show=plan.progress) as tick,
        ):
            for (group,), (results, states) in ran:
                for (fold, seed), result in zip(group, results, strict=True):
                    store.write_fold(seed, fold.name, result)
                for state in states:
                    state.unlink(missing_ok=True)
                fold, seed = group[-1]
                done += len(group)
                for of_group, own in group if plan.tensorboard else ():
                    fold_to_tensorboard(store, own, of_group.name)
                tick(done, f"{fold.title}, seed {seed}")
                if on_fold is not None:
                    here = done - (total - len(tasks))
                    on_fold(done, total, (time.monotonic() - begun) / here * (total - done))
        store.remove_unfinished()
        samples = collect(store, manifest, folds, seeds, plan.protocols)
        notes = prepared_notes(manifest.source)
        unshown = ("samples", "action_units", "folds_sha256")
        shown = {k: v for k, v in described.items() if k not in unshown} | {"seeds": list(seeds)}
        shown |= {"data_notes": list(notes)} if notes else {}
        tested = manifest.subset(sorted({i for fold in folds for i in fold.test}))
        if unlearned:
            tested = dataclasses.replace(tested, notes=(*tested.notes, unlearned))
        summary = summarize(samples, tested, seeds, shown)
        write_curves(store, folds, seeds)
        write_results(store, manifest, samples, summary)
    return LosoResult(summary, samples, store.root)


def _folds_digest(folds: Sequence[Fold], manifest: Manifest) -> str:
    """SHA-256 of who is trained and tested on in each fold, and of the person in each sample."""
    people = [(sample.dataset, sample.subject) for sample in manifest]
    each = [(fold.name, sorted(fold.train), sorted(fold.test)) for fold in folds]
    return hashlib.sha256(json.dumps([people, each]).encode()).hexdigest()


def _asked_for(folds: Sequence[Fold], subjects: Sequence[str] | None, leave: str) -> Sequence[Fold]:
    """The folds that leave out ``subjects``, in the original order; all folds if it is None."""
    if subjects is None:
        return folds
    if leave != "subject":
        raise InputError(f"subjects is for folds that leave out one subject, but these leave out a {leave}. Drop it.")
    named = {f"{fold.dataset}/{fold.subject}" if fold.dataset else fold.subject: fold for fold in folds}
    chosen = set()
    for subject in subjects:
        found = [subject] if subject in named else [name for name, fold in named.items() if fold.subject == subject]
        if not found:
            raise InputError(f"The data have no subject {subject!r}. {did_you_mean(str(subject), named)}")
        if len(found) > 1:
            raise InputError(f"Several data sets have a subject {subject!r}; give one of {', '.join(found)}.")
        chosen.add(found[0])
    return [fold for name, fold in named.items() if name in chosen]


def _open(data: str | PathLike[str]) -> Manifest:
    """Open the data set, and warn about each of its notes. The summary contains the full lists of names."""
    manifest = open_data(data)
    for note in manifest.notes:
        warn_user(abridged(note))
    return manifest


def _unlearned(manifest: Manifest, folds: Sequence[Fold]) -> str:
    """A note on test samples of whose class the fold's training part has none; "" if there are none."""
    found = []
    for fold in folds:
        learned = {manifest.samples[i].label for i in fold.train}
        counts = Counter(str(label) for i in fold.test if (label := manifest.samples[i].label) not in learned)
        found += [f"{label} ({counted(n, 'sample')} of {fold.title})" for label, n in sorted(counts.items())]
    if not found:
        return ""
    return f"When they are left out, no sample of their class remains to learn from: {', '.join(found)}."


def _run_group(run: FoldRun, tasks: Sequence[tuple[Fold, int]]) -> tuple[list[dict[str, Any]], list[Path]]:
    """Run some folds. Returns their results, and files to remove later that `RunStore.write_fold` does not remove."""
    with one_thread(run.plan.device):
        return ([run_fold(run, *tasks[0])], []) if len(tasks) == 1 else run_vmapped(run, tasks)


def _starts_from(plan: EvaluationPlan, manifest: Manifest) -> dict[int, StartFrom]:
    """The starting weights of each seed. Raises InputError for weights that may have been trained on a test subject."""
    if plan.start is None:
        return {}
    given = model_of(plan.start) or plan.start
    single = isinstance(given, (str, PathLike, EmotionModel))
    sources = [given] if isinstance(given, (str, PathLike, EmotionModel)) else list(given)
    if not single and len(sources) != len(plan.seed_list):
        raise InputError(
            f"start has {len(sources)} weights for {len(plan.seed_list)} seed(s). Give one for all, or one per seed."
        )
    starts = [StartFrom(source, manifest.classes) for source in sources]
    for start in starts:
        start.refuse_known(manifest, plan.start_is_disjoint)
    return dict(zip(plan.seed_list, starts * len(plan.seed_list) if single else starts, strict=True))


def _paths(given: Any) -> list[str | PathLike[str]]:
    """What is given as text or path: one, or a list."""
    each = [given] if isinstance(given, (str, PathLike)) or not isinstance(given, Sequence) else given
    return [one for one in each if isinstance(one, (str, PathLike))]


def _describe_starts(starts: dict[int, StartFrom], disjoint: bool) -> dict[str, Any] | list[dict[str, Any]]:
    """One description if all seeds start from the same weights, otherwise one per seed, in order."""
    word = {"disjoint_by_word_of_the_user": True} if disjoint else {}
    each = [
        {"name": start.source.name, "trained_on": start.source.trained_on, "sha256": start.digest(), **word}
        for start in starts.values()
    ]
    return each[0] if all(one == each[0] for one in each) else each
