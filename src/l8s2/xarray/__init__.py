"""``import l8s2.xarray`` gives every Dataset and DataArray of xarray ``.l8s2.harmonize(...)``."""

from __future__ import annotations

from typing import Any

import xarray

from l8s2.pipeline.in_xarray import harmonize_xarray


@xarray.register_dataset_accessor("l8s2")  # type: ignore[no-untyped-call]
@xarray.register_dataarray_accessor("l8s2")  # type: ignore[no-untyped-call]
class Accessor:
    """What l8s2 does with the bands of a scene that were loaded."""

    def __init__(self, ms: xarray.Dataset | xarray.DataArray) -> None:
        self._ms = ms

    def harmonize(self, pan: xarray.DataArray | None = None, **options: Any) -> xarray.Dataset:
        """Harmonise, as ``l8s2.harmonize_xarray`` does with the same arguments."""
        return harmonize_xarray(self._ms, pan, **options)
