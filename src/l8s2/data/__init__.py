"""Data sets of others."""
