"""What this machine is, and gives a process: processors, memory; and whether another process is still there."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_MEMBERSHIP, _GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def cores() -> int:
    """Count the processor cores that this process may use, in a container or a job those it is limited to."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in _groups("cpu"):
        limit, _, period = _text(group / "cpu.max").partition(" ")
        limit, period = limit or _text(group / "cpu.cfs_quota_us"), period or _text(group / "cpu.cfs_period_us")
        if limit.isdigit() and period.isdigit():
            found = min(found, max(1, int(limit) // int(period)))
    return found


def memory() -> float:
    """Return the bytes of memory that are free, in a container or a job of those it is limited to.

    What the system keeps of files counts as free. Where it does not tell what is free (macOS), all of the machine's;
    infinite where it does not tell that either.
    """
    found = 1024.0 * _entry(Path("/proc/meminfo"), "MemAvailable:") or _physical()
    for group in _groups("memory"):
        limit = _text(group / "memory.max") or _text(group / "memory.limit_in_bytes")
        used = _text(group / "memory.current") or _text(group / "memory.usage_in_bytes")
        if limit.isdigit() and used.isdigit():
            files = _entry(group / "memory.stat", "total_inactive_file") or _entry(
                group / "memory.stat", "inactive_file"
            )
            found = min(found, max(0, int(limit) - int(used) + files))
    return found


def _physical() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _groups(controller: str) -> Iterator[Path]:
    """Yield the control groups of Linux, of version 2 or 1, that this process is in: its own, and those above it."""
    for line in _text(_MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            root = _GROUPS / controller if controllers else _GROUPS
            group = root / path.lstrip("/")
            yield group
            while group != root:
                group = group.parent
                yield group


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""


def _entry(path: Path, name: str) -> int:
    """Return the number after a name in a table; 0 where there is none."""
    words = _text(path).split()
    return int(words[words.index(name) + 1]) if name in words else 0


@cache
def machine_id() -> str:
    """Name this machine, since it was started, and where there are containers, this one."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8])
        parts.append(os.readlink("/proc/self/ns/pid").strip("pid:[]"))
    return "/".join(parts)


def has_ended(pid: int) -> bool:
    """Tell whether no process of this machine has a number; False on Windows, where asking would end it."""
    if os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False
