"""Metadata of ONNX files written by l8s2."""

from __future__ import annotations

from collections.abc import Mapping

_DEFAULTS = {"Compact": {"no_pan_model": '"compact-nopan"', "memory_per_pixel": "7000"}}
"""What the embedded files do not say of themselves, by architecture."""


def with_defaults(info: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of an ONNX file with what older files leave unsaid."""
    return {"no_pan_model": "null"} | _DEFAULTS.get(info.get("architecture", ""), {}) | dict(info)
