"""A headless Chromium driven by Playwright, for screenshots and for tests of the pages.

Playwright drives the browser that is installed. It downloads none.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from scripts.common.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Windows, as arguments of `Browser.new_page`. A phone has a touch screen and a finer display.
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


class BrowserMissing(UserError):
    """No Chromium on this machine; the message says what to install."""


def find() -> str:
    """The path of a Chromium or Chrome: SCONES_BROWSER, or the first on PATH. Raises BrowserMissing."""
    for name in (os.environ.get("SCONES_BROWSER"), *NAMES):
        if name and (path := shutil.which(name)):
            return path
    raise BrowserMissing(
        "No Chromium found: install one (Debian: apt-get install chromium) or name it by SCONES_BROWSER."
    )


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A fresh browser. Raises BrowserMissing, playwright.sync_api.Error."""
    path = find()
    sandbox = os.geteuid() != 0  # Chromium's sandbox refuses to run as root
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, chromium_sandbox=sandbox) as browser,
    ):
        yield browser
