"""What the product does to real scenes: consistency at 30 m and fine detail against pan.

    python benchmarks/real_scenes.py SCENES [--pictures docs/pictures]

For every Level-2 product in the folder: RMS difference, per band, between the output averaged back to 30 m with the OLI
point spread function and the band-passed input (reflectance); and, where there is pan, the correlation of the high-pass
of the visible output with the high-pass of pan, for bicubic interpolation and for l8s2.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

from l8s2 import harmonize, masks, open_scene
from l8s2.arrays import dilate, fill_missing
from l8s2.errors import InputError
from l8s2.evaluation.baselines import bicubic
from l8s2.landsat.native_pixels import Pixels
from l8s2.metrics.no_reference import consistency, pan_correlation
from l8s2.sensors import BANDS

NEAR = 3
"""MS pixels around what does not count that do not count either."""


def inside(bad: np.ndarray, edge: int) -> np.ndarray:
    """(h, w) True where not ``bad`` and at least ``edge`` pixels from the border."""
    usable = np.zeros_like(bad)
    usable[edge:-edge, edge:-edge] = ~bad[edge:-edge, edge:-edge]
    return usable


def known(pixels: Pixels) -> np.ndarray:
    """(h, w) True away from borders, fill and bright cloud; ``consistency`` keeps as far away again."""
    bright = np.nan_to_num(pixels.ms).max(0) >= 0.5
    return inside(bright | dilate(np.isnan(pixels.ms).any(0), NEAR), NEAR)


def clear(pixels: Pixels) -> np.ndarray:
    """(h, w) True away from borders, fill and any cloud, which pan sees elsewhere than the other bands do."""
    cloud = (pixels.qa & (masks.flag("cloud") | masks.flag("dilated_cloud"))) > 0
    bright = np.nan_to_num(pixels.ms[:3]).max(0) > 0.5
    return inside(dilate(cloud | bright | np.isnan(pixels.ms).any(0), NEAR), 2 * NEAR)


def most_detailed(image: np.ndarray, size: int) -> tuple[int, int]:
    """First row and column of the window whose median slope is steepest, so not of clouds.

    Its side is ``size`` at most.
    """
    slope = np.abs(np.diff(np.nan_to_num(image), axis=1))
    corners = [
        (r, c)
        for r in range(0, max(image.shape[0] - size, 0) + 1, 30)
        for c in range(0, max(image.shape[1] - size, 0) + 1, 30)
    ]
    return max(corners, key=lambda at: np.median(slope[at[0] : at[0] + size, at[1] : at[1] + size]))


def picture(path: Path, before: np.ndarray, after: np.ndarray, size: int = 420) -> None:
    """Bicubic | l8s2, true colour above and nir08-swir16-red below, where the scene has most to show."""
    r, c = most_detailed(after[2], size)
    rows = []
    for bands in ((2, 1, 0), (3, 4, 2)):
        low, high = (np.nanpercentile(after[list(bands)], p, axis=(1, 2))[:, None, None] for p in (1, 99))
        row = []
        for image in (before, after):
            x = np.clip((image[list(bands)] - low) / (high - low), 0, 1)[:, r : r + size, c : c + size]
            row.append((np.nan_to_num(x) ** 0.8 * 255).astype(np.uint8).transpose(1, 2, 0))
        rows.append(np.concatenate([row[0], np.full((row[0].shape[0], 4, 3), 255, np.uint8), row[1]], axis=1))
    Image.fromarray(np.concatenate(rows)).save(path, quality=88)


@click.command()
@click.argument("scenes", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--pictures", type=click.Path(file_okay=False, path_type=Path), help="Also save a picture of every scene with pan."
)
def main(scenes: Path, pictures: Path | None) -> None:
    print("| scene | seconds | " + " | ".join(b.name for b in BANDS) + " | pan detail, bicubic | pan detail, l8s2 |")
    print("|---|---|" + "---|" * (len(BANDS) + 2))
    for path in sorted(scenes.iterdir()):
        try:
            scene = open_scene(path)
        except InputError:
            continue
        with scene:
            start = time.perf_counter()
            mean = harmonize(scene)["surface_reflectance"].values
            seconds = time.perf_counter() - start
            pixels = scene.read(*(slice(0, n) for n in scene.shape))
            coarse = bicubic(fill_missing(pixels.ms))
            cells = [f"{score.value:.4f}" for score in consistency(mean, pixels.ms, known(pixels))]
            if pixels.pan is None:
                cells += ["-", "-"]
            else:
                cells += [f"{pan_correlation(x, pixels.pan, clear(pixels)).value:.3f}" for x in (coarse, mean)]
            print(f"| {scene.product_id} | {seconds:.1f} | " + " | ".join(cells) + " |")
            if pictures is not None and pixels.pan is not None:
                pictures.mkdir(parents=True, exist_ok=True)
                picture(pictures / f"{scene.product_id[10:25]}.jpg", coarse, mean)


if __name__ == "__main__":
    main()
