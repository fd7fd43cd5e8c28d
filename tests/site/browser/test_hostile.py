"""Records whose every text was chosen by somebody who means harm: shown as text, and nothing happens."""

from __future__ import annotations

import socket

import pytest

from zoo.bench.record import Sample
from zoo.registry import Component, RegisteredComponent, Registry
from zoo.registry.core_kinds import zoo_kinds
from zoo.registry.discovery import Discovery
from zoo.site import build_site

pytestmark = pytest.mark.browser
RUNS = "window.hacked = 1; alert(1)"
ATTACKS = {
    "markup": f"\"'><script>{RUNS}</script><img src=x onerror='{RUNS}'><svg onload='{RUNS}'><iframe srcdoc='<b>'>",
    "address": f"javascript:{RUNS}",
    "breakout": f"</script></title></style></textarea></template>-->]]><script>{RUNS}</script>",
    "style": "</style><style>*{display:none}</style><link rel=stylesheet href=//evil.example><base href=//a.example>",
    "reordering": "safe\u202egnp.exe\u2066 \u2067\u200f\u061c\ufeff\u2028\u2029",
    "controls": "nul\x00 esc\x1b[31m del\x7f c1\x9b bell\x07 form\x0c vertical\x0b",
    "template": "{{ 7 * 7 }}{% raw %}${alert(1)}<%= 1 %>`${alert(1)}`",
    "long": "wide" * 250_000,
    "spaces": " " * 100_000 + "end",
}
LARGEST_PAGE = 2 * 2**20
"""Bytes. A page of ours has a tenth of it."""


def hostile(make_record, part, text, **changes):
    """A record with `text` in every place that a stranger fills."""
    short = text[:100]
    fields = {
        "name": text,
        "task": text,
        "cell": text,
        "error": text,
        "spec": {
            "description": text,
            short: {"use": text, short: [text]},
            "model": {"position": {"use": text}, "other": {"use": "zoo-hostile/hostile"}},
        },
        "spec_hash": text,
        "data_revision": text,
        "distributions": {short: text},
        "quality": [part.quality(20.0, metric=text, unit=text, signature=text, split=text)],
        "performance": [part.cpu(device=text, dtype=text, attention=text, memory={"kind": text, "peak": 1})],
        "probes": {short: 0.5},
        "probe_series": {short: {"axis": text, "unit": text, "x": [text, short + "x"], "lines": {short: [0.5, 1.0]}}},
        "curve": [{"step": step, "loss": 5.0, "probes": {short: 0.5}} for step in (0, 20)],
        "samples": [Sample(id=text, source=text, reference=text, output=text)],
        "environment": {short: text, "cpu": text, "git": {"commit": text, "dirty": True}},
    }
    return make_record(**{**fields, **changes})


def hostile_plugin(text):
    """A registry whose only plugin has `text` wherever a manifest lets it."""
    found = Discovery(manager=None)
    found.kinds.update({kind.name: kind for kind in zoo_kinds()})
    said = Component(
        kind="position",
        name="hostile",
        target="nowhere:Nothing",
        summary=text,
        references=(text, f"doi:{text[:200]}", f"arXiv:{text[:200]}"),
        traits={"where": text},
    )
    found.components.append(RegisteredComponent(said, "zoo-hostile", text[:50]))
    return Registry(found)


def use(driver):
    """Work whatever a page offers: every heading, menu and tick box that can be reached."""
    driver.execute_script(
        """
        for (const item of document.querySelectorAll("details")) item.open = true;
        for (const item of document.querySelectorAll("thead button, [data-copy], .pick")) item.click();
        for (const item of document.querySelectorAll("select")) {
          item.selectedIndex = item.options.length - 1;
          item.dispatchEvent(new Event("change", { bubbles: true }));
        }
        for (const item of document.querySelectorAll("input[type=search], input[type=text]")) {
          item.value = "<img src=x onerror=alert(1)>";
          item.dispatchEvent(new Event("input", { bubbles: true }));
        }
        """
    )


@pytest.mark.parametrize("attack", ATTACKS)
def test_whatever_a_record_or_plugin_says_is_shown_as_text_and_nothing_happens(
    listening, make_record, part, tmp_path, attack
):
    text = ATTACKS[attack]
    records = [
        hostile(make_record, part, text),
        hostile(make_record, part, text, name=text + "2", seed=2),
        hostile(make_record, part, text, name=text + "3", status="invalid", performance=[], quality=[]),
    ]
    build_site(records, tmp_path / "site", registry=hostile_plugin(text))
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert {file.parent.name for file in pages} == {"site", "boards", "components", "models"}
    for file in pages:
        assert file.stat().st_size < LARGEST_PAGE, file.name
        # What runs does so at any width; what is too wide shows on a narrow screen first.
        for width in (1400, 390) if attack in {"markup", "long"} else (390,):
            listening.window(width)
            listening.open_page(file)
            assert listening.execute_script("return document.querySelector('h1').offsetHeight") in range(20, 1000)
            use(listening)
            assert listening.execute_script("return document.documentElement.scrollWidth") <= width, file.name
            assert listening.execute_script("return window.hacked") is None
            assert listening.execute_script("return [...document.scripts].every(item => item.src && !item.text)")
            assert (
                listening.execute_script("return document.querySelectorAll('img, iframe, base, main style').length")
                == 0
            )
            links = listening.execute_script("return [...document.querySelectorAll('[href]')].map(item => item.href)")
            named = {"https"} if file.name == "exports.html" else set()  # the sources of a page that says what we say
            assert {link.split(":")[0] for link in links} == {"file"} | named


def test_a_spec_of_ten_thousand_keys_and_a_deep_one_are_cut_and_say_so(listening, build, make_record):
    deep: dict = {"use": "x"}
    for _ in range(120):
        deep = {"a": deep}
    records = [
        make_record(name="many", spec={f"key-{number}": {"use": f"x/{number}"} for number in range(10_000)}),
        make_record(name="deep", spec={"model": deep}),
        make_record(name="numbers", spec={"steps": 10**300, "lr": 1e308}, parameters=2**53 - 1, steps=2**53 - 1),
    ]
    site = build(records)
    assert all(file.stat().st_size < LARGEST_PAGE for file in site.pages())
    # Of the pages of components, which are all alike, a few.
    pages = [file for file in site.pages() if file.parent.name != "components" or file.stem.startswith("9")]
    assert len(pages) < 100
    for file in pages:
        listening.window(390)
        listening.open_page(file)
        use(listening)
        assert listening.execute_script("return document.documentElement.scrollWidth") <= 390, file.name
    assert "(cut: " in site.model("many").one("section", aria_labelledby="spec").words
    assert "nested too deep" in site.model("deep").one("section", aria_labelledby="spec").words


def test_a_cut_text_says_how_long_it_was(build, make_record):
    site = build(
        [make_record(name="n" * 1_000_000, samples=[Sample(id="1", source="s", reference="r", output="o" * 50_000)])]
    )
    (page,) = (site.folder / "models").glob("*.html")
    words = page.read_text(encoding="utf-8")
    assert "(cut: 1,000,000 characters)" in words
    assert "(cut: 50,000 characters)" in words
    assert site.board().one("th", scope="row").words.endswith("(cut: 1,000,000 characters)")


def test_the_policy_blocks_what_escaping_would_miss(driver, site):
    """The second line of defence: script written into a page does not run, and nobody is asked for a picture."""
    file = site.folder / "index.html"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x.png"
        attack = f"<script>window.hacked = 1</script><img src='{address}' onerror='window.hacked = 1'>"
        file.write_text(file.read_text(encoding="utf-8").replace("<h1>", f"{attack}<h1>"), encoding="utf-8")
        driver.open_page(file)
        assert driver.execute_script("return window.hacked") is None
        server.settimeout(0.5)
        with pytest.raises(TimeoutError):
            server.accept()
    console, _, _ = driver.drain()
    assert len([line for line in console if "Content Security Policy" in line]) >= 3
    driver.open_page(site.board_file())
