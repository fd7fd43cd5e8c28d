"""The site in a real browser, from file://, as a reader opens it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.browser


def shown_models(driver):
    return driver.execute_script(
        "return [...document.querySelectorAll('table.sortable tbody tr')]"
        ".filter(row => row.offsetParent !== null).map(row => row.querySelector('th a').textContent)"
    )


def sorted_by(driver):
    return driver.execute_script(
        "return [...document.querySelectorAll('th[aria-sort]')].map(th => [th.dataset.column, th.ariaSort])"
    )


def header(driver, column):
    return driver.find_element("css selector", f"th[data-column='{column}'] button")


BY_RANK = ["rotary", "alibi", "sinusoidal", "learned-lr-0.1", "copy", "untrained"]


def test_the_board_opens_sorted_by_rank(driver, site):
    driver.open_page(site.board_file())
    assert shown_models(driver) == BY_RANK
    assert sorted_by(driver) == [["rank", "ascending"]]
    assert driver.find_element("css selector", ".controls").is_displayed()


def test_a_click_on_a_heading_sorts_and_a_second_turns_it_round(driver, site):
    driver.open_page(site.board_file())
    header(driver, "bleu").click()
    by_bleu = ["rotary", "alibi", "sinusoidal", "copy", "learned-lr-0.1", "untrained"]
    assert shown_models(driver) == by_bleu
    assert sorted_by(driver) == [["bleu", "descending"]]
    header(driver, "bleu").click()
    assert shown_models(driver) == by_bleu[::-1]
    assert sorted_by(driver) == [["bleu", "ascending"]]
    assert driver.find_element("css selector", "[data-announce]").text == "Sorted by BLEU, ascending"


def test_missing_values_come_last_both_ways(driver, site):
    driver.open_page(site.board_file())
    header(driver, "latency-device-1").click()
    assert shown_models(driver)[:3] == ["sinusoidal", "alibi", "rotary"]
    header(driver, "latency-device-1").click()
    assert shown_models(driver)[:3] == ["rotary", "alibi", "sinusoidal"]
    assert set(shown_models(driver)[3:]) == {"learned-lr-0.1", "copy", "untrained"}


@pytest.mark.parametrize("key", ["ENTER", "SPACE"])
def test_headings_are_reached_and_worked_by_keyboard(driver, site, key):
    from selenium.webdriver import ActionChains, Keys

    driver.open_page(site.board_file())
    driver.find_element("css selector", "[data-filter]").click()
    for _ in range(30):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        if driver.execute_script("return document.activeElement.closest('th')?.dataset.column") == "model":
            break
    ActionChains(driver).send_keys(getattr(Keys, key)).perform()
    assert shown_models(driver) == sorted(BY_RANK)
    assert sorted_by(driver) == [["model", "ascending"]]
    assert driver.execute_script("return document.activeElement.closest('th').dataset.column") == "model"


def test_the_filter_hides_rows_and_says_how_many_are_left(driver, site):
    driver.open_page(site.board_file())
    box = driver.find_element("css selector", "[data-filter]")
    box.send_keys("Collapsed")
    assert shown_models(driver) == ["learned-lr-0.1"]
    assert driver.find_element("css selector", "[data-announce]").text == "1 of 6 rows"
    box.clear()
    box.send_keys("no such model")
    assert shown_models(driver) == []
    box.clear()
    box.send_keys("baseline")
    assert shown_models(driver) == ["copy", "untrained"]


def test_a_device_can_be_chosen_and_its_columns_stand_alone(driver, site):
    driver.open_page(site.board_file())
    columns = (
        "return [...document.querySelectorAll('th[data-column]')]"
        ".filter(th => th.offsetParent).map(th => th.dataset.column)"
    )
    everything = driver.execute_script(columns)
    menu = driver.find_element("css selector", "[data-device]")
    menu.find_element("css selector", "option[value='device-2']").click()
    left = driver.execute_script(columns)
    assert [name for name in everything if name not in left] == [
        name for name in everything if name.endswith("device-1")
    ]
    assert len([name for name in left if name.endswith("device-2")]) == 3


def test_the_address_restores_the_view(driver, site):
    driver.open_page(site.board_file())
    header(driver, "chrf").click()
    header(driver, "chrf").click()
    driver.find_element("css selector", "[data-filter]").send_keys("a")
    driver.find_element("css selector", "[data-device] option[value='device-2']").click()
    view, address = (shown_models(driver), sorted_by(driver)), driver.current_url
    assert "sort=chrf" in address
    assert view != (BY_RANK, [["rank", "ascending"]])

    driver.get("about:blank")
    driver.get(address)
    assert (shown_models(driver), sorted_by(driver)) == view
    assert driver.find_element("css selector", "[data-filter]").get_property("value") == "a"
    assert driver.find_element("css selector", "[data-device]").get_property("value") == "device-2"


def test_a_view_can_be_entered_by_editing_the_address(driver, site):
    driver.open_page(site.board_file())
    driver.execute_script("location.hash = 'sort=model&dir=descending'")
    driver.execute_async_script("setTimeout(arguments[0], 50)")
    assert shown_models(driver) == sorted(BY_RANK, reverse=True)


# What can be chosen: each of these hides rows or columns and stands in the address.


def choose(driver, selector, value):
    menu = driver.find_element("css selector", selector)
    driver.execute_script("arguments[0].closest('details')?.setAttribute('open', '')", menu)
    menu.find_element("css selector", f"option[value='{value}']").click()


def fill(driver, selector, text):
    box = driver.find_element("css selector", selector)
    driver.execute_script("arguments[0].closest('details')?.setAttribute('open', '')", box)
    box.clear()
    box.send_keys(text)


def tally(driver):
    return driver.find_element("css selector", "[data-announce]").text


def test_a_component_can_be_chosen(driver, site):
    driver.open_page(site.board_file())
    choose(driver, "[data-facet='model-position']", "zoo-positional/rotary")
    assert shown_models(driver) == ["rotary"]
    assert tally(driver) == "1 of 6 rows"
    assert driver.find_element("css selector", ".menu > summary").text.startswith("Filters (1)")
    choose(driver, "[data-facet='status']", "collapsed")
    assert shown_models(driver) == []
    driver.find_element("css selector", "[data-reset]").click()
    assert shown_models(driver) == BY_RANK
    assert not driver.find_element("css selector", "[data-reset]").is_displayed()


@pytest.mark.parametrize(
    ("least", "most", "models"),
    [
        ("20", "", ["rotary", "alibi"]),
        ("", "5", ["learned-lr-0.1", "copy", "untrained"]),
        ("4.4", "19.2", ["sinusoidal", "copy"]),
    ],
)
def test_a_range_of_scores_can_be_chosen(driver, site, least, most, models):
    driver.open_page(site.board_file())
    fill(driver, "[data-min='bleu']", least)
    fill(driver, "[data-max='bleu']", most)
    assert shown_models(driver) == models


def test_ranges_are_read_in_the_unit_of_their_column(driver, site):
    driver.open_page(site.board_file())
    fill(driver, "[data-max='latency-device-1']", "104.2")  # milliseconds: alibi takes 104.1, rotary 116
    assert shown_models(driver) == ["alibi", "sinusoidal"]
    fill(driver, "[data-max='latency-device-1']", "")
    fill(driver, "[data-min='parameters']", "7.4M")  # 7.35 million have all but the copied source
    assert shown_models(driver) == []
    fill(driver, "[data-min='parameters']", "7,000k")
    assert shown_models(driver) == [name for name in BY_RANK if name != "copy"]


def test_a_bound_that_is_no_number_is_marked_and_bounds_nothing(driver, site):
    driver.open_page(site.board_file())
    fill(driver, "[data-min='bleu']", "many")
    assert shown_models(driver) == BY_RANK
    assert driver.find_element("css selector", "[data-min='bleu']").get_attribute("aria-invalid") == "true"


def columns(driver):
    return driver.execute_script(
        "return [...document.querySelectorAll('th[data-column]')]"
        ".filter(th => th.offsetParent).map(th => th.dataset.column)"
    )


def test_columns_can_be_put_away_and_brought_in_and_cells_go_with_their_headings(driver, site):
    driver.open_page(site.board_file())
    assert "training-speed-device-1" not in columns(driver)
    before = len(columns(driver))
    for key in ("steps", "chrf", "training-speed-device-1"):
        box = driver.find_element("css selector", f"[data-choose='{key}']")
        driver.execute_script("arguments[0].closest('details').open = true", box)
        box.click()
    assert len(columns(driver)) == before - 1
    assert not {"steps", "chrf"} & set(columns(driver))
    visible = "return [...document.querySelector('tbody tr').cells].filter(cell => cell.offsetParent).length"
    assert driver.execute_script(visible) == before - 1
    spans = "return [...document.querySelector('.groups').cells].filter(c => c.offsetParent).map(c => c.colSpan)"
    assert sum(driver.execute_script(spans)) == before - 1


def test_the_address_holds_the_whole_view(driver, site):
    driver.open_page(site.board_file())
    header(driver, "chrf").click()
    driver.find_element("css selector", "[data-filter]").send_keys("a")
    fill(driver, "[data-max='bleu']", "24")
    choose(driver, "[data-facet='role']", "model")
    for key in ("steps", "training-speed-device-1"):
        box = driver.find_element("css selector", f"[data-choose='{key}']")
        driver.execute_script("arguments[0].closest('details').open = true", box)
        box.click()
    driver.execute_script("for (const menu of document.querySelectorAll('.menu')) menu.open = false")
    driver.find_element("css selector", "tbody .pick").click()

    def view():
        ticked = "return [...document.querySelectorAll('.pick:checked')].map(box => box.closest('tr').dataset.page)"
        return shown_models(driver), sorted_by(driver), columns(driver), driver.execute_script(ticked), tally(driver)

    seen, address = view(), driver.current_url
    assert seen[0] == ["alibi", "sinusoidal", "learned-lr-0.1"]
    assert len(seen[3]) == 1
    driver.get("about:blank")
    driver.get(address)
    assert view() == seen


def test_the_link_can_be_copied(driver, site):
    from selenium.webdriver import ActionChains, Keys

    driver.open_page(site.board_file(), "#sort=chrf&dir=descending")
    driver.find_element("css selector", "[data-copy]").click()
    driver.execute_async_script("setTimeout(arguments[0], 100)")
    assert tally(driver) == "The link to this view is copied"
    box = driver.find_element("css selector", "[data-filter]")
    box.click()
    ActionChains(driver).key_down(Keys.CONTROL).send_keys("v").key_up(Keys.CONTROL).perform()
    assert box.get_property("value").endswith("#sort=chrf&dir=descending")


def test_two_ticked_models_lead_to_their_comparison(driver, site):
    driver.open_page(site.board_file())
    said = driver.find_element("css selector", "[data-compare]")
    boxes = driver.find_elements("css selector", ".pick")
    assert boxes[0].get_attribute("aria-label") == "Tick rotary to compare"
    boxes[0].click()
    assert said.text == "rotary is ticked: tick one more to compare the two."
    boxes[2].click()
    link = said.find_element("css selector", "a")
    assert link.text == "Compare rotary with sinusoidal"
    a, b = site.model_file("rotary").stem, site.model_file("sinusoidal").stem
    assert link.get_attribute("href") == f"{(site.folder.resolve() / 'compare.html').as_uri()}#a={a}&b={b}"
    boxes[1].click()
    assert said.text == "3 models are ticked: two can be compared."
    boxes[0].click()
    assert said.text == "Compare sinusoidal with alibi"


def test_filters_and_ticks_work_by_keyboard_alone(driver, site):
    from selenium.webdriver import ActionChains, Keys

    def press(*keys):
        ActionChains(driver).send_keys(*keys).perform()

    def focused(script):
        return driver.execute_script(f"return document.activeElement{script}")

    def tab_to(wanted):
        for _ in range(80):
            if focused(f".matches({wanted!r})"):
                return
            press(Keys.TAB)
        raise AssertionError(f"{wanted} is not reached")

    driver.open_page(site.board_file())
    tab_to("[data-filter]")
    press("a", "l", "i")
    assert shown_models(driver) == ["alibi"]
    press(Keys.BACKSPACE, Keys.BACKSPACE, Keys.BACKSPACE)
    tab_to(".menu > summary")
    press(Keys.ENTER)
    tab_to("[data-facet='model-position']")
    press("zoo-positional/a")
    assert shown_models(driver) == ["alibi"]
    press(Keys.ESCAPE)
    assert focused(".matches('.menu > summary')")
    assert driver.execute_script("return document.querySelectorAll('.menu[open]').length") == 0
    tab_to("[data-reset]")
    press(Keys.ENTER)
    assert shown_models(driver) == BY_RANK
    for _ in range(2):
        tab_to(".pick:not(:checked)")
        press(Keys.SPACE)
    tab_to_link = driver.find_element("css selector", "[data-compare] a")
    assert tab_to_link.text == "Compare rotary with alibi"


def test_a_long_board_lays_out_its_head_and_more_on_request(driver, build, make_record, part, listening):
    models = [make_record(name=f"m{place:03d}", quality=[part.quality(place / 10)], curve=[]) for place in range(130)]
    driver.media(prefers_reduced_motion="reduce")  # a smooth scroll would still be under way at the click
    driver.open_page(build(models).board_file())
    assert len(shown_models(driver)) == 100
    assert tally(driver) == "The first 100 of 130 rows"
    fill(driver, "[data-filter]", "m00")
    assert len(shown_models(driver)) == 10
    assert tally(driver) == "10 of 130 rows"
    fill(driver, "[data-filter]", "m")
    more = driver.find_element("css selector", "[data-more]")
    assert more.text == "Show the last 30 rows"
    more.click()
    assert len(shown_models(driver)) == 130
    assert not more.is_displayed()
    driver.refresh()
    assert len(shown_models(driver)) == 130


def test_heading_and_name_stay_in_sight(driver, build, make_record, part, listening):
    models = [make_record(name=f"m{place:03d}", quality=[part.quality(place / 10)], curve=[]) for place in range(60)]
    for width in (1400, 390):
        driver.window(width)
        driver.open_page(build(models).board_file())
        places = driver.execute_script(
            """
            const frame = document.querySelector(".frame");
            frame.scrollTo(frame.scrollWidth, 900);
            const box = frame.getBoundingClientRect();
            const name = document.querySelectorAll("tbody th")[30].getBoundingClientRect();
            const head = document.querySelector("thead").getBoundingClientRect();
            return [frame.scrollTop, frame.scrollLeft, head.top - box.top, name.left - box.left];
            """
        )
        assert places[0] == 900
        assert places[2] == pytest.approx(0, abs=2)
        if width == 390:  # all columns fit into the wide window
            assert places[1] > 100
            assert places[3] == pytest.approx(0, abs=2)


@pytest.mark.parametrize(
    "anchor", ["#sort=nothing&dir=up&device=none", "#sort=__proto__", "#=", "#%E0%A4%A", "#content"]
)
def test_an_address_that_names_nothing_shows_the_plain_board(driver, site, anchor):
    driver.open_page(site.board_file(), anchor)
    assert shown_models(driver) == BY_RANK
    assert sorted_by(driver) == [["rank", "ascending"]]


def test_a_link_to_a_record_opens_it(driver, site, realistic):
    driver.open_page(site.model_file("rotary"), f"#record-{realistic[0].id}")
    opened = driver.execute_script("return [...document.querySelectorAll('details.record[open]')].map(item => item.id)")
    assert opened == [f"record-{realistic[0].id}"]


def test_every_page_opens_without_a_message_or_a_request_elsewhere(driver, site):
    for file in site.pages():
        driver.open_page(file)
        assert driver.execute_script("return getComputedStyle(document.querySelector('h1')).fontWeight") == "700"
        assert driver.execute_script("return document.querySelector('main').offsetHeight") > 200


def luminance(colour: str) -> float:
    """Relative luminance of a CSS ``rgb(...)`` colour (WCAG 2.2)."""
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(driver, site, scheme):
    driver.media(prefers_color_scheme=scheme)
    for file in (site.board_file(), site.model_file("learned-lr-0-1"), site.folder / "index.html"):
        driver.open_page(file)
        colours = driver.execute_script(
            """
            const behind = (element) => {
              for (let at = element; at; at = at.parentElement) {
                const colour = getComputedStyle(at).backgroundColor;
                if (colour !== "rgba(0, 0, 0, 0)") return colour;
              }
            };
            const words = (item) => [...item.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            return [...document.querySelectorAll("body *")]
              .filter((item) => item.offsetParent && words(item))
              .map((item) => [item.tagName + "." + item.className, getComputedStyle(item).color, behind(item)]);
            """
        )
        assert len(colours) > 20
        paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (luminance(paper) < 0.2) == (scheme == "dark")
        # 4.5 to 1 is what WCAG 2.2 asks of text (1.4.3, level AA).
        assert [item for item in colours if contrast(item[1], item[2]) < 4.5] == []


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_no_page_is_wider_than_its_window(driver, site, width):
    driver.window(width)
    for file in site.pages():
        driver.open_page(file)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width, file.name


def test_without_javascript_the_page_is_complete_and_offers_nothing_dead(driver, site):
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        driver.open_page(site.board_file())
        # The page's own script did not run; the look at the page goes through the debugger.
        found = driver.execute_cdp_cmd(
            "Runtime.evaluate",
            {
                "returnByValue": True,
                "expression": """({
                  models: [...document.querySelectorAll("table.sortable tbody th[scope=row] a")]
                    .filter((item) => item.offsetParent).map((item) => item.textContent),
                  controls: [...document.querySelectorAll("button, input, select, .menu")]
                    .filter((item) => item.offsetParent).length,
                  text: document.body.innerText,
                })""",
            },
        )["result"]["value"]
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    page = SimpleNamespace(**found)
    assert page.models == BY_RANK
    assert page.controls == 0
    assert "NVIDIA H100 80GB HBM3" in page.text


def test_printing_hides_controls_and_clips_nothing(driver, site):
    driver.media("print")
    driver.open_page(site.board_file())
    assert driver.execute_script("return document.querySelector('.controls').offsetParent === null")
    overflow = "return [...document.querySelectorAll('.scroll')].map(item => getComputedStyle(item).overflowX)"
    assert set(driver.execute_script(overflow)) == {"visible"}
    driver.window(1017)  # what A4 leaves between our margins, in CSS pixels
    assert driver.execute_script("return document.querySelector('table.sortable').offsetWidth") <= 1017
