"""The small models, STSTNet and the dual-stream HTNet, against the reference forms, on the CPU.

The baselines are written from the published descriptions, out of PyTorch's own layers, under the published parameter
names. Our models do the same work, so they can hardly be faster; the figures show that they are not slower.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import compare, interleave
from benchmarks.verify import agree
from benchmarks.zoo_mhssa import training_step
from htnet.models import create_model

BATCH = 32
FRAMES = 16
#: In float64, for which scores and gradients are compared.
TOLERANCE = {"outputs": 1e-10, "gradients": 1e-10}

Inputs = tuple[Tensor, ...]


class ReferenceSTSTNet(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (nn.Conv2d(channels, n, 3, padding=2) for n in (3, 5, 8))
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm2d(n) for n in (3, 5, 8))
        self.relu, self.maxpool, self.avgpool = nn.ReLU(), nn.MaxPool2d(3, stride=3, padding=1), nn.AvgPool2d(2)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(400, classes)

    def forward(self, x):
        streams = [
            self.dropout(self.maxpool(norm(self.relu(conv(x)))))
            for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3))
        ]
        return self.fc(self.avgpool(torch.cat(streams, dim=1)).flatten(1))


class ReferenceAppearance(nn.Module):
    def __init__(self, channels, dim, heads):
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, 7, stride=7)
        self.spatial_attn = nn.Sequential()
        self.spatial_attn.add_module("conv", nn.Conv2d(dim, 1, 7, padding=3))
        self.pos_embed = nn.Parameter(torch.zeros(1, 16, dim))
        self.attn = nn.MultiheadAttention(dim, heads)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        x = self.proj(x)
        x = x * torch.sigmoid(self.spatial_attn(x))
        x = (x.flatten(2).transpose(1, 2) + self.pos_embed).transpose(0, 1)
        x = self.norm1(x + self.attn(x, x, x)[0])
        x = self.norm2(x + self.mlp(x))
        return self.fc(x.mean(dim=0))


class ReferenceMotion(nn.Module):
    def __init__(self, features, dim):
        super().__init__()
        self.lstm = nn.LSTM(features, dim, batch_first=True)
        self.attn = nn.Sequential()
        self.attn.add_module("fc", nn.Linear(dim, 1, bias=False))

    def forward(self, x):
        x, _ = self.lstm(x)
        return (torch.softmax(self.attn(x), dim=1) * x).sum(dim=1)


class ReferenceDualStream(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.appearance = ReferenceAppearance(config.channels, config.dim, config.heads)
        self.motion = ReferenceMotion(config.motion_features, config.motion_dim)
        both = config.dim + config.motion_dim
        self.fc = nn.Sequential(nn.Linear(both, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.num_classes))

    def forward(self, x, motion):
        return self.fc(torch.cat([self.appearance(x), self.motion(motion)], dim=1))


def run_ststnet(quick: bool) -> dict[str, Any]:
    """STSTNet on a batch of flow images."""
    ours = create_model("ststnet")
    reference = ReferenceSTSTNet(ours.config.channels, ours.config.num_classes)
    return _run("ststnet", ours, reference, (_images(),), quick)


def run_dual_stream(quick: bool) -> dict[str, Any]:
    """The dual-stream HTNet on a batch of flow images with motion features."""
    ours = create_model("htnet_dual_stream")
    return _run(
        "htnet_dual_stream", ours, ReferenceDualStream(ours.config), (_images(), torch.randn(BATCH, FRAMES, 64)), quick
    )


def _images() -> Tensor:
    return torch.rand(BATCH, 3, 28, 28) * 255


def _run(name: str, ours: nn.Module, reference: nn.Module, inputs: Inputs, quick: bool) -> dict[str, Any]:
    reference.load_state_dict(ours.state_dict())
    labels = torch.randint(3, (BATCH,))
    rounds, repeats = (3, 1) if quick else (15, 10)
    agreement = _verify(ours, reference, inputs, labels)
    sides = {"reference": reference, "htnet": ours}
    with torch.no_grad():
        calls = {key: lambda net=net: net(*inputs) for key, net in sides.items()}
        inference = compare(interleave(calls, rounds, repeats=repeats), "reference")
    steps = {key: training_step(net, inputs, labels, fused=key == "htnet") for key, net in sides.items()}
    return {
        "device": "cpu",
        "model": name,
        "tolerance": TOLERANCE,
        "largest_relative_difference": agreement,
        f"inference_batch_{BATCH}": inference,
        f"training_step_batch_{BATCH}": compare(interleave(steps, rounds, repeats=repeats), "reference"),
    }


def _verify(ours: nn.Module, reference: nn.Module, inputs: Inputs, labels: Tensor) -> dict[str, float]:
    """Scores and gradients in float64, in eval mode, where dropout is off."""
    scores, gradients = [], []
    for net in (ours, reference):
        exact = copy.deepcopy(net).double().eval()
        scores.append({"scores": exact(*(x.double() for x in inputs))})
        F.cross_entropy(scores[-1]["scores"], labels).backward()
        gradients.append({k: p.grad for k, p in exact.named_parameters() if p.grad is not None})
    return {
        "outputs": agree(*scores, TOLERANCE["outputs"], "outputs"),
        "gradients": agree(*gradients, TOLERANCE["gradients"], "gradients"),
    }
