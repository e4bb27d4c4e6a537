"""Blocks of the documentation run, in the order of their page, in a folder with the files that they name.

Trainings by named recipes last one epoch; nothing else is changed. What does not run here is in `NOT_HERE`, with the
reason.
"""

import dataclasses
import re
import shlex
import shutil

import pytest

from htnet import cli
from htnet.core.registry import MODELS
from htnet.training import RECIPES
from tests.support import workspace
from tests.support.wings import with_wings
from tests.test_docs import PAGES

CLUSTER = "needs a cluster; the tests of the ray engine start one of their own"
HUB = "publishes, or reads from, the Hub; tests/hub run against a local one"
LASTING = "trains many folds, or generates many images; not timed here, its own tests run the command on less"
SERVER = "serves until it is stopped; tests/web"
MOTION = "motion of clips at full size takes minutes; tests/test_dual_stream_way.py"
PALSY = "trains the palsy networks; tests/palsy run the commands with smaller ones"
CONVERTED = "as the one above it, which runs; tests/models convert each"
VIDEOS = "recordings and tables that the workspace lacks; tests/cli run the commands on shorter ones"
#: What is not run: a part of a page's name, a part of the block or line, and why.
NOT_HERE = (
    ("", "engine ray", CLUSTER),
    ("clusters", 'engine="ray"', CLUSTER),
    ("weights", '"owner/repo"', HUB),
    ("", "htnet push", HUB),
    ("", "htnet serve", SERVER),
    ("", "--clip-frames", MOTION),
    ("models", "clip_frames=16", MOTION),
    ("", "htnet pretrain", LASTING),
    ("", "htnet synthesize", LASTING),
    ("", "--recipe mixed", LASTING),
    ("", "--recipe finetune", LASTING),
    ("", "--data composite_data", LASTING),
    ("results", "htnet ", LASTING),
    ("models", "htnet convert STSTNet", CONVERTED),
    ("models", "htnet convert dual", CONVERTED),
    ("models", "htnet convert mhssa", CONVERTED),
    ("training-and-evaluation", "htnet report", "reads two of those runs; tests/pipeline"),
    ("export", "--format", "takes minutes in other engines; the matrix of tests/pipeline"),
    ("palsy", "htnet palsy", PALSY),
    ("getting-started", "--videos", VIDEOS),
    ("recordings", "htnet ", VIDEOS),
    ("landmarks", 'FaceAlignmentLandmarker("cuda")', "needs a GPU and a model that is fetched"),
)


def blocks(page):
    """(language, content) of a page's Python and bash blocks, in order."""
    found = re.findall(r"^ *```(python|bash)\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [(language, content) for language, content in found]


def left_out(page, text):
    """Why a block or a line is not run; None where it is."""
    return next((why for name, part, why in NOT_HERE if name in page.stem and part in text), None)


#: What a page's blocks name, and what makes it.
PIECES = {
    r"onset\.png|img1\.png|a0\.png": workspace.frames_of_sample,
    r"samples\.csv(?!.*samples-flow)": workspace.samples,
    r"composite_data": lambda folder: workspace.composite(folder / "composite_data"),
    r"\bCASME2(_DIR)?\b": lambda folder: [workspace.casme2(folder / name) for name in ("CASME2", "CASME2_DIR")],
    r"\bSAMM(_DIR)?\b": lambda folder: [workspace.samm(folder / name) for name in ("SAMM", "SAMM_DIR")],
    r"\bSMIC(_DIR)?\b": lambda folder: [workspace.smic(folder / name) for name in ("SMIC", "SMIC_DIR")],
    r"codes\.xlsx": lambda folder: shutil.copy(next((folder / "SAMM_DIR").glob("*.xlsx")), folder / "codes.xlsx"),
    r"mine\.json": lambda folder: (folder / "mine.json").write_text('{"name": "mine", "epochs": 1}', "utf-8"),
    r"others-flow": workspace.others,
    r"casme2-flow": workspace.casme2_flow,
    r"CASME3_DIR": lambda folder: workspace.casme3(folder / "CASME3_DIR"),
    r"casme2_root": lambda folder: workspace.casme2(folder / "casme2_root"),
    r"casme3_root": lambda folder: workspace.casme3(folder / "casme3_root"),
    r"data/\{name\}": lambda folder: [
        make(folder / "data" / make.__name__) for make in (workspace.casme2, workspace.samm, workspace.smic)
    ],
    r"SAMM_LV": lambda folder: workspace.samm_lv(folder / "SAMM_LV"),
    r"weights/mine": workspace.weights,
    r"\bvideo\.mp4": lambda folder: workspace.video(folder / "video.mp4"),
    r"recording\.mp4": lambda folder: workspace.recording(folder / "recording.mp4"),
    r"HTNet\.pth": lambda folder: workspace.checkpoint(folder / "HTNet.pth"),
    r"face_detection_yunet_2023mar\.onnx": lambda folder: shutil.copy(
        next(workspace.MODELS.glob("*.onnx")), folder / "face_detection_yunet_2023mar.onnx"
    ),
}
PIECES = with_wings("workspace", "MAKERS", PIECES)


@pytest.fixture(scope="module")
def samples_flow(tmp_path_factory):
    """The prepared folder, which takes longest, made once."""
    folder = tmp_path_factory.mktemp("samples")
    workspace.prepared(folder)
    return folder


@pytest.fixture
def short(monkeypatch):
    """Every recipe has one epoch."""
    brief = {name: dataclasses.replace(recipe, epochs=1) for name, recipe in dict(RECIPES).items()}
    monkeypatch.setattr(RECIPES, "_entries", brief)


def shown(page):
    """(number, language, content) of what runs, in the page's order; commands line by line."""
    for number, (language, content) in enumerate(blocks(page), 1):
        if language == "bash":
            for line in content.replace("\\\n", " ").splitlines():
                if line.startswith("htnet ") and not left_out(page, line):
                    yield number, language, line
        elif not left_out(page, content):
            yield number, language, content


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(shown(page))], ids=lambda page: page.stem)
def test_blocks_of_a_page_run(page, tmp_path, monkeypatch, request, short, capsys):
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS))
    monkeypatch.chdir(tmp_path)
    parts = list(shown(page))
    text = "\n".join(content for _, _, content in parts)
    if "samples-flow" in text:
        shutil.copytree(request.getfixturevalue("samples_flow"), tmp_path, dirs_exist_ok=True)
    for pattern, make in PIECES.items():
        made_there = re.search(rf'--out (?:{pattern})|train_weights\(.*"(?:{pattern})"', text)
        if re.search(pattern, text) and not made_there:
            make(tmp_path)
    names = {"__name__": "__main__"}
    for number, language, content in parts:
        if language == "python":
            exec(compile(content, f"{page.name}, block {number}", "exec"), names)
        else:
            status = cli.main(shlex.split(content, comments=True)[1:])
            assert status == 0, f"{page.name}: {content}\n{capsys.readouterr().err[-600:]}"


def test_what_is_not_run_is_still_shown():
    for name, part, why in NOT_HERE:
        assert why
        assert any(part in content for page in PAGES if name in page.stem for _, content in blocks(page)), part
