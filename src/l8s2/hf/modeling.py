"""The UNets as a model of transformers, with the class name, the settings and the tensors of the published ones.

This file also ends the ``modeling_s2l8h.py`` of every stored UNet, after the source of the network itself: see
``l8s2.models.deep_harmonization.modelling_file``.
"""
# mypy: disable-error-code="misc, no-untyped-call"

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from l8s2.networks.unet import UNet, UNetConfig


class s2l8hConfig(PretrainedConfig):
    """The published ``config.json``; fields as in UNetConfig."""

    model_type = "s2l8hModel"

    def __init__(self, **settings: Any) -> None:
        for field in fields(UNetConfig):
            setattr(self, field.name, settings.pop(field.name, field.default))
        super().__init__(**settings)  # which keeps the rest


class s2l8hModel(PreTrainedModel):
    """model(l8MS, l8pan): bands (B, 6, H, W) and pan (B, 1, H, W), reflectance interpolated to 10 m.

    Returns (B, 6, H, W); with a Gaussian head mean and variance. Interpolation is left to the caller, as published.
    """

    config_class = s2l8hConfig
    main_input_name = "l8MS"

    def __init__(self, config: s2l8hConfig) -> None:
        super().__init__(config)
        self.model = UNet(UNetConfig(**{f.name: getattr(config, f.name) for f in fields(UNetConfig)})).model
        self.post_init()

    def forward(self, l8MS: Tensor, l8pan: Tensor | None = None) -> Any:
        """See UNet.forward, which needs ``config`` and ``model`` alone."""
        return UNet.forward(cast(UNet, self), l8MS, l8pan)

    def _init_weights(self, module: Any) -> None:
        """Do nothing: the layers have initialised themselves."""
