"""From a scene through a predictor to a product on disk or a Dataset in memory."""

from l8s2.pipeline.estimate import plan_product
from l8s2.pipeline.in_memory import harmonize
from l8s2.pipeline.tiles import Tile, predict_tiles
from l8s2.pipeline.to_product import harmonize_product
from l8s2.pipeline.verdict import Verdict

__all__ = ["Tile", "Verdict", "harmonize", "harmonize_product", "plan_product", "predict_tiles"]
