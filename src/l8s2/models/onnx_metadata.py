"""Metadata of ONNX files written by l8s2."""

from __future__ import annotations

from collections.abc import Mapping

_BEFORE_CONTRACT = {"no_pan_model": '"compact-nopan"', "memory_per_pixel": "7000"}
"""What files with a calibrated sigma leave unsaid, the embedded ones among them, that are older than these keys."""


def with_defaults(info: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of an ONNX file with what older files leave unsaid."""
    older = "calibration" in info and "no_pan_model" not in info
    return {"no_pan_model": "null"} | (_BEFORE_CONTRACT if older else {}) | dict(info)
