"""What is released: the wheel as built, installed without the clone and tried from an empty folder."""

import email
import json
import os
import subprocess
import sys
import zipfile
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from htnet import __version__
from htnet.hub import list_pretrained
from htnet.hub.folder import FILES
from tests.support.paths import ROOT
from tests.support.ray_cluster import ENVIRONMENT

#: Bytes that the wheel may have.
LARGEST = 25_000_000
BUNDLED = [spec.name for spec in list_pretrained() if spec.bundled]
BUILT = "building needs the dev extra: pip install -e '.[dev]'"

#: What a service does with the installed package; prints one JSON document.
SERVICE = """
import contextlib, io, json, sys
import htnet
from htnet.cli import main
from htnet.core.assets import ASSETS

found = {"file": htnet.__file__, "path": sys.path, "clone": [], "loaded": {}}
for name in ("tests", "benchmarks", "pytest", "numba", "matplotlib"):
    with contextlib.suppress(ModuleNotFoundError):
        found["clone"].append(str(__import__(name)))
for spec in htnet.list_pretrained():
    if spec.bundled:
        found["loaded"][spec.name] = htnet.load_pretrained(spec.name).license == spec.license
sample = ASSETS / "sample"
frames = (sample / "onset.png", sample / "apex.png")
found["label"] = htnet.predict(*frames, landmarks=sample / "landmarks.json", weights="composite").label
try:
    htnet.load_pretrained("composite-mhssa", local_files_only=True)
except htnet.core.errors.WeightsNotPublishedError as error:
    found["elsewhere"] = str(error)
with contextlib.redirect_stdout(io.StringIO()):
    found["export"] = main(["export", "synthetic-mlp", "--format", "torch", "--out", "exported"])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built by the backend that pyproject.toml names, from this checkout."""
    pytest.importorskip("hatchling", reason=BUILT)
    out = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (path,) = out.iterdir()
    return path


#: Extras whose packages the tour uses, where these tests have them.
EXTRAS = ("completion", "onnx", "openvino", "plots", "ray", "sklearn", "tensorboard", "web")
TOUR = (ROOT / "tests" / "support" / "wheel_tour.py").read_text("utf-8")


@dataclass(frozen=True)
class Installed:
    """An environment that has the wheel, and an empty folder to work in."""

    bin: Path
    folder: Path

    def run(self, program, *words):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HTNET_", "VIRTUAL_ENV"))}
        env = {**kept, **ENVIRONMENT, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HOME": str(self.folder.parent)}
        done = subprocess.run(
            [str(self.bin / program), *map(str, words)],
            cwd=self.folder, env=env, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


def required(needed, seen):
    """A distribution and all that it requires: those that pip would install."""
    if (name := canonicalize_name(needed.name)) in seen:
        return
    seen[name] = distribution(needed.name)
    for more in map(Requirement, seen[name].requires or ()):
        if wanted(more, needed.extras):
            required(more, seen)


def wanted(needed, extras):
    """Whether a requirement goes with one of some extras, or with none."""
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A new environment with what the wheel requires and nothing else."""
    return environment(wheel, tmp_path_factory, ())


@pytest.fixture(scope="module")
def with_extras(wheel, tmp_path_factory):
    """A new environment with what the wheel and its extras require, of what these tests have."""
    return environment(wheel, tmp_path_factory, EXTRAS)


def environment(wheel, tmp_path_factory, extras):
    """The packages are those of these tests, by links: it would be gigabytes to install them again."""
    pytest.importorskip("pip", reason="the wheel is installed by pip")
    place, folder = tmp_path_factory.mktemp("venv"), tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=120)
    programs = place / ("Scripts" if os.name == "nt" else "bin")
    words = ["--python", programs / "python", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", wheel]
    subprocess.run([sys.executable, "-m", "pip", *map(str, words)], check=True, cwd=folder, timeout=120)
    (package,) = place.glob("**/site-packages/htnet")
    with zipfile.ZipFile(wheel) as file:
        metadata = email.message_from_bytes(file.read(f"htnet-{__version__}.dist-info/METADATA"))
    seen = {}
    for needed in map(Requirement, metadata.get_all("Requires-Dist")):
        own = needed.marker is None or needed.marker.evaluate({"extra": ""})
        with nullcontext() if own else suppress(PackageNotFoundError):
            if wanted(needed, extras):
                required(needed, seen)
    for found in seen.values():
        for name in {path.parts[0] for path in found.files} - {"..", "__pycache__"}:
            if not (package.parent / name).exists():
                (package.parent / name).symlink_to(found.locate_file(name))
    return Installed(programs, folder)


def test_the_wheel_has_what_belongs_in_it_and_is_small(wheel):
    assert wheel.stat().st_size < LARGEST
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        metadata = email.message_from_bytes(file.read(f"htnet-{__version__}.dist-info/METADATA"))
        licenses = [name for name in names if "/licenses/" in name]
    for name in BUNDLED:
        assert {f"htnet/assets/weights/{name}/{part}" for part in FILES} <= names
    for needed in ("htnet/py.typed", "htnet/assets/models/face_detection_yunet_2026may.onnx"):
        assert needed in names
    assert {name.split("/")[0] for name in names} == {"htnet", f"htnet-{__version__}.dist-info"}
    assert not [name for name in names if "composite-mhssa" in name or "test" in Path(name).name]
    source = {str(path.relative_to(ROOT)) for path in (ROOT / "htnet").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == source
    expression = "Apache-2.0 AND MIT AND LicenseRef-htnet-research-only-weights"
    assert (metadata["License-Expression"], metadata["Version"]) == (expression, __version__)
    assert len(licenses) == 3


def test_the_source_distribution_has_the_weights_that_the_wheel_has_not():
    sdist = pytest.importorskip("hatchling.builders.sdist", reason=BUILT)
    names = {file.distribution_path for file in sdist.SdistBuilder(str(ROOT)).recurse_included_files()}
    assert {f"pretrained/composite-mhssa/{part}" for part in FILES} <= names
    assert "tests/test_wheel.py" in names
    assert not [name for name in names if name.startswith(("shared", "out/", "findings"))]


@pytest.mark.slow
def test_the_installed_wheel_answers_from_an_empty_folder(installed):
    installed.run("htnet", "demo", "--out", "out")
    answer = json.loads((installed.folder / "out" / "prediction.json").read_text("utf-8"))
    assert answer["prediction"] == "positive"
    found = json.loads(installed.run("python", "-c", SERVICE))
    assert installed.bin.parent in Path(found["file"]).parents
    assert str(ROOT) not in {os.path.realpath(path) for path in found["path"] if path}
    assert found["clone"] == []
    assert found["loaded"] == dict.fromkeys(BUNDLED, True)
    assert found["label"] == "positive"
    assert "pretrained/composite-mhssa" in found["elsewhere"]
    assert found["export"] == 0
    assert (installed.folder / "exported" / "model.pt2").is_file()


@pytest.mark.slow
def test_every_item_is_had_from_the_wheel(with_extras):
    """What each thing must come to; what a package lacks for says so, and is not lacking here but for Ray."""
    found = json.loads(with_extras.run("python", "-c", TOUR).splitlines()[-1])
    print(json.dumps(found, indent=1))
    assert with_extras.bin.parent in Path(found.pop("file")).parents
    left = {name for name, told in found.items() if isinstance(told, str) and told.startswith("left out")}
    assert not left - {"ray"}
    terms = dict(found["push_plan"])
    assert (terms["lab/composite"], terms["lab/synthetic"]) == ("LicenseRef-htnet-research-only-weights", "Apache-2.0")
    assert found["predict"]["rows"] == 9
    assert {"prediction", "probability_negative"} <= set(found["predict"]["columns"])
    assert found["predict"]["label"] == "positive"
    assert found["in_memory"]["labels"][0] == found["in_memory"]["labels"][1]
    assert (found["in_memory"]["classes"], found["listed"]["terms"]) == (5, True)
    assert (found["prepare_and_train"], found["tensorboard"]) == ("epoch,loss,lr", 1)
    assert found["evaluations"]["curves"].startswith("seed,fold,dataset,subject,stage,epoch,loss")
    assert found["report"] == {"whole": True, "fetches": False}
    assert found["embed"]["features"][0] == 9
    assert (found["plots"]["figures"], found["plots"]["kinds"]) == (6, ["Figure"])
    assert "one token in each block" in found["plots"]["attention"]
    for form, file in (("onnx", "model.onnx"), ("torch", "model.pt2"), ("openvino", "model.xml")):
        assert {file, "htnet.json"} <= set(found[f"export {form}"])
    assert found["onnx_file"] == {"scores": [2, 3], "labels": ["negative", "positive", "surprise"]}
    assert found["sklearn"]["probabilities"] == [6, 3]
    assert found["doctor"]["trouble"] == []
    assert found["completion"] == ["bash", "zsh"]
    assert found["serve"] == [True, "positive"]
    assert found["ray"] is True or "ray" in left
