"""A real Chromium, headless, driven by its own driver: what a reader's browser makes of a page."""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


class Page:
    """A file that is open in the browser. Everything that the browser asked for since its start is in `requests`."""

    def __init__(self, driver: Chrome, file: Path) -> None:
        self._driver = driver
        self.url = file.as_uri()
        self.requests: list[str] = []

    def open(self, width: int, height: int, scheme: str = "light") -> None:
        """Load it in a window of that size, on a screen that is light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._cdp("Emulation.setDeviceMetricsOverride", **size)
        self.media("", scheme)
        self._driver.get(self.url)
        for entry in self._driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])

    def media(self, medium: str, scheme: str) -> None:
        """Show it as on that medium: `print`, or a screen by default."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._cdp("Emulation.setEmulatedMedia", media=medium, features=features)

    def run(self, script: str) -> Any:
        """What the script returns."""
        return self._driver.execute_script(script)

    def complaints(self) -> list[str]:
        """What the browser has to say of the page: errors, and what the page's own policy forbade."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def screenshot(self) -> bytes:
        """PNG of the window."""
        return base64.b64decode(self._cdp("Page.captureScreenshot", format="png")["data"])

    def pdf(self) -> bytes:
        """The page printed."""
        printed = self._cdp("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(printed["data"])

    def _cdp(self, command: str, **arguments: Any) -> Any:
        return self._driver.execute_cdp_cmd(command, arguments)


@contextmanager
def chromium(file: Path) -> Iterator[Page]:
    """Chromium, with that file to open. It resolves no name and goes through a proxy that is not there."""
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless=new",
        "--no-sandbox",  # tests run as root in containers, where it cannot be had
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--proxy-server=http://127.0.0.1:9",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield Page(driver, file)
    finally:
        driver.quit()
