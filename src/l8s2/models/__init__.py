"""Networks, in pure PyTorch. A leaf: imports nothing from the rest of l8s2."""

from l8s2.models.compact import Compact, CompactConfig
from l8s2.models.unet import UNet, UNetConfig

__all__ = ["Compact", "CompactConfig", "UNet", "UNetConfig"]
