"""Products held to what their Items say, and made again from them."""

from l8s2.verify.product import Fault, verify_product
from l8s2.verify.reproduce import reproduce

__all__ = ["Fault", "reproduce", "verify_product"]
