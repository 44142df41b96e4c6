"""Scores as pure functions of arrays and masks, each with the number of pixels behind it."""

from l8s2.metrics.scores import Score, bias, correlation, ergas, mae, psnr, rmse, sam
from l8s2.metrics.similarity import ssim, uiqi
from l8s2.metrics.uncertainty import coverage, crps, ence

__all__ = [
    "Score",
    "bias",
    "correlation",
    "coverage",
    "crps",
    "ence",
    "ergas",
    "mae",
    "psnr",
    "rmse",
    "sam",
    "ssim",
    "uiqi",
]
