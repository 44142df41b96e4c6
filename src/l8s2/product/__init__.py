"""The only writer of products: cloud-optimised GeoTIFFs, a preview and a STAC Item, whole or not at all."""

from l8s2.product.stac import ItemInfo
from l8s2.product.writer import ProductWriter

__all__ = ["ItemInfo", "ProductWriter"]
