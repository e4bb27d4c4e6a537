"""The reader's folder: the files that the documentation's blocks name, generated and small."""

import csv
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch

import htnet
from benchmarks.mhssa_reference import ReferenceMHSSAGCN
from htnet.core.types import EMOTIONS, POINT_NAMES, TEMPLATE_28, PreprocessSpec
from htnet.data import open_data, read_manifest
from htnet.evaluation import loso
from htnet.hub import save_pretrained
from htnet.models import MHSSAGCNConfig, create_model, reference_state
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


def casme3_frames(root):
    """CAS(ME)^3 as it is published, with frames from onset to offset, of three people who do not exist."""
    emotions = ("disgust", "happy", "surprise")
    rows = [(f"spNO.{901 + i // 2}", "ab"[i % 2], 20, 24, 28, emotions[i % 3]) for i in range(6)]
    official.casme3(root, rows)
    faces_in(root)


def samm_lv(root):
    """Long videos of SAMM, with the sheet that the page names."""
    rows = [("006_1_1", 566, 648, 743, "Macro", "4+7"), ("006_1_2", 3562, 3588, 3632, "Micro - 1/2", "4+7")]
    official.samm_lv(root, rows, file="SAMM_LongVideos_V2_Release.csv")


def weights(folder, name="mine"):
    """Weights with random values, as `htnet train` would write them."""
    model = create_model("htnet_small")
    model.preprocess_spec = PreprocessSpec()
    save_pretrained(model, folder / "weights" / name)


def video(path, count=30, side=224):
    """A face that smiles and stops, at 30 frames a second."""
    onset, apex = face_pair(1, side)
    shares = np.clip(1 - np.abs(np.arange(count) - count / 2) / 8, 0, 1)
    frames = [(onset + share * (apex.astype(float) - onset)).round().astype(np.uint8) for share in shares]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, fps=30.0)


def recording(path):
    """90 s of a still face, 25 frames a second, small."""
    still = face(64)
    write_video(path, (still for _ in range(25 * 90)), fps=25.0)


def checkpoints(folder):
    """Reference checkpoints: of HTNet, narrow, and of the other published models."""
    model = create_model("htnet_small", heads=3, mean=(0.0,) * 3, std=(1.0,) * 3)
    torch.save(reference_state(model), folder / "HTNet.pth")
    for name, file in (("ststnet", "STSTNet"), ("htnet_dual_stream", "dual_stream")):  # with the published names
        torch.save(create_model(name).state_dict(), folder / f"{file}.pth")
    published = ReferenceMHSSAGCN(MHSSAGCNConfig(spatial="reference", scaling="smacof"))
    torch.save(published.state_dict(), folder / "mhssa_gcn.pth")


def clips(folder):
    """``clips``, ``clip1.mp4`` and ``recordings``: a face that smiles, small and short."""
    video(folder / "clip1.mp4", 12, side=112)
    for name in ("clips", "recordings"):
        video(folder / name / "one.mp4", 12, side=112)


def points(folder):
    """``points.csv``: five points for each sample of `composite`, px of a face of 224 px."""
    samples = [sample.sample for sample in open_data(folder / "composite_data")]
    columns = [f"{name}_{axis}" for name in POINT_NAMES for axis in "xy"]
    values = (8 * np.array(TEMPLATE_28)).ravel()
    with (folder / "points.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sample", *columns])
        writer.writerows([sample, *values] for sample in samples)


def second_run(folder):
    """``runs/loso-flow_mlp-default`` of `composite`."""
    loso(
        open_data(folder / "composite_data"), "flow_mlp", out=folder / "runs" / "loso-flow_mlp-default", progress=False
    )


def recordings(folder):
    """``recordings.csv`` and what a detector found in them."""
    rows = ["anna,30,3600,micro,411,417,423", "anna,30,3600,blink,900,,906", "ben,30,1800,,,,"]
    head = "recording,fps,frames,kind,onset,apex,offset"
    (folder / "recordings.csv").write_text("\n".join([head, *rows]) + "\n", "utf-8")
    (folder / "predicted.csv").write_text("recording,kind,onset,offset\nanna,micro,412,424\n", "utf-8")


def three_recordings(folder):
    """Two videos and a folder of frames, small and short."""
    for name in ("first", "second"):
        video(folder / f"{name}.mp4", 12, side=112)
    for k in range(12):
        save(folder / "frames_of_third" / f"{k:03d}.png", face(112))


def spotted(folder):
    """``spotted``: what was found in the recording of `samm_lv`."""
    (folder / "spotted").mkdir()
    (folder / "spotted" / "found.csv").write_text("vid,pred_onset,pred_offset,type\n006_1,566,743,mae\n", "utf-8")
