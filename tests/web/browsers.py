"""The browsers that pages are tested in, each as Playwright's."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.web.firefox import FIREFOX, launch_firefox

CHROMIUM = shutil.which("chromium")
BROWSERS = ["chromium", "firefox"]

# Nothing that the browser does of its own accord: updates, experiments.
_QUIET = ["--no-sandbox", "--no-first-run"]
_QUIET += ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

# And no GPU, which there is not.
ARGUMENTS = [*_QUIET, "--disable-gpu"]

# A GPU that is a program has to be asked for, and Playwright's own arguments would switch it off. What writes zeroes to
# a workgroup's memory takes this program five times as long to compile as the kernels, which read only what they wrote.
_WITH_GPU = [*_QUIET, "--headless=new", "--enable-unsafe-webgpu", "--enable-dawn-features=disable_workgroup_init"]
_OFF = ["--headless", "--disable-gpu", "--enable-unsafe-swiftshader"]
_FIREFOX_WITH_GPU = {"dom.webgpu.enabled": True, "gfx.webgpu.ignore-blocklist": True}


@contextmanager
def launched(
    name: str, *, local_name: str = "", gpu: bool = False, preferences: dict[str, Any] | None = None
) -> Iterator[Any]:
    """A browser, one of BROWSERS. The test skips where the machine lacks it.

    Args:
        local_name: a name that is this machine's for it, but that it does not trust as it trusts localhost.
        gpu: pages have the machine's GPU, also one that a program plays.
        preferences: more of Firefox, as about:config has them.
    """
    if name == "chromium" and CHROMIUM is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    if name == "firefox" and FIREFOX is None:
        pytest.skip("needs Firefox (apt-get install firefox-esr)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        if name == "firefox":
            more = (_FIREFOX_WITH_GPU if gpu else {}) | (preferences or {})
            browser = launch_firefox(driver.firefox, {"network.dns.localDomains": local_name, **more})
        else:
            rules = [f"--host-resolver-rules=MAP {local_name} 127.0.0.1"] if local_name else []
            arguments = _WITH_GPU if gpu else ARGUMENTS
            browser = driver.chromium.launch(
                executable_path=CHROMIUM, args=[*arguments, *rules], ignore_default_args=_OFF if gpu else None
            )
        try:
            yield browser
        finally:
            browser.close()
