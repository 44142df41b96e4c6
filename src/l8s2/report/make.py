"""Reports of a product, or of every product in a folder with an index of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from l8s2.errors import InputError, L8S2Error
from l8s2.files import check_free, write_whole
from l8s2.product.reader import product_folders
from l8s2.progress import Progress
from l8s2.report.find_input import find_input
from l8s2.report.finished import Finished
from l8s2.report.index import index_page
from l8s2.report.landsat_input import Before
from l8s2.report.numbers import numbers_of
from l8s2.report.page import report_page
from l8s2.report.pictures import detail, false_colour, sigma_map, true_colour
from l8s2.report.sample import Sampled

INDEX = "index.html"
_CACHE = 256 << 20
"""Bytes; GDAL itself would take a share of the machine."""


def make_reports(
    folder: Path,
    output: Path | None,
    *,
    landsat: Path | None,
    overwrite: bool,
    progress: Progress,
    say: Callable[[str], str],
) -> dict[str, Any]:
    """Write the report of a product, or of all products in a folder and an index that links to them.

    Args:
        folder: a product, its Item, or a folder with products below it.
        output: the page; by default beside the product with its name, or ``index.html`` in the folder of products.
            Reports of several products lie beside their index.
        landsat: the input of the product, or a folder with the inputs; None looks around the products.
        overwrite: replace pages that exist.
        progress: told how far it is.
        say: turns what is in backticks, parameters, into what the reader calls them.

    Returns:
        ``report``: the page that was written, and the numbers of the product; or ``products``: a list of such, in
        which a product that cannot be read has ``error`` instead.

    Raises InputError for what is no product, a damaged product, and a page that cannot be written.
    """
    if landsat is not None and not landsat.exists():
        raise InputError(f"`landsat` {landsat}: no such file or folder; give the input, or a folder that holds it")
    if folder.name in ("", ".."):
        folder = Path(os.path.abspath(folder))
    products = product_folders(folder)
    if folder.is_file():
        folder = products[0]
    if products == [folder]:
        path = output or folder.with_name(f"{folder.name}.html")
        check_free(path, overwrite=overwrite)
        return _report(folder, path, landsat, progress, say)
    index = output or folder / INDEX
    pages = {product: index.with_name(f"{name}.html") for product, name in zip(products, _names(products), strict=True)}
    for path in (index, *pages.values()):
        check_free(path, overwrite=overwrite)
    found = []
    for product, path in pages.items():
        try:
            found.append(_report(product, path, landsat, progress, say))
        except L8S2Error as error:
            found.append({"id": product.name, "error": str(error)})
    _write(index, say(index_page(folder.absolute().name, found)))
    return {"index": str(index), "products": found}


def _names(products: Sequence[Path]) -> list[str]:
    """Name the pages as their products; those of equal names also by the folders that hold them."""
    names = [product.name for product in products]
    top = os.path.commonpath([product.parent for product in products])
    long = ["_".join(product.relative_to(top).parts) for product in products]
    return [whole if names.count(name) > 1 else name for name, whole in zip(names, long, strict=True)]


def _report(
    folder: Path, path: Path, landsat: Path | None, progress: Progress, say: Callable[[str], str]
) -> dict[str, Any]:
    import rasterio

    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=_CACHE))
        product = stack.enter_context(Finished(folder))
        scenes, why_not = find_input(product, landsat, stack)
        before = [Before(scene, product.geobox) for scene in scenes]
        sampled = Sampled(product, before, progress)
        if before and all(scene.first is None for scene in before):
            why_not = "the product was warped onto another grid, where its pixels are no longer parts of Landsat's"
        numbers = numbers_of(product, sampled, why_not, progress)
        whole = [true_colour(product), false_colour(product, before)]
        close = detail(product, before, sampled.best) if sampled.best is not None else []
        page = report_page(product, numbers, sampled, whole, close, sigma_map(product))
        _write(path, say(page))
    return {"report": str(path), **numbers}


def _write(path: Path, page: str) -> None:
    write_whole(path, page.encode("utf-8", "replace").decode("utf-8"))
