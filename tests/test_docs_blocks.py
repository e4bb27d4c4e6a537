"""Blocks of the documentation run, in the order of their page, in a folder with the files that they name.

Trainings by named recipes last one epoch, the Hub and the cluster are local ones, `MORE_WORDS` makes long commands
short, and `htnet serve` is asked once and stopped. Nothing else is changed. What does not run here is in `NOT_HERE`,
with the reason.
"""

import dataclasses
import re
import shlex
import shutil
from contextlib import nullcontext

import pytest

from htnet import cli
from htnet.core.registry import MODELS
from htnet.hub import find_pretrained
from htnet.training import RECIPES
from tests.support import workspace
from tests.support.ray_cluster import TwoNodes
from tests.support.wings import with_wings
from tests.test_docs import PAGES

#: What is not run: a part of a page's name, a part of the block or line, and why.
NOT_HERE = (
    ("landmarks", 'FaceAlignmentLandmarker("cuda")', "needs a GPU and a model that is fetched"),
    ("palsy", "--model htnet_palsy --start", "trains 152 million parameters; the line above it trains fewer"),
)

#: Words that are added to a command, so that it takes seconds.
MORE_WORDS = {
    r"^htnet pretrain": "--count 60",
    r"^htnet loso .*--recipe mixed": "--epochs 1",
    r"^htnet synthesize recordings": "--count 1 --seconds 4 4.2 --size 160x120",
}
MORE_WORDS = with_wings("workspace", "MORE_WORDS", MORE_WORDS)
#: What goes on while a command runs.
AROUND = with_wings("workspace", "AROUND", {})
#: Where the pages have a cluster.
ADDRESS = "10.0.0.1:6379"


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
    r"CASME3_DIR": lambda folder: workspace.casme3_frames(folder / "CASME3_DIR"),
    r"casme2_root": lambda folder: workspace.casme2(folder / "casme2_root"),
    r"casme3_root": lambda folder: workspace.casme3(folder / "casme3_root"),
    r"data/\{name\}": lambda folder: [
        make(folder / "data" / make.__name__) for make in (workspace.casme2, workspace.samm, workspace.smic)
    ],
    r"SAMM_LV": lambda folder: workspace.samm_lv(folder / "SAMM_LV"),
    r"weights/mine": workspace.weights,
    r"\bvideo\.mp4": lambda folder: workspace.video(folder / "video.mp4"),
    r"recording\.mp4": lambda folder: workspace.recording(folder / "recording.mp4"),
    r"HTNet\.pth": workspace.checkpoints,
    r"samples\.csv.*--engine|--videos|analyze recordings": workspace.clips,
    r"points\.csv": workspace.points,
    r"loso-flow_mlp-default": workspace.second_run,
    r"predicted\.csv": workspace.recordings,
    r"frames_of_third": workspace.three_recordings,
    r"SAMM_LV.*spotted": workspace.spotted,
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
                if line.startswith(("htnet ", "export HTNET_")) and not left_out(page, line):
                    yield number, language, line
        elif not left_out(page, content):
            yield number, language, content


@pytest.fixture(scope="module")
def cluster():
    """Two local nodes, and one connection to them, which commands use and leave as it is."""
    ray = pytest.importorskip("ray", reason="Ray has no wheel for this Python")
    with TwoNodes() as nodes:
        ray.init(address=nodes.address, log_to_driver=False)
        yield nodes.address
        ray.shutdown()


@pytest.fixture
def owner(hub, monkeypatch):
    """A local Hub, whose repository ``owner/repo`` has weights."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    folder = find_pretrained("synthetic-mlp").folder
    hub.add_repo("owner/repo", {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})


def words_of(command):
    """The words of a command after ``htnet``, and those that make it short."""
    more = [words for pattern, words in MORE_WORDS.items() if re.search(pattern, command)]
    return [*shlex.split(command, comments=True)[1:], *shlex.split(" ".join(more))]


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
    if re.search("owner/repo|htnet push", text):
        request.getfixturevalue("owner")
    if ADDRESS in text:
        address = request.getfixturevalue("cluster")
        parts = [(number, language, content.replace(ADDRESS, address)) for number, language, content in parts]
    names = {"__name__": "__main__"}
    for number, language, content in parts:
        if language == "python":
            exec(compile(content, f"{page.name}, block {number}", "exec"), names)
        elif content.startswith("export "):
            monkeypatch.setenv(*content.removeprefix("export ").split("=", 1))
        else:
            around = next((around for pattern, around in AROUND.items() if re.search(pattern, content)), nullcontext)
            with around():
                status = cli.main(words_of(content))
            assert status == 0, f"{page.name}: {content}\n{capsys.readouterr().err[-600:]}"


def test_what_is_not_run_is_still_shown():
    for name, part, why in NOT_HERE:
        assert why
        assert any(part in content for page in PAGES if name in page.stem for _, content in blocks(page)), part
