"""With what a finished product was made, by its STAC Item, beside what is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from odc.geo.geobox import GeoBox

from l8s2.deliveries.product_name import ProductName
from l8s2.errors import ExistsError, InputError, L8S2Error
from l8s2.files import WholeFolder
from l8s2.pipeline.options import ProductOptions
from l8s2.pipeline.provenance import OPTIONS
from l8s2.predictors.protocol import Predictor
from l8s2.product.reader import read_item
from l8s2.product.stac import grid_fields
from l8s2.product.writer import product_folder

Facts = Mapping[str, str]
"""Name -> value, both as a message has them; what is not known is left out."""
_LEFT_OUT, _NONE = "left out", "none"


def asked_for(predictor: Predictor, options: ProductOptions, grid: GeoBox | None = None) -> dict[str, str]:
    """Return what decides the samples of a product; ``grid``: its own, where the scene is known."""
    without_pan, used = predictor.no_pan_model, options.told()
    grid = grid or options.area.grid
    return {
        "model": _model(predictor.name, predictor.sha256),
        "model without pan": _model(without_pan.name, without_pan.sha256) if without_pan else _NONE,
        "`engine`": options.model.engine,
        "`align_pan`": options.align_pan,
        "`mc_dropout`": str(options.model.mc_dropout or _NONE),
        "what is declared": _declared(used),
        "`sigma`": options.sigma or _LEFT_OUT,
        **({"grid": _grid(grid_fields(grid))} if grid else {"area": _area(used)}),
    }


def made_with(item: Mapping[str, Any]) -> dict[str, str]:
    """Return of a product's Item what ``asked_for`` tells, and the Level-1 product of its ``pan``."""
    told = item["properties"]
    used = told.get(OPTIONS, {})
    kind = told.get("l8s2:sigma", {}).get("kind")
    known = {
        "model": _model(told.get("l8s2:model"), told.get("l8s2:model_sha256")),
        "model without pan": _model(told.get("l8s2:model_without_pan"), told.get("l8s2:model_without_pan_sha256")),
        "`engine`": used.get("engine"),
        "`align_pan`": used.get("align_pan"),
        "`mc_dropout`": str(told.get("l8s2:mc_dropout", _NONE)),
        "what is declared": _declared(used) if used else None,
        "`sigma`": kind if "sigma" in item.get("assets", {}) else _LEFT_OUT,
        "grid": _grid(told) if "proj:shape" in told else None,
        "area": _area(used) if used else None,
        **inputs_of([(name, None) for name in _linked(item, "landsat-c2l2-sr/")]),
        "`pan`": _listed(_linked(item, "landsat-c2l1/")),
    }
    return {name: value for name, value in known.items() if value is not None}


def inputs_of(ids: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """Return what ``made_with`` tells of scenes: ids of USGS of their Level-2 product, and of pan."""
    return {
        "scenes": _listed([l2 for l2, _ in ids if ProductName.parse(l2)]),
        "`pan`": _listed([l1 for _, l1 in ids if l1 and ProductName.parse(l1)]),
    }


def _linked(item: Mapping[str, Any], collection: str) -> list[str]:
    found = [link["href"] for link in item.get("links", ()) if collection in link["href"]]
    return [href.rstrip("/").rpartition("/")[2].removesuffix("_SR") for href in found]


def _listed(ids: list[str]) -> str:
    return ", ".join(sorted(ids)) or _NONE


def differences(item: Mapping[str, Any], asked: Facts) -> list[str]:
    """Say in what a product differs from what is asked for, a phrase each; what its Item does not tell is passed over.

    A model without standard errors leaves none of either kind.
    """
    found: list[str] = []
    for name, theirs in made_with(item).items():
        if name == "model without pan" and found:
            continue  # it comes with the model
        ours = asked.get(name, theirs)
        if ours != theirs and not (name == "`sigma`" and theirs == _NONE and ours != _LEFT_OUT):
            found.append(f"{name} {theirs}, not {ours}")
    return found


def finished_product(output: Path, product_id: str, asked: Facts) -> Path | None:
    """Return the folder of a product that is finished, None where there is none.

    Raises ExistsError where it was made with other options.
    """
    folder = product_folder(output, product_id)
    path = folder / f"{product_id}.json"
    if not path.exists():
        return None
    try:
        others = differences(read_item(path), asked)
    except (InputError, ValueError, KeyError, TypeError, AttributeError):
        others = ["no readable STAC Item"]
    if others:
        raise ExistsError(
            f"{folder}: {made_otherwise(others)}; give `overwrite` to replace it, or another output folder"
        )
    with contextlib.suppress(L8S2Error, OSError):
        if next(folder.parent.glob(f".{folder.name}.*"), None):  # its writer was killed while it cleaned up
            with WholeFolder(folder, overwrite=True):
                pass
    return folder


def made_otherwise(others: list[str]) -> str:
    """Say in what a product differs, as the end of a sentence."""
    return f"was made with {' and '.join(others)}"


def _area(used: Mapping[str, Any]) -> str:
    """Say what part of the scene, and which grid, options ask for."""
    given = {name: used[name] for name in ("bbox", "mgrs", "crs", "like") if name in used}
    if "bbox" in given:
        given["bbox"] = " ".join(str(float(value)) for value in given["bbox"])
    return ", ".join(f"{name} {value}" for name, value in given.items()) or "whole scene"


def _declared(used: Mapping[str, Any]) -> str:
    given = {name: used[name] for name in ("bands", "scale", "acquired", "platform") if name in used}
    return ", ".join(f"{name} {value}" for name, value in given.items()) or _NONE


def _model(name: object, sha256: object) -> str:
    return f"{name} ({sha256:.8})" if sha256 else _NONE


def _grid(fields: Mapping[str, Any]) -> str:
    rows, columns = fields["proj:shape"]
    step, _, x, _, down, y = (f"{value:.12g}" for value in fields["proj:transform"][:6])
    crs = fields.get("proj:code") or fields.get("proj:wkt2", "").partition(",")[0]
    return f"{columns} x {rows} pixels of {step} x {down.lstrip('-')} at {x} {y} in {crs}"
