"""What a case of damage is, and a kind of input that is damaged."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Case(NamedTuple):
    """One damage."""

    name: str
    damage: Callable[[Path], object]
    """Given a copy of the sound input."""
    strict: bool = False
    """Part of the input is gone: it must be refused, or give what the sound one gives."""


Make = Callable[[Path], object]
Read = Callable[[Path], bytes]
Cases = Callable[[Path, random.Random], Iterable[Case]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """An input that a command reads."""

    name: str
    make: Make
    """Writes a sound one into a folder."""
    cases: Cases
    """Given the folder of the sound one."""
    read: Read
    """Reads it as the command does; what comes out as bytes, equal where the results are."""
    command: Callable[[Path], list[str]] | None = None
    """Arguments of the command that reads it."""


def some(found: Iterable[Case], most: int, rng: random.Random) -> list[Case]:
    """At most so many of the cases, in their order."""
    cases = list(found)
    return [cases[i] for i in sorted(rng.sample(range(len(cases)), min(most, len(cases))))]


def digest(*parts: Any) -> bytes:
    """What tells results apart."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()
