"""A product made again from its Item, and compared with what the Item says and with the files beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from affine import Affine

from l8s2.arrays import windows
from l8s2.deliveries.declared import Declared
from l8s2.deliveries.find import level2_product, named_in
from l8s2.errors import InputError
from l8s2.files import Paths
from l8s2.pipeline.options import ProductOptions
from l8s2.pipeline.provenance import INPUTS, OPTIONS, PROCESSOR, SOFTWARE
from l8s2.pipeline.to_product import make_product
from l8s2.predictors.load import load_predictor
from l8s2.predictors.options import ModelOptions
from l8s2.product.reader import RASTERS, item_file, read_item
from l8s2.product.writer import SUFFIX, product_folder
from l8s2.progress import Progress
from l8s2.radiometry import SigmaKind
from l8s2.sensors import OLI
from l8s2.target import Area
from l8s2.verify.item import faults_of_item
from l8s2.verify.pixels import GDAL_CACHE

_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far one band is from that of the product there was, in digital numbers."""

    pixels: int
    """That differ, also by being nodata in one of the two."""
    of: int
    largest: int | None
    """Of the pixels that are known in both; None for bits."""
    rms: float | None
    """Likewise."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What became of making a product again."""

    files: dict[str, bool]
    """Name of each raster to whether it has the bytes that the Item says."""
    changed: list[str] = field(default_factory=list)
    """Input, software or processor that is another than then; a sentence for each."""
    differences: dict[str, Difference] = field(default_factory=dict)
    """``file band`` to how far it is from the file beside the Item, where that is there and differs."""
    product: str | None = None
    """Folder of the product made again, where it is kept."""

    @property
    def same(self) -> bool:
        """Whether every raster has the same bytes."""
        return all(self.files.values())


def reproduce(
    product: Path,
    source: Path | None = None,
    output: Path | None = None,
    *,
    pan: Paths | None = None,
    model: str | None = None,
    trust_architecture: str | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Comparison:
    """Make a product again and compare it.

    Args:
        product: the folder of the product, or the Item in it.
        source: the Level-2 product, or the folder that holds it; None looks beside the product.
        output: folder that keeps the product made again; None keeps nothing.
        pan: see ``harmonize_product``.
        model: the model, where the name that the Item says is not enough to find it.
        trust_architecture: see ``load_model``.
        progress: told how far it is.
        warn: told every warning.

    Raises InputError for an Item that does not say enough, for input that is missing, and for another model.
    """
    item_path = item_file(product)
    item = read_item(item_path)
    said = item["properties"]
    if (faults := faults_of_item(item)) or OPTIONS not in said or INPUTS not in said:
        reason = faults[0] if faults else f"{OPTIONS} is missing; versions of l8s2 that did not note it made it"
        raise InputError(f"{item_path.name}: does not say how to make the product again ({reason})")
    used = said[OPTIONS]
    product_id = str(item["id"]).removesuffix(SUFFIX)
    scenes = [str(scene["id"]) for scene in said.get("l8s2:scenes", [])] or [product_id]
    declared = Declared.noted(used)
    products = [_source(item_path, name, source) for name in scenes]
    for name, place in zip(scenes, products, strict=True):
        if (there := level2_product(place, declared).product_id) != name:
            give = "give that" if len(scenes) == 1 else f"give the folder that holds all {len(scenes)} scenes"
            raise InputError(f"`input` {there}: the product was made of {name}; {give}")
    if output is not None and (kept := product_folder(output, product_id)).exists():
        raise InputError(f"{kept}: exists already; give another folder as `output`")
    model_options = _model_options(used, model, trust_architecture)
    _check_model(model_options, said)
    with tempfile.TemporaryDirectory(prefix="l8s2-", ignore_cleanup_errors=True) as temporary:
        if not pan and not any(fact["name"].endswith(f"_{OLI.pan_band}") for fact in said[INPUTS]):
            products = [_alone(place, Path(temporary) / "input") for place in products]
        like = _like(said, Path(temporary) / "grid.tif") if "like" in used else None
        bbox = used.get("bbox")
        area = Area(bbox=tuple(bbox) if bbox else None, mgrs=used.get("mgrs"), crs=used.get("crs"), like=like)
        sigma: SigmaKind | None = used.get("sigma") if used.get("sigma") in get_args(SigmaKind) else None
        options = ProductOptions(
            area=area, model=model_options, sigma=sigma, align_pan=used.get("align_pan", "off"), declared=declared
        )
        folder = make_product(
            products, output or Path(temporary), options, pan=pan, progress=progress, warn=warn,
            overpass_id=product_id if said.get("l8s2:scenes") else None,
        )  # fmt: skip
        again = read_item(next(folder.glob("*.json")))
        return _compared(item_path.parent, item, folder, again, str(folder) if output else None)


def _source(item_path: Path, product_id: str, source: Path | None) -> Path:
    """Find the input: at ``source`` or in it; by default beside the product, or beside the folder that holds it."""
    if source is not None and source.name.partition(".")[0] == product_id:
        return source
    beside = item_path.absolute().parent.parent
    places = [beside, beside.parent] if source is None else [source]
    found = next((path for place in places if (path := named_in(place, product_id))), source)
    if found is None:
        raise InputError(f"{product_id}: not beside the product; give the folder that holds it as `input`")
    return found


def _alone(product: Path, folder: Path) -> Path:
    """Show the input in a folder of its own, where no pan band that was not there then lies beside it."""
    folder.mkdir(exist_ok=True)
    link = folder / product.absolute().name
    try:
        link.symlink_to(product.absolute())
    except OSError:  # Windows wants a privilege for links; a pan band beside is then told as changed
        return product
    return link


def _model_options(used: Mapping[str, Any], model: str | None, trust_architecture: str | None) -> ModelOptions:
    return ModelOptions(
        model=model or used.get("model", "compact"),
        engine=used.get("engine", "openvino"),
        device=used.get("device", "auto"),
        mc_dropout=used.get("mc_dropout"),
        trust_architecture=trust_architecture,
    )


def _check_model(options: ModelOptions, said: Mapping[str, Any]) -> None:
    """Refuse a model with other weights than the Item says, before any work."""
    predictor = load_predictor(options)
    without_pan = predictor.no_pan_model
    for name, there, key in (
        (predictor.name, predictor.sha256, "l8s2:model_sha256"),
        (without_pan.name if without_pan else "", without_pan.sha256 if without_pan else None,
         "l8s2:model_without_pan_sha256"),
    ):  # fmt: skip
        if there != said.get(key):
            raise InputError(
                f"`model` {name or options.model}: SHA-256 {str(there)[:12]}, the product was made with"
                f" {str(said.get(key))[:12]}; give the weights that made it"
            )


def _like(said: Mapping[str, Any], path: Path) -> Path:
    """Write an empty raster on the grid of the product, which stands for the one that was given."""
    import rasterio

    height, width = said["proj:shape"]
    crs = said["proj:code"] or said["proj:wkt2"]
    grid = {"crs": crs, "transform": Affine(*said["proj:transform"]), "height": height, "width": width}
    with rasterio.open(path, "w", driver="GTiff", count=1, dtype="uint8", sparse_ok=True, bigtiff="YES", **grid):
        pass
    return path


def _compared(
    before: Path, item: Mapping[str, Any], after: Path, again: Mapping[str, Any], kept: str | None
) -> Comparison:
    files: dict[str, bool] = {}
    differences: dict[str, Difference] = {}
    for key in RASTERS:
        old, new = item["assets"].get(key), again["assets"].get(key)
        if old is None and new is None:
            continue
        name = (old or new)["href"].removeprefix("./")
        files[name] = old is not None and new is not None and old["file:checksum"] == new["file:checksum"]
        if not files[name] and (before / name).is_file() and new is not None:
            made = after / new["href"].removeprefix("./")
            differences |= {f"{name} {band}": d for band, d in _differences(before / name, made)}
    changed = list(_changed(item["properties"], again["properties"]))
    return Comparison(files=files, changed=changed, differences=differences, product=kept)


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    inputs = [{f"input {fact['name']}": fact["file:checksum"][4:16] for fact in said[INPUTS]} for said in (then, now)]
    old, new = (said[SOFTWARE] | found for said, found in zip((then, now), inputs, strict=True))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{name} {old.get(name, 'none')} then, {new.get(name, 'none')} now"
    if then.get(PROCESSOR) != now.get(PROCESSOR):
        yield f"processor {then.get(PROCESSOR)} then, {now.get(PROCESSOR)} now"


def _differences(before: Path, after: Path) -> Iterator[tuple[str, Difference]]:
    """Compare two rasters band by band, tile by tile; nothing where they cannot be compared."""
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    from l8s2.raster import open_dataset

    try:
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE), open_dataset(before) as a, open_dataset(after) as b:
            if (a.shape, a.count, a.transform) != (b.shape, b.count, b.transform):
                return
            totals = np.zeros((4, a.count))
            for rows, columns in windows(a.shape, _BLOCK):
                window = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
                one, two = (dataset.read(window=window).astype(np.int64) for dataset in (a, b))
                known = np.ones_like(one, bool) if a.nodata is None else (one != a.nodata) & (two != a.nodata)
                off = np.where(known, np.abs(one - two), 0)
                totals[0] += (one != two).sum((1, 2))
                totals[1] = np.maximum(totals[1], off.max((1, 2)))
                totals[2] += (off**2).sum((1, 2))
                totals[3] += known.sum((1, 2))
            names = [name or str(number) for number, name in enumerate(a.descriptions, 1)]
    except RasterioError:
        return
    bits = a.nodata is None
    for name, (pixels, largest, squares, n) in zip(names, totals.T, strict=True):
        rms = None if bits else round(float(np.sqrt(squares / max(n, 1))), 4)
        size = None if bits else int(largest)
        yield name, Difference(pixels=int(pixels), of=a.height * a.width, largest=size, rms=rms)
