"""What every network of l8s2 is and offers, with the defaults of what most need not say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn


class Stages(NamedTuple):
    """The three parts of a network: ``restore(ms, body(prepare(ms, pan)))`` is what ``forward`` answers."""

    prepare: Callable[[Tensor, Tensor | None], Any]
    """Stays in single precision."""
    body: Callable[[Any], Any]
    """May compute in lower precision."""
    restore: Callable[[Tensor, Any], tuple[Tensor, Tensor | None]]
    """Stays in single precision."""


class HarmonizationNetwork(nn.Module):
    """A network of the contract in ``l8s2.networks``; a subclass sets the first three and defines ``forward``."""

    uses_pan: bool
    """False: pan is None."""
    receptive_field: int
    """Margin in MS pixels beyond which nothing influences an output pixel."""
    stride: int
    """MS pixels at multiples of which windows must begin and end for their interiors to agree."""

    pan_sun_corrected: bool = True
    """False: pan must come without the division by the sine of the sun's elevation."""
    no_pan_model: str | None = None
    """Name of the model that answers where pan is missing, as ``load_model`` takes it."""
    memory_per_pixel: int | None = None
    """Bytes that running takes for each MS pixel; None: estimated from the largest layer."""
    takes_10m: bool = False
    """True: MS and pan of one height and width are taken for 10 m inputs, and answered pixel for pixel."""
    seams: bool = False
    """True: the first two stages return one tensor each; ONNX files hold them as outputs, so that engines can cut
    there."""
    config: Any = None
    """Dataclass that the network was built from, if there is one."""

    @property
    def sigma_scale(self) -> Tensor | None:
        """The (6,) buffer that multiplies sigma, for scaling it on observed errors; None for a network without."""
        return None

    @property
    def base(self) -> nn.Module:
        """The network itself, or the one behind an adapter; its tensors are what is stored."""
        return self

    def with_base(self, base: Any) -> HarmonizationNetwork:
        """Return a new adapter around ``base``, with its own buffers; a network without adapter returns ``base``."""
        result: HarmonizationNetwork = base
        return result

    def configuration(self) -> dict[str, Any]:
        """Return the whole configuration as ``build`` takes it; empty for a network that records none."""
        own = self.config
        return asdict(own) if is_dataclass(own) and not isinstance(own, type) else {}

    def stages(self) -> Stages:
        """Return the parts of the network; by default all of it is body."""
        return Stages(lambda ms, pan: (ms, pan), lambda given: self(*given), lambda _, answer: answer)

    def begin_as_interpolation(self) -> None:
        """Make the untrained network answer with its interpolated input; ValueError for one that cannot."""
        raise ValueError("as_interpolation: this network cannot begin as interpolation; leave it out")


REQUIRED = (
    "uses_pan", "receptive_field", "stride", "pan_sun_corrected", "no_pan_model", "memory_per_pixel", "takes_10m",
    "seams", "sigma_scale", "base", "with_base", "configuration", "stages", "begin_as_interpolation",
)  # fmt: skip
"""What ``build`` asks of a network; ``HarmonizationNetwork`` has all but the first three."""
