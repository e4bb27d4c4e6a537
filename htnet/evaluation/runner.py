"""Leave-one-subject-out evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from htnet import __version__
from htnet.data import Manifest, leave_one_subject_out, open_data
from htnet.errors import InputError
from htnet.evaluation.protocols import FoldJob, check_protocols, run_fold
from htnet.evaluation.report import LosoResult, collect, summarize, write_results
from htnet.evaluation.store import RunStore
from htnet.jobs import choose_jobs, run_tasks
from htnet.models import create_model, get_entry
from htnet.preprocess import Landmarker
from htnet.training import Recipe, get_recipe, load_flow_set
from htnet.types import PreprocessSpec


def loso(
    data: Manifest | str | PathLike[str],
    model: str = "htnet_small",
    recipe: str | Recipe = "default",
    *,
    out: str | PathLike[str],
    protocols: Sequence[str] = ("last",),
    seeds: int | Sequence[int] = 1,
    spec: PreprocessSpec | None = None,
    landmarker: Landmarker | None = None,
    settings: dict[str, Any] | None = None,
    jobs: int | None = 1,
    device: str = "cpu",
    held_out: float = 0.2,
    checkpoint_every: float = 60.0,
    progress: bool = True,
) -> LosoResult:
    """Train once for every subject on all others, test on that subject.

    A run can be interrupted at any moment and started again with the same call: finished folds are
    kept, an unfinished one goes on from its last checkpoint, and the final files are the same to the
    byte (with the same number of jobs on the same machine).

    Args:
        data: labelled samples with subjects: a manifest, or a path for `htnet.data.open_data`.
        model: registered model name.
        recipe: how to train.
        out: run folder.
        protocols: any of "last" (no selection), "nested" (epoch chosen on subjects held out of the
            training part), "best_on_test" (leaks; to compare with papers only).
        seeds: number of seeds, counted from 0, or the seeds themselves.
        spec: preprocessing; the model's own unless given.
        landmarker: finds landmarks of samples without; see `htnet.training.load_flow_set`.
        settings: overrides of the model's config.
        jobs: processes; None takes one a core on the CPU (at most 8). More than one needs the caller
            to be guarded by ``if __name__ == "__main__":``.
        device: where to train.
        held_out: share of the training subjects that "nested" holds out.
        checkpoint_every: least seconds between two writes of an unfinished training's state.
        progress: show progress bars.

    Returns:
        The result; ``out`` then holds ``predictions.csv`` and ``summary.json``.

    Raises:
        RunError: ``out`` holds another run, or is in use.
        ManifestError: samples lack a label or a subject.
    """
    from huggingface_hub.utils import tqdm

    manifest = data if isinstance(data, Manifest) else open_data(data)
    folds = leave_one_subject_out(manifest)
    recipe, protocols = get_recipe(recipe), check_protocols(protocols)
    seeds = _check_seeds(seeds)
    if not 0 < held_out < 1:
        raise InputError(f"held_out is {held_out}; give a share between 0 and 1.")
    spec, extras = spec or get_entry(model).spec, get_entry(model).model_class.extra_inputs
    settings = {**(settings or {}), "num_classes": len(manifest.classes)}
    config = create_model(model, **settings).config
    flows = load_flow_set(
        manifest,
        spec,
        landmarker,
        lambda s: tqdm(s, desc="reading", unit="sample", disable=not progress),
        extras,
    )
    described = {
        "htnet": __version__,
        "model": model,
        "config": config.to_dict(),
        "recipe": recipe.to_dict(),
        "preprocess": spec.to_dict(),
        "protocols": list(protocols),
        "held_out": held_out if "nested" in protocols else None,
        "classes": list(manifest.classes),
        "regions_cut_at": flows.cut_counts(),
        **({"points68_from": flows.points68_counts()} if flows.points68 is not None else {}),
        "samples": [s.sample for s in manifest],
        "data_sha256": flows.digest(),
    }
    store = RunStore(Path(out))
    with store.locked():
        store.begin(described)
        job = FoldJob(manifest, flows, model, settings, recipe, protocols, held_out, device, checkpoint_every, store)
        tasks = [(f, s) for s in seeds for f in folds if store.read_fold(s, f.name) is None]
        jobs = choose_jobs(jobs, len(tasks), device)
        total = len(folds) * len(seeds)
        with tqdm(total=total, initial=total - len(tasks), desc="folds", disable=not progress) as bar:
            for (fold, seed), _ in run_tasks(run_fold, job, tasks, jobs):
                bar.set_postfix_str(f"{fold.name}, seed {seed}")
                bar.update()
        samples = collect(store, manifest, folds, seeds, protocols)
        shown = {k: v for k, v in described.items() if k != "samples"} | {"seeds": list(seeds)}
        summary = summarize(samples, manifest, seeds, shown)
        write_results(store, manifest, samples, summary)
    return LosoResult(summary, samples, store.root)


def _check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not found or len(set(found)) != len(found) or any(s < 0 for s in found):
        raise InputError(f"seeds is {seeds!r}; give a number of seeds of 1 or more, or distinct seeds of 0 or more.")
    return found


__all__ = ["LosoResult", "loso"]
