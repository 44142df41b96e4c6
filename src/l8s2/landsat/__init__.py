"""The only reader of Landsat products: their names, their files, their metadata, their pixels on the native grid."""

from l8s2.deliveries.product_name import ProductName
from l8s2.landsat.describe import describe_product
from l8s2.landsat.measure_scene import SceneMeasures, measure_scene
from l8s2.landsat.mtl import Metadata, parse_mtl
from l8s2.landsat.native_pixels import Pixels
from l8s2.landsat.scene import Scene, open_scene

__all__ = [
    "Metadata",
    "Pixels",
    "ProductName",
    "Scene",
    "SceneMeasures",
    "describe_product",
    "measure_scene",
    "open_scene",
    "parse_mtl",
]
