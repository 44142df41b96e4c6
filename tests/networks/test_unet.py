"""The published UNets: their tensors by name and shape, and their forward pass against a second, straight-line one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.nn import functional as F  # noqa: E402

from l8s2.networks import UNet, UNetConfig  # noqa: E402

PUBLISHED = [f"s2l8h-UNet-{depth}depth-{mode}" for depth in (5, 6) for mode in ("upsample", "shuffle")]
PARAMETERS = dict(zip(PUBLISHED, (28_945_432, 56_453_916, 115_984_412, 226_334_497), strict=True))


def config(name: str) -> UNetConfig:
    _, _, depth, mode = name.split("-")
    return UNetConfig(depth=int(depth[0]), up_mode=mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("up_mode", ["upsample", "upconv", "shuffle"])
def test_a_unet_can_begin_as_interpolation(up_mode: Any) -> None:
    torch.manual_seed(0)
    unet = UNet(UNetConfig(depth=3, growth_factor=3, up_mode=up_mode))
    unet.begin_as_interpolation()
    ms, pan = torch.rand(2, 6, 23, 30), torch.rand(2, 1, 23, 30)
    torch.testing.assert_close(unet(ms, pan), ms, atol=1e-6, rtol=0)
    unet(ms, pan).square().sum().backward()
    optimizer = torch.optim.SGD(unet.parameters(), lr=1e-3)
    optimizer.step()
    optimizer.zero_grad()
    unet(ms, pan).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in unet.parameters())  # every weight takes part


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name: str) -> None:
    with torch.device("meta"):
        network = UNet(config(name))
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_tensors_load_strictly(name: str, data: Path) -> None:
    listed = json.loads((data / "facts" / "published_weights.json").read_text())[name]["tensors"]
    with torch.device("meta"):
        network = UNet(config(name))
        state = {key: torch.empty(shape) for key, shape in dict(listed).items()}
    network.load_state_dict(state, strict=True, assign=True)
    assert [key for key, _ in network.state_dict().items()] == list(state)


def straight_line(s: dict, x: "torch.Tensor", depth: int, mode: str) -> "torch.Tensor":
    """The forward pass written down once more, from tensors alone."""

    def block(x: "torch.Tensor", key: str) -> "torch.Tensor":
        for conv, act in ((0, 1), (2, 3)):
            x = F.conv2d(x, s[f"{key}.block.{conv}.weight"], s[f"{key}.block.{conv}.bias"], padding=1)
            x = torch.where(x > 0, x, s[f"{key}.block.{act}.weight"] * x)
        return x

    skips = []
    for level in range(depth):
        x = block(x, f"model.encoding_module.{level}")
        skips.append(x)
        h, w = x.shape[2] // 2, x.shape[3] // 2
        x = x[:, :, : 2 * h, : 2 * w].reshape(*x.shape[:2], h, 2, w, 2).mean((3, 5))
    x = skips[-1]
    for step, skip in enumerate(skips[-2::-1]):
        key = f"model.decoding_module.{step}"
        if mode == "upsample":
            size = (2 * x.shape[2], 2 * x.shape[3])
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            x = torch.einsum("oi,bihw->bohw", s[f"{key}.Upsize.1.weight"][:, :, 0, 0], x)
            x = x + s[f"{key}.Upsize.1.bias"][:, None, None]
        else:
            x = F.conv2d(x, s[f"{key}.Upsize.0.weight"], s[f"{key}.Upsize.0.bias"], padding=1)
            x = torch.where(x > 0, x, s[f"{key}.Upsize.1.weight"] * x)
            b, c, h, w = x.shape
            x = x.reshape(b, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3).reshape(b, c // 4, 2 * h, 2 * w)
            x = F.conv2d(x, s[f"{key}.Upsize.3.weight"], s[f"{key}.Upsize.3.bias"], padding=1)
        x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
        x = block(torch.cat([x, skip], 1), f"{key}.conv")
    return F.conv2d(x, s["model.final.weight"], s["model.final.bias"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_forward_pass_is_the_published_one(name: str) -> None:
    """At full width; the weights are such that the lowest level shows a hundred times the tolerance."""
    torch.manual_seed(0)
    wanted = config(name)
    with torch.device("meta"):
        network = UNet(wanted).eval()
    network.to_empty(device="cpu")
    with torch.no_grad():
        for key, tensor in network.named_parameters():
            if tensor.numel() == 1:
                tensor.uniform_(0.05, 0.4)  # every PReLU a slope of its own
            elif key.endswith("bias"):
                tensor.uniform_(-0.1, 0.1)
            else:
                bound = (6.5 / tensor[0].numel()) ** 0.5
                tensor.uniform_(-bound, bound)
        for size in ((32, 32), (33, 50), (47, 35)):
            ms, pan = torch.rand(1, 6, *size), torch.rand(1, 1, *size)
            expected = straight_line(network.state_dict(), torch.cat([ms, pan], 1), wanted.depth, wanted.up_mode)
            torch.testing.assert_close(network(ms, pan), expected, atol=1e-5, rtol=1e-5)


def test_the_variance_is_positive_and_never_without_gradient() -> None:
    network = UNet(UNetConfig(depth=2, growth_factor=2, gaussian=True))
    head = network.model.variance
    for raw in (-60.0, 0.0, 1e4):
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, raw)
        network.zero_grad()
        _, variance = network(torch.rand(1, 6, 8, 8), torch.rand(1, 1, 8, 8))
        expected = np.logaddexp(0, raw - 7) + 1e-8
        torch.testing.assert_close(variance, torch.full_like(variance, expected))
        variance.sum().backward()
        assert (head.bias.grad > 0).all()


def test_dropout_drops_channels_in_training_only() -> None:
    torch.manual_seed(0)
    layer = UNet(UNetConfig(depth=2, growth_factor=6, dropout=0.25)).model.encoding_module[0].block[-1]
    x = torch.ones(1, 64, 5, 5)
    kept = layer(x).mean((2, 3))
    assert 4 < (kept == 0).sum() < 30
    torch.testing.assert_close(kept[kept > 0], torch.full_like(kept[kept > 0], 4 / 3))
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"in_channels": 8}, "in_channels=8; it must be 6 or 7"),
        ({"out_channels": 3}, "out_channels=3"),
        ({"depth": 0}, "depth=0"),
        ({"depth": 5.0}, r"depth=5\.0"),
        ({"growth_factor": 40}, "growth_factor=40"),
        ({"up_mode": "nearest"}, "'upsample' or 'upconv' or 'shuffle'"),
        ({"spatial_attention": None}, "spatial_attention=None; it must be 'None' or"),
        ({"ca_layer": "false"}, "ca_layer='false'; it must be False or True"),
        ({"gaussian": 1}, "gaussian=1"),
        ({"dropout": 1.0}, r"dropout=1\.0; a probability"),
        ({"dropout": "0.1"}, "dropout='0.1'"),
        ({"dropout": float("nan")}, "dropout=nan"),
    ],
)
def test_nonsense_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UNetConfig(**setting)
