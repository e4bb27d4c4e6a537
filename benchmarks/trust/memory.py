"""Resident memory of a process and of those that it started."""

from __future__ import annotations

from pathlib import Path


class Resident:
    """What a process and its descendants keep in memory; pages that they share count once."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def bytes(self) -> int:
        """Proportional resident size, in bytes; 0 when it has ended."""
        return sum(_size(pid) for pid in self._family())

    def _family(self) -> list[int]:
        parents: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    text = (folder / "stat").read_text("utf-8", "replace")
                except OSError:
                    continue
                parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(folder.name))
        found = [self._pid]
        for pid in found:
            found += parents.get(pid, [])
        return found


def _size(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
