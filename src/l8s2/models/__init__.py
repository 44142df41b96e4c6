"""Networks, in pure PyTorch. A leaf: imports nothing from the rest of l8s2."""

from l8s2.models.compact import Compact, CompactConfig

__all__ = ["Compact", "CompactConfig"]
