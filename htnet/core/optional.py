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

#: Where independent tasks run, see `htnet.core.engines`.
ENGINES = ("local", "ray")

#: Where launchers state the number of processes: torchrun and whatever prepares the same for PyTorch, srun of SLURM
#: (for a step, not for the whole job), mpirun of Open MPI, and mpiexec of MPICH and Intel MPI.
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
        RunError: no further file may be opened.
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
    """Whether a package can be imported; it is not."""
    with loading():
        return importlib.util.find_spec(module) is not None


def several_processes() -> str:
    """The variable by which a launcher says that it started this process together with others; "" where it is alone."""
    return next((name for name in _STARTED_TOGETHER if os.environ.get(name, "1").strip() not in ("", "1")), "")


def _lacking(module: str, error: ImportError) -> str:
    """Of a module that is there, what it needs and does not find."""
    name = (error.name or "").split(".")[0]
    return f" whole (it lacks {name})" if name and name != module.split(".")[0] else ""


def named_device(device: str | torch.device) -> str | torch.device:
    """The device that "auto" stands for: "cuda" where PyTorch can use one, otherwise "cpu"; others as they are."""
    if device != "auto":
        return device
    with loading():
        import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def named_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """A floating-point type that may be given by its name, such as "bfloat16"; None stays None.

    Raises:
        InputError: it is no floating-point type of PyTorch, or one that models do not compute in.
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
    """Return the device after a test allocation, so that a missing device is refused before any work.

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
            f"The device {str(device)!r} cannot be used here: there is none of this name, or this PyTorch was built "
            "without it. Try 'cpu'."
        ) from error
    return found
