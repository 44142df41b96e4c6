"""What this machine is, and how much of it a batch may take."""

from __future__ import annotations

import tempfile

from l8s2.errors import InputError
from l8s2.system.machine import cores, has_ended, machine_id, memory

CORES_EACH, MEMORY_EACH = 2, 3e9
"""Processor cores and bytes of memory that one scene takes."""


def is_dead(machine: object, pid: object) -> bool:
    """Tell whether a process of this machine has ended; False for those of others, and on Windows."""
    return machine == machine_id() and isinstance(pid, int) and has_ended(pid)


def default_workers() -> int:
    """Return how many scenes this machine works on at a time: one for two cores, as far as the memory goes."""
    return int(max(1, min(cores() // CORES_EACH, memory() // MEMORY_EACH)))


def check_temporary_folder() -> None:
    """Refuse a machine on which every scene would fail, before anything is written. Raises InputError."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise InputError(f"{error.strerror}; set TMPDIR to a folder that can be written") from None
