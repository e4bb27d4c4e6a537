"""Optional dependencies and devices."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from htnet.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    import torch


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
            f"{purpose} needs {module.split('.')[0]}, which is not installed{_lacking(module, error)}. Install it "
            f"with: pip install 'htnet[{extra}]'"
        ) from error


def _lacking(module: str, error: ImportError) -> str:
    """Of a module that is there, what it needs and does not find."""
    name = (error.name or "").split(".")[0]
    return f" whole (it lacks {name})" if name and name != module.split(".")[0] else ""


def usable_device(device: str | torch.device) -> torch.device:
    """Return the device after a test allocation, so that a missing device is refused before any work.

    Raises:
        InputError: the device does not exist, or PyTorch was built without it.
    """
    import torch

    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"The device {str(device)!r} cannot be used here: there is none of this name, or this PyTorch was built "
            "without it. Try 'cpu'."
        ) from error
    return found
