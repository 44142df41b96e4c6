"""How good the pixels are: models and baselines scored on images, as tables and a page."""

from l8s2.evaluation.baselines import BASELINES
from l8s2.evaluation.run import run_evaluation

__all__ = ["BASELINES", "run_evaluation"]
