"""Losses against other people's implementations and by hand; what does not count has no gradient at all."""

import math
from itertools import product
from typing import get_args

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from l8s2.errors import InputError  # noqa: E402
from l8s2.training import losses  # noqa: E402
from l8s2.training.losses import Kind, LossInputs, Term  # noqa: E402
from making.oracles import torchmetrics  # noqa: E402

KINDS = get_args(Kind)


def made(kind: Kind) -> dict[str, Term]:
    return losses.terms(kind, gradient_weight=0.5, sigma_weight=0.1)


def value(kind: Kind, pairs: LossInputs) -> Tensor:
    found = made(kind)
    return (losses.totals(found, pairs) * losses.shares(found, losses.counts(found, pairs.valid))).sum()


def pairs(*shape: int, seed: int = 0, everything: bool = True) -> LossInputs:
    draw = torch.Generator().manual_seed(seed)
    mean, truth, reference = (0.3 * torch.rand(shape, generator=draw) for _ in range(3))
    sigma = 0.01 + 0.1 * torch.rand(shape, generator=draw)
    valid = torch.ones(shape, dtype=torch.bool) if everything else torch.rand(shape, generator=draw) > 0.02
    return LossInputs.of(mean.requires_grad_(), sigma.requires_grad_(), truth, reference, valid)


def by_hand(mean: list[list[float]], truth: list[list[float]], sigma: float = 1.0, **other: Tensor) -> LossInputs:
    m, t = (torch.tensor(x, dtype=torch.float64)[None, None] for x in (mean, truth))
    given = {"reference": t + 0.098, "valid": torch.ones_like(m, dtype=torch.bool), **other}
    return LossInputs.of(m, torch.full_like(m, sigma), t, given["reference"], given["valid"])


def test_l1_charbonnier_and_squares_by_hand() -> None:
    p = by_hand([[0.1, 0.2], [0.3, 0.4]], [[0.1, 0.1], [0.5, 0.4]])
    assert value("L1", p).item() == pytest.approx((0.1 + 0.2) / 4)
    expected = (2 * 1e-3 + math.hypot(0.1, 1e-3) + math.hypot(0.2, 1e-3)) / 4
    assert value("Charbonnier", p).item() == pytest.approx(expected)
    assert losses.square(p).item() == pytest.approx(0.05)
    half = by_hand(
        [[0.1, 0.2], [0.3, math.nan]], [[0.1, 0.1], [0.5, 9.0]], valid=torch.tensor([[[[True, True], [False, False]]]])
    )
    assert value("L1", half).item() == pytest.approx(0.1 / 2)


def test_detail_by_hand() -> None:
    p = by_hand(
        [[0.1, 0.3], [0.1, 0.2]], [[0.0, 0.0], [0.0, 0.0]], sigma=0.5
    )  # the reference is 0.098 off: a scale of 0.1
    found = dict(zip(made("detail"), losses.totals(made("detail"), p) / 4, strict=True))
    assert found["l1"].item() == pytest.approx((1 + 3 + 1 + 2) / 4)
    assert found["gradient"].item() == pytest.approx((2 + 1 + 0 + 1) / 4)
    assert found["sigma"].item() == pytest.approx(0.7 / 0.5 / 4 + math.log(0.5))


def test_gaussian_likelihood_is_that_of_torch_and_variance_has_a_gradient_everywhere() -> None:
    p = pairs(2, 6, 8, 8)
    assert p.sigma is not None
    expected = torch.nn.functional.gaussian_nll_loss(p.mean, p.truth, p.sigma**2 + losses.FLOOR)
    assert value("gaussian_nll", p).item() == pytest.approx(expected.item(), rel=1e-5)
    sigma = torch.tensor([1e-12, 1e-6, 1e-3, 0.1, 1.0, 10.0]).reshape(1, 6, 1, 1).requires_grad_()
    zeros = torch.zeros(1, 6, 1, 1)
    one = LossInputs.of(zeros + 0.05, sigma, zeros, zeros, zeros == 0)
    (gradient,) = torch.autograd.grad(value("gaussian_nll", one), sigma)
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).all()


def test_mixed_gradient_by_hand() -> None:
    # one 3 x 3 window: Gx = 4 x the slope across, Gy = 4 x the slope down
    ramp = [[0.0, 0.1, 0.2]] * 3
    flat = [[0.0, 0.0, 0.0]] * 3
    assert losses.sobel(by_hand(ramp, flat)).item() == pytest.approx(0.8**2, rel=1e-4)
    assert losses.sobel(by_hand(ramp, [list(r) for r in zip(*ramp, strict=True)])).item() == pytest.approx(0, abs=1e-9)
    expected = 3 * (0.1**2 + 0.2**2) / 9 + 0.5 * 0.8**2
    assert value("mixed_gradient", by_hand(ramp, flat)).item() == pytest.approx(expected, rel=1e-4)


def test_ssim_is_that_of_others() -> None:
    p = pairs(2, 6, 30, 41)
    theirs = torchmetrics().structural_similarity_index_measure(
        p.mean, p.truth, data_range=1.0, sigma=1.5, reduction="none", return_full_image=True
    )[1][..., 5:-5, 5:-5]
    assert value("SSIM", p).item() == pytest.approx(1 - theirs.mean().item(), rel=1e-4)
    skimage = pytest.importorskip("skimage.metrics")
    found = [
        skimage.structural_similarity(
            a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )[1][5:-5, 5:-5].mean()
        for a, b in zip(p.mean.detach().flatten(0, 1).numpy(), p.truth.flatten(0, 1).numpy(), strict=True)
    ]
    assert value("SSIM", p).item() == pytest.approx(1 - np.mean(found), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_pixels_have_no_gradient_and_no_say(kind: Kind) -> None:
    draw = torch.Generator().manual_seed(1)
    mean, truth, reference = (torch.rand(2, 6, 24, 24, generator=draw) for _ in range(3))
    sigma = 0.1 + torch.rand(2, 6, 24, 24, generator=draw)
    valid = torch.ones(2, 6, 24, 24, dtype=torch.bool)
    valid[:, :, :3, 5:] = False
    valid[0, 4] = False
    values, gradients = [], []
    for junk in (0.5, math.nan, -1e6):
        m, s = (torch.where(valid, x, junk).requires_grad_() for x in (mean, sigma))
        p = LossInputs.of(m, s, torch.where(valid, truth, junk), reference, valid)
        loss = value(kind, p)
        assert isinstance(loss, Tensor)
        values.append(loss.item())
        gradients.append(torch.autograd.grad(loss, (m, s), materialize_grads=True))
    assert values[0] == values[1] == values[2]
    for gradient, repeated in product(gradients[0], [*gradients[1], *gradients[2]]):
        if gradient.shape == repeated.shape:
            assert (repeated[~valid] == 0).all()
    assert (gradients[1][0][valid] != 0).float().mean() > 0.5


def part_of(p: LossInputs, part: slice) -> LossInputs:
    assert p.sigma is not None
    return LossInputs.of(p.mean[part], p.sigma[part], p.truth[part], p.reference[part], p.valid[part])


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_a_batch_add_up_to_the_whole(kind: Kind) -> None:
    whole = pairs(4, 6, 24, 24, everything=False)
    found = made(kind)
    number = losses.counts(found, whole.valid)
    parts = [part_of(whole, part) for part in (slice(0, 1), slice(1, 4))]
    assert sum(losses.counts(found, p.valid) for p in parts).tolist() == number.tolist()
    total = sum((losses.totals(found, p) * losses.shares(found, number)).sum().item() for p in parts)
    assert total == pytest.approx(value(kind, whole).item(), rel=1e-5)


def test_nothing_that_counts_is_a_loss_of_zero() -> None:
    p = pairs(1, 6, 12, 12)
    nothing = LossInputs.of(p.mean, p.sigma, p.truth, p.reference, torch.zeros_like(p.valid))
    assert [value(kind, nothing).item() for kind in KINDS] == [0.0] * len(KINDS)


def test_a_likelihood_needs_a_sigma() -> None:
    p = pairs(1, 6, 5, 5)
    with pytest.raises(InputError, match="no sigma"):
        losses.gaussian_nll(LossInputs.of(p.mean, None, p.truth, p.reference, p.valid))
