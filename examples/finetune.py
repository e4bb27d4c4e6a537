"""Fine-tune on your own manifest, with your own training loop.

    python examples/finetune.py manifest.csv
    python examples/finetune.py --synthetic

A manifest is a CSV file with the columns sample, subject, label, and flow (flow images made by `htnet
prepare manifest`) or onset and apex (frames: name a landmarks file for each, or add --landmarks yunet).
Training starts from the weights `synthetic`, which were trained on generated data alone, so the result
has no other terms than your own data's. `htnet train --start synthetic` does without a script: it trains on
all samples, by a recipe, and tests on none.
`--synthetic` makes a small set of flow images that hold no people, to try the script. Nobody is both
trained and tested on.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

import htnet
from htnet.core.files import check_folder
from htnet.data import Manifest, Sample, hold_out_subjects, open_data
from htnet.errors import HtnetError
from htnet.hub import DEFAULT_WEIGHTS, Provenance, save_pretrained
from htnet.hub.folder import FILES
from htnet.metrics import score
from htnet.models import EmotionModel, build_model, get_entry
from htnet.preprocess import Landmarker, make_landmarker
from htnet.training import FlowSet, StartFrom, load_flow_set
from htnet.types import EMOTIONS


def synthetic_set(folder: Path, subjects: int = 10) -> Manifest:
    """Flow images with a bright spot whose place depends on the class, nine a subject."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:28, :28]
    samples = []
    for i in range(subjects * 9):
        place = ((7, 8), (20, 20), (13, 24))[i % 3] + rng.normal(0, 1, 2)
        spot = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 20)
        image = 200 * spot[..., None] + rng.uniform(0, 55, (28, 28, 3))
        path = folder / f"{i:03}.png"
        cv2.imwrite(str(path), image.astype(np.uint8))
        samples.append(Sample(path.stem, "synthetic", f"p{i // 9}", EMOTIONS[i % 3], flow=path))
    manifest = Manifest(tuple(samples))
    manifest.write(folder / "manifest.csv")
    return manifest


def fresh(
    name: str, manifest: Manifest, kept: list[int], landmarker: Landmarker | None
) -> tuple[EmotionModel, FlowSet]:
    """An untrained model, and all samples as tensors made as it needs them."""
    data = load_flow_set(manifest, get_entry(name).spec, landmarker)
    # The model standardizes its input itself; test subjects must not take part in the statistics.
    mean, std = (tuple(values.tolist()) for values in data.subset(kept).statistics())
    model = htnet.create_model(name, mean=mean, std=std)
    model.reset_classifier(len(manifest.classes), manifest.classes)
    model.preprocess_spec = data.spec
    return model, data


def trained(start: StartFrom, manifest: Manifest, landmarker: Landmarker | None) -> tuple[EmotionModel, FlowSet]:
    """A model that has learned, and all samples as tensors made as it knows them.

    Of the last layer it takes the weights if your classes are the same. A head of action units is left out: your
    manifest does not say which are active, so it could not follow what the other layers learn.
    """
    settings = {**start.source.config.to_dict(), "num_classes": len(manifest.classes)}
    settings.pop("action_units", None)
    model = build_model(type(start.source).__name__, settings, start.source.name)
    start(model)
    data = load_flow_set(manifest, start.source.preprocess_spec, landmarker)
    model.preprocess_spec = data.spec
    return model, data


def answer(model: EmotionModel, data: FlowSet) -> torch.Tensor:
    """Class scores; some models read more than the image, such as facial points."""
    return model(data.inputs(), **data.extras(model.extra_inputs))


def train(model: EmotionModel, data: FlowSet, epochs: int, lr: float) -> None:
    """A plain loop: replace it by whatever you want to try."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05)
    model.train()
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in torch.randperm(len(data)).split(32):
            part = data.subset(batch)
            loss = F.cross_entropy(answer(model, part), part.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch:>3}  loss {total / len(data):.4f}")
    model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description="Fine-tune a model on your own manifest.")
    parser.add_argument("manifest", nargs="?", help="manifest CSV, or a folder in a published layout")
    parser.add_argument("--synthetic", action="store_true", help="train on generated flow images instead")
    parser.add_argument("--start", default=DEFAULT_WEIGHTS, help="trained weights, or a model's name for fresh ones")
    parser.add_argument(
        "--start-is-disjoint", action="store_true", help="assert that they were not trained on any of your subjects"
    )
    parser.add_argument("--landmarks", help="as for htnet train, instead of the samples' own files")
    parser.add_argument("--out", default="out/finetuned", help="weights folder (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace weights that exist")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    if args.synthetic == (args.manifest is not None):
        parser.error("give a manifest, or --synthetic")

    check_folder(args.out, FILES, overwrite=args.overwrite)  # before training costs any time
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        manifest = synthetic_set(Path(scratch)) if args.synthetic else open_data(args.manifest)
        kept, held = map(list, hold_out_subjects(manifest, range(len(manifest)), fraction=0.3, seed=0))
        landmarker = make_landmarker(args.landmarks) if args.landmarks else None
        start = None if args.start in htnet.list_models() else StartFrom(args.start, manifest.classes)
        if start is not None and not args.synthetic:  # people tested below must not be among those it was trained on
            start.refuse_known(manifest, args.start_is_disjoint)
        if start is None:
            model, data = fresh(args.start, manifest, kept, landmarker)
        else:
            model, data = trained(start, manifest, landmarker)
    train(model, data.subset(kept), args.epochs, args.lr)

    test = data.subset(held)
    with torch.no_grad():
        prediction = answer(model, test).argmax(dim=1)
    scores = score(test.labels.numpy(), prediction.numpy(), len(manifest.classes))
    print(f"{len(kept)} samples trained on, {len(held)} samples of other subjects tested on")
    print(f"UF1 {scores.uf1:.3f}  UAR {scores.uar:.3f}")

    about = {
        "samples": len(kept),
        "protocol": "last epoch; tested on held-out subjects",
        "metrics": {"held-out subjects, UF1": scores.uf1, "held-out subjects, UAR": scores.uar},
    }
    # Hashed keys of the people go with the weights, so nobody is tested on whom they know.
    people = [manifest.samples[i] for i in kept]
    provenance = Provenance.of(people)
    if start is not None:  # data and terms of the starting weights are those of the new ones too
        provenance = start.provenance(provenance)
    saved = save_pretrained(
        model, args.out, training=about, people=people, provenance=provenance, overwrite=args.overwrite
    )
    print(f"weights: {saved}")


if __name__ == "__main__":
    try:
        main()
    except HtnetError as error:  # its message says what to do
        sys.exit(f"finetune.py: {error}")
