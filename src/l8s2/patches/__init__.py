"""Our training sets on disk: patches of native pixels in HDF5 shards, with an index and a split."""

from l8s2.patches.patch import Facts, Patch
from l8s2.patches.patch_set import PatchSet

__all__ = ["Facts", "Patch", "PatchSet"]
