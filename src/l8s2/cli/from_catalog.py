"""Items of a catalogue as products on disk, for harmonize."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from l8s2.cli.shell import ProgressBar, warn

if TYPE_CHECKING:
    from l8s2.acquire.fetch_request import FetchRequest
    from l8s2.pipeline.options import ProductOptions
    from l8s2.target import Area


def id_of_items(wanted: Sequence[FetchRequest], area: Area) -> str:
    """Return the id of the product of items. Raises InputError where they cannot become one."""
    from l8s2.deliveries.product_name import ProductName
    from l8s2.pipeline.overpass import id_of_product

    found = [ProductName.find(request.landsat[0].product) for request in wanted]
    return id_of_product([name for name in found if name], area)


def finished(name: str, output: Path, options: ProductOptions, pan: Sequence[Path]) -> Path | None:
    """Return the finished product of items, None where there is none. Raises InputError for one of other options."""
    from l8s2.deliveries.pan import pan_products
    from l8s2.pipeline.finished import asked_for, finished_product
    from l8s2.predictors.load import load_predictor
    from l8s2.product.writer import product_folder

    if not product_folder(output, name).is_dir():
        return None
    asked = asked_for(load_predictor(options.model), options)
    if len(found := [product for path in pan for product in pan_products(path)]) == 1:
        asked["`pan`"] = found[0].product_id
    return finished_product(output, name, asked)


@contextmanager
def fetched(
    wanted: Sequence[FetchRequest],
    name: str,
    output: Path,
    overwrite: bool,
    options: ProductOptions,
    pan: Sequence[Path],
) -> Iterator[list[Path]]:
    """Fetch what is needed of items as products on disk, after every check that is possible without it.

    Of several those are left out that have nothing in the area.
    """
    from l8s2.acquire.cache import cached_product
    from l8s2.deliveries.pan import pan_products
    from l8s2.errors import OutsideError
    from l8s2.files import WholeFolder
    from l8s2.predictors.load import load_predictor
    from l8s2.product.writer import product_folder
    from l8s2.sensors import MS_GSD

    for path in pan:
        pan_products(path)
    WholeFolder(product_folder(output, name), overwrite=overwrite)
    model = load_predictor(options.model)
    margin, with_pan = MS_GSD * (model.margin + 20), not pan and model.uses_pan
    bar = partial(ProgressBar, "fetching", unit="B")
    products: list[Path] = []
    with ExitStack() as stack:
        for number, each in enumerate(wanted, 1):
            fetching = cached_product(each, bbox=options.area.bounds, margin=margin, pan=with_pan, bar=bar, warn=warn)
            try:
                products.append(stack.enter_context(fetching))
            except OutsideError as error:
                if number == len(wanted) and not products:
                    raise
                warn(f"left out: {error}")
        yield products
