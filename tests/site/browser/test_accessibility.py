"""axe-core on every page: what it calls serious or critical is a defect."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser
LOOKS = {"light": ("light", 1400), "dark": ("dark", 1400), "phone": ("light", 390), "dark-phone": ("dark", 390)}
RUN = """
const done = arguments[arguments.length - 1];
const failed = (error) => done([{ id: String(error), impact: "critical", nodes: [] }]);
axe.run(document, { resultTypes: ["violations"], preload: false }).then((found) => done(found.violations), failed);
"""


def violations(driver, axe):
    """The serious and critical ones, one line for each element."""
    driver.execute_script(axe)
    found = driver.execute_async_script(RUN)
    return [
        f"{item['id']} ({item['impact']}): {' '.join(map(str, node['target']))}: {node.get('failureSummary', '')}"
        for item in found
        if item["impact"] in {"serious", "critical"}
        for node in item["nodes"] or [{"target": []}]
    ]


@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_a_serious_violation(driver, site, axe, look):
    scheme, width = LOOKS[look]
    driver.media(prefers_color_scheme=scheme)
    driver.window(width)
    found = {}
    for file in site.pages():
        driver.open_page(file)
        found[str(file.relative_to(site.folder))] = violations(driver, axe)
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("menu", [0, 1])
def test_an_open_menu_of_a_board_in_use_has_none_either(driver, site, axe, scheme, menu):
    driver.media(prefers_color_scheme=scheme)
    driver.open_page(site.board_file(), "#sort=bleu&dir=descending&min.bleu=abc&max.chrf=60")
    for box in driver.find_elements("css selector", ".pick")[:2]:
        box.click()
    driver.find_elements("css selector", ".menu > summary")[menu].click()
    assert driver.find_elements("css selector", ".panel")[menu].is_displayed()
    assert violations(driver, axe) == []


def test_axe_finds_what_is_wrong(driver, site, axe):
    driver.open_page(site.board_file())
    driver.execute_script("document.querySelector('[data-filter]').closest('label').querySelector('span').remove();")
    driver.execute_script("document.querySelector('[data-filter]').removeAttribute('placeholder');")
    (line,) = violations(driver, axe)
    assert line.startswith("label (critical)")


def test_motion_is_for_those_who_want_it(driver, site):
    driver.open_page(site.folder / "index.html")
    scroll = "return getComputedStyle(document.documentElement).scrollBehavior"
    assert driver.execute_script(scroll) == "smooth"
    driver.media(prefers_reduced_motion="reduce")
    assert driver.execute_script(scroll) == "auto"


@pytest.mark.parametrize("look", LOOKS)
def test_two_models_compared_by_their_examples_have_none_either(
    driver, listening, axe, build, make_record, publish, look
):
    scheme, width = LOOKS[look]
    records = [
        publish(make_record(name=name), [f"{name} one", "two", "三"], scores={"BLEU": scores})
        for name, scores in (("a", [1.0, 2.0, float("nan")]), ("b", [2.0, 1.0, 3.0]))
    ]
    site = build(records, store=publish.store)
    driver.media(prefers_color_scheme=scheme)
    driver.window(width)
    driver.open_page(site.folder / "compare.html")
    ready = "const found = document.querySelectorAll('.example').length; if (found) done(found);"
    script = f"const done = arguments[0]; const look = () => {{ {ready} else setTimeout(look, 20); }}; look();"
    assert driver.execute_async_script(script) == 3
    assert violations(driver, axe) == []
