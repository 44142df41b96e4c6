"""A browser of this machine without a window, and with WebGL where there is no graphics card."""

from __future__ import annotations

import shutil
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def launch(playwright: Any) -> Any:
    """Start the first of PROGRAMS that there is, else the one that playwright has fetched."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    return playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
