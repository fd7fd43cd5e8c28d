"""The compare page in a real browser, from file://."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.browser

REFERENCES = ["the red umbrella", "close the file", "a cat sleeps", "back by noon"]
OUTPUTS_A = ["the red umbrella", "open the file", "a cat sleeps", "猫在屋顶"]
OUTPUTS_B = ["the blue umbrella", "close the file", "a cat sleeps", "狗在屋顶"]


@pytest.fixture
def pair(make_record, part, publish, build):
    """The site of models `first` and `second`, of which each wins one example by BLEU, and `elsewhere`."""
    common = {"sources": ["源一", "源二", "源三", "源四"], "references": REFERENCES}
    first = publish(
        make_record(name="first", quality=[part.quality(30.0)], performance=[part.cpu(0.1)]),
        OUTPUTS_A,
        scores={"BLEU": [100.0, 40.0, 100.0, float("nan")], "TER": [0.0, 40.0, 0.0, 90.0]},
        **common,
    )
    second = publish(
        make_record(
            name="second",
            spec=part.spec("second", "alibi", 1),
            quality=[part.quality(28.0)],
            performance=[part.cpu(0.2)],
        ),
        OUTPUTS_B,
        scores={"BLEU": [50.0, 100.0, 100.0, float("nan")], "TER": [30.0, 0.0, 0.0, 90.0]},
        **common,
    )
    elsewhere = make_record(name="elsewhere", task="other-board")
    site = build([first, second, elsewhere], store=publish.store)
    site.first, site.second = site.model_file("first").stem, site.model_file("second").stem
    return site


@pytest.fixture
def page(pair, listening):
    """The page of the pair."""
    view(listening, pair, f"#a={pair.first}&b={pair.second}")
    return listening


def wait(driver, condition):
    """Until the JavaScript expression is true; five seconds at most."""
    from selenium.webdriver.support.wait import WebDriverWait

    script = f"return {condition}"
    WebDriverWait(driver, 5, poll_frequency=0.02).until(lambda _: driver.execute_script(script), condition)


def view(driver, site, anchor=""):
    driver.open_page(site.folder / "compare.html", anchor)
    wait(driver, "!document.querySelector('[data-result]').hidden")
    wait(driver, "!document.querySelector('[data-examples-note]').textContent.startsWith('Loading')")


def ids(driver):
    return driver.execute_script("return [...document.querySelectorAll('.example h3')].map(item => item.textContent)")


def text(driver, selector):
    return driver.execute_script("return document.querySelector(arguments[0]).innerText", selector)


def choose(driver, control, value):
    driver.find_element("css selector", f"{control} option[value='{value}']").click()


def marks(driver, example, which):
    return driver.execute_script(
        "return [...document.querySelectorAll('.example')[arguments[0]].querySelectorAll(arguments[1])]"
        ".map(item => item.textContent)",
        example,
        f".output-{which} mark",
    )


def table(driver, name):
    return driver.execute_script(
        "return [...document.querySelectorAll(`[data-table=${arguments[0]}] tbody tr`)]"
        ".map(row => [...row.cells].map(cell => cell.innerText.replace(/\\s+/g, ' ').trim()))",
        name,
    )


def test_the_address_chooses_the_pair_and_the_tables_set_them_side_by_side(page):
    assert page.execute_script("return document.querySelector('[data-pick=a]').selectedOptions[0].text") == "first"
    assert table(page, "scores") == [["BLEU (points)", "30.0 [29.0, 31.0]", "28.0 [27.0, 29.0]", "−2.0", "A"]]
    assert table(page, "spec") == [["model.position.use", "zoo-positional/rotary", "zoo-positional/alibi"]]
    assert "13 settings are the same" in text(page, "[data-settings-note]")
    measures = page.execute_script(
        "return [...document.querySelectorAll('[data-devices] tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText.replace(/\\s+/g, ' ').trim()))"
    )
    assert ["Latency of one source (ms)", "100", "200", "+100%", "A"] in measures
    assert text(page, "[data-command]") == "zoo bench compare office-zh-en:first office-zh-en:second"


def test_wins_are_counted_and_examples_without_a_score_are_said(page):
    assert text(page, "[data-tally] p").replace("\n", "") == (
        "A better in 1 (33%), same score in 1 (33%), B better in 1 (33%); 1 without a score of their own"
        " – by BLEU of single examples, higher is better."
    )


def test_words_that_differ_are_marked_and_chinese_by_character(page):
    assert marks(page, 0, "a") == ["red"]
    assert marks(page, 0, "b") == ["blue"]
    assert marks(page, 2, "a") == []
    assert marks(page, 3, "a") == ["猫"]
    choose(page, "[data-view=mark]", "reference")
    assert marks(page, 0, "a") == []
    assert marks(page, 0, "b") == ["blue"]
    choose(page, "[data-view=mark]", "characters")
    assert marks(page, 1, "a") == ["p", "n"]
    assert marks(page, 1, "b") == ["cl", "s"]


def test_examples_are_sorted_and_filtered_by_mouse(page):
    assert ids(page) == ["test-0", "test-1", "test-2", "test-3"]
    choose(page, "[data-view=order]", "gains")
    assert ids(page) == ["test-1", "test-2", "test-0", "test-3"]
    choose(page, "[data-view=order]", "losses")
    assert ids(page) == ["test-0", "test-2", "test-1", "test-3"]
    choose(page, "[data-view=order]", "differences")
    assert ids(page) == ["test-1", "test-0", "test-2", "test-3"]
    choose(page, "[data-view=show]", "b")
    assert ids(page) == ["test-1"]
    assert text(page, "[data-count]") == "Examples 1 to 1 of 1; 4 in all"
    choose(page, "[data-view=show]", "changed")
    assert sorted(ids(page)) == ["test-0", "test-1", "test-3"]


def test_where_lower_is_better_a_smaller_score_is_the_win(page):
    choose(page, "[data-view=metric]", "1")
    choose(page, "[data-view=show]", "b")
    assert ids(page) == ["test-1"]
    assert "−40, B better" in text(page, ".example-scores")


def test_search_finds_sources_references_and_outputs(page):
    box = page.find_element("css selector", "[data-view=find]")
    for wanted, found in (("UMBRELLA", ["test-0"]), ("源三", ["test-2"]), ("狗", ["test-3"]), ("zebra", [])):
        box.clear()
        box.send_keys(wanted)
        assert ids(page) == found
    assert text(page, "[data-count]") == "No example; 4 in all"


def test_the_pair_and_the_view_are_chosen_by_keyboard_alone(page, pair):
    from selenium.webdriver import ActionChains, Keys

    def press(*keys):
        ActionChains(page).send_keys(*keys).perform()

    def reach(expression):
        for _ in range(80):
            press(Keys.TAB)
            if page.execute_script(f"return document.activeElement.matches('{expression}')"):
                return
        raise AssertionError(f"{expression} is not reached by Tab")

    page.execute_script("document.querySelector('main').focus()")
    reach("[data-swap]")
    press(Keys.ENTER)
    wait(
        page,
        "document.querySelector('[data-command]').textContent.endsWith(' office-zh-en:second office-zh-en:first')",
    )
    reach("[data-pick=b]")
    press(Keys.ARROW_DOWN)
    wait(page, "document.querySelector('[data-status]').textContent === 'The same model twice.'")
    press(Keys.ARROW_UP)
    wait(
        page,
        "document.querySelector('[data-command]').textContent.endsWith(' office-zh-en:second office-zh-en:first')",
    )
    wait(page, "document.querySelectorAll('.example').length === 4")
    reach("[data-view=order]")
    press(Keys.ARROW_DOWN)
    wait(page, "location.hash.includes('order=gains')")
    assert ids(page) == ["test-0", "test-2", "test-1", "test-3"]
    assert f"a={pair.second}&b={pair.first}" in page.current_url


def test_the_address_restores_the_view(page, pair):
    choose(page, "[data-view=metric]", "1")
    choose(page, "[data-view=order]", "losses")
    choose(page, "[data-view=mark]", "none")
    page.find_element("css selector", "[data-view=find]").send_keys("the")
    shown, address = ids(page), page.current_url
    page.get("about:blank")
    page.get(address)
    wait(page, "document.querySelectorAll('.example').length > 0")
    wait(page, "document.querySelector('[data-view=find]').value === 'the'")
    assert ids(page) == shown == ["test-0", "test-1"]
    assert page.execute_script("return document.querySelector('[data-view=metric]').selectedIndex") == 1
    assert not page.execute_script("return document.querySelector('.example mark')")


@pytest.mark.parametrize(
    "anchor", ["#a=nothing&b=none", "#a=../../etc/passwd&b=__proto__", "#a=https://host/x&b=index"]
)
def test_an_address_that_names_no_model_loads_nothing(page, pair, anchor):
    page.drain()
    page.open_page(pair.folder / "compare.html", anchor)
    wait(page, "document.querySelector('[data-status]').textContent !== ''")
    assert "names a model that is not on this board" in text(page, "[data-status]")
    _, requests, _ = page.drain()
    assert [url for url in requests if "/data/" in url and not url.endswith("/data/index.js")] == []
    assert page.execute_script("return document.querySelector('[data-result]').hidden")
    page.open_page(pair.folder / "compare.html")


def test_without_an_address_the_leaders_of_the_first_board_are_compared(page, pair):
    view(page, pair)
    assert text(page, "[data-status]") == "first and second, side by side."


def test_a_model_without_outputs_is_compared_by_its_scores(listening, build, make_record):
    site = build([make_record(name="a"), make_record(name="b")])
    view(listening, site)
    assert "Its records have no per-example outputs." in text(listening, "[data-examples-note]")
    assert not listening.find_element("css selector", "[data-examples]").is_displayed()
    assert len(table(listening, "scores")) == 1


def test_scores_on_different_data_are_never_set_against_each_other(listening, build, make_record, publish):
    records = [
        publish(make_record(name=name, data_revision=f"sha256:{name}"), ["x"], scores={"BLEU": [1.0]}) for name in "ab"
    ]
    site = build(records, store=publish.store)
    view(listening, site)
    assert listening.find_element("css selector", "[data-other-data]").is_displayed()
    assert [row[3] for row in table(listening, "scores")] == ["–", "–"]
    assert "different data" in text(listening, "[data-examples-note]")


def test_scores_without_text_are_compared_as_scores(listening, build, make_record, publish):
    records = [publish(make_record(name=name), None, scores={"BLEU": [1.0, 2.0]}) for name in "ab"]
    site = build(records, store=publish.store)
    view(listening, site)
    assert ids(listening) == ["test-0", "test-1"]
    assert "not published" in text(listening, ".example")


def test_ten_thousand_examples_stay_quick_and_are_paged(listening, build, make_record, publish):
    number = 10_000
    records = [
        publish(
            make_record(name=name),
            [f"output {name} number {index} with some words of its own" for index in range(number)],
            scores={"BLEU": [float((index * step) % 101) for index in range(number)]},
        )
        for name, step in (("a", 7), ("b", 11))
    ]
    site = build(records, store=publish.store)
    # A page that scrolls smoothly moves what is about to be clicked.
    listening.media(prefers_reduced_motion="reduce")
    view(listening, site)
    assert len(ids(listening)) == 20
    assert text(listening, "[data-page]") == "Page 1 of 500"
    listening.find_element("css selector", "[data-turn='1']").click()
    assert ids(listening)[0] == "test-20"
    assert "page=2" in listening.current_url
    start = time.perf_counter()
    choose(listening, "[data-view=order]", "gains")
    listening.find_element("css selector", "[data-view=find]").send_keys("number 77")
    elapsed = time.perf_counter() - start
    assert text(listening, "[data-count]") == "Examples 1 to 20 of 111; 10000 in all"
    # Ten redraws by key; slow machines included, none may take a second.
    assert elapsed < 10
    listening.find_element("css selector", "[data-turn='-1']").click()
    assert text(listening, "[data-page]") == "Page 1 of 6"


HOSTILE = (
    "\"'><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    "</script><svg onload='window.hacked = 1'>\u2028\u2029\u202e\u2066 javascript:window.hacked=1 \x00"
)


def test_a_strangers_text_is_shown_and_never_runs(listening, build, make_record, part, publish):
    records = []
    for name in (f"a {HOSTILE}", f"b {HOSTILE}"):
        record = make_record(
            name=name,
            task=HOSTILE,
            spec={name: {HOSTILE: name}, "__proto__": name},
            quality=[part.quality(20.0, metric=HOSTILE, unit=HOSTILE)],
            performance=[part.cpu(device=HOSTILE, memory={"kind": HOSTILE, "peak": 1})],
        )
        texts = [HOSTILE + name, HOSTILE * 20_000]
        records.append(
            publish(record, texts, sources=texts, references=texts, ids=[HOSTILE, "x"], scores={HOSTILE: [1.0, 2.0]})
        )
    site = build(records, store=publish.store)
    view(listening, site)
    assert len(listening.execute_script("return document.querySelectorAll('.example')")) == 2
    for control, values in (("mark", ["characters", "reference", "none"]), ("order", ["gains", "losses"])):
        for value in values:
            choose(listening, f"[data-view={control}]", value)
    assert listening.execute_script("return window.hacked") is None
    assert listening.execute_script("return document.images.length + document.querySelectorAll('svg').length") == 0
    assert listening.execute_script(
        "return [...document.scripts].every(item => item.src.startsWith('file:') && !item.text)"
    )
    assert "<script>window.hacked = 1</script>" in text(listening, ".output-a dd")
    assert "characters in all" in text(listening, ".example:last-child .output-a dd")
    assert listening.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_without_javascript_the_page_leads_to_the_models(listening, pair):
    listening.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        listening.open_page(pair.folder / "compare.html")
        found = listening.execute_cdp_cmd(
            "Runtime.evaluate",
            {
                "returnByValue": True,
                "expression": """({
                  links: [...document.querySelectorAll("noscript a")].filter((item) => item.offsetParent)
                    .map((item) => item.textContent),
                  controls: [...document.querySelectorAll("select, button, input")]
                    .filter((item) => item.offsetParent).length,
                })""",
            },
        )["result"]["value"]
    finally:
        listening.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert found == {"links": ["office-zh-en", "first", "second", "other-board", "elsewhere"], "controls": 0}
