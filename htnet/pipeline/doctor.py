"""Check of the machine: what htnet can use on it, and whether the bundled weights give the expected scores."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from htnet._version import __version__
from htnet.core.assets import ASSETS
from htnet.core.errors import HtnetError, OpenCVError
from htnet.core.lazy import loading
from htnet.core.native import folders
from htnet.core.parallel import cores
from htnet.core.schema import document
from htnet.core.types import PreprocessSpec
from htnet.data.reader import SampleReader, extra_inputs
from htnet.hub import list_pretrained, load_pretrained
from htnet.hub.registry import owner
from htnet.pipeline.predictor import Predictor
from htnet.preprocess import YuNetLandmarker, explain_tvl1, read_frame
from htnet.preprocess.landmarks.detector import BUNDLED_MODEL
from htnet.preprocess.opencv import installed_opencv, load_opencv, opencv_cure
from htnet.recordings import load_detector

#: States of a finding: fine, worth knowing, or wrong.
STATES = ("ok", "note", "fault")
#: Largest allowed difference from the stored scores, relative to the largest score of the weights. PyTorch with and
#: without vector instructions differs by less than 1e-5; wrong weights, channels or crops differ by 0.1 or more.
SCORE_TOLERANCE = 1e-3
#: Largest allowed mean difference between the sample's flow image and the stored one, gray levels.
FLOW_TOLERANCE = 1.0
#: Largest allowed distance between the points detected in the sample and the stored ones, px.
POINT_TOLERANCE = 1.0
#: The oldest supported version of OpenCV, as in pyproject.toml.
OLDEST_OPENCV = (4, 10)
#: The sample's flow image (28, 28, 3); noise images (N, 28, 28, 3), and the scores of all bundled weights for them.
STORED_FLOW, STORED_IMAGES, STORED_SCORES = (ASSETS / "doctor" / n for n in ("flow.npy", "noise.npy", "scores.json"))
_ANEW = "pip install --force-reinstall --no-deps htnet"
# Extras for developers, which are not reported.
_OF_DEVELOPERS = ("dev", "docs")
_PACKAGES = ("torch", "numpy", "einops", "safetensors", "huggingface-hub")
# Environment variables that change the number of threads or the visible GPUs.
_VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        topic: "versions", "OpenCV", "GPU", "threads", "caches", "network", "flow", "weights" or "extras".
        name: what was checked.
        state: one of `STATES`.
        text: what was found.
        cure: what to do about it; "" if nothing.
    """

    topic: str
    name: str
    state: str
    text: str
    cure: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The results of all checks.

    Attributes:
        findings: the results, in the order in which they are reported.
    """

    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings whose state is "fault"."""
        return tuple(found for found in self.findings if found.state == "fault")

    def to_dict(self) -> dict[str, Any]:
        """The document "htnet.doctor", see docs/output.md."""
        fields = ("topic", "name", "state", "text", "cure")
        findings = [{field: getattr(found, field) for field in fields} for found in self.findings]
        return document("htnet.doctor", {"healthy": not self.faults, "findings": findings})


def diagnose() -> Diagnosis:
    """Check what htnet needs on this machine: versions, OpenCV, GPU, threads, caches, network, flow, weights, extras.

    Nothing is downloaded, and the network is not used.

    Returns:
        The findings. If a check raises an error of htnet, the error is reported as its fault.
    """
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
        "OpenCV": _opencv,
        "GPU": _gpu,
        "threads": _threads,
        "caches": _caches,
        "network": _network,
        "flow": _flow,
        "weights": _weights,
        "extras": _extras,
    }
    findings: list[Finding] = []
    for topic, look in looks.items():
        try:
            findings += look()
        except HtnetError as error:
            findings.append(Finding(topic, topic, "fault", str(error)))
    return Diagnosis(tuple(findings))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _versions() -> Iterator[Finding]:
    yield Finding("versions", "htnet", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    yield Finding("versions", "python", "ok", machine)
    for package in _PACKAGES:
        found = _version(package)
        state = "ok" if found else "fault"
        yield Finding("versions", package, state, found or "not installed", "" if found else f"pip install {package}")


def _opencv() -> Iterator[Finding]:
    builds = installed_opencv()
    named = ", ".join(f"{name} {version}" for name, version in builds.items())
    try:
        module = load_opencv("FaceDetectorYN")
    except OpenCVError as error:
        yield Finding("OpenCV", "opencv", "fault", str(error))
        return
    if len(builds) > 1:
        text = f"{len(builds)} builds share one folder: {named}; upgrading or removing one breaks the other"
        yield Finding("OpenCV", "opencv", "fault", text, opencv_cure())
        return
    found = named or f"{module.__version__}, not installed by pip"
    if tuple(int(part) for part in re.findall(r"\d+", module.__version__)[:2]) < OLDEST_OPENCV:
        oldest = ".".join(map(str, OLDEST_OPENCV))
        yield Finding("OpenCV", "opencv", "fault", f"{found}; {oldest} or newer is needed", opencv_cure())
        return
    yield Finding("OpenCV", "opencv", "ok", found)
    sample = ASSETS / "sample"
    points = YuNetLandmarker(BUNDLED_MODEL)(read_frame(sample / "onset.png")).points
    off = float(np.abs(points - np.array(json.loads((sample / "landmarks.json").read_text("utf-8")))).max())
    text = f"the sample's face is found {off:.2f} px from the stored points, {POINT_TOLERANCE:g} allowed"
    good = off <= POINT_TOLERANCE
    yield Finding("OpenCV", "face detector", "ok" if good else "fault", text, "" if good else opencv_cure())


def _gpu() -> Iterator[Finding]:
    if not torch.cuda.is_available():
        built = f"PyTorch was built for CUDA {torch.version.cuda}" if torch.version.cuda else "PyTorch is a CPU build"
        yield Finding("GPU", "cuda", "note" if torch.version.cuda else "ok", f"none; {built}")
        return
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        text = f"{about.name}, {about.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        yield Finding("GPU", f"cuda:{number}", "ok", text)


def _threads() -> Iterator[Finding]:
    usable = cores()
    limit = _cpu_limit()
    allowed = usable if limit is None else min(usable, max(1, round(limit)))
    used = torch.get_num_threads()
    granted = "" if limit is None else f", of which the container grants {limit:g}"
    text = f"PyTorch computes with {used}; {usable} cores{granted}"
    cure = f"set OMP_NUM_THREADS={allowed}" if used > allowed else ""
    yield Finding("threads", "threads", "note" if cure else "ok", text, cure)
    for name in _VARIABLES:
        if name in os.environ:
            yield Finding("threads", name, "ok", os.environ[name])


def _cpu_limit() -> float | None:
    """Number of cores that the control group of a container allows; None without a limit."""
    try:
        quota, period = _CPU_LIMIT.read_text("ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _caches() -> Iterator[Finding]:
    with loading():
        from huggingface_hub import constants

    # htnet uses the first writable folder, and works without one.
    code = next((folder for folder in folders() if _writable(folder)), None)
    text = "no folder is writable: each process compiles the flow again" if code is None else str(code)
    yield Finding("caches", "machine code", "note" if code is None else "ok", text)
    hub = Path(constants.HF_HUB_CACHE)
    cure = "" if _writable(hub) else "set HF_HOME to a writable folder"
    yield Finding("caches", "weights of the Hub", "note" if cure else "ok", str(hub), cure)


def _writable(folder: Path) -> bool:
    """Whether files can be written into a folder, or the folder could be created."""
    there = next((path for path in (folder, *folder.parents) if os.path.exists(path)), None)
    return there is not None and os.path.isdir(there) and os.access(there, os.W_OK)


def _network() -> Iterator[Finding]:
    with loading():
        from huggingface_hub import constants

    text = f"bundled weights need no network; registered weights on the Hub belong to {owner()}"
    if constants.HF_HUB_OFFLINE:
        yield Finding("network", "Hub", "note", f"offline (HF_HUB_OFFLINE): weights come from the cache; {text}")
    else:
        yield Finding("network", "Hub", "ok", f"{constants.ENDPOINT}, used only for weights that are not here; {text}")


def _flow() -> Iterator[Finding]:
    choice = explain_tvl1()
    faster = "" if choice.backend != "eager" else "pip install 'htnet[fast]'"
    yield Finding("flow", "TV-L1 on the CPU", "note" if faster else "ok", f"computed by {choice.backend}", faster)
    sample = ASSETS / "sample"
    found = Predictor().pair(sample / "onset.png", sample / "apex.png", sample / "landmarks.json")
    off = float(np.abs(found.input.flow_image.astype(int) - np.load(STORED_FLOW).astype(int)).mean())
    text = f"the sample's flow image differs by {off:.3f} gray levels from the stored one, {FLOW_TOLERANCE:g} allowed"
    if off <= FLOW_TOLERANCE:
        yield Finding("flow", "sample pair", "ok", text)
    else:
        yield Finding("flow", "sample pair", "fault", text, "install htnet and PyTorch again")


def _weights() -> Iterator[Finding]:
    try:
        load_detector()
        yield Finding("weights", "event detector", "ok", "the hash of its file is as expected")
    except HtnetError as error:
        yield Finding("weights", "event detector", "fault", str(error), _ANEW)
    stored = json.loads(STORED_SCORES.read_text("utf-8"))
    for spec in list_pretrained():
        if not spec.bundled:
            continue
        if spec.name not in stored:
            yield Finding("weights", spec.name, "note", "no scores are stored for them")
            continue
        try:
            found = stored_input_scores(spec.name)
        except HtnetError as error:
            yield Finding("weights", spec.name, "fault", str(error), _ANEW)
            continue
        expected = np.array(stored[spec.name])
        off = float(np.abs(found - expected).max() / np.abs(expected).max())
        text = f"scores differ by {off:.1e} from the stored ones, {SCORE_TOLERANCE:g} allowed; {spec.license}"
        cure = "" if off <= SCORE_TOLERANCE else f"{_ANEW}, and reinstall PyTorch"
        yield Finding("weights", spec.name, "fault" if cure else "ok", text, cure)


@torch.no_grad()
def stored_input_scores(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Class scores (N, C) of weights for the stored images, before the softmax.

    The images are noise. For smooth images, such as the sample's, two eigenvalues in ``mhssa_gcn`` can be so close
    that rounding alone changes its scores by some percent.

    Args:
        name: name of bundled weights.

    Raises:
        WeightsError: they cannot be loaded.
    """
    model = load_pretrained(name)
    spec = cast(PreprocessSpec, model.preprocess_spec)  # loaded weights have one
    reader = SampleReader(spec, "template", extras=model.extra_inputs)
    made = [reader.flow_picture(image, "") for image in np.load(STORED_IMAGES)]
    images = torch.from_numpy(np.stack([one.image for one in made]))
    return np.asarray(model(images, **extra_inputs(made, model.extra_inputs, spec)).double().numpy())


def _extras() -> Iterator[Finding]:
    if _version("htnet") is None:
        yield Finding("extras", "extras", "note", "htnet is not installed by pip, so its extras are unknown here")
        return
    for extra, packages in installed_extras().items():
        lacking = [name for name, version in packages.items() if version is None]
        named = ", ".join(f"{name} {version or 'not installed'}" for name, version in packages.items())
        yield Finding(
            "extras", extra, "note" if lacking else "ok", named, f"pip install 'htnet[{extra}]'" * bool(lacking)
        )


def installed_extras() -> dict[str, dict[str, str | None]]:
    """The extras of the installed htnet: for each its packages with their installed version, or None."""
    with loading():
        from packaging.requirements import Requirement

    found: dict[str, dict[str, str | None]] = {}
    about = importlib.metadata.metadata("htnet")
    for extra in about.get_all("Provides-Extra") or ():
        if extra in _OF_DEVELOPERS:
            continue
        needed = [Requirement(text) for text in importlib.metadata.requires("htnet") or ()]
        fitting = [one for one in needed if one.marker is not None and one.marker.evaluate({"extra": extra})]
        plain = [one for one in fitting if one.marker is not None and not one.marker.evaluate({"extra": ""})]
        found[extra] = {one.name: _version(one.name) for one in plain if one.name != "htnet"}
    return found
