"""Image pairs to train and evaluate on, in one form, whatever folder they come from."""

from l8s2.datasets.image_pair import ImagePair, Pairs
from l8s2.datasets.open import open_pairs
from l8s2.datasets.set_pairs import ShardPairs

__all__ = ["ImagePair", "Pairs", "ShardPairs", "open_pairs"]
