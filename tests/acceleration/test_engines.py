"""Optimized models in other engines."""

import copy
import pickle
import sys
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import htnet
from htnet.acceleration import BACKENDS, engines
from htnet.acceleration.graph import export_program
from htnet.core.errors import MissingExtraError, ModelError
from tests.acceleration.support import lively, relative
from tests.support.contract import example

ENGINES = tuple(engines.EXTRAS)


#: Ways to change the weights of a layer; PyTorch counts the first alone.
CHANGES = (
    lambda layer: layer.weight.mul_(2),
    lambda layer: layer.weight.data.mul_(2),
    lambda layer: np.multiply(layer.weight.numpy(), 2, out=layer.weight.numpy()),
    lambda layer: setattr(layer, "weight", torch.nn.Parameter(layer.weight.clone(), requires_grad=False)),
    lambda layer: setattr(layer.weight, "data", layer.weight.clone()),
)


@pytest.fixture(scope="module")
def model():
    return lively("htnet_tiny", action_units=(1, 12))


@pytest.fixture(scope="module")
def made(model):
    """The model in an engine, made once; the engines share one export, which takes seconds."""

    @cache
    def make(name):
        pytest.importorskip(name)
        return htnet.optimize(model, backend=name)

    with pytest.MonkeyPatch.context() as patch:
        export, proto = engines.export_onnx, []
        patch.setattr(engines, "export_program", lambda graph: None if proto else export_program(graph))
        patch.setattr(
            engines, "export_onnx", lambda *args: proto[0] if proto else proto.append(export(*args)) or proto[0]
        )
        yield make


@pytest.fixture(params=ENGINES)
def fast(request, made):
    return made(request.param)


def test_scores_and_units(model, fast):
    for count in (1, 2, 5):
        images, _ = example(model, count)
        with torch.no_grad():
            truth = model(images, return_units=True)
        assert relative(fast(images), truth[0]) < 1e-4
        for found, value in zip(fast(images, return_units=True), truth, strict=True):
            assert relative(found, value) < 1e-4
    assert fast.backend in ENGINES


def test_the_engine_runs_it(model, fast, monkeypatch):
    """Not PyTorch beside it."""
    monkeypatch.setattr(fast.network, "forward", lambda *args, **kwargs: pytest.fail("PyTorch ran"))
    assert fast(example(model, 1)[0]).shape == (1, 3)


def test_an_empty_batch_never_reaches_the_engine(fast, monkeypatch):
    """onnxruntime ends the process for some models."""
    monkeypatch.setattr(fast._engine._engine, "run", lambda inputs: pytest.fail("reached"))
    assert fast(torch.zeros(0, 3, 28, 28)).shape == (0, 3)


def test_weights_of_a_functional_call_are_parameters(model, made):
    """Plain tensors ended in PyTorch's TypeError when the engine was built again."""
    fast = made("onnxruntime")
    images, _ = example(model, 2)
    weights = {name: value * 1.5 for name, value in fast.named_parameters() if not value.is_mkldnn}
    with pytest.raises(ModelError, match="takes weights that are nn.Parameter"):
        torch.func.functional_call(fast, weights, (images,))
    assert relative(fast(images), model(images)) < 1e-4


def test_copies_and_new_weights_get_an_engine_of_their_own(model, made, monkeypatch):
    """To make one takes seconds, so a stub stands for it."""
    fast, seen = made("onnxruntime"), []

    class Stub:
        def __init__(self, optimized, backend):
            seen.append((optimized, backend))

        def __call__(self, x, extras):
            return {"scores": x.flatten(1)[:, :3]}

    monkeypatch.setattr("htnet.acceleration.optimized.make_engine", Stub)
    images, _ = example(model, 2)
    for again in (pickle.loads(pickle.dumps(fast)), copy.deepcopy(fast)):
        seen.clear()
        for _ in range(2):
            assert torch.equal(again(images), images.flatten(1)[:, :3])
        assert seen == [(again, "onnxruntime")]
        again.load_state_dict(fast.state_dict())
        again(images)
        assert len(seen) == 2
        layer = again.network.patch_embed
        for change in CHANGES:
            known = len(seen)
            with torch.no_grad():
                change(layer)
            for _ in range(2):
                again(images)
            assert len(seen) == known + 1


def test_extra_inputs(monkeypatch):
    seen = {}

    class Recorder:
        reads = frozenset({"image", "motion"})

        def __init__(self, proto, threads):
            assert threads == torch.get_num_threads()

        def run(self, inputs):
            seen.update(inputs)
            return {"scores": inputs["image"][:, 0, 0, :3]}

    monkeypatch.setitem(engines.ENGINES, "onnxruntime", Recorder)
    monkeypatch.setattr(engines, "check_backend", lambda backend: None)
    monkeypatch.setattr(engines, "export_onnx", lambda graph, program: None)
    monkeypatch.setattr(engines, "export_program", lambda graph: None)
    model = lively("htnet_dual_stream")
    optimized = htnet.optimize(model)
    runner = engines.make_engine(optimized, "onnxruntime")
    images, motion = example(model, 2)[0], torch.randn(2, 16, 64)
    for given, expected in ((motion, motion), (None, torch.zeros(2, 16, 64))):
        assert set(runner(images, {"motion": given})) == {"scores"}
        assert torch.equal(torch.from_numpy(seen["motion"]), expected)
        assert torch.equal(torch.from_numpy(seen["image"]), images)
    for wrong, said in (
        (motion[:, :5], r"motion of shape \(2, 5, 64\) for 2 images; give \(2, 16, 64\)"),
        (motion / 0, "motion with NaN or infinite values; give finite"),
        (motion.tolist(), "motion as list; give a tensor"),
    ):
        with pytest.raises(ModelError, match=f"htnet_dual_stream got {said}"):
            runner(images, {"motion": wrong})
    Recorder.reads = frozenset({"image"})  # as the exporter leaves out what changes nothing
    seen.clear()
    runner(images, {"motion": motion})
    assert set(seen) == {"image"}


def test_auto_takes_the_fastest(model, monkeypatch):
    """By the clock, so the clock is set."""
    now = [0.0]
    cost = {"torch": 2.0, "onnxruntime": 1.0, "openvino": 3.0}

    class Fake:
        def __init__(self, graph, proto, backend):
            self.backend, self.inputs = backend, graph.inputs

        def __call__(self, x, extras):
            now[0] += cost[self.backend]

    monkeypatch.setattr(engines, "EngineRunner", Fake)
    monkeypatch.setattr(engines, "export_onnx", lambda graph, program: None)
    monkeypatch.setattr(engines, "export_program", lambda graph: None)
    monkeypatch.setattr(engines, "installed", lambda name: True)
    monkeypatch.setattr(engines.time, "perf_counter", lambda: now[0])
    optimized = htnet.optimize(model)

    def plain(x):
        now[0] += cost["torch"]

    found, ms = engines.fastest(optimized, plain)
    assert (found.backend, ms) == ("onnxruntime", {name: 1e3 * value for name, value in cost.items()})
    cost["torch"] = 0.5
    assert engines.fastest(optimized, plain)[0] is None
    monkeypatch.setattr(engines, "installed", lambda name: name == "torch")
    assert htnet.optimize(model, backend="auto").backend == "torch"


def test_refusals(model, monkeypatch):
    assert ("torch", *ENGINES, "auto") == BACKENDS
    with pytest.raises(ModelError, match="backend is 'onnx'.*Did you mean 'onnxruntime'"):
        htnet.optimize(model, backend="onnx")
    with pytest.raises(ModelError, match="compile=True is PyTorch's"):
        htnet.optimize(model, compile=True, backend="openvino")
    for name, extra in engines.EXTRAS.items():
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(MissingExtraError, match=rf"pip install 'htnet\[{extra}\]'"):
                htnet.optimize(model, backend=name)
    for dtype, name, takes in (("bfloat16", "onnxruntime", "float32 and int8"), ("int8", "openvino", "float32")):
        pytest.importorskip(name)
        with pytest.raises(ModelError, match=f"is in {dtype}, but the backend '{name}' accepts only {takes}. Optimize"):
            htnet.optimize(model, dtype, backend=name)


def test_auto_asks_only_engines_that_take_the_type(model, monkeypatch):
    asked = []

    class Fake:
        def __init__(self, graph, proto, backend):
            asked.append(backend)
            self.backend, self.inputs = backend, graph.inputs

        def __call__(self, x, extras):
            pass

    monkeypatch.setattr(engines, "EngineRunner", Fake)
    monkeypatch.setattr(engines, "export_onnx", lambda graph, program: None)
    monkeypatch.setattr(engines, "export_program", lambda graph: None)
    monkeypatch.setattr(engines, "quantized", lambda proto, weights: None)
    monkeypatch.setattr(engines, "installed", lambda name: True)
    for dtype, wanted in (("float32", ["onnxruntime", "openvino"]), ("int8", ["onnxruntime"]), ("bfloat16", [])):
        asked.clear()
        optimized = htnet.optimize(model, dtype, backend="auto")
        assert asked == wanted
        assert list(optimized.backend_ms) == (["torch", *wanted] if wanted else [])


@pytest.mark.parametrize("backend", ["torch", *ENGINES])
def test_inputs_that_no_model_reads_are_refused(backend):
    """An engine would leave them out, and answer as if they had not been given."""
    if backend != "torch":
        pytest.importorskip(backend)
    streams = htnet.optimize(htnet.create_model("htnet_dual_stream").eval(), backend=backend)
    x, motion = torch.rand(2, 3, 28, 28) * 255, torch.rand(2, 16, 64)
    with pytest.raises(ModelError, match="reads no 'motoin'. Give images and, optionally, motion"):
        streams(x, motoin=motion)
    with pytest.raises(ModelError, match="given 2 inputs besides the images"):
        streams(x, motion, motion)
    with pytest.raises(ModelError, match="given 'motion' twice"):
        streams(x, motion, motion=motion)
    assert torch.equal(streams(x, motion), streams(x, motion=motion))


def test_what_is_refused_changes_no_engine(made, monkeypatch):
    optimized = copy.deepcopy(made("onnxruntime"))

    def refuse(model, backend):
        raise ModelError("not this one")

    with monkeypatch.context() as patch:
        patch.setattr("htnet.acceleration.optimized.make_engine", refuse)
        with pytest.raises(ModelError, match="not this one"):
            optimized.run_in("openvino")
    assert optimized.backend == "onnxruntime"


def test_weights_that_are_refused_change_nothing(made, monkeypatch):
    optimized, x, anew = copy.deepcopy(made("onnxruntime")), torch.rand(2, 3, 28, 28) * 255, []
    engine = engines.make_engine
    monkeypatch.setattr("htnet.acceleration.optimized.make_engine", lambda *given: anew.append(1) or engine(*given))
    optimized(x)
    state = optimized.state_dict()
    state.pop(next(iter(state)))
    with pytest.raises(ModelError, match="The state_dict lacks network"):
        optimized.load_state_dict(state)
    optimized(x)
    assert len(anew) == 1
    optimized.load_state_dict(state, strict=False)
    optimized(x)
    assert len(anew) == 2


def test_engines_are_made_in_float32_whatever_pytorch_is_set_to(model, request):
    """Their own errors came through: mixed types in the graph."""
    pytest.importorskip("onnxruntime")
    request.addfinalizer(lambda: torch.set_default_dtype(torch.float32))
    images, _ = example(model, 2)
    truth = htnet.optimize(model)(images)
    torch.set_default_dtype(torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast = htnet.optimize(model, backend="onnxruntime")
        assert relative(fast(images), truth) < 1e-4
    assert torch.get_default_dtype() == torch.float64


def test_errors_of_an_engine_are_told_by_htnet(monkeypatch, made):
    fast = made("onnxruntime")

    def fail(*given):
        raise RuntimeError("text of the engine")

    monkeypatch.setattr(fast._engine._engine, "run", fail)
    with pytest.raises(ModelError, match="The backend 'onnxruntime' could not run htnet_tiny .*Use backend='torch'"):
        fast(torch.zeros(1, 3, 28, 28))
    monkeypatch.setitem(engines.ENGINES, "onnxruntime", fail)
    with pytest.raises(ModelError, match="The backend 'onnxruntime' does not take htnet_tiny"):
        engines.EngineRunner(SimpleNamespace(model_name="htnet_tiny", inputs=()), None, "onnxruntime")


def test_engines_refuse_tensors_without_values_of_their_own(made):
    with pytest.raises(ModelError, match=r"runs in onnxruntime, which reads plain tensors; torch\.vmap"):
        torch.vmap(lambda image: made("onnxruntime")(image[None]))(torch.rand(2, 3, 28, 28) * 255)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_no_images_give_no_scores(model, dtype):
    assert htnet.optimize(model, dtype)(torch.zeros(0, 3, 28, 28)).shape == (0, 3)
