"""Damaged input of every kind that l8s2 reads, made by a seed, and what must become of each."""
