"""Run folders of an evaluation, written without training."""

import numpy as np

from htnet.core.types import PreprocessSpec
from htnet.data import leave_one_subject_out
from htnet.evaluation.curves import write_curves
from htnet.evaluation.report import SampleResult, summarize, write_results
from htnet.evaluation.store import RunStore
from htnet.training import Recipe

EPOCHS = 4


def write_run(folder, manifest, sure, seeds=(0, 1), model="htnet_tiny"):
    """A run whose answers are drawn.

    Args:
        folder: of the run.
        manifest: its samples.
        sure: for each protocol, how much the answers lean to the truth.
        seeds: of the trainings.
        model: its name.
    """
    store, folds, truth = RunStore(folder), leave_one_subject_out(manifest), manifest.labels()
    run = {"model": model, "recipe": Recipe(name="drawn").to_dict(), "preprocess": PreprocessSpec().to_dict()}
    run |= {"leave": "subject", "seeds": list(seeds)}
    store.begin(run)
    samples = []
    for protocol, lean in sure.items():
        for seed in seeds:
            rng = np.random.default_rng([seed, int(1000 * lean)])
            scores = (
                rng.normal(size=(len(manifest), len(manifest.classes))) + lean * np.eye(len(manifest.classes))[truth]
            )
            chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
            for k, (sample, own) in enumerate(zip(manifest, chances.tolist(), strict=True)):
                who = (sample.sample, sample.dataset, sample.subject, seed, protocol)
                samples.append(SampleResult(*who, int(truth[k]), int(np.argmax(own)), tuple(own)))
    for seed in seeds:
        for k, fold in enumerate(folds):
            loss = [1.0 + 0.1 * k + seed - 0.2 * epoch for epoch in range(EPOCHS)]
            curves = {"all": {"loss": loss, "lr": [0.1] * EPOCHS}}
            if "nested" in sure:
                held = {"held_out_uf1": [0.25, 0.5, 0.75, 0.5], "held_out_loss": [1.0, 0.75, 0.5, 0.625]}
                curves["nested"] = {"loss": loss, "lr": [0.1] * EPOCHS, **held}
            store.write_fold(seed, fold.name, {"fold": fold.name, "seed": seed, "protocols": {}, "curves": curves})
    write_curves(store, folds, seeds)
    write_results(store, manifest, samples, summarize(samples, manifest, seeds, run))
    return folder
