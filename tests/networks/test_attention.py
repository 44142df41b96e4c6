"""The attention layers against their formulas, written down once more."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from l8s2.networks.attention import AttentionGate, ChannelAttention  # noqa: E402


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(("channels", "size"), [(2, 1), (8, 3), (64, 3), (128, 5), (512, 5), (2048, 7)])
def test_channel_attention(channels: int, size: int) -> None:
    torch.manual_seed(0)
    layer = ChannelAttention(channels)
    x = torch.randn(2, channels, 5, 4)
    weights = layer.conv.weight.detach().numpy().ravel()
    assert len(weights) == size
    means = np.pad(x.numpy().mean((2, 3)), ((0, 0), (size // 2, size // 2)))
    gates = sigmoid(np.stack([means[:, i : i + size] @ weights for i in range(channels)], axis=1))
    np.testing.assert_allclose(layer(x).detach().numpy(), x.numpy() * gates[:, :, None, None], atol=1e-5)


@pytest.mark.parametrize("modified", [False, True])
def test_attention_gate(modified: bool) -> None:
    torch.manual_seed(0)
    gate = AttentionGate(8, modified=modified)
    skip, features = torch.randn(2, 8, 3, 5), torch.randn(2, 8, 3, 5)
    s = {key: value.numpy().squeeze() for key, value in gate.state_dict().items()}
    mixed = np.einsum("oi,bihw->bohw", s["skip.weight"], skip) + np.einsum(
        "oi,bihw->bohw", s["features.weight"], features
    )
    mixed = np.maximum(mixed + s["skip.bias"][:, None, None], 0)
    psi = s["psi.weight"].reshape(-1, 4)
    weight = sigmoid(np.einsum("oi,bihw->bohw", psi, mixed) + s["psi.bias"].reshape(-1, 1, 1))
    assert weight.shape[1] == (8 if modified else 1)
    expected = skip.numpy() * (weight + modified)
    np.testing.assert_allclose(gate(skip, features).detach().numpy(), expected, atol=1e-5)
