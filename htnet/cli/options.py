"""What the commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any

#: Adds a command: its name, what runs it, one line of help.
AddCommand = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]


def progress_bar(items: Iterable[Any], text: str, total: int | None = None) -> Iterable[Any]:
    """``items``, counted on a progress bar."""
    from huggingface_hub.utils import tqdm

    return tqdm(items, desc=text, unit="sample", total=total)
