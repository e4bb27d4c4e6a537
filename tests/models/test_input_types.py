"""One rule for the type of images, for every model: 0..255 as whole numbers or as floating-point numbers."""

import warnings

import pytest
import torch

import htnet
from benchmarks.bundle import KEPT, folder_of
from htnet.core.errors import ModelError
from htnet.models import create_model, list_models
from tests.support.wings import with_wings

#: The same classes with less to compute.
SMALLER = {"htnet_base": {"dim": 24, "heads": 3, "block_repeats": (1, 1, 1)}}
SMALLER = with_wings("models", "SMALLER", SMALLER)
BUNDLED = {spec.name: folder_of(spec) for spec in KEPT}
TYPES = (torch.uint8, torch.int16, torch.int32, torch.int64, torch.float64)


def build(name):
    if name in BUNDLED:
        return htnet.load_pretrained(BUNDLED[name])
    return create_model(name, **SMALLER.get(name, {})).eval()


def images_for(model, batch=2):
    c = model.config
    found = torch.randint(0, 256, (batch, c.channels, c.image_size, c.image_size), dtype=torch.uint8)
    extra = {"points68": torch.rand(batch, 68, 2) * (c.image_size - 1)} if "points68" in model.extra_inputs else {}
    return found, extra


@pytest.mark.parametrize("name", [*list_models(), *BUNDLED])
def test_every_model_takes_every_type(name):
    model = build(name)
    images, extra = images_for(model)
    with torch.no_grad():
        expected = model(images.float(), **extra)
        for dtype in TYPES:
            assert torch.equal(model(images.to(dtype), **extra), expected), dtype
        if model.action_units:
            scores, units = model(images, return_units=True)
            assert torch.equal(scores, expected)
            assert torch.equal(units, model(images.float(), return_units=True)[1])
        for dtype in (torch.bool, torch.complex64, torch.int8):
            with pytest.raises(ModelError, match=f"got an image of {dtype}; give uint8"):
                model(images.to(dtype), **extra)


@pytest.mark.parametrize("name", [*BUNDLED, "htnet_tiny", "ststnet", *with_wings("models", "WITH_MAPS", ())[:1]])
def test_every_optimized_model_takes_every_type(name):
    model = htnet.optimize(build(name))
    images, extra = images_for(model)
    expected = model(images.float(), **extra)
    for dtype in TYPES:
        assert torch.equal(model(images.to(dtype), **extra), expected), dtype
    with pytest.raises(ModelError, match="got an image of torch.bool"):
        model(images.bool(), **extra)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_model_of_another_type_takes_them_too(name):
    model = build(name).double()
    images, extra = images_for(model)
    with torch.no_grad():
        expected = model(images.double(), **extra)
        assert expected.dtype == torch.float64
        for dtype in (torch.uint8, torch.float32):
            assert torch.equal(model(images.to(dtype), **extra), expected)


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize("name", BUNDLED)
def test_images_divided_by_255_are_warned_of(name, optimized):
    model = htnet.optimize(build(name)) if optimized else build(name)
    images, extra = images_for(model)
    with pytest.warns(UserWarning, match=r"values 0\.\.1, but reads 0\.\.255"):
        model(images.float() / 255, **extra)


@pytest.mark.parametrize("optimized", [False, True])
def test_numbers_that_no_image_has_are_refused_or_warned_of(optimized):
    def fresh():
        return htnet.optimize(build("composite")) if optimized else build("composite")

    images, model = images_for(build("composite"))[0].float(), fresh()
    with pytest.warns(UserWarning, match=r"values -1\.\.\d.*, but reads 0\.\.255\. It standardizes"):
        fresh()(images / images.max() * 2 - 1)
    for wrong in (torch.nan, torch.inf):
        spoiled = images.clone()
        spoiled[0, 0, 0, 0] = wrong
        for _ in range(2):
            with pytest.raises(ModelError, match="NaN or infinite"):
                model(spoiled)
    with pytest.raises(ModelError, match=r"got images as ndarray; give a tensor: torch\.as_tensor"):
        model(images.numpy())


@pytest.mark.parametrize("name", [*list_models(), *BUNDLED])
def test_numbers_that_are_none_are_refused_at_every_call(name):
    """They were at the first call only."""
    model = build(name)
    images, extra = images_for(model)
    images = images.float()
    with torch.no_grad():
        model(images, **extra)
        for dtype in (torch.float32, torch.float64, torch.float16):
            for wrong in (torch.nan, torch.inf, -torch.inf):
                spoiled = images.to(dtype, copy=True)
                spoiled[-1, -1, -1, -1] = wrong
                with pytest.raises(ModelError, match=f"{model.name} got images with NaN or infinite values"):
                    model(spoiled, **extra)
        if "motion" in model.extra_inputs:
            motion = torch.zeros(2, 8, 64)
            motion[1, 7, 63] = torch.nan
            with pytest.raises(ModelError, match="got motion with NaN or infinite values"):
                model(images, motion)
        model.train()
        with pytest.raises(ModelError, match="NaN or infinite"):
            model(spoiled, **extra)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: x.tolist(), "as list; give a tensor"),
        (lambda x: x.numpy(), "as ndarray; give a tensor"),
        (lambda x: x.to_sparse(), r"of layout torch\.sparse_coo; give a dense one"),
        pytest.param(
            lambda x: torch.nested.nested_tensor(list(x)),
            "as a nested tensor; give a dense one",
            marks=pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
        ),
        pytest.param(
            lambda x: torch.masked.masked_tensor(x, x > 0),
            "as a masked tensor; give a plain one",
            marks=pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors"),
        ),
        (lambda x: x.to("meta"), "on the device meta, and its weights are on cpu"),
    ],
)
@pytest.mark.parametrize("name", ["ststnet", "htnet_dual_stream", "mhssa_gcn"])
def test_what_is_no_dense_tensor_is_refused(name, make, said):
    model = build(name)
    images, extra = images_for(model)
    given = {"images": images.float(), **extra}
    if "motion" in model.extra_inputs:
        given["motion"] = torch.zeros(2, 8, 64)
    for wrong in given:
        asked = {**given, wrong: make(given[wrong])}
        with torch.no_grad(), pytest.raises(ModelError, match=f"{name} got {wrong} .*{said}"):
            model(asked.pop("images"), **asked)


@pytest.mark.parametrize(("name", "extra"), [("htnet_dual_stream", "motion"), ("mhssa_gcn", "points68")])
def test_complex_numbers_are_refused(name, extra):
    model = build(name)
    images, extras = images_for(model)
    given = {"motion": torch.zeros(2, 8, 64), **extras}[extra] + 1j
    with torch.no_grad(), pytest.raises(ModelError, match=f"got {extra} of torch.complex64; give real numbers"):
        model(images, **{extra: given})


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_no_value_is_looked_at_where_that_would_wait_or_break_a_graph(monkeypatch):
    from htnet.models import input_range

    model = build("htnet_tiny")
    images = images_for(model)[0].float()
    model(images)
    looks = []
    bounds = input_range._bounds
    monkeypatch.setattr(input_range, "_bounds", lambda x: looks.append(x.shape) or bounds(x))
    with torch.no_grad():
        model(images)
        assert len(looks) == 1
        torch.compile(model, backend="eager", fullgraph=True)(images)
        torch.jit.trace(model, images, check_trace=False)
        torch.export.export(model, (images,))
        assert len(looks) == 1
        spoiled = images.clone()
        spoiled[0] = torch.nan
        found = torch.vmap(lambda one: model(one[None]))(spoiled)[:, 0]
        assert found.isnan().all(1).tolist() == [True, False]
    looks.clear()
    other = build("htnet_tiny").to("meta")
    other._range_seen = True
    assert other(images.to("meta")).device.type == "meta"
    assert not looks


@pytest.mark.parametrize("values", [torch.zeros, torch.ones, lambda *shape: torch.rand(*shape) * 255])
def test_no_other_images_are_warned_of(values):
    model = build("composite")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(values(2, 3, 28, 28))
        model.train()
        model(torch.rand(2, 3, 28, 28))


def test_images_whose_gradients_are_asked_for_are_looked_at_without_a_warning(request):
    request.addfinalizer(lambda: torch.set_warn_always(False))
    torch.set_warn_always(True)  # PyTorch warns once a process
    model = build("composite")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model((255 * torch.rand(2, 3, 28, 28)).requires_grad_())
