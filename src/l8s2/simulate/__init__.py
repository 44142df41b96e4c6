"""What Landsat OLI would have seen of a Sentinel-2 image, and made-up landscapes to try it on."""

from l8s2.simulate.level1 import RawGrid
from l8s2.simulate.sensor import Conditions, Observation, observe, sentinel2_stack

__all__ = ["Conditions", "Observation", "RawGrid", "observe", "sentinel2_stack"]
