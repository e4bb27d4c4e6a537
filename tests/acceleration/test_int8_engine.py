"""int8 in onnxruntime."""

import pickle

import pytest
import torch

import htnet
from htnet.acceleration import engines
from htnet.acceleration.graph import export_onnx, export_program
from htnet.acceleration.layers import Int8Linear
from htnet.core.errors import ModelError
from tests.acceleration.support import lively, relative
from tests.support.contract import example

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
quantization = pytest.importorskip("onnxruntime.quantization")


@pytest.fixture(scope="module")
def model():
    return lively("htnet_tiny", action_units=(1, 12))


@pytest.fixture(scope="module")
def eight_bits(model):
    """In PyTorch, and in onnxruntime; the export takes seconds, so the tests share one."""
    with pytest.MonkeyPatch.context() as patch:
        proto = []
        patch.setattr(engines, "export_program", lambda graph: None if proto else export_program(graph))
        patch.setattr(
            engines, "export_onnx", lambda *args: proto[0] if proto else proto.append(export_onnx(*args)) or proto[0]
        )
        yield htnet.optimize(model, "int8"), htnet.optimize(model, "int8", backend="onnxruntime")


def test_int8_in_onnxruntime(model, eight_bits):
    torch_s, fast = eight_bits
    assert (fast.backend, fast.precision) == ("onnxruntime", "int8")
    images, _ = example(model, 4)
    with torch.no_grad():
        truth = model(images)
        assert relative(fast(images), truth) < 0.05
        # Not PyTorch's, which rounds no values; and the same for one image as for four.
        assert not torch.equal(fast(images), torch_s(images))
        assert relative(fast(images[:1]), truth[:1]) < 0.05
        assert relative(fast(images, return_units=True)[1], model(images, return_units=True)[1]) < 0.05


def test_int8_weights_reach_onnxruntime_as_they_are(model, eight_bits, monkeypatch):
    """Every large product but the convolutions, and no other: patch embedding and heads stay in float32."""
    written = []
    monkeypatch.setitem(engines.ENGINES, "onnxruntime", lambda proto, threads: written.append(proto))
    engines.make_engine(eight_bits[0], "onnxruntime")
    graph = onnx.load_from_string(written[0].SerializeToString()).graph
    constants = {value.name: onnx.numpy_helper.to_array(value) for value in graph.initializer}
    found = [constants[node.input[1]] for node in graph.node if node.op_type == "MatMulInteger"]
    kept = [
        part.weight.T.numpy()
        for part in eight_bits[0].network.modules()
        if isinstance(part, Int8Linear) and part.weight.shape[1] % 9  # as convolutions have
    ]
    assert len(found) == len(kept) > 5
    for weight in kept:
        assert any(weight.shape == other.shape and (weight == other).all() for other in found)
    assert {node.op_type for node in graph.node} >= {"Conv", "MatMul"}


def test_int8_engines_survive_pickling(model, eight_bits):
    images, _ = example(model, 2)
    again = pickle.loads(pickle.dumps(eight_bits[1]))
    assert again.backend == "onnxruntime"
    assert torch.equal(again(images), eight_bits[1](images))


def test_int8_that_cannot_be_quantized_says_so(eight_bits, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(quantization, "quantize_dynamic", full)
    with pytest.raises(ModelError, match="could not quantize the graph .*no space left"):
        engines.make_engine(eight_bits[0], "onnxruntime")
