import math
from dataclasses import asdict, replace

import pytest

torch = pytest.importorskip("torch")

from l8s2.networks import Compact, CompactConfig  # noqa: E402

SMALL = CompactConfig(width=12, blocks=1)
TWIN = replace(SMALL, pan=False)
BOTH = pytest.mark.parametrize("config", [SMALL, TWIN], ids=["pan", "no pan"])


def network(config: CompactConfig = SMALL, seed: int = 0, tail: float = 1.0) -> Compact:
    """Untrained, with weights large enough that nothing is hidden by being small."""
    torch.manual_seed(seed)
    net = Compact(config).eval()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if weight.ndim == 4:
                weight.normal_(0, (tail if name.startswith("tail") else 1.0) / math.sqrt(weight[0].numel()))
    return net


def ground(height: int = 24, width: int = 24, seed: int = 0, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated bands with texture, and the pan that belongs to them."""
    generator = torch.Generator().manual_seed(seed)
    texture = torch.randn(batch, 1, 6 * height, 6 * width, generator=generator)
    texture = torch.nn.functional.avg_pool2d(texture, 7, 1, 3)
    scene = 0.15 + 0.05 * texture / texture.std()
    factors = torch.tensor([0.6, 0.8, 1.0, 2.0, 1.5, 1.0]).reshape(1, 6, 1, 1)
    return torch.nn.functional.avg_pool2d(scene, 6) * factors, torch.nn.functional.avg_pool2d(scene, 3)


def run(net: Compact, ms: torch.Tensor, pan: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        mean, sigma = net(ms, pan if net.config.pan else None)
    return mean, sigma


def as_sentinel_2(net: Compact, ms: torch.Tensor) -> torch.Tensor:
    gain, offset = torch.tensor(net.config.band_pass).T.reshape(2, 1, 6, 1, 1)
    return (ms - offset) / gain


@BOTH
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (2, 3), (7, 5), (16, 9)])
def test_shapes(config: CompactConfig, size: tuple[int, int]) -> None:
    mean, sigma = run(network(config), *ground(*size, batch=2))
    assert mean.shape == sigma.shape == (2, 6, 3 * size[0], 3 * size[1])
    assert mean.dtype == sigma.dtype == torch.float32
    assert mean.isfinite().all()
    assert (sigma > 0).all()


def test_a_network_with_pan_needs_pan() -> None:
    with pytest.raises(ValueError, match="no-pan model"):
        network()(ground()[0], None)


def test_the_twin_does_not_look_at_pan() -> None:
    ms, pan = ground()
    net = network(TWIN)
    with torch.no_grad():
        one, two = net(ms), net(ms, pan)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)


@BOTH
def test_constant_ground_keeps_its_colour(config: CompactConfig) -> None:
    """Far from the edge; the detail of an untrained network on constant ground is a pattern within the block."""
    values = torch.tensor([0.04, 0.06, 0.05, 0.3, 0.2, 0.1]).reshape(1, 6, 1, 1)
    net = network(config)
    mean, _ = run(net, values.expand(1, 6, 40, 40).contiguous(), torch.full((1, 1, 80, 80), 0.11))
    expected = as_sentinel_2(net, values)
    back = net.polyphase.down(mean)[..., 15:-15, 15:-15]
    torch.testing.assert_close(back, expected.expand_as(back), atol=1e-4, rtol=0)


def extent(gradient: torch.Tensor, middle: int, scale: int) -> int:
    """How far from MS pixel ``middle`` an input matters, MS pixels."""
    touched = torch.cat([torch.nonzero(gradient.abs().sum((0, 1, axis)))[:, 0] // scale for axis in (2, 3)])
    return int((touched - middle).abs().max())


@BOTH
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_receptive_field_is_what_it_says(config: CompactConfig, blocks: int) -> None:
    net = network(replace(config, blocks=blocks))
    declared = net.receptive_field
    middle = declared + 8
    ms, pan = ground(2 * middle + 1, 2 * middle + 1)
    ms.requires_grad_()
    pan.requires_grad_()
    block = (..., slice(3 * middle, 3 * middle + 3), slice(3 * middle, 3 * middle + 3))
    mean, sigma = net(ms, pan if config.pan else None)
    (mean[block].square().sum() + sigma[block].log().square().sum()).backward()
    found = extent(ms.grad, middle, 1)
    if config.pan:
        found = max(found, extent(pan.grad, middle, 2))
    assert found <= declared, f"{declared} MS pixels declared, but the network looks {found} far"
    assert found >= declared - 3


@BOTH
def test_what_lies_beyond_the_receptive_field_changes_nothing(config: CompactConfig) -> None:
    net = network(config)
    reach, size = net.receptive_field, 8
    side = size + 2 * reach
    ms, pan = ground(side, side)
    mean, sigma = run(net, ms, pan)
    pad = 4
    around = (pad,) * 4
    wider_ms = torch.nn.functional.pad(ms, around, value=0.9)
    wider_pan = torch.nn.functional.pad(pan, tuple(2 * p for p in around), value=0.9)
    wider = run(net, wider_ms, wider_pan)
    for a, b in zip((mean, sigma), wider, strict=True):
        a = a[..., 3 * reach : -3 * reach, 3 * reach : -3 * reach]
        b = b[..., 3 * (reach + pad) : -3 * (reach + pad), 3 * (reach + pad) : -3 * (reach + pad)]
        torch.testing.assert_close(a, b, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(("gain", "offset"), [(0.6, 0.05), (1.0, 0.2), (1.3, -0.05)])
@pytest.mark.parametrize("seed", range(3))
def test_gain_and_offset_of_pan_hardly_matter(gain: float, offset: float, seed: int) -> None:
    net = network(seed=seed)
    ms, pan = ground(40, 40, seed)
    with torch.no_grad():
        features, changed = net.features(ms, pan), net.features(ms, gain * pan + offset)
        flat = net.restore(ms, torch.zeros_like(net.body(features)))[0]
    assert features.shape == (1, 16, 40, 40)
    torch.testing.assert_close(features[:, :12], changed[:, :12], atol=0, rtol=0)
    scale = features[:, 12:].std()
    assert scale > 0.1
    assert (features - changed)[:, 12:].std() < 0.04 * scale
    mean, _ = run(net, ms, pan)
    mean_changed, _ = run(net, ms, gain * pan + offset)
    assert (mean_changed - mean).std() < 0.04 * (mean - flat).std()


def test_pan_matters() -> None:
    ms, pan = ground()
    net = network()
    mean, _ = run(net, ms, pan)
    other, _ = run(net, ms, ground(seed=1)[1])
    assert (mean - other).std() > 0.01 * mean.std()


@BOTH
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tail", [0.1, 1.0, 10.0])
def test_averaged_back_it_is_the_input_whatever_the_weights(config: CompactConfig, seed: int, tail: float) -> None:
    net = network(replace(config, back_projection_steps=4), seed, tail)
    ms, pan = ground(40, 40, seed)
    edge = 8
    mean, _ = run(net, ms, pan)
    with torch.no_grad():
        raw = net.body(net.features(ms, pan if config.pan else None))
        plain, _ = net.restore(ms, torch.zeros_like(raw))
        invented = torch.nn.functional.pixel_shuffle(raw[:, : raw.shape[1] // 2], 3) * 0.05

        def seen_at_30_m(x: torch.Tensor) -> torch.Tensor:
            return net.polyphase.down(x)[..., edge:-edge, edge:-edge]

        wanted = as_sentinel_2(net, ms)[..., edge:-edge, edge:-edge]
        drift = seen_at_30_m(mean - plain)
        assert (seen_at_30_m(plain) - wanted).square().mean().sqrt() < 0.08 * wanted.std()
        assert drift.square().mean().sqrt() < 0.15 * seen_at_30_m(invented).std()
        assert drift.mean().abs() < 1e-3 * seen_at_30_m(invented).std() + 1e-5
        assert (mean - plain).std() > 0.3 * invented.std()  # the detail itself survives


@BOTH
def test_gradients_are_finite(config: CompactConfig) -> None:
    dark = torch.zeros(1, 6, 12, 12)
    cases = [ground(12, 12), (dark, torch.zeros(1, 1, 24, 24)), (dark - 0.2, torch.full((1, 1, 24, 24), 0.5))]
    bright, pan = ground(12, 12)
    cases.append((100 * bright, 100 * pan))
    for ms, pan in cases:
        net = network(config)
        ms, pan = ms.clone().requires_grad_(), pan.clone().requires_grad_()
        mean, sigma = net(ms, pan if config.pan else None)
        (mean.square().mean() + sigma.log().mean()).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        assert ms.grad.isfinite().all()
        assert not config.pan or pan.grad.isfinite().all()


@BOTH
def test_sigma_stays_within_its_bounds(config: CompactConfig) -> None:
    net = network(config, tail=100.0)
    net.calibration.copy_(torch.arange(1.0, 7.0))
    _, sigma = run(net, *ground())
    relative = sigma / net.calibration[:, None, None]
    assert relative.min() >= math.exp(-10) * 0.999
    assert relative.max() <= 1.001


@BOTH
def test_images_of_a_batch_do_not_mix(config: CompactConfig) -> None:
    net = network(config)
    ms, pan = ground(9, 11, batch=3)
    together = run(net, ms, pan)
    for i in range(3):
        for a, b in zip(together, run(net, ms[i : i + 1], pan[i : i + 1]), strict=True):
            torch.testing.assert_close(a[i : i + 1], b, atol=2e-6, rtol=1e-5)


@BOTH
def test_a_shift_by_an_ms_pixel_is_a_shift_by_three(config: CompactConfig) -> None:
    net = network(config)
    edge = net.receptive_field + 1
    ms, pan = ground(2 * edge + 6, 2 * edge + 6)
    here = run(net, ms, pan)
    there = run(net, ms.roll((1, -1), (2, 3)), pan.roll((2, -2), (2, 3)))
    for a, b in zip(here, there, strict=True):
        inner = slice(3 * edge, -3 * edge)
        torch.testing.assert_close(
            a.roll((3, -3), (2, 3))[..., inner, inner], b[..., inner, inner], atol=1e-5, rtol=1e-4
        )


def test_config_and_weights_rebuild_the_network() -> None:
    net = network()
    again = Compact(CompactConfig(**asdict(net.config)))
    again.load_state_dict(net.state_dict())
    ms, pan = ground()
    for a, b in zip(run(net, ms, pan), run(again.eval(), ms, pan), strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)


def test_constants_of_the_physics_are_not_weights() -> None:
    assert set(network().state_dict()) - {name for name, _ in network().named_parameters()} == {"calibration"}


def test_its_constants_are_those_of_the_sensor_table() -> None:
    """The leaf repeats them so that old weights keep their physics; a new default must agree."""
    from l8s2 import sensors
    from l8s2.networks.compact import BANDS
    from l8s2.networks.unet import UNetConfig
    from l8s2.simulate.sensor import RELATIVE_BLUR

    assert (BANDS, UNetConfig().in_channels, UNetConfig().out_channels) == (
        sensors.N_BANDS,
        sensors.N_BANDS + 1,
        sensors.N_BANDS,
    )
    config = CompactConfig()
    assert config.band_pass == tuple(band.band_pass["S2A"] for band in sensors.BANDS)
    assert config.pan_weights == sensors.OLI.pan_weights
    assert config.blur == pytest.approx([sigma / sensors.OUTPUT_GSD for sigma in RELATIVE_BLUR], abs=0.01)
    ms_against_pan = math.sqrt(sensors.BANDS[0].oli_psf_sigma ** 2 - sensors.OLI.pan_psf_sigma**2) / sensors.PAN_GSD
    assert config.pan_blur == pytest.approx(ms_against_pan, abs=0.002)
