"""What the leaderboard compares: models, recipes, and the figures of the papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Seeds of each row.
SEEDS = 3
PROTOCOLS = ("last", "nested", "best_on_test")
#: Rows that take more hours a seed than this, on one processor, leave out the `TEN` only.
HOURS_A_SEED = 3.0
#: Ten people, drawn by `draw_ten` from the list of the set alone, before anything was trained on it.
TEN = (
    "casme2/sub07",
    "casme2/sub13",
    "casme2/sub16",
    "casme2/sub20",
    "samm/006",
    "samm/011",
    "samm/032",
    "smic/s09",
    "smic/s12",
    "smic/s20",
)


def draw_ten(people: Sequence[tuple[str, str]], seed: int = 0) -> tuple[str, ...]:
    """Ten people, three or four of each data set, whatever their labels: DATASET/SUBJECT, sorted.

    Args:
        people: data set and subject of everybody.
        seed: of the draw.
    """
    rng, shares = np.random.default_rng(seed), {"casme2": 4, "samm": 3, "smic": 3}
    drawn = []
    for name, count in shares.items():
        own = sorted({subject for dataset, subject in people if dataset == name})
        drawn += [f"{name}/{subject}" for subject in rng.choice(own, count, replace=False)]
    return tuple(sorted(drawn))


@dataclass(frozen=True)
class Published:
    """UF1 / UAR as printed, each for Full, SMIC, CASME II and SAMM.

    Attributes:
        scores: four pairs.
        source: where they are printed.
    """

    scores: tuple[tuple[float, float], ...]
    source: str


@dataclass(frozen=True)
class Row:
    """One training of a model over all subjects.

    Attributes:
        model: registered name, or "svm".
        recipe: registered name, or "cells".
        paper: whether the recipe is the paper's as far as it is told, or ours.
        family: what the papers call the model.
        published: figures of the paper.
        ten: leave out the `TEN` only, because a seed takes more than `HOURS_A_SEED`.
        precision: of the matrix products and convolutions in training, "float32" or "bfloat16". The second takes up to
            half of the time where they are most of it; `benchmarks/results/leaderboard_precision.json` compares both.
    """

    model: str
    recipe: str
    paper: bool
    family: str
    published: Published | None = None
    ten: bool = False
    precision: str = "float32"

    @property
    def name(self) -> str:
        """Name of the row, of its run folder and of its file."""
        return f"{self.model}-{self.recipe}"


_MEGC = "table IV of MEGC 2019 (See et al., FG 2019), to two decimals as later surveys print it"
_HTNET = "table of the HTNet paper (arXiv 2307.14637)"
_OFF = Published(((0.72, 0.71), (0.68, 0.67), (0.88, 0.87), (0.54, 0.54)), _MEGC)
_DUAL = Published(((0.73, 0.73), (0.66, 0.67), (0.86, 0.86), (0.59, 0.57)), _MEGC)
_CAPSULE = Published(((0.65, 0.65), (0.58, 0.59), (0.71, 0.70), (0.62, 0.60)), _MEGC)
_STSTNET = Published(((0.7353, 0.7605), (0.6801, 0.7013), (0.8382, 0.8686), (0.6588, 0.6810)), _HTNET)
_FEATREF = Published(((0.7838, 0.7832), (0.7011, 0.7083), (0.8915, 0.8873), (0.7372, 0.7155)), _HTNET)
_HTNET_SCORES = Published(((0.8603, 0.8475), (0.8049, 0.7905), (0.9532, 0.9516), (0.8131, 0.8124)), _HTNET)

_BF16 = "bfloat16"

#: In the order in which they are trained: short ones first.
ROWS = {
    row.name: row
    for row in (
        Row("ststnet", "default", False, "STSTNet", _STSTNET),
        Row("flow_mlp", "mixed", False, "FlowMLP (ours)"),
        Row("svm", "cells", False, "SVM on 7 x 7 cells"),
        Row("rcn_a", "default", False, "RCN-A", precision=_BF16),
        Row("rcn_a", "rcn", True, "RCN-A", precision=_BF16),
        Row("off_apexnet", "default", False, "OFF-ApexNet", _OFF),
        Row("off_apexnet", "off_apexnet", True, "OFF-ApexNet", _OFF),
        Row("rcn_f", "default", False, "RCN-F", precision=_BF16),
        Row("rcn_f", "rcn", True, "RCN-F", precision=_BF16),
        Row("rcn_s", "rcn", True, "RCN-S", precision=_BF16),
        Row("rcn_w", "rcn", True, "RCN-W", precision=_BF16),
        Row("dual_inception", "default", False, "Dual-Inception", _DUAL, precision=_BF16),
        Row("dual_inception", "dual_inception", True, "Dual-Inception", _DUAL, ten=True, precision=_BF16),
        Row("htnet_small", "default", False, "HTNet", _HTNET_SCORES),
        Row("htnet_dual_stream", "default", False, "dual-stream HTNet"),
        Row("mhssa_gcn", "default", False, "MHSSA + GCN", ten=True, precision=_BF16),
        Row("featref", "default", False, "FeatRef", _FEATREF, precision=_BF16),
        Row("featref", "featref", True, "FeatRef", _FEATREF, ten=True, precision=_BF16),
        Row("mier_cvt", "default", False, "MiER-CvT", ten=True, precision=_BF16),
        Row("mier_cvt", "mier_cvt", True, "MiER-CvT", ten=True, precision=_BF16),
        Row("capsulenet", "capsulenet", True, "CapsuleNet", _CAPSULE, ten=True, precision=_BF16),
        Row("capsulenet", "default", False, "CapsuleNet", _CAPSULE, ten=True, precision=_BF16),
        Row("htnet_base", "reference", True, "HTNet", _HTNET_SCORES, ten=True, precision=_BF16),
    )
}
