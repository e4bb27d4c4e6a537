"""The reader's folder: the files that the documentation's blocks name, generated and small."""

import csv
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch

import htnet
from htnet.core.types import EMOTIONS, PreprocessSpec
from htnet.data import read_manifest
from htnet.hub import save_pretrained
from htnet.models import create_model, reference_state
from htnet.prepare import prepare
from tests.data import official
from tests.support.pairs import face, face_pair, invented_casme3, save, write_casme3
from tests.support.seeds import next_rng
from tests.support.videos import write_video

SAMPLE = Path(htnet.__file__).parent / "assets" / "sample"
MODELS = Path(htnet.__file__).parent / "assets" / "models"
SIDE = 112
DATASETS = ("casme2", "samm", "smic")


def frames_of_sample(folder):
    """The bundled pair under the names of the pages; the others are shifted by a pixel."""
    for k, (onset, apex) in enumerate((("onset.png", "apex.png"), ("a0.png", "a1.png"), ("b0.png", "b1.png"))):
        for name, target in (("onset.png", onset), ("apex.png", apex)):
            cv2.imwrite(str(folder / target), np.roll(cv2.imread(str(SAMPLE / name)), k, axis=1))
    for k in (1, 2):
        shutil.copy(SAMPLE / "onset.png", folder / f"img{k}.png")


def samples(folder, name="samples.csv", action_units=("4", "12", "1+2")):
    """Three classes of six subjects in three data sets, with action units and a split."""
    rng, rows = next_rng(), []
    for i in range(18):
        person, label = i // 3, i % 3
        onset, apex = face_pair(label, SIDE, rng)
        files = [save(folder / "pairs" / f"{i}_{part}.png", image) for part, image in (("0", onset), ("1", apex))]
        row = {"sample": f"s{i}", "dataset": DATASETS[person // 2], "subject": f"p{person}", "label": EMOTIONS[label]}
        row |= dict(zip(("onset", "apex"), (str(file.relative_to(folder)) for file in files), strict=True))
        rows.append(row | {"action_units": action_units[label], "split": "test" if person > 3 else "train"})
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def prepared(folder):
    """``samples-flow`` of `samples`."""
    samples(folder)
    prepare(read_manifest(folder / "samples.csv"), folder / "samples-flow", PreprocessSpec(), "yunet", workers=1)


def others(folder):
    """``others-flow``: the samples of `prepared`, of other people."""
    shutil.copytree(folder / "samples-flow", folder / "others-flow")
    table = folder / "others-flow" / "manifest.csv"
    table.write_text(re.sub(r",p(\d)\b", r",q\1", table.read_text("utf-8")), "utf-8")


def casme2_flow(folder):
    """``casme2-flow``, from `prepared`."""
    shutil.copytree(folder / "samples-flow", folder / "casme2-flow")


def composite(folder):
    """The composite set's published layout, with images of noise."""
    rng = next_rng()
    images = folder / "STSNet_whole_norm_u_v_os"
    lines = ["dataset,sub,filename_o,label,apex,imagename,sub_filename"]
    for i in range(18):
        person, label = i // 3, i % 3
        dataset, subject = DATASETS[person // 2], f"{('sub', '0', 's')[person // 2]}{person:02d}"
        lines.append(f"{dataset},{subject},{subject}_{i},{label},,,")
        noise = rng.integers(0, 256, (28, 28, 3)).astype(np.uint8)
        noise[0, 0], noise[0, 1] = 0, 255  # as each channel is scaled
        save(images / f"{subject}_{subject}_{i} .png", noise)
    (folder / "combined_3_class2_for_optical_flow.csv").write_text("\n".join(lines) + "\n", "utf-8")


def faces_in(root):
    """Pictures of noise become a face that moves."""
    rng = next_rng()
    for k, clip in enumerate(sorted({path.parent for path in root.rglob("*.*") if path.suffix in (".jpg", ".bmp")})):
        onset, apex = face_pair(k % 3, SIDE, rng)
        for i, path in enumerate(sorted(clip.iterdir())):
            save(path, onset if i == 0 else apex)


def casme2(root):
    """CASME II with two subjects."""
    rows = [(1, "EP02_01f", 46, 59, 86, "happiness"), (1, "EP03_02", 31, 61, 81, "disgust")]
    official.casme2(root, [*rows, (17, "EP15_01", 11, 17, 30, "repression"), (26, "EP18_44", 3, 5, 9, "surprise")])
    faces_in(root)


def samm(root):
    """SAMM with three subjects."""
    rows = [(6, "006_1_2", 5562, 5588, 5632, "Anger"), (11, "011_1_4", 20, 25, 31, "Happiness")]
    official.samm(root, [*rows, (37, "037_3_3", 7, 8, 19, "Surprise")])
    faces_in(root)


def smic(root):
    """SMIC HS with two subjects."""
    official.smic(root, ["s1_ne_01", "s1_po_01", "s11_sur_02"])
    faces_in(root)


def casme3(root):
    """The edited CSV of CAS(ME)^3, of people who do not exist."""
    root.mkdir(parents=True)
    write_casme3(root, invented_casme3())


def samm_lv(root):
    """Long videos of SAMM, with the sheet that the page names."""
    rows = [("006_1_1", 566, 648, 743, "Macro", "4+7"), ("006_1_2", 3562, 3588, 3632, "Micro - 1/2", "4+7")]
    official.samm_lv(root, rows, file="SAMM_LongVideos_V2_Release.csv")


def weights(folder, name="mine"):
    """Weights with random values, as `htnet train` would write them."""
    model = create_model("htnet_small")
    model.preprocess_spec = PreprocessSpec()
    save_pretrained(model, folder / "weights" / name)


def video(path, count=30):
    """A second of a face that smiles and stops, at 30 frames a second."""
    onset, apex = face_pair(1, 224)
    shares = np.clip(1 - np.abs(np.arange(count) - count / 2) / 8, 0, 1)
    frames = [(onset + share * (apex.astype(float) - onset)).round().astype(np.uint8) for share in shares]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, fps=30.0)


def recording(path):
    """90 s of a still face, 25 frames a second, small."""
    still = face(64)
    write_video(path, (still for _ in range(25 * 90)), fps=25.0)


def checkpoint(path):
    """A reference checkpoint of HTNet, narrow."""
    torch.save(reference_state(create_model("htnet_small", heads=3, mean=(0.0,) * 3, std=(1.0,) * 3)), path)
