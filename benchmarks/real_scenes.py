"""What the product does to real scenes: consistency at 30 m and fine detail against pan.

    python benchmarks/real_scenes.py ../shared/scenes [--pictures docs/pictures]

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
from l8s2.errors import InputError
from l8s2.evaluation.baselines import bicubic
from l8s2.scene import Pixels
from l8s2.sensors import BANDS, PAN_WEIGHTS
from l8s2.simulate.optics import resample
from l8s2.simulate.sensor import extra_blur
from l8s2.tiling import dilate, fill_missing

EDGE = 6
"""MS pixels at the border that do not count."""


def consistency(mean: np.ndarray, ms: np.ndarray) -> np.ndarray:
    """(6,) RMS reflectance between the output seen by OLI and the input, away from borders, fill and bright cloud."""
    usable = np.isfinite(ms).all(0) & (np.nan_to_num(ms).max(0) < 0.5)
    usable &= ~dilate(np.isnan(ms).any(0), EDGE)
    usable[:EDGE] = usable[-EDGE:] = usable[:, :EDGE] = usable[:, -EDGE:] = False
    rows, columns = (np.arange(n) * 3 + 0.5 for n in ms.shape[1:])
    result = []
    for band, fine, coarse in zip(BANDS, fill_missing(mean), ms, strict=True):
        a, b = band.band_pass["S2A"]
        seen = resample(fine * a + b, rows, columns, extra_blur(band.oli_psf_sigma, band.msi_psf_sigma))
        result.append(np.sqrt(np.mean((seen - coarse)[usable] ** 2)))
    return np.array(result)


def detail(fine: np.ndarray, pixels: Pixels) -> float:
    """Correlation of the high-passes (30 m Gaussian taken out) of visible output and pan at the pan samples."""
    assert pixels.pan is not None
    shape = pixels.pan.shape
    visible = np.tensordot(np.array(PAN_WEIGHTS), fill_missing(fine[:3]), axes=1)
    rows, columns = (np.arange(n) * 1.5 + 0.5 for n in shape)
    visible = resample(visible.astype(np.float32), rows, columns, 0.0)
    a, b = (x - resample(x, *map(np.arange, shape), 2.0) for x in (visible, fill_missing(pixels.pan[None])[0]))
    cloud = (pixels.qa & (masks.flag("cloud") | masks.flag("dilated_cloud"))) > 0
    bad = dilate(cloud | np.isnan(pixels.ms).any(0) | (np.nan_to_num(pixels.ms[:3]).max(0) > 0.5), 3)
    bad |= np.isnan(pixels.pan).reshape(shape[0] // 2, 2, -1, 2).any((1, 3))
    bad[:EDGE] = bad[-EDGE:] = bad[:, :EDGE] = bad[:, -EDGE:] = True
    ok = ~bad.repeat(2, 0).repeat(2, 1)
    return float(np.corrcoef(a[ok], b[ok])[0, 1])


def picture(path: Path, before: np.ndarray, after: np.ndarray, size: int = 420) -> None:
    """Bicubic | l8s2, true colour above and nir08-swir16-red below, the middle of the scene."""
    rows = []
    for bands in ((2, 1, 0), (3, 4, 2)):
        low, high = (np.nanpercentile(after[list(bands)], p, axis=(1, 2))[:, None, None] for p in (1, 99))
        row = []
        for image in (before, after):
            r, c = ((n - min(n, size)) // 2 for n in image.shape[1:])
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
            cells = [f"{x:.4f}" for x in consistency(mean, pixels.ms)]
            cells += ["-", "-"] if pixels.pan is None else [f"{detail(x, pixels):.3f}" for x in (coarse, mean)]
            print(f"| {scene.product_id} | {seconds:.1f} | " + " | ".join(cells) + " |")
            if pictures is not None and pixels.pan is not None:
                pictures.mkdir(parents=True, exist_ok=True)
                picture(pictures / f"{scene.product_id[10:25]}.jpg", coarse, mean)


if __name__ == "__main__":
    main()
