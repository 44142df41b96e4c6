"""What is needed to make a product again, as properties of its Item: options, input files, software, processor."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from types import TracebackType
from typing import Any

from l8s2._version import __version__
from l8s2.raster import checksum, file_size

OPTIONS, INPUTS, PROCESSOR, SOFTWARE = "l8s2:options", "l8s2:inputs", "l8s2:processor", "processing:software"
"""Names of the properties."""


class InputFacts:
    """Name, size and checksum of every input file, computed beside the work; a context manager."""

    def __init__(self, parts: Iterable[tuple[str, str]]) -> None:
        """Begin with ``parts``: name and path, as of ``Scene.parts``."""
        self._pool = ThreadPoolExecutor(1)
        self._facts: list[Future[dict[str, Any]]] = [self._pool.submit(_fact, *part) for part in parts]

    def wait(self) -> list[dict[str, Any]]:
        """Return all of them. Raises OSError for a file that cannot be read."""
        return [fact.result() for fact in self._facts]

    def __enter__(self) -> InputFacts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


def _fact(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "file:size": file_size(path), "file:checksum": checksum(path)}


def software() -> dict[str, str]:
    """Return the versions of what takes part in making samples and files."""
    import rasterio

    names = ["numpy", "isal", *(name for name in ("openvino", "torch") if name in sys.modules)]
    found = {"l8s2": __version__, "GDAL": str(rasterio.__gdal_version__)}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # isal has no wheel everywhere
    return found


def processor() -> str:
    """Return the model of the processor, on whose instructions the last bit of a prediction may depend."""
    if "openvino" in sys.modules:
        from l8s2.models.onnx_file import openvino_core

        return str(openvino_core().get_property("CPU", "FULL_DEVICE_NAME")).strip()
    return platform.processor() or platform.machine()
