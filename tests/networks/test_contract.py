"""What l8s2.networks promises of every network, held against each of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from l8s2.models.onnx_file import openvino_core  # noqa: E402
from l8s2.networks import ARCHITECTURES, HarmonizationNetwork, OnLattice, build  # noqa: E402

SMALL = {"depth": 3, "growth_factor": 3}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "Compact": ("Compact", {"width": 12, "blocks": 1}),
    "Compact without pan": ("Compact", {"width": 12, "blocks": 1, "pan": False}),
    "upsample": ("UNet", SMALL),
    "upconv": ("UNet", {**SMALL, "up_mode": "upconv"}),
    "shuffle": ("UNet", {**SMALL, "up_mode": "shuffle"}),
    "UNet without pan": ("UNet", {**SMALL, "in_channels": 6}),
    "gates": ("UNet", {**SMALL, "spatial_attention": "standard"}),
    "modified gates": ("UNet", {**SMALL, "spatial_attention": "modified"}),
    "channel attention": ("UNet", {**SMALL, "ca_layer": True}),
    "gaussian": ("UNet", {**SMALL, "gaussian": True}),
    "dropout": ("UNet", {**SMALL, "dropout": 0.3}),
    "corners": ("UNet", {**SMALL, "input_alignment": "corners"}),
}
WITH_SIGMA = {"Compact", "Compact without pan", "gaussian"}
EVERY = pytest.mark.parametrize("name", NETWORKS)


def network(name: str, seed: int = 0) -> nn.Module:
    """In eval mode, its weights such that no layer is drowned by the biases."""
    torch.manual_seed(seed)
    net = build(*NETWORKS[name]).eval()
    with torch.no_grad():
        for weight in net.parameters():
            if weight.ndim == 4:
                weight.normal_(0, (1.5 / weight[0].numel()) ** 0.5)
    return net


def inputs(net: nn.Module, height: int, width: int, batch: int = 2) -> "list[torch.Tensor | None]":
    ms, pan = torch.rand(batch, 6, height, width), torch.rand(batch, 1, 2 * height, 2 * width)
    return [ms, pan if net.uses_pan else None]


def outputs(net: nn.Module, given: "Sequence[torch.Tensor | None]") -> "list[torch.Tensor]":
    return [out for out in net(*given) if out is not None]


@EVERY
@pytest.mark.parametrize("size", [(8, 12), (7, 5)])
def test_shapes(name: str, size: tuple[int, int]) -> None:
    net = network(name)
    mean, sigma = net(*inputs(net, *size))
    assert mean.shape == (2, 6, 3 * size[0], 3 * size[1])
    assert mean.isfinite().all()
    assert (sigma is not None) == (name in WITH_SIGMA)
    assert sigma is None or (sigma.shape == mean.shape and (sigma > 0).all())


@EVERY
def test_inputs_at_10m_are_answered_pixel_for_pixel(name: str) -> None:
    net = network(name)
    if net.takes_10m:
        assert net(torch.rand(1, 6, 12, 16), torch.rand(1, 1, 12, 16))[0].shape == (1, 6, 12, 16)


@EVERY
def test_every_parameter_gets_a_gradient(name: str) -> None:
    net = network(name).train()
    sum(out.square().sum() for out in outputs(net, inputs(net, 8, 9))).backward()
    without = [
        key for key, p in net.named_parameters() if p.grad is None or not (p.grad.isfinite() & (p.grad != 0)).any()
    ]
    assert not without


@EVERY
def test_config_and_state_rebuild_the_network(name: str) -> None:
    net, again = network(name), network(name, seed=1)
    again.load_state_dict(net.state_dict(), strict=True)
    given = inputs(net, 8, 9)
    for a, b, c in zip(outputs(net, given), outputs(again, given), outputs(net, given), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "channel attention"])
def test_interiors_of_windows_agree(name: str) -> None:
    """Not so with channel attention, whose weights are means over the window."""
    net = network(name)
    edge, step = net.receptive_field, net.stride
    side = -(-2 * edge // step) * step + 2 * step
    top, left = step, 2 * step
    whole = inputs(net, side + 3 * step, side + 4 * step, batch=1)
    window = [x if x is None else cut(x, i * top, i * left, i * side) for i, x in enumerate(whole, 1)]
    with torch.no_grad():
        for a, b in zip(outputs(net, whole), outputs(net, window), strict=True):
            a = cut(a, 3 * top, 3 * left, 3 * side)
            inner = (3 * edge, 3 * edge, 3 * (side - 2 * edge))
            torch.testing.assert_close(cut(a, *inner), cut(b, *inner), atol=1e-5, rtol=0)


def cut(x: "torch.Tensor", top: int, left: int, side: int) -> "torch.Tensor":
    return x[..., top : top + side, left : left + side]


class _Given(nn.Module):
    """Without the outputs that are None."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, ms: "torch.Tensor", pan: "torch.Tensor | None" = None) -> "tuple[torch.Tensor, ...]":
        return tuple(outputs(self.net, (ms, pan)))


@EVERY
def test_onnx_says_the_same(name: str) -> None:
    """At any size that is a multiple of the stride: the graph of a UNet has no resize for odd sizes."""
    pytest.importorskip("onnxscript")
    net = network(name)
    rows, columns = (net.stride * torch.export.Dim(n) for n in ("rows", "columns"))
    shapes = ({2: rows, 3: columns}, {2: 2 * rows, 3: 2 * columns})
    example = [x for x in inputs(net, 24, 28, batch=1) if x is not None]
    program = torch.onnx.export(
        _Given(net).eval(), tuple(example), dynamo=True, dynamic_shapes=shapes[: len(example)], verbose=False
    )
    core = openvino_core()
    graph = core.read_model(program.model_proto.SerializeToString())
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    given = inputs(net, 12, 20, batch=1)
    found = compiled([x.numpy() for x in given if x is not None])
    with torch.no_grad():
        for i, expected in enumerate(outputs(net, given)):
            torch.testing.assert_close(torch.from_numpy(found[i]), expected, atol=1e-4, rtol=0)


@EVERY
def test_a_network_that_needs_pan_asks_for_it(name: str) -> None:
    net = network(name)
    if net.uses_pan:
        with pytest.raises(ValueError, match="pan=None"):
            net(torch.rand(1, 6, 8, 8), None)


class Own(HarmonizationNetwork):
    uses_pan, receptive_field, stride = True, 0, 1

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


def test_stages_are_the_network() -> None:
    for name in NETWORKS:
        net = network(name)
        given = inputs(net, 8, 12)
        prepare, body, restore = net.stages()
        with torch.no_grad():
            found = [x for x in restore(given[0], body(prepare(*given))) if x is not None]
            for a, b in zip(found, outputs(net, given), strict=True):
                assert torch.equal(a, b)


class Lacking(HarmonizationNetwork):
    uses_pan = True


def test_a_class_of_ones_own() -> None:
    assert build(f"{__name__}:Own", {"width": 3}).width == 3
    assert isinstance(build("l8s2.networks:OnLattice", {"network": network("upsample").network}), OnLattice)


@pytest.mark.parametrize(
    ("architecture", "config", "message"),
    [
        ("SRUNet", {}, f"'SRUNet' is unknown; use {', '.join(ARCHITECTURES)} or package.module:Class"),
        ("UNet", {"dept": 5}, "'dept' is no key"),
        ("Compact", {"input_alignment": "lattice"}, "'input_alignment' is no key"),
        ("UNet", {"input_alignment": "centres"}, "it must be 'lattice' or 'corners'"),
        ("no.such.module:Net", {}, "No module named 'no'"),
        (f"{__name__}:Nothing", {}, "no attribute 'Nothing'"),
        (f"{__name__}:Own", {"height": 3}, "unexpected keyword argument 'height'"),
        (f"{__name__}:Lacking", {}, "has no receptive_field"),
    ],
)
def test_what_cannot_be_built_is_named(architecture: str, config: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        build(architecture, config)
    assert "\n" not in str(error.value)
