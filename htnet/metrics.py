"""UF1, UAR, accuracy and what they are made of."""

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

__all__ = [
    "Scores",
    "accuracy",
    "class_indexes",
    "confusion_matrix",
    "score",
    "uar",
    "uar_of_each",
    "uf1",
    "uf1_of_each",
]
