"""What long work tells of how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Is told how far a job is."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """``done`` of ``total`` pixels (of ``finishing``: samples), ``what`` being the stage: harmonising, then finishing."""
