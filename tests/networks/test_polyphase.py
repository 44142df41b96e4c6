import numpy as np
import pytest

torch = pytest.importorskip("torch")

from l8s2.grid import output_centres_at_30m  # noqa: E402
from l8s2.metrics import resampling  # noqa: E402
from l8s2.networks.compact import CompactConfig  # noqa: E402
from l8s2.networks.polyphase import (  # noqa: E402
    DOWN_RADIUS,
    INVERSE_RADIUS,
    OFFSETS,
    UP_RADIUS,
    Polyphase,
    down_taps,
    inverse_taps,
    keys,
    up_taps,
)
from l8s2.optics import resample  # noqa: E402

BLUR = CompactConfig().blur
STEPS = CompactConfig().back_projection_steps
SIZES = [(1, 1), (1, 4), (5, 7), (12, 9)]


def noise(height: int, width: int, seed: int = 0, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, len(BLUR), height, width, generator=torch.Generator().manual_seed(seed))


def inner(x: torch.Tensor, edge: int) -> torch.Tensor:
    return x[..., edge:-edge, edge:-edge]


def test_taps_sum_to_one_and_are_symmetric() -> None:
    np.testing.assert_allclose(up_taps().sum(1), 1)
    np.testing.assert_allclose(up_taps()[0], up_taps()[1][::-1])  # -1/6 and +1/6 mirror each other
    for sigma, steps in zip(BLUR, STEPS, strict=True):
        for taps in (down_taps(sigma), inverse_taps(sigma, steps)):
            assert taps.sum() == pytest.approx(1)
            np.testing.assert_allclose(taps, taps[::-1])


def test_cubic_kernel_is_that_of_keys() -> None:
    x = np.linspace(-3, 3, 601)
    kernel = keys(x)
    assert keys(np.array([0.0, 1.0, -2.0, 2.5])).tolist() == [1, 0, 0, 0]
    assert np.abs(np.diff(kernel)).max() < 0.02  # continuous
    for power, expected in ((0, 1), (1, 0.3), (2, 0.09)):  # third order: quadratics come out exact
        at = np.arange(-3, 4)
        assert (keys(0.3 - at) * at**power).sum() == pytest.approx(expected)


@pytest.mark.parametrize("steps", [0, 1, STEPS, 8])
@pytest.mark.parametrize("size", SIZES)
def test_constants_stay(steps: float | tuple[float, ...], size: tuple[int, int]) -> None:
    polyphase = Polyphase(BLUR, steps)
    for value in (0.0, 0.37, -1.5):
        up = polyphase.up(torch.full((2, 6, *size), value))
        assert up.shape == (2, 6, 3 * size[0], 3 * size[1])
        torch.testing.assert_close(up, torch.full_like(up, value), atol=2e-6, rtol=0)
        down = polyphase.down(torch.full((2, 6, 3 * size[0], 3 * size[1]), value))
        torch.testing.assert_close(down, torch.full((2, 6, *size), value), atol=2e-6, rtol=0)


def plane(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """0.01 per 10 m down, 0.02 across, from positions in 10 m pixels."""
    return (0.01 * rows[:, None] + 0.02 * columns).expand(1, 6, -1, -1)


@pytest.mark.parametrize("steps", [0, STEPS])
@pytest.mark.parametrize("size", [(16, 16), (15, 18)])
def test_ramps_keep_their_position(steps: float | tuple[float, ...], size: tuple[int, int]) -> None:
    """MS pixel r is centred at 10 m position 3 r + 0.5; 2e-4 is a hundredth of a 10 m pixel across."""
    polyphase = Polyphase(BLUR, steps)
    fine = plane(*(torch.arange(3.0 * n) for n in size))
    coarse = plane(*(3 * torch.arange(1.0 * n) + 0.5 for n in size))
    edge = UP_RADIUS + INVERSE_RADIUS
    torch.testing.assert_close(inner(polyphase.up(coarse), 3 * edge), inner(fine, 3 * edge), atol=1e-5, rtol=0)
    torch.testing.assert_close(inner(polyphase.down(fine), 2), inner(coarse, 2), atol=1e-5, rtol=0)


def test_without_sharpening_quadratics_come_out_exact() -> None:
    polyphase = Polyphase(BLUR, 0)
    ms = torch.arange(14.0)
    fine = (torch.arange(42.0) - 0.5) / 3  # in MS pixels
    up = polyphase.up((ms[:, None] ** 2 - 2 * ms * ms[:, None]).expand(1, 6, -1, -1))
    expected = (fine[:, None] ** 2 - 2 * fine * fine[:, None]).expand(1, 6, -1, -1)
    torch.testing.assert_close(inner(up, 6), inner(expected, 6), atol=1e-3, rtol=0)


def test_phases_are_those_of_the_block_grid() -> None:
    assert pytest.approx([(k - 0.5) / 3 for k in range(3)]) == OFFSETS
    assert output_centres_at_30m(3).tolist() == list(OFFSETS)


def test_kernel_and_interpolation_are_those_of_the_library() -> None:
    x = np.linspace(-3, 3, 1201)
    np.testing.assert_allclose(keys(x), resampling.keys(x), atol=1e-14)
    image = np.random.default_rng(0).uniform(0, 1, (1, 6, 9, 8)).astype(np.float32)
    np.testing.assert_allclose(Polyphase(BLUR, 0).up(torch.from_numpy(image)), resampling.cubic(image), atol=1e-5)


def test_down_is_the_simulators_sensor() -> None:
    """Against an operator built another way: a matrix per axis from the continuous Gaussian."""
    fine = noise(60, 66)
    centres = (np.arange(n // 3) * 3 + 0.5 for n in fine.shape[-2:])
    rows, columns = centres
    down = Polyphase(BLUR, STEPS).down(fine).numpy()
    for i, sigma in enumerate(BLUR):
        expected = resample(fine[0, i].numpy(), rows, columns, sigma)
        np.testing.assert_allclose(down[0, i, 3:-3, 3:-3], expected[3:-3, 3:-3], atol=4e-3)


def round_trip_error(steps: float | tuple[float, ...], x: torch.Tensor) -> float:
    polyphase = Polyphase(BLUR, steps)
    error = inner(polyphase.down(polyphase.up(x)) - x, 8)
    return float(error.square().mean().sqrt() / x.std())


def test_down_undoes_up() -> None:
    white = noise(60, 60)
    smooth = torch.nn.functional.avg_pool2d(white, 3, 1, 1)
    assert round_trip_error(4, smooth) < 0.05
    assert round_trip_error(4, white) < 0.12
    errors = [round_trip_error(steps, white) for steps in (1, 1.5, 2, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.03


def test_steps_are_those_of_back_projection_and_of_each_band() -> None:
    """Against the loop itself, but for the seven taps of the fit and its being done an axis at a time."""
    smooth = torch.nn.functional.avg_pool2d(noise(60, 60), 3, 1, 1)
    plain = Polyphase(BLUR, 0)
    by_steps = [plain.up(smooth)]
    for _ in range(2):
        by_steps.append(by_steps[-1] + plain.up(smooth - plain.down(by_steps[-1])))
    each = Polyphase(BLUR, (1, 1, 2, 2, 1, 2)).up(smooth)
    for band, steps in enumerate((1, 1, 2, 2, 1, 2)):
        torch.testing.assert_close(each[:, band], Polyphase(BLUR, steps).up(smooth)[:, band])
        errors = [inner(each[:, band] - x[:, band], 30).square().mean().sqrt() for x in by_steps]
        assert int(torch.stack(errors).argmin()) == steps - 1
        assert errors[steps - 1] < 0.05 * smooth.std()


@pytest.mark.parametrize("seed", range(3))
def test_a_shift_by_an_ms_pixel_is_a_shift_by_three(seed: int) -> None:
    polyphase = Polyphase(BLUR, STEPS)
    x = noise(20, 20, seed)
    edge = UP_RADIUS + INVERSE_RADIUS
    up, moved = polyphase.up(x), polyphase.up(x.roll((1, 2), (2, 3)))
    torch.testing.assert_close(
        inner(up.roll((3, 6), (2, 3)), 3 * edge + 6), inner(moved, 3 * edge + 6), atol=1e-5, rtol=0
    )


def test_reach_is_as_declared() -> None:
    polyphase = Polyphase(BLUR, STEPS)
    for operator, size, scale, radius in (
        (polyphase.up, 21, 3, UP_RADIUS + INVERSE_RADIUS),
        (polyphase.down, 63, 1, DOWN_RADIUS),
    ):
        x = torch.zeros(1, 6, size, size, requires_grad=True)
        middle = 10 * scale
        operator(x)[..., middle : middle + scale, middle : middle + scale].sum().backward()
        assert x.grad is not None
        touched = torch.nonzero(x.grad.abs().sum((0, 1, 3)))[:, 0] // (size // 21)
        assert int((touched - 10).abs().max()) == radius


def test_bands_and_images_do_not_mix() -> None:
    polyphase = Polyphase(BLUR, STEPS)
    x = noise(9, 8, batch=3)
    changed = x.clone()
    changed[1, 2] += 1
    for operator in (polyphase.up, lambda v: polyphase.down(polyphase.up(v))):
        same = torch.isclose(operator(x), operator(changed), atol=1e-6, rtol=0).all((2, 3))
        assert (~same).nonzero().tolist() == [[1, 2]]
