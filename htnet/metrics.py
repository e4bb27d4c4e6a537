"""UF1, UAR, accuracy and confusion matrices; spotting scores on recordings."""

from htnet.evaluation.matching import IOU, interval_iou, match_intervals
from htnet.evaluation.metrics import (
    Scores,
    accuracy,
    class_indexes,
    confusion_matrix,
    score,
    uar,
    uar_of_each,
    uf1,
    uf1_of_each,
)
from htnet.evaluation.recognition import Recognition, recognize
from htnet.evaluation.spotting import (
    NEAR_MS,
    ApexErrors,
    KindScores,
    RecordingScores,
    SpottingCounts,
    SpottingScores,
    evaluate_spotting,
)

__all__ = [
    "IOU",
    "NEAR_MS",
    "ApexErrors",
    "KindScores",
    "Recognition",
    "RecordingScores",
    "Scores",
    "SpottingCounts",
    "SpottingScores",
    "accuracy",
    "class_indexes",
    "confusion_matrix",
    "evaluate_spotting",
    "interval_iou",
    "match_intervals",
    "recognize",
    "score",
    "uar",
    "uar_of_each",
    "uf1",
    "uf1_of_each",
]
