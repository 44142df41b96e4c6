"""The demo: simulate a scene whose truth is known, harmonise it as any product, score and show the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l8s2.sensors import RGB

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from rich.console import RenderableType

    Float = NDArray[np.float32]
    Mask = NDArray[np.bool_]

NOTE = "The scene is simulated, not real data; scores on real scenes differ."
PRODUCT_ID = "LC08_L2SP_192024_20230520_20230530_02_T1"
UPPER_LEFT = (450_000, 5_660_010)
"""Centre of the first MS pixel, metres in UTM zone 33 north."""

_BORDER = 18  # 10 m pixels at the edge of the scene that are not scored: what lies beyond was guessed
_CLOUD_BUFFER = 3  # MS pixels, as QA_PIXEL dilates clouds
_ZOOM = 4  # screen pixels to a 10 m pixel in the lower row of the figure
_GAP = 3  # screen pixels between panels
_CAPTION = 18
_MEANS = ("rmse_bicubic", "rmse", "psnr_bicubic", "psnr", "gain_db", "coverage")


def run_demo(
    output: Path, *, report: Callable[[str], None], seed: int = 0, size_ms: tuple[int, int] = (160, 160)
) -> dict[str, Any]:
    """Simulate, harmonise and score a scene below ``output``; what an earlier demo left there is replaced.

    Args:
        output: folder; gets ``input/`` (the simulated Landsat product), the harmonised product and ``demo.png``.
        report: told in one line what happens next.
        seed: of landscape, conditions and noise.
        size_ms: rows and columns of the scene in MS pixels.

    Returns:
        What ``show`` shows, fit for JSON: ``bands`` and ``means`` are lists of rows with ``psnr_bicubic``, ``psnr``,
        ``gain_db``, ... over the clear pixels.
    """
    import numpy as np

    from l8s2.arrays import enlarge
    from l8s2.grid import output_geobox
    from l8s2.pipeline.to_product import harmonize_product
    from l8s2.radiometry import detail_sigma
    from l8s2.simulate import Conditions, observe
    from l8s2.simulate.landscape import landscape

    started = time.monotonic()
    _make(output)
    report(f"simulating a Landsat scene of {size_ms[0]} x {size_ms[1]} pixels; it is not real data")
    scene = landscape(seed, size_ms)
    rng = np.random.default_rng(seed)
    observation = observe(scene.truth, Conditions.random(rng), rng)
    geobox = _ms_grid(size_ms)
    product, obscured = _write_input(output / "input", observation, scene, geobox)

    report(f"harmonising {product}")
    harmonising = time.monotonic()
    folder = harmonize_product(product, output, overwrite=True, warn=lambda line: report(f"warning: {line}"))
    harmonised = time.monotonic() - harmonising

    report("comparing with the truth")
    fine = output_geobox(geobox)
    mean, sigma = (_read(folder / f"{PRODUCT_ID}_{name}.tif", fine) for name in ("SR", "SIGMA"))
    sigma = detail_sigma(mean, sigma)  # simulated sensors agree in level
    clear = enlarge(~obscured)
    clear[:_BORDER] = clear[-_BORDER:] = clear[:, :_BORDER] = clear[:, -_BORDER:] = False
    figure = output / "demo.png"
    draw_figure(enlarge(observation.ms), mean, scene.truth, clear).save(figure)
    return {
        "simulated": True,
        "note": NOTE,
        "seed": seed,
        "input": str(product),
        "product": str(folder),
        "figure": str(figure),
        "scored_percent": round(100 * float(clear.mean()), 1),
        **score(observation.ms, mean, sigma, scene.truth, clear),
        "seconds_harmonising": round(harmonised, 2),
        "seconds": round(time.monotonic() - started, 2),
    }


def score(ms: Float, mean: Float, sigma: Float, truth: Float, clear: Mask) -> dict[str, Any]:
    """Compare bicubic of ``ms`` (6, h, w) and ``mean``, ``sigma`` (6, 3h, 3w) with ``truth`` where ``clear`` (3h, 3w).

    Returns:
        ``bands``: a row for each; ``means``: a row for the 10 m bands and one for those that are 20 m native.
    """
    import numpy as np

    from l8s2.evaluation.baselines import bicubic
    from l8s2.metrics import scores, uncertainty
    from l8s2.sensors import BANDS

    rows: list[dict[str, Any]] = []
    for band, plain, ours, spread, true in zip(BANDS, bicubic(ms), mean, sigma, truth, strict=True):
        psnr, psnr_plain = scores.psnr(ours, true, clear), scores.psnr(plain, true, clear)
        rows.append(
            {
                "band": band.name,
                "sentinel2_gsd": band.sentinel2_gsd,
                "rmse_bicubic": scores.rmse(plain, true, clear).value,
                "rmse": scores.rmse(ours, true, clear).value,
                "psnr_bicubic": psnr_plain.value,
                "psnr": psnr.value,
                "gain_db": psnr.value - psnr_plain.value,
                "coverage": uncertainty.coverage(ours, spread, true, clear).value,
                "pixels": psnr.n,
            }
        )
    means = []
    for gsd in (10, 20):
        group = [row for row in rows if row["sentinel2_gsd"] == gsd]
        numbers = {key: float(np.mean([row[key] for row in group])) for key in _MEANS}
        means.append({"band": f"{gsd} m bands, mean", **numbers})
    return {"bands": rows, "means": means}


def render(result: dict[str, Any], *, columns: int | None) -> RenderableType:
    """Lay out the result for people; with a picture of ``columns`` characters where that is not None."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title="Simulated scene against its truth, clear pixels",
        caption=f"RMSE in reflectance; PSNR, gain in dB; coverage of ±1.645 sigma of the detail (90 %)\n{NOTE}",
    )
    table.add_column("")
    for heading in ("bicubic\nRMSE", "l8s2\nRMSE", "bicubic\nPSNR", "l8s2\nPSNR", "l8s2\ngain", "l8s2\ncoverage"):
        table.add_column(heading, justify="right")
    for rows in (result["bands"], result["means"]):
        for row in rows:
            table.add_row(
                row["band"],
                *(f"{row[key]:.4f}" for key in ("rmse_bicubic", "rmse")),
                *(f"{row[key]:.2f}" for key in ("psnr_bicubic", "psnr")),
                f"{row['gain_db']:+.2f}",
                f"{100 * row['coverage']:.0f} %",
            )
        table.add_section()
    paths = Text(f"product  {result['product']}\npicture  {result['figure']}", no_wrap=True, overflow="ignore")
    if columns is None:
        return Group(table, paths)
    return Group(_half_blocks(Path(result["figure"]), columns), table, paths)


def draw_figure(before: Float, after: Float, truth: Float, clear: Mask) -> Image:
    """Draw input, output and truth in true colour: the scene, and below it its most textured part enlarged.

    Args:
        before: (6, H, W) reflectance of the input, blue first, each MS pixel a block of 10 m pixels.
        after: (6, H, W) reflectance of the output at 10 m.
        truth: (6, H, W) reflectance at 10 m.
        clear: (H, W), True = neither cloud nor shadow.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    top = np.percentile(truth[RGB][:, clear] if clear.any() else truth[RGB], 99.5)
    pictures = []
    for image in (before, after, truth):
        grey = np.clip(np.nan_to_num(image[RGB]) / top, 0, 1) ** (1 / 1.35)
        pictures.append(Image.fromarray(np.rint(255 * grey).astype(np.uint8).transpose(1, 2, 0)))
    width, height = pictures[0].size
    side = (width // _ZOOM, height // _ZOOM)
    left, upper = _most_textured(truth[2], clear, side)
    figure = Image.new("RGB", (3 * width + 2 * _GAP, 2 * height + _GAP + _CAPTION), "white")
    captions = ("simulated Landsat input, 30 m (not real data)", "l8s2 output, 10 m", "simulated truth, 10 m")
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x = i * (width + _GAP)
        ImageDraw.Draw(figure).text((x + 4, 3), caption, fill="black")
        figure.paste(picture, (x, _CAPTION))
        detail = picture.crop((left, upper, left + side[0], upper + side[1]))
        figure.paste(detail.resize((width, height), Image.Resampling.NEAREST), (x, _CAPTION + height + _GAP))
    return figure


def _most_textured(image: Float, clear: Mask, side: tuple[int, int]) -> tuple[int, int]:
    """Find the window of ``side`` with the strongest contours in clear sky: left and upper edge, whole MS pixels."""
    import numpy as np

    down, across = (np.diff(image, axis=axis, append=image.take([-1], axis)) for axis in (0, 1))
    activity = np.where(clear, np.minimum(np.hypot(down, across), 0.05), -0.05)
    total = np.pad(activity, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    width, height = side
    window = total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]
    row, column = np.unravel_index(np.argmax(window[::3, ::3]), window[::3, ::3].shape)
    return 3 * int(column), 3 * int(row)


def _half_blocks(figure: Path, columns: int) -> RenderableType:
    """Input and output of the figure's lower row, enlarged part of it, two pixels to a character."""
    from PIL import Image
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    with Image.open(figure) as image:
        picture = image.convert("RGB")
    panel_width = (picture.width - 2 * _GAP) // 3
    panel_height = (picture.height - _GAP - _CAPTION) // 2
    width = max(1, min((columns - 1) // 2, panel_width // _ZOOM))
    height = min(2 * (width // 2), panel_height // _ZOOM)
    x0 = (panel_width - _ZOOM * width) // 2 // _ZOOM * _ZOOM
    y0 = _CAPTION + panel_height + _GAP + (panel_height - _ZOOM * height) // 2 // _ZOOM * _ZOOM
    panels = []
    for start in (0, panel_width + _GAP):
        box = (start + x0, y0, start + x0 + _ZOOM * width, y0 + _ZOOM * height)
        panels.append(picture.crop(box).resize((width, height), Image.Resampling.NEAREST))
    text = Text(no_wrap=True)
    text.append(f"{'Landsat, simulated'[:width]:{width}} {'l8s2'[:width]}\n")
    for row in range(0, height - 1, 2):
        for i, panel in enumerate(panels):
            for column in range(width):
                upper, lower = (Color.from_rgb(*_rgb(panel, column, row + k)) for k in (0, 1))
                text.append("▀", Style(color=upper, bgcolor=lower))
            text.append("\n" if i else " ")
    return text


def _rgb(image: Image, column: int, row: int) -> tuple[int, int, int]:
    value = image.getpixel((column, row))
    assert isinstance(value, tuple)
    return int(value[0]), int(value[1]), int(value[2])


def _make(folder: Path) -> None:
    from l8s2.errors import ExistsError, InputError

    if folder.is_dir() and any(folder.iterdir()) and not any(folder.rglob(f"{PRODUCT_ID}*")):
        raise ExistsError(f"{folder}: holds other files; give a new folder for the demo with `output`")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; give a folder for the demo with `output`") from None


def _ms_grid(size_ms: tuple[int, int]) -> Any:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    x, y = UPPER_LEFT
    return GeoBox(size_ms, Affine(30, 0, x - 15, 0, -30, y + 15), "EPSG:32633")


def _write_input(folder: Path, observation: Any, scene: Any, geobox: Any) -> tuple[Path, Mask]:
    """Write the product; return its folder and where (h, w) cloud, the edge of a cloud or shadow hides the ground."""
    import numpy as np

    from l8s2.arrays import dilate
    from l8s2.simulate.canvas import SUN_AZIMUTH, SUN_ELEVATION
    from l8s2.simulate.product_folder import quality, write_product

    height, width = geobox.shape
    cloud, shadow, water = (
        mask.reshape(height, 3, width, 3).any(axis=(1, 3)) for mask in (scene.cloud, scene.shadow, scene.water)
    )
    near, shadow = dilate(cloud, _CLOUD_BUFFER), dilate(shadow, 1)
    fill = np.isnan(observation.ms).any(axis=0)
    product = write_product(
        folder,
        observation,
        geobox=geobox,
        product_id=PRODUCT_ID,
        sun_elevation=SUN_ELEVATION,
        sun_azimuth=SUN_AZIMUTH,
        qa_pixel=quality(fill=fill, cloud=cloud, dilated_cloud=near & ~cloud, shadow=shadow & ~cloud, water=water),
        qa_radsat=np.zeros((height, width), dtype=np.uint16),
    )
    return product, near | shadow


def _read(path: Path, geobox: Any) -> Float:
    """(bands, H, W) float32 of a product file that must lie on ``geobox``; NaN = nodata."""
    import numpy as np

    from l8s2.raster import open_dataset

    with open_dataset(path) as dataset:
        if dataset.transform != geobox.affine or dataset.shape != tuple(geobox.shape):
            raise RuntimeError(f"{path} does not lie on the simulated scene's 10 m grid")
        scale, offset = (np.array(v, dtype=np.float64)[:, None, None] for v in (dataset.scales, dataset.offsets))
        values = dataset.read(masked=True) * scale + offset
    return np.asarray(values.filled(np.nan), dtype=np.float32)
