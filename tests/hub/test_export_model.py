"""Every model as a file for other programs, read by the engines themselves."""

import copy
import json
import re
import shutil
from functools import cache

import numpy as np
import pytest
import torch

import htnet
from htnet.core.errors import InputError, MissingExtraError, ModelError, OverwriteError, WeightsError
from htnet.core.types import PreprocessSpec
from htnet.export import export_model
from htnet.hub import exporting
from htnet.hub.exporting import FORMATS, METADATA_FILE
from htnet.models import MHSSAGCN, EmotionModel, ModelConfig, create_model, get_entry, list_models
from tests.acceleration.support import lively
from tests.support.contract import example
from tests.support.paths import ROOT
from tests.support.slow import slow_if
from tests.support.wings import with_wings

#: The cheapest preset of each architecture; with what else it gives than scores.
CASES = {
    "htnet_tiny": {"action_units": (1, 12), "num_hierarchies": 2, "block_repeats": (1, 1)},
    "flow_mlp": {"action_units": (4,)},
    "ststnet": {},
    "off_apexnet": {},
    "dual_inception": {},
    "rcn_f": {},
    "capsulenet_tiny": {},
    "featref": {},
    "mier_cvt": {"dims": (16, 24, 36), "depths": (1, 1, 1)},
    "htnet_dual_stream": {"fusion": "gated"},
    "mhssa_gcn_small": {},
}
CASES = with_wings("models", "EXPORTED", CASES)
MAPS = with_wings("models", "WITH_MAPS", ("htnet_dual_stream",))
BATCHES = (1, 2, 5)


def build(name, **settings):
    # With norms that do something: where the regions of MHSSA + GCN are nearly alike, rounding turns their plane.
    model = lively(name, **settings)
    frames = {"clip_frames": 6} if "motion" in model.extra_inputs else {}
    model.preprocess_spec = PreprocessSpec(size=model.config.image_size, **frames)
    model.temperature = 1.5
    return model


@cache
def built(name):
    return build(name, **CASES[name])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Files of a model in every format; a folder each, made when first asked for.

    Exporters take seconds: each runs once a model, and its formats share what it gave.
    """
    with pytest.MonkeyPatch.context() as patch:
        graphs = cache(exporting.Graph)
        patch.setattr(exporting, "Graph", lambda model, maps: graphs(model, maps=maps))
        patch.setattr(exporting, "export_program", cache(exporting.export_program))
        protos = cache(exporting.export_onnx)
        patch.setattr(exporting, "export_onnx", lambda graph, program: copy.deepcopy(protos(graph, program)))
        yield _writer(tmp_path_factory)


def _writer(tmp_path_factory):

    @cache
    def write(name, format):
        return export_model(built(name), tmp_path_factory.mktemp(format), format, maps=name in MAPS)

    return write


def expected(model, batch):
    """Inputs and outputs by name, of a batch."""
    images, extras = example(model, batch)
    images = images.clamp(0, 255)
    with torch.no_grad():
        if model.name in MAPS:
            found = dict(vars(model(images, **extras, return_maps=True)))
            outputs = {"scores": found.pop("logits")}
            for key, value in found.items():
                if isinstance(value, tuple):
                    outputs |= {f"{key}_{i}": part for i, part in enumerate(value)}
                elif value is not None:
                    outputs[key] = value
        elif model.action_units:
            outputs = dict(zip(("scores", "units"), model(images, return_units=True), strict=True))
        else:
            outputs = {"scores": model(images, **extras)}
    arrays = [{k: v.numpy() for k, v in tensors.items()} for tensors in ({"image": images, **extras}, outputs)]
    return arrays


def run_onnx(path, inputs):
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs), strict=True))
    return found, session.get_modelmeta().custom_metadata_map["htnet"]


def run_torch(path, inputs):
    files = {METADATA_FILE: ""}
    program = torch.export.load(path, extra_files=files)
    names = json.loads(files[METADATA_FILE])["outputs"]
    values = program.module()(*(torch.from_numpy(value) for value in inputs.values()))
    return dict(zip(names, (value.detach().numpy() for value in values), strict=True)), files[METADATA_FILE]


def run_openvino(path, inputs):
    ov = pytest.importorskip("openvino")
    model = ov.Core().read_model(path)
    compiled = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found, about = compiled(inputs), model.get_rt_info(["htnet"]).astype(str)
    return {name: found[name] for name in json.loads(about)["outputs"]}, about


RUN = {"onnx": run_onnx, "torch": run_torch, "openvino": run_openvino}


def test_every_architecture_is_a_case():
    covered = {get_entry(name).model_class for name in CASES}
    assert covered == {get_entry(name).model_class for name in list_models()}
    assert set(RUN) == set(FORMATS)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", slow_if(lambda name: name != "ststnet", CASES))
def test_matrix(name, format, written):
    """Every model, format and batch size: the model's scores, units or maps within 1e-4."""
    model, path = built(name), written(name, format)
    row = []
    for batch in BATCHES:
        inputs, outputs = expected(model, batch)
        found, said = RUN[format](path, inputs)
        assert list(found) == list(outputs)
        for key, value in outputs.items():
            assert found[key].shape == value.shape
            off = np.abs(found[key] - value).max() / max(np.abs(value).max(), 1e-6)
            assert off < 1e-4, (key, batch)
            row.append(off)
    about = json.loads(said)
    assert said == (path.parent / METADATA_FILE).read_text("utf-8")
    assert (tuple(about["labels"]), about["temperature"]) == (model.labels, 1.5)
    assert PreprocessSpec.from_dict(about["preprocess"]) == model.preprocess_spec
    assert about["inputs"][0] == {
        "name": "image",
        "shape": ["batch", 3, *[model.config.image_size] * 2],
        "type": "float32",
    }
    print(f"{name} {format} batches {BATCHES}: largest difference {max(row):.1e}")


def test_the_shown_loader_needs_neither_torch_nor_htnet(written, monkeypatch, capsys, tmp_path):
    page = (ROOT / "docs" / "export.md").read_text("utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)) == {"json", "numpy", "onnxruntime"}
    (tmp_path / "onnx").mkdir()
    shutil.copy(written("ststnet", "onnx"), tmp_path / "onnx" / "model.onnx")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "shown"}
    exec(compile(code, "docs/export.md", "exec"), names)
    model = built("ststnet")
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(model.labels)
    inputs, _ = expected(model, 5)
    with torch.no_grad():
        truth = model.probabilities(model(torch.from_numpy(inputs["image"])))
    np.testing.assert_allclose(names["probabilities"](inputs["image"]), truth, atol=1e-5)
    with pytest.raises(ValueError, match="empty batch"):
        names["probabilities"](inputs["image"][:0])


@pytest.mark.slow
def test_folded_models_are_written_too(tmp_path):
    model = built("htnet_tiny")
    whole = export_model(model, tmp_path / "whole", "torch")
    folded = export_model(htnet.optimize(model), tmp_path / "folded", "torch")
    assert folded.stat().st_size < whole.stat().st_size
    inputs, outputs = expected(model, 5)
    found, _ = run_torch(folded, inputs)
    for key, value in outputs.items():
        np.testing.assert_allclose(found[key], value, atol=1e-4 * np.abs(value).max())


def test_weights_that_never_saw_a_clip_ask_for_none(tmp_path):
    model = build("htnet_dual_stream")
    model.preprocess_spec = get_entry("htnet_dual_stream").spec
    about = json.loads((export_model(model, tmp_path, "torch").parent / METADATA_FILE).read_text("utf-8"))
    assert [info["name"] for info in about["inputs"]] == ["image"]


def test_a_file_for_one_batch_size_is_refused(tmp_path):
    class Fixed(EmotionModel):
        """As a user may write it: len() is a number for exporters."""

        def __init__(self, config):
            super().__init__(config)
            self.head = torch.nn.Linear(3, config.num_classes)

        def forward_features(self, x):
            return x.mean((2, 3)) + x.new_zeros(len(x), 1)

        def forward_head(self, features, pre_logits=False):
            return features if pre_logits else self.head(features)

    model = Fixed(ModelConfig()).eval()
    model.preprocess_spec = PreprocessSpec()
    with pytest.raises(ModelError, match=r"cannot be exported .* free batch size.*x\.shape\[0\]"):
        export_model(model, tmp_path, "torch")
    assert not list(tmp_path.iterdir())


def test_a_static_dimension_in_what_was_written_is_seen():
    from htnet.acceleration.graph import Graph, check_free

    graph = Graph(built("htnet_tiny"))
    free = {"image": ["n", 3, 28, 28], "scores": ["n", 3], "units": ["n", 2, 2]}
    check_free(free, graph)
    for key in free:
        with pytest.raises(ModelError, match=f"put {key}.*batch size"):
            check_free({**free, key: [2, *free[key][1:]]}, graph)


def test_another_answer_is_not_left(tmp_path, monkeypatch):
    def write(graph, program, metadata):
        contents, run = exporting._as_program(graph, program, metadata)
        return contents, lambda values: [1.001 * value for value in run(values)]

    monkeypatch.setitem(exporting._WRITERS, "torch", write)
    with pytest.raises(ModelError, match="scores of ststnet written as torch differ"):
        export_model(built("ststnet"), tmp_path, "torch")
    assert not list(tmp_path.iterdir())


def test_refusals(tmp_path, monkeypatch):
    model = built("htnet_tiny")
    with pytest.raises(InputError, match="Did you mean 'onnx'"):
        export_model(model, tmp_path, "onn")
    with pytest.raises(ModelError, match="htnet_tiny is in bfloat16"):
        export_model(htnet.optimize(model, "bfloat16"), tmp_path)
    with pytest.raises(
        ModelError, match=r"htnet_tiny is in int8, .* Give the model it was optimized from, or htnet\.opt"
    ):
        export_model(htnet.optimize(model, "int8"), tmp_path)
    with pytest.raises(ModelError, match="ststnet offers no maps"):
        export_model(built("ststnet"), tmp_path, maps=True)
    with pytest.raises(ModelError, match="scaling='classical'"):
        export_model(build("mhssa_gcn_small", scaling="smacof"), tmp_path)
    with pytest.raises(WeightsError, match="no preprocessing specification"):
        export_model(create_model("htnet_tiny"), tmp_path)
    with pytest.raises(ModelError, match="no classifier"):
        export_model(build("htnet_tiny", num_classes=0), tmp_path)
    (tmp_path / METADATA_FILE).write_text("mine")
    with pytest.raises(OverwriteError, match=METADATA_FILE):
        export_model(model, tmp_path)
    for format, module in (("onnx", "onnxruntime"), ("openvino", "openvino")):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(MissingExtraError, match=rf"pip install 'htnet\[{format}\]'"):
            export_model(model, tmp_path / "new", format)


def test_the_plane_without_eigenvectors():
    """`planar_gram_by_squaring` against float64 eigenvectors, equal eigenvalues among them."""
    from htnet.models import manifold

    points = torch.randn(200, 6, 3)
    kinds = [manifold.pairwise(points), 1 - torch.eye(6).expand(3, 6, 6), torch.zeros(1, 6, 6)]
    for distances in kinds[:1] + kinds[2:]:
        own = manifold.classical_scaling(distances, by_squaring=True)
        exact = manifold.classical_scaling(distances.double())
        assert (own - exact).abs().max() < 2e-4 * max(1.0, float(exact.abs().max()))
    # Where five eigenvalues are equal any plane will do; the result must be one: rank 2, no NaN.
    gram = manifold.planar_gram_by_squaring(torch.eye(6).expand(3, 6, 6) - 1 / 6)
    assert torch.linalg.matrix_rank(gram, tol=1e-3).tolist() == [2, 2, 2]
    assert isinstance(built("mhssa_gcn_small"), MHSSAGCN)
