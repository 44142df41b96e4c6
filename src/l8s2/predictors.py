"""Networks behind one door: native arrays in, mean and sigma on the 10 m block grid out."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from l8s2.engines import Engine, ModelFile, Network, OpenVinoNetwork, TorchNetwork
from l8s2.errors import InputError
from l8s2.tiling import FILL_REACH, Float, Mask, dilate, enlarge, fill_missing

EMBEDDED = {"compact": "compact-nopan", "compact-nopan": None}
"""Models in the package, and the twin each hands pixels without pan to."""
PAN_REACH = 3
"""MS pixels around missing pan that are left to the pan-less twin."""


class Predictor(Protocol):
    """What the rest of l8s2 asks of a model."""

    name: str
    sha256: str
    margin: int
    """MS pixels of context that ``predict_window`` expects on every side."""
    twin: Predictor | None
    """Who answers where there is no pan; None for a model that needs no pan, or has no twin."""

    def strange(self, ms: Float) -> Mask:
        """(h, w) bool, True where ms (6, h, w), with NaN where missing, is unlike any ground the model was trained on."""
        ...

    def predict(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """(mean, sigma), each (6, 3h, 3w), from ms (6, h, w) and pan (2h, 2w) or None.

        Reflectance; ms at 30 m, pan top-of-atmosphere at 15 m with pan[2r, 2c] centred on ms[:, r, c], the result
        on the Sentinel-2 lattice. NaN is missing: an MS band that is NaN stays NaN, a missing pan pixel is left
        to the pan-less twin.
        """
        ...

    def predict_window(self, ms: Float, pan: Float | None) -> tuple[Float, Float, Mask]:
        """The same for a window read with ``margin`` MS pixels of context on every side, NaN beyond the image.

        Returns mean and sigma of the window without its margin, and (h, w) bool, True where pan was used.
        """
        ...


class CompactPredictor:
    """A compact network, with or without a pan-less twin for what pan does not cover."""

    def __init__(self, name: str, sha256: str, network: Network, twin: CompactPredictor | None) -> None:
        self.name, self.sha256 = name, sha256
        self._network, self.twin = network, twin
        fields = [network.receptive_field] + ([twin._network.receptive_field] if twin else [])
        self.margin = max(fields) + FILL_REACH
        self.uses_pan: bool = network.uses_pan

    def strange(self, ms: Float) -> Mask:
        """See Predictor.strange; nothing is strange to a model whose file does not say what it was trained on."""
        domain = self._network.domain
        return domain.strange(fill_missing(ms)) if domain else np.zeros(ms.shape[1:], dtype=bool)

    def predict(self, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """See Predictor.predict."""
        ms = _checked(ms, "ms", 3)
        if ms.shape[0] != 6:
            raise InputError(f"ms has shape {ms.shape}; it must be (6, h, w): blue, green, red, nir08, swir16, swir22")
        m = self.margin
        if pan is not None:
            pan = _checked(pan, "pan", 2)
            if pan.shape != (2 * ms.shape[1], 2 * ms.shape[2]):
                raise InputError(
                    f"pan has shape {pan.shape}; for ms {ms.shape} it must be {(2 * ms.shape[1], 2 * ms.shape[2])}"
                )
            pan = np.pad(pan, 2 * m, constant_values=np.nan)
        mean, sigma, _ = self.predict_window(np.pad(ms, ((0, 0), (m, m), (m, m)), constant_values=np.nan), pan)
        return mean, sigma

    def predict_window(self, ms: Float, pan: Float | None) -> tuple[Float, Float, Mask]:
        """See Predictor.predict_window."""
        m = self.margin
        height, width = (n - 2 * m for n in ms.shape[1:])
        missing = np.isnan(ms[:, m : m + height, m : m + width])
        with_pan = np.zeros((height, width), dtype=bool)
        if pan is not None and self.uses_pan:
            no_pan = np.asarray(np.isnan(pan).reshape(pan.shape[0] // 2, 2, -1, 2).any(axis=(1, 3)))
            no_pan &= np.isfinite(ms).any(axis=0)  # beyond the footprint nothing is asked of pan
            with_pan = ~dilate(no_pan, PAN_REACH)[m : m + height, m : m + width]
        ms = fill_missing(ms)
        if pan is not None and with_pan.any():
            mean, sigma = self._run(self._network, ms, fill_missing(pan[None])[0])
            if not with_pan.all():
                self._patch(mean, sigma, ms, with_pan)
        else:
            mean, sigma = self._blind(ms)
        if missing.any():
            gone = enlarge(missing)
            mean, sigma = (np.where(gone, np.float32(np.nan), x) for x in (mean, sigma))
        return mean, sigma, with_pan

    def _patch(self, mean: Float, sigma: Float, ms: Float, with_pan: Mask) -> None:
        """Put what the bands alone tell where ``with_pan`` is False, in place; only the part around it is computed."""
        m = self.margin
        rows, columns = (np.flatnonzero(~with_pan.all(axis)) for axis in (1, 0))
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        blind = self._blind(ms[:, part[0].start : part[0].stop + 2 * m, part[1].start : part[1].stop + 2 * m])
        where = enlarge(~with_pan[part])
        for image, values in zip((mean, sigma), blind, strict=True):
            inner = image[:, 3 * part[0].start : 3 * part[0].stop, 3 * part[1].start : 3 * part[1].stop]
            inner[:, where] = values[:, where]

    def _blind(self, ms: Float) -> tuple[Float, Float]:
        """What the bands alone tell."""
        twin = self if not self.uses_pan else self.twin
        if twin is None:
            raise InputError(f"model {self.name} needs pan everywhere; take --model compact-nopan or give --pan")
        return self._run(twin._network, ms, None)

    def _run(self, network: Network, ms: Float, pan: Float | None) -> tuple[Float, Float]:
        """Run on what the receptive field needs of the window, return the window without margin."""
        spare = self.margin - network.receptive_field
        edge = network.receptive_field
        ms = ms[:, spare : ms.shape[1] - spare, spare : ms.shape[2] - spare]
        if pan is not None:
            pan = pan[2 * spare : pan.shape[0] - 2 * spare, 2 * spare : pan.shape[1] - 2 * spare]
            pan = np.ascontiguousarray(pan)
        mean, sigma = network(np.ascontiguousarray(ms), pan)
        inner = (slice(None), slice(3 * edge, mean.shape[1] - 3 * edge), slice(3 * edge, mean.shape[2] - 3 * edge))
        return mean[inner], sigma[inner]


def _checked(values: NDArray[Any], name: str, ndim: int) -> Float:
    values = np.asarray(values)
    if values.ndim != ndim or values.dtype.kind != "f":
        raise InputError(
            f"{name} is {values.dtype} of shape {values.shape}; it must be floating-point reflectance with {ndim} axes"
        )
    return values.astype(np.float32, copy=False)


def load_model(
    name: str | Path = "compact", *, engine: Engine = "openvino", threads: int | None = None
) -> CompactPredictor:
    """A predictor by name (``compact``, ``compact-nopan``) or from an ONNX file that l8s2 has exported.

    Args:
        name: embedded model or path. ``compact`` hands pixels without pan to ``compact-nopan``.
        engine: ``openvino``, or ``torch`` with the extra of that name.
        threads: processor threads; None leaves it to the engine.
    """
    if engine not in ("openvino", "torch"):
        raise InputError(f"engine {engine}: unknown; choose openvino or torch")
    embedded = str(name) in EMBEDDED
    path = Path(str(files("l8s2") / "weights" / f"{name}.onnx")) if embedded else Path(name)
    file = ModelFile(path)
    network: Network = OpenVinoNetwork(file, threads) if engine == "openvino" else TorchNetwork(file, threads)
    twin_name = EMBEDDED[str(name)] if embedded else "compact-nopan"
    twin = load_model(twin_name, engine=engine, threads=threads) if twin_name and network.uses_pan else None
    return CompactPredictor(path.stem, file.sha256, network, twin)
