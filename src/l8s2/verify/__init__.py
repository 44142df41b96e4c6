"""Products held to what their Items say, and made again from them."""

from l8s2.verify.product import Fault, product_folders, verify_product
from l8s2.verify.reproduce import reproduce

__all__ = ["Fault", "product_folders", "reproduce", "verify_product"]
