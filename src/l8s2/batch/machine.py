"""What this machine is, and how much of it a batch may take."""

from __future__ import annotations

import contextlib
import os
import platform
from functools import cache
from pathlib import Path

CORES_EACH, MEMORY_EACH = 2, 3e9
"""Processor cores and bytes of memory that one scene takes."""


@cache
def machine_id() -> str:
    """Name this machine, since it was started, and where there are containers, this one."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8])
        parts.append(os.readlink("/proc/self/ns/pid").strip("pid:[]"))
    return "/".join(parts)


def is_dead(machine: object, pid: object) -> bool:
    """Tell whether a process of this machine has ended; False for those of others, and on Windows."""
    if machine != machine_id() or not isinstance(pid, int) or os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


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


def default_workers() -> int:
    """Return how many scenes this machine works on at a time: one for two cores, as far as the memory goes."""
    return int(max(1, min(cores() // CORES_EACH, memory() // MEMORY_EACH)))
