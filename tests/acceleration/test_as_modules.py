"""Optimized models as PyTorch's modules: their parameters, devices, threads, and what records calls."""

import io
import os

import pytest
import torch

import htnet
from htnet.acceleration import compiled
from htnet.acceleration.watch import SAMPLE, Watch, weights_of
from htnet.core import parallel
from htnet.core.errors import ModelError, RunError
from htnet.models import create_model
from tests.acceleration.support import lively, relative
from tests.support.contract import example


@pytest.fixture(scope="module")
def model():
    return lively("htnet_tiny")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_parameters_are_the_same_before_and_after_a_call(model, dtype):
    """The large ones were gone after the first."""
    optimized = htnet.optimize(model, dtype)

    def listed():
        return [(name, id(value), value.shape, value.dtype) for name, value in optimized.named_parameters()]

    before, state = listed(), list(optimized.state_dict())
    optimized(example(model, 2)[0])
    assert listed() == before
    assert list(optimized.state_dict()) == state
    assert {name for name, *_ in before} <= set(state)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_scores_are_float32_under_autocast(model, dtype):
    optimized = htnet.optimize(model, dtype)
    images, _ = example(model, 2)
    truth = optimized(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(optimized(images), truth)
        assert torch.equal(htnet.optimize(model, dtype)(images), truth)
    assert truth.dtype == torch.float32


@pytest.mark.filterwarnings("ignore")
def test_what_records_calls_is_refused(model):
    optimized = htnet.optimize(model)
    images, _ = example(model, 2)
    for by, record in (
        ("torch.jit.trace", lambda: torch.jit.trace(optimized, images)),
        ("torch.jit.trace", lambda: torch.onnx.export(optimized, (images,), io.BytesIO(), dynamo=False)),
        ("torch.jit.script", lambda: torch.jit.script(optimized)),
        ("torch.compile and torch.export", lambda: torch.compile(optimized, backend="eager")(images)),
        ("torch.compile and torch.export", lambda: torch.export.export(optimized, (images,))),
    ):
        with pytest.raises(ModelError, match=f"htnet_tiny is optimized and cannot be recorded by {by}. Give compile="):
            record()


def test_what_has_no_values_is_refused(model):
    images, _ = example(model, 2)
    for given in (model, htnet.optimize(model)):
        with pytest.raises(ModelError, match="got images on the device meta, and its weights are on cpu. Move one"):
            given(images.to("meta"))
    streams = create_model("htnet_dual_stream").eval()
    for given in (streams, htnet.optimize(streams)):
        with pytest.raises(ModelError, match="got motion on the device meta"):
            given(images, torch.zeros(2, 16, 64, device="meta"))
    empty = create_model("htnet_tiny").to("meta")
    with pytest.raises(ModelError, match="optimize needs weights with values, but .* on the device meta. Load weights"):
        htnet.optimize(empty)
    with pytest.raises(ModelError, match="got images on the device cpu, and its weights are on meta"):
        empty(images)


def test_calls_in_a_process_that_was_forked_are_refused(model, monkeypatch):
    """They waited forever for threads that do not survive a fork; `Predictor` refused."""
    images, _ = example(model, 1)
    optimized = htnet.optimize(model)
    optimized(images)
    assert os.getpid() == parallel._WORKS_IN
    monkeypatch.setattr(parallel, "_WORKS_IN", os.getpid() + 1)
    optimized(images)  # one thread
    monkeypatch.setattr(parallel, "_WORKS_IN", os.getpid() + 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for call in (lambda: optimized(images), lambda: model(images), lambda: htnet.optimize(model)):
        with pytest.raises(RunError, match="was forked from a process .* that had already computed: PyTorch"):
            call()


def test_graphs_are_captured_again_for_weights_that_lie_elsewhere(model, monkeypatch):
    """A graph reads the memory that weights had; on the CPU nothing captures, so a stub stands for it."""
    made = []
    monkeypatch.setattr(compiled, "GraphRunner", lambda network: made.append(1) or network)
    optimized = htnet.optimize(model)
    optimized.compile_as("cudagraphs")
    images, _ = example(model, 1)
    for _ in range(2):
        optimized(images)
    assert len(made) == 1
    layer = optimized.network.patch_embed
    layer.weight = torch.nn.Parameter(2 * layer.weight, requires_grad=False)
    truth = optimized.network(images)
    for _ in range(2):
        assert relative(optimized(images), truth) < 1e-6
    assert len(made) == 2


def test_a_watch_sees_changes():
    layer = torch.nn.Linear(40, 30).requires_grad_(False)
    layer.register_buffer("steps", torch.zeros(0))

    def see():
        return Watch(weights_of(layer))

    watch = see()
    assert watch.unchanged(weights_of(layer))
    for change in (
        lambda: layer.weight.add_(1),
        lambda: layer.weight.data.add_(1),
        lambda: setattr(layer.weight, "data", layer.weight.data.clone()),
        lambda: setattr(layer, "weight", torch.nn.Parameter(layer.weight.clone(), requires_grad=False)),
        lambda: setattr(layer, "bias", None),
        lambda: layer.weight.data[:, :].copy_(layer.weight.data.flip(0)),
    ):
        change()
        assert not watch.unchanged(weights_of(layer))
        watch = see()
        assert watch.unchanged(weights_of(layer))
    # The limit: one value that is not in the sample.
    layer.weight.data[0, 1] += 1
    assert watch.unchanged(weights_of(layer))
    assert layer.weight.numel() > SAMPLE


def test_a_watch_takes_all_kinds_of_tensors():
    values = torch.arange(60.0)
    tensors = [
        values.view(6, 10).T,
        values[:1].expand(5),
        values[::3],
        values[:0],
        values.to(torch.int8),
        values.bool(),
    ]
    watch = Watch(tensors)
    assert watch.unchanged(tensors)
    assert not watch.unchanged(tensors[:-1])
    assert not watch.unchanged([*tensors[:-1], tensors[-1].clone()])
    values[0] = torch.nan  # equals itself here
    assert not watch.unchanged(tensors)
    assert Watch(tensors).unchanged(tensors)


def test_weights_made_in_inference_mode_are_counted(model):
    with torch.inference_mode():
        optimized = htnet.optimize(model)
    assert not any(weight.is_inference() for weight in weights_of(optimized.network))
