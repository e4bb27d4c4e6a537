"""Which backend is taken, and what is said of the others."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from htnet.core.errors import InputError, MissingExtraError
from htnet.kernels import AttentionCase, block_attention, explain, route, routing
from htnet.kernels.routing import triton_obstacle

GPU = AttentionCase(tokens=4, head_dim=85, dtype=torch.bfloat16, device="cuda", triton="")
CPU = dataclasses.replace(GPU, device="cpu", dtype=torch.float32, triton="it runs on CUDA devices, not on cpu")


def case(base, **changes):
    return dataclasses.replace(base, **changes)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (GPU, "triton"),
        (case(GPU, tokens=1), "one_token"),
        (case(GPU, tokens=1, mask="neighbors"), "one_token"),
        (case(GPU, tokens=1, has_bias=True), "triton"),
        (case(GPU, tokens=1, mask="tensor"), "triton"),
        (case(GPU, tokens=256, head_dim=256, dtype=torch.float16, has_bias=True, mask="tensor"), "triton"),
        (case(GPU, dtype=torch.float32), "triton"),
        (case(GPU, tokens=257), "sdpa"),
        (case(GPU, head_dim=257), "sdpa"),
        (case(GPU, dtype=torch.float64), "sdpa"),
        (case(GPU, triton=routing.NOT_INSTALLED), "sdpa"),
        (CPU, "reference"),
        (case(CPU, tokens=1), "one_token"),
        (case(CPU, tokens=1, has_bias=True), "reference"),
        (case(CPU, dtype=torch.float64), "sdpa"),
        (case(CPU, dtype=torch.float16), "reference"),
        (case(CPU, dtype=torch.bfloat16), "reference"),
        (case(CPU, triton=""), "reference"),  # the interpreter
        (case(CPU, tokens=16, head_dim=32), "reference"),
        (case(CPU, tokens=17, head_dim=32), "sdpa"),
        (case(CPU, tokens=16, head_dim=31), "sdpa"),
        (case(CPU, tokens=16, mask="neighbors", has_bias=True), "reference"),
        (case(CPU, tokens=64, head_dim=64), "reference"),
        (case(CPU, tokens=64, head_dim=64, mask="neighbors"), "sdpa"),
        (case(CPU, tokens=17, head_dim=64, has_bias=True), "sdpa"),
        (case(CPU, tokens=65, head_dim=64), "sdpa"),
        (case(CPU, device="mps", dtype=torch.bfloat16), "sdpa"),
    ],
    ids=str,
)
def test_auto(given, expected):
    choice = route(given)
    assert choice.backend == expected
    assert choice.case == given
    assert sorted([expected, *(name for name, _ in choice.refused)]) == sorted(routing.BACKENDS)
    assert all(reason for _, reason in choice.refused)


def test_the_choice_says_why():
    text = str(route(case(GPU, tokens=300, has_bias=True, mask="neighbors")))
    assert text.splitlines() == [
        "sdpa: 300 tokens, head_dim 85, bfloat16 on cuda, with a bias and mask='neighbors'",
        "  not one_token: it takes one token per block, not 300",
        "  not triton: it takes up to 256 tokens, not 300",
        "  not reference: 'sdpa' comes first",
    ]
    assert "not sdpa: 'reference' was requested" in str(route(GPU, "reference"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        route(GPU).backend = "sdpa"


def test_explain_tells_what_is_taken(monkeypatch):
    q = torch.randn(2, 2, 1, 8)
    assert explain(q, q, q).backend == "one_token"
    assert block_attention(torch.full_like(q, 1e30), q, q) is q
    taken = []
    monkeypatch.setattr("htnet.kernels.dispatch.sdpa_attention", lambda q, *a: taken.append("sdpa") or q)
    monkeypatch.setattr("htnet.kernels.dispatch.reference_attention", lambda q, *a: taken.append("reference") or q)
    for extras in ({}, {"bias": torch.zeros(9, 9)}, {"mask": "neighbors"}, {"mask": torch.ones(9, 9).bool()}):
        for width, backend in ((8, "auto"), (32, "auto"), (8, "reference")):
            q = torch.randn(2, 2, 9, width)
            taken.clear()
            block_attention(q, q, q, backend=backend, **extras)
            assert taken == [explain(q, q, q, backend=backend, **extras).backend]
            assert taken == ["sdpa" if (width, backend) == (8, "auto") else "reference"]
    q = torch.randn(2, 2, 9, 8)
    choice = explain(q, q, q, mask=torch.ones(9, 9).bool(), bias=torch.zeros(1))
    assert (choice.case.mask, choice.case.has_bias, choice.case.tokens, choice.case.head_dim) == ("tensor", True, 9, 8)
    with pytest.raises(InputError, match="one_token"):
        explain(q, q, q, backend="one_token")


@pytest.mark.parametrize(
    ("backend", "given", "message"),
    [
        ("one_token", GPU, "one token per block, not 4.*Use backend='auto'"),
        ("one_token", case(GPU, tokens=1, has_bias=True), "neither bias nor boolean mask"),
        ("one_token", case(GPU, tokens=1, mask="tensor"), "neither bias nor boolean mask"),
        ("triton", case(GPU, tokens=257), "up to 256 tokens, not 257"),
        ("triton", case(GPU, head_dim=300), "up to 256 wide, not 300"),
        ("triton", case(GPU, dtype=torch.float64), "float32, bfloat16, float16, not float64"),
        ("triton", CPU, "CUDA devices, not on cpu"),
        ("tritn", GPU, "'tritn'. Did you mean 'triton'"),
    ],
)
def test_what_a_backend_cannot_do_is_refused(backend, given, message):
    with pytest.raises(InputError, match=message):
        route(given, backend)


def test_triton_on_the_cpu_needs_its_interpreter(monkeypatch):
    monkeypatch.setattr(routing, "INSTALLED", True)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert triton_obstacle(torch.device("cpu")) == "it runs on CUDA devices, not on cpu"
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert triton_obstacle(torch.device("cpu")) == ""
    assert "mps" in triton_obstacle(torch.device("mps"))


def test_old_devices_and_rocm_are_refused(monkeypatch):
    monkeypatch.setattr(routing, "INSTALLED", True)
    monkeypatch.setattr(torch.version, "hip", None)
    for (major, minor), expected in (((7, 5), "compute capability 8.0; Old One has less"), ((8, 0), ""), ((9, 0), "")):
        properties = SimpleNamespace(major=major, minor=minor, name="Old One")
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, found=properties: found)
        assert expected in triton_obstacle(torch.device("cuda", 0))
    assert triton_obstacle(torch.device("cuda", 0)) == ""
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert "ROCm" in triton_obstacle(torch.device("cuda", 0))


def test_missing_triton_prints_the_pip_command(monkeypatch):
    monkeypatch.setattr(routing, "INSTALLED", False)
    q = torch.randn(1, 1, 4, 16)
    with pytest.raises(MissingExtraError, match=r"pip install 'htnet\[triton\]'"):
        block_attention(q, q, q, backend="triton")
    assert "not triton: Triton is not installed" in str(explain(q, q, q))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_that_auto_takes_are_as_exact_as_in_float32(dtype):
    q, k, v = (3 * torch.randn(5, 2, 9, 32)).to(dtype), *torch.randn(2, 5, 2, 9, 32).to(dtype)
    assert explain(q, k, v).backend == "reference"
    exact = block_attention(q.double(), k.double(), v.double(), backend="reference")
    errors = {
        backend: (block_attention(q, k, v, backend=backend).double() - exact).abs().max().item()
        for backend in ("auto", "reference")
    }
    assert block_attention(q, k, v).dtype == dtype
    assert errors["auto"] <= torch.finfo(dtype).eps * exact.abs().max().item()
    assert errors["reference"] > errors["auto"]
