"""Where the 10 m inputs lie, and how far a UNet on native pixels sees."""

import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402

from l8s2.networks import OnLattice, UNet, UNetConfig, lattice  # noqa: E402

TOP = torch.arange(14.0)


class Inputs(UNet):
    """Hands back what the network was given."""

    def __init__(self) -> None:
        super().__init__(UNetConfig(depth=2, growth_factor=1))

    def forward(self, ms: "torch.Tensor", pan: "torch.Tensor") -> "torch.Tensor":
        return torch.cat([ms, pan], 1)


def interpolated(ms: "torch.Tensor", pan: "torch.Tensor", alignment: str) -> "torch.Tensor":
    return OnLattice(Inputs(), alignment)(ms, pan)[0]


def coordinates() -> tuple["torch.Tensor", ...]:
    """Rows in MS pixels from the centre of the first, at the centres of ms, pan and 10 m pixels; columns a tenth."""

    def plane(at: "torch.Tensor") -> "torch.Tensor":
        return (at[:, None] + 0.1 * at)[None, None]

    n = torch.arange(42.0)
    return plane(n[:14]), plane(n[:28] / 2), plane((n - 0.5) / 3)


def test_straight_lines_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly with the kernel that is exact on them, which shows the geometry.

    With PyTorch's, which is not, on average.
    """
    ms, pan, fine = coordinates()
    inner = (..., slice(6, -6), slice(6, -6))
    error = (interpolated(ms.expand(1, 6, -1, -1), pan, "lattice") - fine)[inner]
    assert error.abs().max() < 1.1 * 0.0464  # MS pixels; 0.0464 is |first moment of the kernel at 1/6 - 1/6|
    assert F.avg_pool2d(error, 3).abs().max() < 1e-5
    monkeypatch.setattr(lattice, "CUBIC", -0.5)
    error = (interpolated(ms.expand(1, 6, -1, -1), pan, "lattice") - fine)[inner]
    assert error.abs().max() < 1e-5


@pytest.mark.parametrize("size", [(3, 4), (9, 14)])
def test_corners_are_those_of_torch(size: tuple[int, int]) -> None:
    ms, pan = torch.rand(2, 6, *size), torch.rand(2, 1, 2 * size[0], 2 * size[1])
    fine = (3 * size[0], 3 * size[1])
    expected = torch.cat([F.interpolate(x, size=fine, mode="bicubic", align_corners=False) for x in (ms, pan)], 1)
    torch.testing.assert_close(interpolated(ms, pan, "corners"), expected, atol=1e-5, rtol=0)


def test_ten_metre_inputs_go_in_as_they_are() -> None:
    ms, pan = torch.rand(2, 6, 9, 7), torch.rand(2, 1, 9, 7)
    assert torch.equal(interpolated(ms, pan, "lattice"), torch.cat([ms, pan], 1))


@pytest.mark.parametrize("mode", ["upsample", "upconv", "shuffle"])
@pytest.mark.parametrize(("depth", "attention"), [(2, "None"), (3, "modified"), (4, "None"), (5, "standard")])
def test_receptive_field_is_what_it_says(depth: int, attention: str, mode: str) -> None:
    """Of every MS pixel of one period, from the gradients; along rows, in a narrow image."""
    torch.manual_seed(0)
    config = UNetConfig(depth=depth, growth_factor=1, up_mode=mode, spatial_attention=attention, gaussian=True)  # type: ignore[arg-type]
    net = OnLattice(UNet(config)).double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_()
    declared, step = net.receptive_field, net.stride
    before = -(-declared // step) * step + step
    ms = torch.rand(1, 6, 2 * before + step, step, dtype=torch.float64, requires_grad=True)
    pan = torch.rand(1, 1, 2 * ms.shape[2], 2 * step, dtype=torch.float64, requires_grad=True)
    mean, sigma = net(ms, pan)
    reach = 0
    for pixel in range(before, before + step):
        rows = slice(3 * pixel, 3 * pixel + 3)
        out = mean[:, :, rows].sum() + sigma[:, :, rows].sum()
        for gradient, scale in zip(torch.autograd.grad(out, (ms, pan), retain_graph=True), (1, 2), strict=True):
            touched = gradient.abs().sum((0, 1, 3)).nonzero()[:, 0] // scale
            reach = max(reach, int((touched - pixel).abs().max()))
    assert declared - 1 <= reach <= declared
