"""What scenes tell of their sensor: blur between pan and the visible bands, and noise on flat ground.

    python benchmarks/scene_measures.py SCENES

The first table has the Gaussian that turns pan into the visible bands together (as `l8s2 info` measures it) and into
each alone; in brackets the share of the fine structure that is then explained. The second has the noise of the pixels
in units of the documented one, and of the documented one under the sun of the scene: radiance is lower under a low sun,
so that the same noise is more in reflectance.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from l8s2 import open_scene
from l8s2.landsat.clear_windows import ClearWindow, clear_windows
from l8s2.landsat.noise import measure_noise
from l8s2.landsat.pan_shift import measure_pan_shift
from l8s2.landsat.sharpness import NOMINAL, measure_sharpness
from l8s2.sensors import BAND_NAMES, VISIBLE


def only(window: ClearWindow, band: int) -> ClearWindow:
    """The window with one of the visible bands in place of all three."""
    ms = window.ms.copy()
    ms[VISIBLE] = ms[band]
    return ClearWindow(ms=ms, pan=window.pan, clear=window.clear)


def blur_cells(windows: list[ClearWindow]) -> list[str]:
    """Blur against pan, of all visible bands and of each."""
    shift = measure_pan_shift(windows)
    together = measure_sharpness(windows, shift)
    cells = [f"{together['blur_m'] / NOMINAL:.2f}", f"{together['psf_sigma_m']:.1f}", f"{together['mtf_nyquist']:.2f}"]
    single = (measure_sharpness([only(w, band) for w in windows], shift) for band in range(VISIBLE.stop))
    return [f"{m['blur_m']:.1f} ({100 * m['explained']:.0f} %)" for m in (together, *single)] + cells


def noise_cells(windows: list[ClearWindow], sun_elevation: float | None) -> list[str]:
    """Noise of every band and of pan, absolute, against the documented one, and with the sun of the scene."""
    noise = measure_noise(windows)
    if noise["verdict"] == "unknown":
        return ["-"] * (len(BAND_NAMES) + 2)
    sine = np.sin(np.radians(sun_elevation or 90.0))
    cells = [str(noise["windows"])]
    for name in (*BAND_NAMES, "pan"):
        if name not in noise["bands"]:
            cells.append("-")
            continue
        band = noise["bands"][name]
        ratio = band["documented_snr"] / band["snr"]
        cells.append(f"{1e4 * band['std']:.1f} at {band['reflectance']:.3f}: {ratio:.2f}, {ratio * sine:.2f}")
    return cells


@click.command()
@click.argument("scenes", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(scenes: Path) -> None:
    blurs, noises = [], []
    for path in sorted(scenes.glob("*L2SP*")):
        with open_scene(path) as scene:
            windows = clear_windows(scene)
            name, sun = path.name[:25], scene.sun_elevation
            if scene.pan is not None:
                blurs.append([name, *blur_cells(windows)])
            noises.append([name, f"{sun:.0f}" if sun else "-", *noise_cells(windows, sun)])
    heads = ["scene", "visible", "blue", "green", "red", f"of nominal {NOMINAL:.1f} m", "psf, m", "MTF at Nyquist"]
    table(heads, blurs)
    table(["scene", "sun", "windows", *BAND_NAMES, "pan"], noises)


def table(heads: list[str], rows: list[list[str]]) -> None:
    """Print Markdown."""
    for row in (heads, ["---"] * len(heads), *rows):
        print("| " + " | ".join(row) + " |")
    print()


if __name__ == "__main__":
    main()
