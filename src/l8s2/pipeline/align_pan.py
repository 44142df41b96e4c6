"""Pan that lies elsewhere by a constant shift is moved onto the 30 m bands before anything is predicted."""

from __future__ import annotations

from copy import copy
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from l8s2.errors import InputError
from l8s2.landsat.band import MovedBand
from l8s2.landsat.clear_windows import clear_windows
from l8s2.landsat.native_pixels import NativePixels
from l8s2.landsat.pan_shift import ALIGN, measure_pan_shift, to_move
from l8s2.predictors.protocol import Predictor
from l8s2.sensors import PAN_GSD

AlignPan = Literal["auto", "off"]
"""``auto``: pan is moved where its shift matters and the windows of the scene agree on it; ``off``: never."""
Metres = tuple[float, float]
"""Down and right."""

_Scene = TypeVar("_Scene", bound=NativePixels)


class Alignment(NamedTuple):
    """What became of the pan of a scene."""

    moved: Metres | None = None
    """By which it is moved; None where it stays."""
    shift: dict[str, Any] | None = None
    """As ``measure_pan_shift`` tells it of pan as it is read now; None where that was not measured."""


def with_aligned_pan(scene: _Scene, predictor: Predictor, how: AlignPan) -> tuple[_Scene, Alignment]:
    """Measure where pan lies, on a few windows of the scene, and have it moved if that is to be done.

    Returns:
        The scene, whose pan is moved on reading and whose warnings say what was done, or why it was not, where pan
        lies elsewhere; and what became of it. The scene given remains as it is.

    Raises:
        InputError: for a ``how`` that is not known.
    """
    if how not in get_args(AlignPan):
        raise InputError(f"`align_pan` {how}: unknown; choose {' or '.join(get_args(AlignPan))}")
    pan = scene.pan
    if how == "off" or pan is None or not predictor.uses_pan:
        return scene, Alignment()
    shift = measure_pan_shift(clear_windows(scene))
    if shift.get("length_m", 0.0) < ALIGN:
        return scene, Alignment(shift=shift)
    off, words = to_move(shift)
    scene = copy(scene)
    scene.warnings = [*scene.warnings, f"{pan.name}: {words}"]
    if off is None:
        return scene, Alignment(shift=shift)
    moved = -off[0], -off[1]
    return with_moved_pan(scene, moved), Alignment(moved=moved)


def with_moved_pan(scene: _Scene, moved: Metres) -> _Scene:
    """Return a scene whose pan is moved on reading; one without pan as it is."""
    if (pan := scene.pan) is None:
        return scene
    scene = copy(scene)
    scene.pan = MovedBand(pan.raster, pan.scaling, pan.is_dn, (-moved[0] / PAN_GSD, -moved[1] / PAN_GSD))
    return scene
