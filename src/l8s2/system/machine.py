"""What this machine gives a process: processors, memory; and whether another process is still there."""

from __future__ import annotations

import os
from pathlib import Path


def cores() -> int:
    """Count the processor cores that this process may use, in a container those it is limited to."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit, _, period = _cgroup("cpu.max").partition(" ")
    return min(there, max(1, int(limit) // int(period))) if limit.isdigit() and period.isdigit() else there


def memory() -> float:
    """Return the bytes of memory that are free, in a container of those it is limited to; infinite where unknown."""
    found = float("inf")
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found = 1024.0 * int(line.split()[1])
    except OSError:
        pass
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    return min(found, float(limit) - float(used)) if limit.isdigit() and used.isdigit() else found


def _cgroup(name: str) -> str:
    try:
        return Path("/sys/fs/cgroup", name).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def has_ended(pid: int) -> bool:
    """Tell whether no process of this machine has a number; False on Windows, where asking would end it."""
    if os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
