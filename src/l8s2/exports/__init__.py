"""Finished products in the layouts of other systems."""
