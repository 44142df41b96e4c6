"""What the samples of a product depend on, besides the files of its scenes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l8s2.deliveries.declared import NOTHING, Declared
from l8s2.models.names import EMBEDDED
from l8s2.pipeline.align_pan import AlignPan
from l8s2.predictors.options import COMPACT, ModelOptions
from l8s2.radiometry import SigmaKind
from l8s2.target import WHOLE, Area


@dataclass(frozen=True, kw_only=True)
class ProductOptions:
    """How a product is made."""

    area: Area = WHOLE
    """The part of the scene, and the grid of the product."""
    model: ModelOptions = COMPACT
    sigma: SigmaKind | None = "total"
    """What SIGMA holds; None leaves the file out."""
    align_pan: AlignPan = "auto"
    declared: Declared = NOTHING
    """What the files of the input do not tell."""

    def told(self) -> dict[str, Any]:
        """Return every option that the samples depend on, where it was given; of paths the last part alone."""
        area, model = self.area, self.model
        given = {
            "bbox": None if area.bbox is None else list(area.bbox),
            "mgrs": area.mgrs,
            "crs": area.crs,
            "like": None if area.like is None else Path(area.like).name,
            "model": _without_folders(str(model.model)),
            "engine": model.engine,
            "device": None if model.device == "auto" else model.device,
            "mc_dropout": model.mc_dropout,
            "sigma": self.sigma or "none",
            "align_pan": self.align_pan,
            **self.declared.texts(),
        }
        return {name: value for name, value in given.items() if value is not None}


DEFAULTS = ProductOptions()


def _without_folders(model: str) -> str:
    """Keep names, among them owner/name on the Hub; of files and folders the last part of the path."""
    if model not in EMBEDDED and Path(model).exists():
        return Path(model).resolve().name
    return ",".join(map(_without_folders, map(str.strip, model.split(",")))) if "," in model else model
