"""A scene of arrays that other software has loaded (odc-stac, rioxarray), read by window as those on disk are."""

from l8s2.xarray_scene.encoding import Scale
from l8s2.xarray_scene.parts import Parts, parts_of
from l8s2.xarray_scene.scene import XarrayScene, open_arrays

__all__ = ["Parts", "Scale", "XarrayScene", "open_arrays", "parts_of"]
