"""Landsat-8/9 in, Sentinel-2-like surface reflectance at 10 m out.

``open_scene`` reads a product, ``load_model`` gives a predictor, ``harmonize`` turns a scene into a Dataset in memory,
``harmonize_xarray`` does so with arrays that were loaded, ``harmonize_product`` writes a product. Nothing heavy is
imported until one of them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from l8s2._version import __version__

if TYPE_CHECKING:
    from l8s2.deliveries.declared import Declared
    from l8s2.errors import InputError, L8S2Error
    from l8s2.landsat.scene import Scene, open_scene
    from l8s2.pipeline.in_memory import harmonize
    from l8s2.pipeline.in_xarray import harmonize_xarray
    from l8s2.pipeline.to_product import harmonize_product
    from l8s2.predictors.load import load_model
    from l8s2.radiometry import total_sigma

__all__ = [
    "Declared",
    "InputError",
    "L8S2Error",
    "Scene",
    "__version__",
    "harmonize",
    "harmonize_product",
    "harmonize_xarray",
    "load_model",
    "open_scene",
    "total_sigma",
]

_HOME = {
    "Declared": "deliveries.declared",
    "InputError": "errors",
    "L8S2Error": "errors",
    "Scene": "landsat.scene",
    "harmonize": "pipeline.in_memory",
    "harmonize_product": "pipeline.to_product",
    "harmonize_xarray": "pipeline.in_xarray",
    "load_model": "predictors.load",
    "open_scene": "landsat.scene",
    "total_sigma": "radiometry",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"l8s2.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'l8s2' has no attribute {name!r}")
