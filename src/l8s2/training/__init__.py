"""Networks trained and fine-tuned on simulated and on real pairs. Needs the extra ``train``."""
