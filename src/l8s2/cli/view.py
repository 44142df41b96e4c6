"""Look at products: view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from l8s2.cli.shell import ProgressBar, sentinel2_raster


@click.command()
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--sentinel2",
    type=click.Path(path_type=Path),
    metavar="IMAGE",
    help="To compare with: a Sentinel-2 image (.SAFE, its .zip, a folder of l8s2 fetch), or a GeoTIFF of six bands in"
    " the order of the product, reflectance, or integers of 10 000 times it.",
)
@click.option(
    "--landsat",
    type=click.Path(path_type=Path),
    metavar="INPUT",
    help="Landsat Level-2 product that the product was made from, or a folder with the inputs of several, to compare"
    " with; without it means of 3 x 3 pixels.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: any that is free.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Listen on another address; the page then has a secret in its address. There is no encryption.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address of the page.")
def view(output: Path, sentinel2: Path | None, landsat: Path | None, port: int, host: str, no_browser: bool) -> None:
    """Show the products below OUT on a page in the browser, from this machine alone.

    OUT is a product, or a folder with products below it. Nothing else is served, and nothing is fetched from elsewhere.
    """
    from l8s2.viewer.server import open_server

    with ExitStack() as stack:
        sentinel2 = stack.enter_context(sentinel2_raster(sentinel2)) if sentinel2 is not None else None
        images = stack.enter_context(_landsat_images(landsat, output)) if landsat is not None else []
        opened = open_server(output, sentinel2=sentinel2, landsat=images, host=host, port=port)
        server = stack.enter_context(opened)
        click.echo(server.url)
        click.echo("Ctrl-C ends it", err=True)
        if not no_browser:
            _show(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended", err=True)


@contextmanager
def _landsat_images(landsat: Path, output: Path) -> Iterator[list[Path]]:
    """Write the 30 m images of the products into a folder that goes with the server."""
    from tempfile import TemporaryDirectory

    from l8s2.product.reader import product_folders
    from l8s2.viewer.landsat_image import landsat_inputs, write_landsat_image

    inputs = landsat_inputs(landsat, product_folders(output))
    with TemporaryDirectory(prefix="l8s2-view-") as folder:
        with ProgressBar("reading Landsat") as progress:
            images = [write_landsat_image(path, Path(folder), progress, said) for path, said in inputs.items()]
        yield images


def _show(url: str) -> None:
    """Open the browser without waiting for it: some run in the terminal until they are closed."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
