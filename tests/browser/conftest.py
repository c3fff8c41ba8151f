"""Pages in Chromium.

It is not part of Python, so these files are collected only by `make test-browser`, which asks for them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

collect_ignore_glob = [] if os.environ.get("RECRUN_TEST_BROWSER") else ["test_*.py"]

PHONE = 320
"""Pixels of the width of a small phone."""


class Browser:
    """Chromium without a window, and what it logged.

    Args:
        driver: that of selenium.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, *, width: int = 1200, dark: bool = False, script: bool = True) -> None:
        """Show a page in a window of some width, in light or dark, with its script or without."""
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": theme})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not script})
        self.logs()
        self.driver.get(page.as_uri())

    def run(self, code: str, *arguments: Any) -> Any:
        """Return what a piece of JavaScript returns."""
        return self.driver.execute_script(code, *arguments)

    def all(self, selector: str) -> list[Any]:
        """Return the elements of a selector."""
        found: list[Any] = self.driver.find_elements("css selector", selector)
        return found

    def logs(self) -> list[str]:
        """Return what was logged on the console since the last call, violations of the policy included."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, with its driver."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Named, since selenium would look for one to download.
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture
def write_report(tmp_path: Path) -> Callable[..., Path]:
    """Write the report of some runs."""
    from tests.compare.report.conftest import text_of

    def write(*arguments: Path) -> Path:
        place = tmp_path / "report.html"
        place.write_text(text_of(*arguments), encoding="utf-8")
        return place

    return write
