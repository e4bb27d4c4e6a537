"""Ways to run a fused network."""

import shutil

import pytest
import torch

import htnet
from htnet.acceleration import compiled
from htnet.core.errors import ModelError
from htnet.models import create_model
from tests.acceleration.support import lively, relative
from tests.support.contract import example

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")


@pytest.mark.slow
@needs_compiler
def test_compiled_network_gives_the_same():
    model = lively("htnet_tiny", dim=32, num_hierarchies=1, block_repeats=(1,))
    images, _ = example(model, 1)
    plain = htnet.optimize(model, "int8")
    fast = htnet.optimize(plain, compile=True)
    assert fast.compiled == "default"
    assert relative(fast(images), plain(images)) < 0.05
    assert list(fast.state_dict()) == list(plain.state_dict())
    fast.compile_as(None)
    assert torch.equal(fast(images), plain(images))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"), [("htnet_tiny", "int8"), ("ststnet", "float32"), ("htnet_dual_stream", "bfloat16")]
)
def test_networks_can_be_traced(name, dtype, monkeypatch):
    """All that torch.compile does before it makes machine code, which takes a minute each."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda call, mode: compile(call, backend="eager", dynamic=False))
    model = lively(name)
    images, extras = example(model, 2)
    plain = htnet.optimize(model, dtype)
    fast = htnet.optimize(plain, compile=True)
    assert relative(fast(images, **extras), plain(images, **extras)) < (1e-5 if dtype == "float32" else 0.05)


def test_nothing_is_compiled_before_the_first_call(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda call, mode: seen.append(mode) or call)
    model = create_model("htnet_tiny")
    images, _ = example(model, 1)
    for wish, mode in ((True, "default"), ("max-autotune", "max-autotune"), ("reduce-overhead", "reduce-overhead")):
        fast = htnet.optimize(model, compile=wish)
        assert not seen
        first = fast(images)
        assert torch.equal(fast(images), first)
        assert seen == [mode]
        seen.clear()
    assert htnet.optimize(model, compile=False).compiled is None


def test_graphs_need_a_gpu_and_the_same_operations():
    with pytest.raises(ModelError, match='compile="cudagraphs" needs a model on a CUDA device'):
        htnet.optimize(create_model("htnet_tiny"), compile="cudagraphs")
    with pytest.raises(ModelError, match="got an image on cpu"):
        compiled.GraphRunner(lambda x: x)(torch.zeros(1, 3, 28, 28))


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    @property
    def is_cuda(self):
        return True


class FakeGraph:
    """What `compiled._Graph` is to its runner: made for shapes, fed with tensors."""

    made = 0

    def __init__(self, call, positional, names, tensors):
        type(self).made += 1
        self.call, self.positional, self.names = call, positional, names

    def replay(self, tensors):
        head, tail = tensors[: self.positional], tensors[self.positional :]
        return self.call(*head, **dict(zip(self.names, tail, strict=True)))


def test_a_graph_for_every_shape(monkeypatch):
    monkeypatch.setattr(compiled, "_Graph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "device", lambda device: torch.no_grad())
    monkeypatch.setattr(FakeGraph, "made", 0)
    run = compiled.GraphRunner(lambda x, motion=None: x.flatten(1).sum(1) + (0 if motion is None else motion.sum()))

    def image(count):
        return torch.rand(count, 3, 4, 4).as_subclass(OnGpu)

    for count, graphs in ((1, 1), (2, 2), (1, 2), (compiled.MOST_IMAGES + 1, 2)):
        x = image(count)
        assert torch.allclose(run(x), x.flatten(1).sum(1))
        assert FakeGraph.made == graphs
    moved = torch.rand(1, 6, 64)
    x = image(1)
    assert torch.allclose(run(x, motion=moved), x.flatten(1).sum(1) + moved.sum())
    assert FakeGraph.made == 3
    run(image(1), motion=None)
    assert FakeGraph.made == 4
    for count in range(1, compiled.MOST_GRAPHS + 3):
        run(image(count))
    assert len(run._graphs) == compiled.MOST_GRAPHS


@needs_cuda
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_graphs_give_what_calls_give(dtype):
    model = lively("htnet_tiny").cuda()
    plain, graphs = htnet.optimize(model, dtype), htnet.optimize(model, dtype, compile="cudagraphs")
    first, _ = example(model, 1)
    second, _ = example(model, 1)
    kept = graphs(first.cuda())
    for images in (first, second, torch.cat([first, second])):
        assert relative(graphs(images.cuda()).cpu(), plain(images.cuda()).cpu()) < 1e-3
    assert torch.equal(kept, graphs(first.cuda())), "an answer is not written over by the next"
