"""What the tests of training share."""

from pathlib import Path
from typing import Any

RESERVED = "shore"
"""The site that is only validated on."""


def tiny(folder: Path, **other: Any) -> dict[str, Any]:
    """A run of seconds on ``folder``."""
    return {
        "model": {"architecture": "Compact", "config": {"width": 8, "blocks": 1}},
        "data": {
            "batch": 3,
            "simulated": {"folder": str(folder), "size": 12, "border": 2, "held_out": [f"{RESERVED}_L1C"]},
        },
        "schedule": {"warmup": 2},
        "steps": 6,
        "checkpoint_every": 2,
        "log_every": 1,
        "validate_every": 3,
        **other,
    }
