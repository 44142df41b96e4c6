"""How l8s2 asks servers, catalogues and files alike: name, time limits, attempts, and failures in plain words. Pure."""

from __future__ import annotations

from l8s2._version import __version__

USER_AGENT = f"l8s2/{__version__}"
ATTEMPTS = 6
"""Attempts at one answer, or at a file without any progress."""
BACKOFF, LONGEST_WAIT = 1.0, 60.0
"""Seconds after the first failure, doubled each time; the longest wait, whatever a server asks for."""
TIMEOUT = (10.0, 60.0)
"""Seconds to connect, seconds between two bytes."""
_PLAIN = {
    "timed out": "no answer in time",
    "refused": "connection refused",
    "resolve": "no such host, or no network",
    "SSL": "its certificate is not accepted",
    "proxy": "the proxy does not let it through",
}


def explain(error: Exception) -> str:
    """Say in a few words what went wrong with a connection."""
    text = str(error)
    return next((plain for word, plain in _PLAIN.items() if word in text), "the connection was dropped")
