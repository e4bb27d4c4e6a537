"""Import of optional dependencies, with an error that prints the pip command."""

from __future__ import annotations

import importlib
from types import ModuleType

from htnet.errors import MissingExtraError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import ``module`` or say how to install it.

    Args:
        module: dotted module name, e.g. ``"matplotlib.pyplot"``.
        extra: the extra of htnet that installs it.
        purpose: what it is needed for, for the message.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs {module.split('.')[0]}, which is not installed "
            f"({error}). Install it with: pip install 'htnet[{extra}]'"
        ) from error
