"""The progress of long work."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A callback that takes the progress of a job."""

    def __call__(self, done: int, total: int, what: str) -> None:
        """Take ``done`` of ``total`` pixels, or samples in the stage ``finishing``; ``what`` names the stage."""
