"""How good the pixels are: baselines to beat and metrics with masks and counts."""
