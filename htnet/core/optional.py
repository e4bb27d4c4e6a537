"""Optional dependencies and devices."""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType
from typing import TYPE_CHECKING

from htnet.core.errors import InputError, MissingExtraError
from htnet.core.lazy import loading

if TYPE_CHECKING:
    import torch

#: Engines that run independent tasks, see `htnet.core.engines`.
ENGINES = ("local", "ray")

#: Environment variables in which launchers state the number of processes: torchrun and compatible launchers, SLURM's
#: srun (for a step, not for the whole job), Open MPI's mpirun, and mpiexec of MPICH and Intel MPI.
_STARTED_TOGETHER = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


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
        RunError: too many files are open.
    """
    try:
        with loading():
            return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs {module.split('.')[0]}, which is not installed{_lacking(module, error)}. Install it "
            f"with: pip install 'htnet[{extra}]'"
        ) from error


def installed(module: str) -> bool:
    """Whether a package is installed; it is not imported."""
    with loading():
        return importlib.util.find_spec(module) is not None


def several_processes() -> str:
    """The environment variable in which a launcher states that it started several processes; "" for a single one."""
    return next((name for name in _STARTED_TOGETHER if os.environ.get(name, "1").strip() not in ("", "1")), "")


def _lacking(module: str, error: ImportError) -> str:
    """For a module that is installed: a note on the module that it needs and that is missing."""
    name = (error.name or "").split(".")[0]
    return f" completely (it lacks {name})" if name and name != module.split(".")[0] else ""


def named_device(device: str | torch.device) -> str | torch.device:
    """Resolve "auto" to "cuda" if PyTorch can use it, otherwise to "cpu"; other devices are returned unchanged."""
    if device != "auto":
        return device
    with loading():
        import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def named_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """Convert the name of a floating-point type, such as "bfloat16", to the type; types and None are unchanged.

    Raises:
        InputError: ``dtype`` is not a floating-point type of PyTorch, or models do not compute in it.
    """
    if dtype is None:
        return None
    with loading():
        import torch

    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
    found = kinds.get(dtype.removeprefix("torch.")) if isinstance(dtype, str) else dtype
    if found not in kinds.values():
        raise InputError(f"dtype is {dtype}; give a floating-point type: {', '.join(kinds)}, or leave it out.")
    return found


def usable_device(device: str | torch.device) -> torch.device:
    """Return the device after a test allocation, so that a missing device is refused before any work starts.

    Args:
        device: "cpu", "cuda", "cuda:1", ...; see `named_device` for "auto".

    Raises:
        InputError: the device does not exist, or PyTorch was built without it.
    """
    with loading():
        import torch

    try:
        found = torch.device(named_device(device))
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise InputError(
            f"The device {str(device)!r} cannot be used here: it does not exist, or this PyTorch was built without "
            "support for it. Try 'cpu'."
        ) from error
    return found
