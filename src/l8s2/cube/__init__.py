"""Time series: observations of both sensors side by side in one Zarr cube, and the means of fields out of it."""
