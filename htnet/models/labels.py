"""Class names of models."""

from __future__ import annotations

from htnet.core.errors import HtnetError, ModelError
from htnet.core.words import ordered_names, spelled_alike


def checked_labels(labels: object, num_classes: int, error: type[HtnetError] = ModelError) -> tuple[str, ...]:
    """Check class names: with a name twice, one of the two probabilities would be lost.

    Args:
        labels: a list of names in the order of the outputs.
        num_classes: number of outputs.
        error: raised otherwise.

    Returns:
        The names.

    Raises:
        ModelError: they are not a list of texts, not one per class, empty, or differ only in case or blanks.
    """
    names = ordered_names(labels)
    cure = "Give one name per class, in the order of the outputs, such as ('negative', 'positive', 'surprise')."
    if len(names) != num_classes:
        texts = "" if names or not num_classes else ", which are not a list of texts"
        raise error(f"The labels are {labels!r}{texts}: {len(names)} labels for {num_classes} classes. {cure}")
    if not all(map(str.strip, names)):
        raise error(f"The labels are {labels!r}: a name is empty. {cure}")
    if alike := spelled_alike(names):
        raise error(f"The labels are {labels!r}: {alike[0]!r} and {alike[1]!r} are the same name. {cure}")
    return names
