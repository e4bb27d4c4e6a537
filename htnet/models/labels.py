"""Class names of models."""

from __future__ import annotations

from htnet.core.errors import HtnetError, ModelError
from htnet.core.words import ordered_names


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
    seen: dict[str, str] = {}
    for name in names:
        key = " ".join(name.casefold().split())
        if not key:
            raise error(f"The labels are {labels!r}: a name is empty. {cure}")
        if key in seen:
            raise error(f"The labels are {labels!r}: {seen[key]!r} and {name!r} are the same name. {cure}")
        seen[key] = name
    return names
