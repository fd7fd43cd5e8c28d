"""Debian's Chromium, driven by selenium, and axe-core's accessibility checks, which npm installs beside this file."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM, CHROMEDRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
]
HERE = Path(__file__).parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """One browser for all tests: starting it is the slow part."""
    missing = [path for path in (CHROMIUM, CHROMEDRIVER) if shutil.which(path) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} missing: apt install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")

    class Reader(webdriver.Chrome):
        """A browser that opens files and hears what their pages say and ask for."""

        def open_page(self, file, anchor=""):
            # A change of the hash alone would not load the page anew.
            self.get("about:blank")
            self.get(file.resolve().as_uri() + anchor)

        def drain(self):
            """Console messages, requested addresses and opened dialogs since the last look."""
            requests, dialogs = [], []
            for entry in self.get_log("performance"):
                message = json.loads(entry["message"])["message"]
                if message["method"] in {"Network.requestWillBeSent", "Network.webSocketCreated"}:
                    requests.append(message["params"].get("request", message["params"])["url"])
                if message["method"] == "Page.javascriptDialogOpening":
                    dialogs.append(message["params"]["message"])
            return [entry["message"] for entry in self.get_log("browser")], requests, dialogs

        def quiet(self):
            """Assert that no page logged a message, opened a dialog or asked for anything but files."""
            console, requests, dialogs = self.drain()
            assert console == []
            assert dialogs == []
            assert any(url.startswith("file:") for url in requests)
            assert [url for url in requests if not url.startswith(("file:", "about:"))] == []

        def media(self, media="", **features):
            """``media("print")``, ``media(prefers_color_scheme="dark")``; nothing puts it back."""
            named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
            self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": named})

        def window(self, width=None, height=800):
            """A window of that width, as a phone has it where it is narrow; nothing puts it back."""
            if width is None:
                self.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
                return
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 1000}
            self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.set_capability("unhandledPromptBehavior", "ignore")
    browser = Reader(options=options, service=webdriver.ChromeService(CHROMEDRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def listening(driver):
    """The browser; whatever a test did, its pages must have logged nothing and asked no host for anything."""
    driver.get("about:blank")
    driver.drain()
    yield driver
    driver.media()
    driver.window()
    driver.quiet()


@pytest.fixture
def site(build, realistic, listening, tmp_path):
    """The realistic site, with a published figure."""
    lines = [{"name": name, "points": [[0, 4.0], [5, 2.0], [10, last]]} for name, last in (("one", 0.5), ("two", 1.0))]
    chart = {"title": "Error", "x": "step", "y": "error, millions", "series": lines}
    figure = {
        "schema": "zoo.figure/1",
        "title": "Boxes that move",
        "text": "",
        "command": "zoo boxes",
        "charts": [chart],
    }
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "moving.json").write_text(json.dumps(figure))
    return build(realistic, figures=tmp_path / "figures")


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The source of axe-core. Without npm these tests are left out, but never in CI."""
    if not AXE.exists():
        install(tmp_path_factory.getbasetemp().parent / "axe.lock")
    return AXE.read_text(encoding="utf-8")


def install(lock: Path) -> None:
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    npm = shutil.which("npm")
    if npm is None:
        missing("npm is missing: axe-core cannot be installed (apt install npm)")
    with lock.open("w") as stream:
        # Tests run in several processes at once.
        fcntl.flock(stream, fcntl.LOCK_EX)
        if AXE.exists():
            return
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0 or not AXE.exists():
        missing(f"npm could not install axe-core: {done.stderr.strip()[-500:]}")
