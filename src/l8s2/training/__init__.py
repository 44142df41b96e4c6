"""Training on simulated pairs. Needs the extra ``torch``."""
