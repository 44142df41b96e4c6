"""What training minimises: terms, each a sum over valid values and their number.

So parts of a batch add up exactly. Tensors are (B, 6, H, W) at 10 m, reflectance; ``valid`` is bool, True = counts.
Only the mask decides how much counts, so the number is known before the network has run: a batch shared out over
processes, or worked off in pieces, gives one loss and one gradient. What does not count gets a gradient of exactly
zero, whatever it holds, NaN included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from l8s2.errors import InputError

Kind = Literal["detail", "L1", "Charbonnier", "SSIM", "mixed_gradient", "gaussian_nll"]

CHARBONNIER = 1e-3
"""Epsilon of sqrt(x^2 + eps^2) (Lai et al. 2017), reflectance."""
FLOOR = 1e-8
"""Variance added to that of the network, reflectance squared: the likelihood stays finite, and its gradient alive."""
WINDOW = 11
"""Pixels to the side of the window of SSIM, Gaussian with a sigma of 1.5 (Wang et al. 2004); data range 1."""


@dataclass(frozen=True, kw_only=True)
class LossInputs:
    """Outputs and truth of a batch, constants where nothing is valid."""

    mean: Tensor
    sigma: Tensor | None
    truth: Tensor
    reference: Tensor
    """What interpolation alone makes of the input."""
    valid: Tensor

    @classmethod
    def of(cls, mean: Tensor, sigma: Tensor | None, truth: Tensor, reference: Tensor, valid: Tensor) -> LossInputs:
        """Values that do not count replaced by constants (no gradient passes)."""
        mean, truth, reference = (torch.where(valid, x, 0.0) for x in (mean, truth, reference))
        sigma = None if sigma is None else torch.where(valid, sigma, 1.0)
        return cls(mean=mean, sigma=sigma, truth=truth, reference=reference, valid=valid)


@dataclass(frozen=True)
class Term:
    """One summand of a loss: ``weight * total(pairs) / count(valid)``."""

    weight: float
    total: Callable[[LossInputs], Tensor]
    """() sum over what counts."""
    count: Callable[[Tensor], Tensor]
    """() how many count, from the mask alone."""


def terms(kind: Kind, *, gradient_weight: float, sigma_weight: float) -> dict[str, Term]:
    """Return the summands of a loss by name.

    Args:
        kind: ``detail``: L1 of values and of gradients, relative to what interpolation gets wrong, and a Laplace
            likelihood for sigma where the network has one; ``mixed_gradient``: mean squares of values and gradients (Lu
            & Chen 2019).
        gradient_weight: of the gradients in these two.
        sigma_weight: of the likelihood in ``detail``.
    """
    if kind == "detail":
        return {
            "l1": Term(1.0, relative_l1, pixels),
            "gradient": Term(gradient_weight, relative_gradient, pixels),
            "sigma": Term(sigma_weight, laplace, pixels),
        }
    if kind == "mixed_gradient":
        return {"square": Term(1.0, square, pixels), "gradient": Term(gradient_weight, sobel, sobel_windows)}
    if kind == "gaussian_nll":
        return {"likelihood": Term(1.0, gaussian_nll, pixels)}
    simple = {"L1": Term(1.0, l1, pixels), "Charbonnier": Term(1.0, charbonnier, pixels)}
    simple["SSIM"] = Term(1.0, dissimilarity, ssim_windows)
    return {kind.lower(): simple[kind]}


def trains_sigma(kind: Kind) -> bool:
    """Whether sigma gets a gradient."""
    return kind in ("detail", "gaussian_nll")


def counts(losses: dict[str, Term], valid: Tensor) -> Tensor:
    """(terms,) float64: how many values each term counts."""
    return torch.stack([term.count(valid).double() for term in losses.values()])


def totals(losses: dict[str, Term], pairs: LossInputs) -> Tensor:
    """(terms,): the sum of each term."""
    return torch.stack([term.total(pairs) for term in losses.values()])


def shares(losses: dict[str, Term], number: Tensor) -> Tensor:
    """(terms,) float32: what each sum is multiplied with, for ``number`` (terms,) values in all."""
    weight = torch.tensor([term.weight for term in losses.values()], dtype=torch.float64, device=number.device)
    return (weight / number.clamp(min=1)).float()


def pixels(valid: Tensor) -> Tensor:
    """Values that count."""
    return valid.sum()


def l1(p: LossInputs) -> Tensor:
    """Absolute errors."""
    return (p.mean - p.truth).abs().sum()


def square(p: LossInputs) -> Tensor:
    """Squared errors."""
    return ((p.mean - p.truth) ** 2).sum()


def charbonnier(p: LossInputs) -> Tensor:
    """sqrt(error^2 + eps^2)."""
    return (((p.mean - p.truth) ** 2 + CHARBONNIER**2).sqrt() * p.valid).sum()


def gaussian_nll(p: LossInputs) -> Tensor:
    """Return the negative log-likelihood of a normal error without its constant.

    That is ``(log v + error^2 / v) / 2`` with v = sigma^2 + FLOOR.

    Unlike a clamp the floor leaves a gradient at every sigma.
    """
    if p.sigma is None:
        raise InputError("loss.kind gaussian_nll: the network has no sigma; set model.config.gaussian true, or take L1")
    variance = p.sigma**2 + FLOOR
    return (0.5 * (variance.log() + (p.mean - p.truth) ** 2 / variance) * p.valid).sum()


def relative_l1(p: LossInputs) -> Tensor:
    """Absolute errors in units of what interpolation alone gets wrong in that crop and band.

    So dark water and bright desert count alike, as they do when decibels are averaged over sites.
    """
    return ((p.mean - p.truth).abs() / _scale(p)).sum()


def relative_gradient(p: LossInputs) -> Tensor:
    """Return the relative L1 of the differences between neighbours, along rows and columns."""
    error, scale, valid = p.mean - p.truth, _scale(p), p.valid
    down = (error.diff(dim=2) * (valid[:, :, 1:] & valid[:, :, :-1]) / scale).abs().sum()
    across = (error.diff(dim=3) * (valid[..., 1:] & valid[..., :-1]) / scale).abs().sum()
    return down + across


def laplace(p: LossInputs) -> Tensor:
    """Negative log-likelihood of a Laplace error for sigma alone, ``|error| / sigma + log sigma``; 0 without sigma."""
    if p.sigma is None:
        return p.mean.new_zeros(())
    return (((p.mean - p.truth).detach().abs() / p.sigma + p.sigma.log()) * p.valid).sum()


def _scale(p: LossInputs) -> Tensor:
    """(B, 6, 1, 1) mean absolute error of the reference over what counts, plus a small constant."""
    number = p.valid.sum((2, 3)).clamp(min=1)
    return ((p.reference - p.truth).abs().sum((2, 3)) / number + 0.002)[:, :, None, None]


def sobel_windows(valid: Tensor) -> Tensor:
    """Pixels whose 3 x 3 neighbours all count."""
    return _whole(valid, 3).sum()


def sobel(p: LossInputs) -> Tensor:
    """Squared differences of the gradients' magnitude, sqrt(Gx^2 + Gy^2) by Sobel's kernels (Lu & Chen 2019)."""
    across = p.mean.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernel = torch.stack([across, across.T])[:, None]

    def edges(x: Tensor) -> Tensor:
        g = F.conv2d(x.flatten(0, 1)[:, None], kernel)
        return ((g**2).sum(1) + 1e-12).sqrt().reshape(*x.shape[:2], *g.shape[2:])

    return ((edges(p.mean) - edges(p.truth)) ** 2 * _whole(p.valid, 3)).sum()


def ssim_windows(valid: Tensor) -> Tensor:
    """Windows in which every pixel counts."""
    return _whole(valid, WINDOW).sum()


def dissimilarity(p: LossInputs) -> Tensor:
    """1 - SSIM (Wang et al. 2004) of every window in which all counts, each band by itself."""
    taps = torch.exp(-0.5 * ((torch.arange(WINDOW, device=p.mean.device) - WINDOW // 2) / 1.5) ** 2).to(p.mean)
    taps = taps / taps.sum()

    def blurred(image: Tensor) -> Tensor:
        image = F.conv2d(image.flatten(0, 1)[:, None], taps[None, None, :, None])
        image = F.conv2d(image, taps[None, None, None])
        return image.reshape(*p.mean.shape[:2], *image.shape[2:])

    x, y = blurred(p.mean), blurred(p.truth)
    xx, yy, xy = (blurred(a * b) for a, b in ((p.mean, p.mean), (p.truth, p.truth), (p.mean, p.truth)))
    level, structure = x * x + y * y, xx - x * x + yy - y * y
    ssim = (2 * x * y + 1e-4) / (level + 1e-4) * (2 * (xy - x * y) + 9e-4) / (structure + 9e-4)
    return ((1 - ssim) * _whole(p.valid, WINDOW)).sum()


def _whole(valid: Tensor, side: int) -> Tensor:
    """(B, C, H - side + 1, W - side + 1) bool, True where all of a window counts."""
    return F.max_pool2d((~valid).float(), side, 1) == 0
