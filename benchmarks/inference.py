"""htnet.optimize against the reference's form, PyTorch's attention and torch.compile: batches 1, 8 and 128."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import htnet
from benchmarks.bundle import KEPT, folder_of
from benchmarks.measure import COMPOSITE, bar, compare, interleave, memory_bandwidth
from benchmarks.reference_htnet import ConvAttention, ReferenceHTNet
from benchmarks.verify import agree
from htnet.acceleration import DTYPES, OptimizedModel
from htnet.core.errors import InputError
from htnet.data import read_composite
from htnet.models import HTNet, create_model, reference_state
from htnet.training import load_flow_set, predict_set

#: Largest difference of the scores from the reference's, relative to the largest; fewer bits round more.
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05, "int8": 0.05}
#: Share of equal predictions on the composite set that fewer bits must keep.
AGREEMENT = 0.995
#: Times as fast as the reference's form in float32 (issue 5): batch, side, factor.
BARS = {
    "cpu": (
        (1, "htnet_float32", 2.0),
        (1, "htnet_bfloat16", 4.0),
        (128, "htnet_float32", 2.0),
        (128, "htnet_bfloat16", 6.0),
    ),
    "cuda": ((1, "htnet_bfloat16_graphs", 15.0), (1024, "htnet_bfloat16", 3.0)),
}
#: Times of the floor that batch 1 may take, by side.
FLOOR_BARS = {
    "cpu": {"htnet_float32": 1.5, "htnet_bfloat16": 1.5},
    "cuda": {"htnet_bfloat16_graphs": 2.0},
}


@dataclass(frozen=True)
class Setting:
    """What is timed on a device.

    Attributes:
        device: "cpu" or "cuda".
        model: name in the registry.
        batches: images at once.
        rounds: figures for each way.
        megabytes: read to measure the memory.
        compiler: backend of torch.compile; "eager" compiles nothing and is quick.
    """

    device: str
    model: str
    batches: tuple[int, ...]
    rounds: int
    megabytes: int
    compiler: str


class SdpaAttention(ConvAttention):
    """The reference's attention by PyTorch's own."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = (t.flatten(2).unflatten(1, (self.heads, -1)).mT for t in self.to_qkv(x).chunk(3, dim=1))
        out = F.scaled_dot_product_attention(*tokens, scale=self.scale)
        return self.to_out(out.mT.flatten(1, 2).unflatten(2, x.shape[2:]))


def with_sdpa(reference: ReferenceHTNet) -> ReferenceHTNet:
    """A copy that attends by PyTorch's own attention."""
    copied = copy.deepcopy(reference)
    for part in copied.modules():
        if isinstance(part, ConvAttention):
            part.__class__ = SdpaAttention
    return copied


def run(quick: bool) -> dict[str, Any]:
    """Figures of the CPU."""
    if quick:
        return _measure(Setting("cpu", "htnet_tiny", (1, 8), 3, 8, "eager"))
    return _measure(Setting("cpu", "htnet_base", (1, 8, 128), 15, 1000, "inductor"))


def run_gpu(quick: bool) -> dict[str, Any]:
    """Figures of one CUDA device."""
    if not torch.cuda.is_available():
        raise InputError("The benchmark inference_gpu needs a CUDA device; there is none here.")
    if quick:
        return _measure(Setting("cuda", "htnet_tiny", (1, 8), 3, 8, "eager"))
    return _measure(Setting("cuda", "htnet_base", (1, 8, 128, 1024), 30, 4000, "inductor"))


def _measure(setting: Setting) -> dict[str, Any]:
    torch.manual_seed(0)
    model = create_model(setting.model).eval().to(setting.device)
    assert isinstance(model, HTNet)
    side = model.config.image_size
    images = torch.rand(max(setting.batches), model.config.channels, side, side).mul(255).to(setting.device)
    reference = ReferenceHTNet(model.config).eval().to(setting.device)
    reference.load_state_dict(reference_state(model))
    optimized = {f"htnet_{name}": htnet.optimize(model, dtype) for name, dtype in DTYPES.items()}
    ways = _ways(setting, model, reference, optimized)
    # A compiled network is compiled again for every batch, so it is compared at all of them.
    differences = [_verify(ways, reference, images[:count]) for count in setting.batches]
    speed = {f"batch_{count}": _time(setting, ways, images[:count]) for count in setting.batches}
    floor = _floor(setting, {"reference": reference, "htnet_plain": model, **optimized})
    return {
        "device": setting.device,
        **({"gpu": torch.cuda.get_device_name()} if setting.device == "cuda" else {}),
        "model": setting.model,
        "torch_compile_backend": setting.compiler,
        "tolerance": TOLERANCE,
        "largest_relative_difference": {name: max(d[name] for d in differences) for name in ways},
        "agreement_on_the_composite_set": _agreement(setting.device),
        "floor_batch_1": floor,
        **speed,
        "profile_batch_1": {
            side: _profile(ways[side], images[:1], setting.device) for side in FLOOR_BARS[setting.device]
        },
        "bars": _bars(setting, speed, floor),
    }


def one_batch(setting: Setting) -> dict[str, Any]:
    """Agreement and times with the first of the setting's batches; nothing is compiled."""
    torch.manual_seed(0)
    model = create_model(setting.model).eval().to(setting.device)
    assert isinstance(model, HTNet)
    side, batch = model.config.image_size, setting.batches[0]
    images = torch.rand(batch, model.config.channels, side, side).mul(255).to(setting.device)
    reference = ReferenceHTNet(model.config).eval().to(setting.device)
    reference.load_state_dict(reference_state(model))
    ways = _ways(setting, model, reference, {f"htnet_{name}": htnet.optimize(model, t) for name, t in DTYPES.items()})
    del ways["reference_compiled"]
    return {
        "model": setting.model,
        "batch": batch,
        "largest_relative_difference": _verify(ways, reference, images),
        **_time(setting, ways, images),
    }


def _ways(
    setting: Setting, model: HTNet, reference: ReferenceHTNet, optimized: Mapping[str, OptimizedModel]
) -> dict[str, Callable[[Tensor], Tensor]]:
    halved = copy.deepcopy(reference).bfloat16()
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "reference": reference,
        "reference_sdpa": with_sdpa(reference),
        "reference_compiled": torch.compile(reference, backend=setting.compiler, dynamic=False),
        "reference_bfloat16": lambda images: halved(images.bfloat16()).float(),
        "htnet_plain": model,
        **optimized,
    }
    if setting.device == "cuda":
        for name, net in optimized.items():
            ways[f"{name}_graphs"] = htnet.optimize(net, compile="cudagraphs")
    return ways


def _verify(ways: Mapping[str, Callable[[Tensor], Tensor]], reference: nn.Module, images: Tensor) -> dict[str, float]:
    """Largest relative difference of every way; more than is accepted ends the benchmark."""
    with torch.no_grad():
        truth = {"scores": reference(images)}
        found = {name: way(images) for name, way in ways.items()}
    limits = {name: next((t for key, t in TOLERANCE.items() if key in name), TOLERANCE["float32"]) for name in ways}
    return {
        name: agree({"scores": scores}, truth, limits[name], f"outputs of {name}") for name, scores in found.items()
    }


def _time(setting: Setting, ways: Mapping[str, Callable[[Tensor], Tensor]], images: Tensor) -> dict[str, Any]:
    def once(way: Callable[[Tensor], Tensor]) -> None:
        way(images)
        if setting.device == "cuda":
            torch.cuda.synchronize()

    repeats = 5 if len(images) == 1 and setting.rounds > 3 else 1
    with torch.no_grad():
        sides = {name: lambda way=way: once(way) for name, way in ways.items()}
        return compare(interleave(sides, setting.rounds, repeats=repeats, warmup=2), "reference")


def _profile(way: Callable[[Tensor], Tensor], images: Tensor, device: str, calls: int = 20) -> dict[str, Any]:
    """Where the time of one image goes: milliseconds of every operator by itself, the largest first."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with torch.no_grad(), profile(activities=kinds) as recorded:
        for _ in range(calls):
            way(images)
    own = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    times = {entry.key: getattr(entry, own) / 1e3 / calls for entry in recorded.key_averages()}
    largest = sorted(times, key=times.__getitem__, reverse=True)[:8]
    return {name: float(f"{times[name]:.3g}") for name in largest} | {"all": float(f"{sum(times.values()):.3g}")}


def _floor(setting: Setting, nets: Mapping[str, nn.Module]) -> dict[str, Any]:
    """Time that reading all that a network contains takes once: no way of computing one image is faster."""
    sizes = {name: sum(value.nbytes for value in net.state_dict().values()) / 1e6 for name, net in nets.items()}
    bandwidth = memory_bandwidth(setting.megabytes, max(5, setting.rounds // 2), setting.device)
    fastest = max(bandwidth.values())
    return {
        "megabytes": {name: round(size, 2) for name, size in sizes.items()},
        "bandwidth_gb_per_s": bandwidth,
        "ms": {name: round(size / fastest, 4) for name, size in sizes.items()},
    }


def _bars(setting: Setting, speed: Mapping[str, Any], floor: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was wanted and what was got; a bar that was missed stays in the list."""
    bars = []
    for batch, side, wanted in BARS[setting.device]:
        if f"batch_{batch}" in speed:
            got = speed[f"batch_{batch}"]["times_as_fast"][side]
            bars.append(bar(f"{setting.model}, {side}, inference, batch {batch}: times as fast", wanted, got))
    for side, wanted in FLOOR_BARS[setting.device].items():
        times = speed["batch_1"]["ms"][side]["median"] / floor["ms"][side.removesuffix("_graphs")]
        bars.append(bar(f"{setting.model}, {side}, batch 1: times the floor", wanted, times, at_most=True))
    return bars


def _agreement(device: str) -> dict[str, Any] | None:
    """Share of the composite set's samples whose prediction fewer bits keep, by weights; None without the set."""
    if not COMPOSITE.is_dir():
        return None
    found: dict[str, Any] = {"wanted": AGREEMENT}
    manifest = read_composite(COMPOSITE)
    for spec in KEPT:
        model = htnet.load_pretrained(folder_of(spec), device=device)
        assert model.preprocess_spec is not None
        data = load_flow_set(manifest, model.preprocess_spec)
        truth = predict_set(model, data).argmax(1)
        found[spec.name] = {"samples": len(truth)}
        for name, dtype in DTYPES.items():
            same = predict_set(htnet.optimize(model, dtype), data).argmax(1) == truth
            found[spec.name][name] = round(float(same.double().mean()), 5)
    return found
