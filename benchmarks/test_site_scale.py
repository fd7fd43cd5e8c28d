"""A site of ten thousand records: built within a minute and 2 GB, in time that grows with the records, quick to use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RECORDS = 10_000
SECONDS, BYTES = 60.0, 2 * 2**30
"""For `RECORDS` records, the process with its imports and the reading of the store included."""
SIZES = (1_000, 2_000, 5_000, RECORDS)
STEEPEST = 1.1
"""Exponent of the power law through the processor times less the start-up: 1 is linear."""
USABLE = 1.0
"""Seconds from opening the overview until it has answered the first keystroke of a search."""
RESPONSIVE = 0.1
"""Seconds from an action on a board of two thousand rows to the next frame."""


@dataclass(frozen=True)
class Built:
    seconds: float
    processor: float
    peak: int
    report: dict[str, Any]


_BUILD = """
import pathlib, re, sys
from zoo.cli.main import main
status = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1], file=sys.stderr)
sys.exit(status)
"""
"""A process's resource usage would count the peak of the process that it was forked from."""


def build(store: Path, out: Path) -> Built:
    """`zoo leaderboard build` in a process of its own."""
    command = [sys.executable, "-c", _BUILD]
    command += ["leaderboard", "build", "--store", str(store), "--out", str(out), "--json"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    text, said = process.stdout.read(), process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    peak = int(said.split()[-1]) * 1024
    return Built(seconds, used.ru_utime + used.ru_stime, peak, json.loads(text))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if shutil.which("/usr/bin/chromium") is None or shutil.which("/usr/bin/chromedriver") is None:
        pytest.skip("chromium or chromium-driver is missing")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


FRAME = """
const done = arguments[arguments.length - 1], start = performance.now();
const found = document.querySelector(arguments[0]);
if (arguments[1] === null) found.click();
else { found.value = arguments[1]; found.dispatchEvent(new Event("input", { bubbles: true })); }
requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => done((performance.now() - start) / 1000);
  channel.port2.postMessage(0);
});
"""


def until_drawn(browser: Any, selector: str, text: str | None = None) -> float:
    """Seconds from typing `text` into an element, or from a click on it, until the next frame is drawn."""
    return float(browser.execute_async_script(FRAME, selector, text))


def opened(browser: Any, file: Path) -> float:
    """Seconds from the start of the navigation until every script of the page has run."""
    browser.get("about:blank")
    browser.get(file.resolve().as_uri())
    end = browser.execute_script("return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    return float(end) / 1000


@pytest.mark.browser
def test_ten_thousand_records_build_in_a_minute_and_the_overview_answers_in_a_second(
    write_store: Callable[..., Path], tmp_path: Path, browser: Any, request: pytest.FixtureRequest, capsys: Any
) -> None:
    if not request.config.getoption("benchmark"):
        built = build(write_store(tmp_path / "records", 60, models=6), tmp_path / "site")
        assert (built.report["records"], len(built.report["boards"]), built.report["problems"]) == (60, 2, [])
        return
    start = build(write_store(tmp_path / "few", 5), tmp_path / "small").processor
    found = {}
    for size in SIZES:
        found[size] = build(write_store(tmp_path / f"records-{size}", size), tmp_path / f"site-{size}")
        assert found[size].report["records"] == size
    logs = np.log([[size, built.processor - start] for size, built in found.items()])
    exponent = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
    overview = tmp_path / f"site-{RECORDS}" / "index.html"
    tries = [opened(browser, overview) + until_drawn(browser, "[data-narrow]", "office-3") for _ in range(5)]
    usable = sorted(tries)[2]
    with capsys.disabled():
        for size, built in found.items():
            peak = built.peak / 2**20
            print(
                f"\n{size:>6,} records: {built.seconds:.1f} s, {built.processor:.1f} s CPU, peak {peak:,.0f} MiB",
                end="",
            )
        print(f"\nstart-up {start:.1f} s CPU; exponent {exponent:.2f}; overview usable in {usable:.2f} s")
    assert found[RECORDS].seconds < SECONDS
    assert found[RECORDS].peak < BYTES
    assert exponent < STEEPEST
    assert usable < USABLE


@pytest.mark.browser
def test_a_board_of_two_thousand_rows_answers_within_a_tenth_of_a_second(
    write_store: Callable[..., Path], tmp_path: Path, browser: Any, request: pytest.FixtureRequest, capsys: Any
) -> None:
    benchmark = request.config.getoption("benchmark")
    rows = 2_000 if benchmark else 102
    build(write_store(tmp_path / "records", rows, models=rows, seeds=1), tmp_path / "site")
    (board,) = (tmp_path / "site" / "boards").glob("*.html")
    opened(browser, board)
    assert "rows" in browser.find_element("css selector", "[data-announce]").text
    actions: dict[str, tuple[str, tuple[str | None, ...]]] = {
        "search": ("[data-filter]", ("lion", "muon", "adamw", "")),
        "range": ("[data-min=bleu]", ("12", "8", "20", "")),
        "sort by score": ("th[data-column=bleu] button", (None, None, None)),
        "sort by name": ("th[data-column=model] button", (None, None, None)),
    }
    taken = {
        name: sorted(until_drawn(browser, selector, text) for text in texts)[1]
        for name, (selector, texts) in actions.items()
    }
    if benchmark:
        with capsys.disabled():
            print("\n" + ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in taken.items()))
        assert max(taken.values()) < RESPONSIVE


@pytest.mark.slow
@pytest.mark.once
def test_two_thousand_records_build_in_a_fifth_of_what_ten_thousand_may_take(
    write_store: Callable[..., Path], tmp_path: Path
) -> None:
    store, share = write_store(tmp_path / "records", 2_000), 2_000 / RECORDS
    built = build(store, tmp_path / "site")
    # Processor time: what else runs on the machine is not the builder's.
    assert built.processor < SECONDS * share
    assert built.peak < 256 * 2**20 + BYTES * share
    assert (built.report["models"], built.report["problems"]) == (400, [])
