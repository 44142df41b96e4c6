"""Cloud-optimised GeoTIFFs whose tiles are compressed once, as they come."""

from l8s2.cog.file import DRAFT, CogFile
from l8s2.cog.layout import BLOCK, Encoding

__all__ = ["BLOCK", "DRAFT", "CogFile", "Encoding"]
