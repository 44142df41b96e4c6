"""From Sentinel-2 truth to what Landsat OLI would have seen of it."""

from l8s2.simulate.level1 import RawGrid
from l8s2.simulate.optics import resample, sampling_matrix
from l8s2.simulate.sensor import Conditions, Observation, observe, sentinel2_stack

__all__ = ["Conditions", "Observation", "RawGrid", "observe", "resample", "sampling_matrix", "sentinel2_stack"]
