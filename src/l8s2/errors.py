"""The errors users are meant to see: one line each, with value, rule and remedy.

A message names a parameter in backticks ("`mgrs` 43XYZ: not an MGRS 100 km square"); the command line shows it as the
option of that name.
"""

from __future__ import annotations

from collections.abc import Sequence


class L8S2Error(Exception):
    """Base of every error that l8s2 raises on purpose."""


class InputError(L8S2Error):
    """Something given by the user cannot be used."""


class OutsideError(InputError):
    """Nothing of a scene lies in the area asked for."""

    def __init__(self, name: str, bbox: Sequence[float]) -> None:
        """Take the ``name`` of the scene or file, and the area: west, south, east, north, WGS 84 degrees."""
        super().__init__(f"{name}: has no pixel in {' '.join(f'{v:g}' for v in bbox)}; give a bbox inside the scene")
        self.bbox = bbox


class FetchError(L8S2Error):
    """A scene could not be fetched completely. The files that were fetched stay."""

    def __init__(self, scene: str, failures: Sequence[str]) -> None:
        """Take the id of the ``scene``, and a line for each file that failed."""
        more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        super().__init__(f"{scene}: {failures[0]}{more}")
        self.failures = tuple(failures)
