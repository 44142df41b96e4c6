"""What works on this machine, and what to do where something does not; secrets are never shown."""

from __future__ import annotations

import math
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from l8s2._version import __version__
from l8s2.errors import InputError
from l8s2.files import cache_dir, left_in
from l8s2.system.machine import cores, memory

TIMEOUT = 5.0
"""Seconds that a catalogue has for its answer."""
ROOM = 5e9
"""Bytes free in the cache that are enough: a whole scene with pan takes 1 to 2 GB."""
MEMORY = 2e9
"""Bytes that a whole scene takes at most, about (docs/performance.md)."""
EXTRAS = {
    "torch": ("torch", "onnx", "onnxscript", "safetensors", "huggingface_hub"),
    "train": ("accelerate", "pydantic", "pyyaml", "h5py"),
    "slurm": ("submitit",),
    "stac": ("pystac-client", "boto3"),
    "dask": ("distributed",),
    "cube": ("zarr", "exactextract", "pyarrow", "matplotlib"),
    "studies": ("scikit-learn",),
}
"""Extra -> its own packages; those that ``all`` has."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check."""

    status: Literal["ok", "missing", "problem"]
    """``missing``: something optional is not there; ``problem``: what is there does not work."""
    what: str
    text: str
    """What was found, and the remedy where there is a problem."""
    core: bool = False
    """Whether nothing works without it."""


def examine(
    output: Path | None = None, *, offline: bool = False, catalog_file: Path | None = None
) -> Iterator[Finding]:
    """Check everything, one after the other; problems are findings, not exceptions.

    ``output``: a folder of products in which to look for what killed runs left; ``offline`` asks no server.
    """
    if output is not None:
        yield from _left(output)
        return
    yield from _packages()
    yield from _gdal()
    yield from _machine()
    yield _cache()
    yield from _access()
    yield from _hub()
    yield from _catalogs(offline, catalog_file)


def _packages() -> Iterator[Finding]:
    yield Finding(status="ok", what="l8s2", text=f"{__version__}, Python {platform.python_version()}, {sys.platform}")
    absent = [name for name in ("numpy", "rasterio", "odc-geo", "openvino", "xarray", "pystac") if not _version(name)]
    if absent:
        yield Finding(
            status="problem", what="packages", text=f"without {', '.join(absent)}; pip install l8s2", core=True
        )
    for extra, names in EXTRAS.items():
        there = [f"{name} {_version(name)}" for name in names if _version(name)]
        lacking = [name for name in names if not _version(name)]
        if lacking:
            text = f"without {', '.join(lacking)}; pip install 'l8s2[{extra}]'"
            yield Finding(status="missing", what=f"extra {extra}", text=text)
        else:
            yield Finding(status="ok", what=f"extra {extra}", text=", ".join(there))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gdal() -> Iterator[Finding]:
    try:
        import rasterio
    except ImportError as error:
        yield Finding(
            status="problem", what="GDAL", text=f"{error}; install rasterio again: pip install -U rasterio", core=True
        )
        return
    with rasterio.Env() as env:
        drivers = env.drivers()
    for name, use, core in (
        ("GTiff", "reads Landsat", True),
        ("COG", "writes products", True),
        ("JP2OpenJPEG", "reads Sentinel-2 of the Copernicus Data Space", False),
        ("HTTP", "reads parts of files over the network, by curl", False),
    ):
        if name in drivers:
            text = f"{use} (GDAL {rasterio.__gdal_version__})"
            yield Finding(status="ok", what=f"GDAL {name}", text=text, core=core)
        else:
            version = rasterio.__gdal_version__
            text = f"{use}, not in this GDAL {version}; use rasterio's own wheel: pip install -U rasterio"
            yield Finding(status="problem" if core else "missing", what=f"GDAL {name}", text=text, core=core)


def _machine() -> Iterator[Finding]:
    yield Finding(status="ok", what="processor", text=f"{cores()} threads")
    free = memory()
    if math.isfinite(free):
        enough = free >= MEMORY
        hint = "" if enough else f"; a whole scene takes up to {MEMORY / 1e9:.0f} GB, harmonise parts of it"
        yield Finding(status="ok" if enough else "problem", what="memory", text=f"{free / 1e9:.1f} GB free{hint}")
    try:
        from l8s2.models.onnx_file import openvino_core
        from l8s2.predictors.load import load_model

        fast = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        load_model("compact")
    except Exception as error:  # whatever a broken installation may raise
        text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}; pip install -U openvino"
        yield Finding(status="problem", what="engine", text=text, core=True)
        return
    yield Finding(
        status="ok", what="engine", text="openvino, bf16 of the processor is used" if fast else "openvino, without bf16"
    )


def _cache() -> Finding:
    folder = cache_dir()
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        text = f"{folder}: not writable; set XDG_CACHE_HOME to a folder that is"
        return Finding(status="problem", what="cache", text=text)
    free = shutil.disk_usage(there).free
    if free < ROOM:
        text = f"{folder}: {free / 1e9:.1f} GB free, a scene takes 1 to 2 GB; make room, or set XDG_CACHE_HOME"
        return Finding(status="problem", what="cache", text=text)
    left = sum(path.stat().st_size for path in (folder / "scenes").rglob("*") if path.is_file())
    text = (
        f"; {left / 1e9:.1f} GB of interrupted commands in {folder / 'scenes'}, to be deleted at will" if left else ""
    )
    return Finding(status="ok", what="cache", text=f"{folder}, {free / 1e9:.0f} GB free{text}")


def _left(output: Path) -> Iterator[Finding]:
    """Tell what unfinished runs have in a folder of products."""
    try:
        found = list(left_in(output))
    except OSError as error:
        text = f"{output}: {error.strerror}; give a folder of products"
        yield Finding(status="problem", what="output", text=text, core=True)
        return
    for left in found:
        size = f"{left.size / 1e6:.1f} MB, {left.owner or 'of an unknown process'}"
        if left.in_use:
            yield Finding(status="ok", what="at work", text=f"{left.path}: {size}")
        else:
            text = f"{left.path}: {size}, which was killed; `resume` goes on from it, `overwrite` removes it"
            yield Finding(status="problem", what="left by a killed run", text=text)
    if not found:
        yield Finding(status="ok", what="output", text=f"{output}: no unfinished run has left anything")


def _access() -> Iterator[Finding]:
    from l8s2.acquire.access import ways

    for way in ways():
        yield Finding(status="ok" if way.open else "missing", what=way.name, text=way.about)


def _hub() -> Iterator[Finding]:
    if flag := next((name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if _is_on(name)), None):
        text = f"{flag} is set: only models in the cache; unset it to fetch others"
        yield Finding(status="missing", what="Hugging Face Hub", text=text)
    elif os.environ.get("HF_TOKEN"):
        yield Finding(status="ok", what="Hugging Face Hub", text="HF_TOKEN is set")
    else:
        text = "no HF_TOKEN; public models need none, private ones and l8s2 models push do: set HF_TOKEN"
        yield Finding(status="ok", what="Hugging Face Hub", text=text)


def _is_on(name: str) -> bool:
    return os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")


def _catalogs(offline: bool, catalog_file: Path | None) -> Iterator[Finding]:
    from l8s2.catalogs.endpoints import known_catalogs

    try:
        known = known_catalogs(catalog_file)
    except InputError as error:
        yield Finding(status="problem", what="catalogues", text=str(error))
        return
    if offline or not _version("pystac-client"):
        return
    from concurrent.futures import ThreadPoolExecutor

    from l8s2.catalogs.search import catalog_problem

    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda catalog: catalog_problem(catalog.url, TIMEOUT), known.values())
        for catalog, trouble in zip(known.values(), answers, strict=True):
            what = f"catalogue {catalog.name}"
            if trouble is None:
                yield Finding(status="ok", what=what, text=f"{catalog.url} answers")
            else:
                yield Finding(status="problem", what=what, text=trouble)
