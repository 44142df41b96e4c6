"""The only reader of Landsat products: their names, their files, their metadata, their pixels on the native grid."""

from l8s2.landsat.describe import describe_product
from l8s2.landsat.mtl import Metadata, parse_mtl
from l8s2.landsat.pan_shift import measure_pan_shift
from l8s2.landsat.product_name import ProductName
from l8s2.landsat.scene import Pixels, Scene, open_scene

__all__ = [
    "Metadata",
    "Pixels",
    "ProductName",
    "Scene",
    "describe_product",
    "measure_pan_shift",
    "open_scene",
    "parse_mtl",
]
