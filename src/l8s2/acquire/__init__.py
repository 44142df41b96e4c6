"""Scenes brought from a server to this machine, whole or as windows of native pixels, and kept in a cache."""

from l8s2.acquire.access import Access
from l8s2.acquire.fetch import fetch_scene

__all__ = ["Access", "fetch_scene"]
