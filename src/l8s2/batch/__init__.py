"""Many scenes by any number of machines: one process a scene, and a ledger in the output that they share."""
