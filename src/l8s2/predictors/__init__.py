"""Models ready to predict: native arrays in, mean and sigma on the 10 m grid out."""

from l8s2.predictors.ensemble import Ensemble
from l8s2.predictors.load import load_model
from l8s2.predictors.network_predictor import NetworkPredictor
from l8s2.predictors.protocol import Predictor

__all__ = ["Ensemble", "NetworkPredictor", "Predictor", "load_model"]
