"""What a file holds and how it is cut into tiles and reduced images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

BLOCK = 512
"""Tile of the file, pixels to a side."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How samples are stored."""

    dtype: str
    fill: int
    """Value of pixels that nobody writes."""
    nodata: int | None
    scale: float | None
    """Physical value = scale * sample; None for bit masks and classes, which have no statistics."""
    overviews: Literal["average", "mode"]
    """How four pixels become one: the mean of those that are not ``nodata``, or the most frequent value."""


@dataclass(frozen=True)
class Level:
    """The full image, or one that is reduced by two from the level before."""

    height: int
    width: int

    @property
    def rows(self) -> int:
        """Tiles from top to bottom."""
        return -(-self.height // BLOCK)

    @property
    def columns(self) -> int:
        """Tiles from left to right."""
        return -(-self.width // BLOCK)

    def tiles(self) -> Iterator[tuple[int, int]]:
        """Yield row and column of every tile, row by row."""
        for row in range(self.rows):
            for column in range(self.columns):
                yield row, column

    def size(self, row: int, column: int) -> tuple[int, int]:
        """Return height and width of what of a tile lies in the image."""
        return min(BLOCK, self.height - row * BLOCK), min(BLOCK, self.width - column * BLOCK)


def levels(height: int, width: int) -> list[Level]:
    """Return the full image and those reduced by 2, 4 ..., down to the first that is a single tile."""
    found = [Level(height, width)]
    while max(height, width) > BLOCK:
        height, width = -(-height // 2), -(-width // 2)
        found.append(Level(height, width))
    return found
