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
def page(pair, chromium):
    """The page of the pair; it must have logged nothing and asked nobody for anything."""
    chromium.run("return 0")
    chromium.drain()
    view(chromium, pair, f"#a={pair.first}&b={pair.second}")
    yield chromium
    chromium.assert_quiet()


def view(chromium, site, anchor=""):
    chromium.open(site.folder / "compare.html", anchor)
    chromium.wait("!document.querySelector('[data-result]').hidden")
    chromium.wait("!document.querySelector('[data-examples-note]').textContent.startsWith('Loading')")


def ids(chromium):
    return chromium.run("return [...document.querySelectorAll('.example h3')].map(item => item.textContent)")


def text(chromium, selector):
    return chromium.run("return document.querySelector(arguments[0]).innerText", selector)


def choose(chromium, control, value):
    chromium.driver.find_element("css selector", f"{control} option[value='{value}']").click()


def marks(chromium, example, which):
    return chromium.run(
        "return [...document.querySelectorAll('.example')[arguments[0]].querySelectorAll(arguments[1])]"
        ".map(item => item.textContent)",
        example,
        f".output-{which} mark",
    )


def table(chromium, name):
    return chromium.run(
        "return [...document.querySelectorAll(`[data-table=${arguments[0]}] tbody tr`)]"
        ".map(row => [...row.cells].map(cell => cell.innerText.replace(/\\s+/g, ' ').trim()))",
        name,
    )


def test_the_address_chooses_the_pair_and_the_tables_set_them_side_by_side(page):
    assert page.run("return document.querySelector('[data-pick=a]').selectedOptions[0].text") == "first"
    assert table(page, "scores") == [["BLEU (points)", "30.0 [29.0, 31.0]", "28.0 [27.0, 29.0]", "−2", "A"]]
    assert table(page, "spec") == [["model.position.use", "zoo-positional/rotary", "zoo-positional/alibi"]]
    assert "13 settings are the same" in text(page, "[data-settings-note]")
    measures = page.run(
        "return [...document.querySelectorAll('[data-devices] tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.innerText.replace(/\\s+/g, ' ').trim()))"
    )
    assert ["Latency of one sentence (ms)", "100", "200", "+100%", "A"] in measures
    assert text(page, "[data-command]") == "zoo bench compare first second"


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
    box = page.driver.find_element("css selector", "[data-view=find]")
    for wanted, found in (("UMBRELLA", ["test-0"]), ("源三", ["test-2"]), ("狗", ["test-3"]), ("zebra", [])):
        box.clear()
        box.send_keys(wanted)
        assert ids(page) == found
    assert text(page, "[data-count]") == "No example; 4 in all"


def test_the_pair_and_the_view_are_chosen_by_keyboard_alone(page, pair):
    from selenium.webdriver import ActionChains, Keys

    def press(*keys):
        ActionChains(page.driver).send_keys(*keys).perform()

    def reach(expression):
        for _ in range(80):
            press(Keys.TAB)
            if page.run(f"return document.activeElement.matches('{expression}')"):
                return
        raise AssertionError(f"{expression} is not reached by Tab")

    page.run("document.querySelector('main').focus()")
    reach("[data-swap]")
    press(Keys.ENTER)
    page.wait("document.querySelector('[data-command]').textContent === 'zoo bench compare second first'")
    reach("[data-pick=b]")
    press(Keys.ARROW_DOWN)
    page.wait("document.querySelector('[data-status]').textContent === 'The same model twice.'")
    press(Keys.ARROW_UP)
    page.wait("document.querySelector('[data-command]').textContent === 'zoo bench compare second first'")
    page.wait("document.querySelectorAll('.example').length === 4")
    reach("[data-view=order]")
    press(Keys.ARROW_DOWN)
    page.wait("location.hash.includes('order=gains')")
    assert ids(page) == ["test-0", "test-2", "test-1", "test-3"]
    assert f"a={pair.second}&b={pair.first}" in page.driver.current_url


def test_the_address_restores_the_view(page, pair):
    choose(page, "[data-view=metric]", "1")
    choose(page, "[data-view=order]", "losses")
    choose(page, "[data-view=mark]", "none")
    page.driver.find_element("css selector", "[data-view=find]").send_keys("the")
    shown, address = ids(page), page.driver.current_url
    page.driver.get("about:blank")
    page.driver.get(address)
    page.wait("document.querySelectorAll('.example').length > 0")
    page.wait("document.querySelector('[data-view=find]').value === 'the'")
    assert ids(page) == shown == ["test-0", "test-1"]
    assert page.run("return document.querySelector('[data-view=metric]').selectedIndex") == 1
    assert not page.run("return document.querySelector('.example mark')")


@pytest.mark.parametrize(
    "anchor", ["#a=nothing&b=none", "#a=../../etc/passwd&b=__proto__", "#a=https://host/x&b=index"]
)
def test_an_address_that_names_no_model_loads_nothing(page, pair, anchor):
    page.drain()
    page.open(pair.folder / "compare.html", anchor)
    page.wait("document.querySelector('[data-status]').textContent !== ''")
    assert "names a model that is not on this board" in text(page, "[data-status]")
    _, requests = page.drain()
    assert [url for url in requests if "/data/" in url and not url.endswith("/data/index.js")] == []
    assert page.run("return document.querySelector('[data-result]').hidden")
    page.open(pair.folder / "compare.html")


def test_without_an_address_the_leaders_of_the_first_board_are_compared(page, pair):
    view(page, pair)
    assert text(page, "[data-status]") == "first and second, side by side."


def test_a_model_without_outputs_is_compared_by_its_scores(chromium, build, make_record):
    site = build([make_record(name="a"), make_record(name="b")])
    view(chromium, site)
    assert "Its records have no per-example outputs." in text(chromium, "[data-examples-note]")
    assert not chromium.driver.find_element("css selector", "[data-examples]").is_displayed()
    assert len(table(chromium, "scores")) == 1


def test_scores_on_different_data_are_never_set_against_each_other(chromium, build, make_record, publish):
    records = [
        publish(make_record(name=name, data_revision=f"sha256:{name}"), ["x"], scores={"BLEU": [1.0]}) for name in "ab"
    ]
    site = build(records, store=publish.store)
    view(chromium, site)
    assert chromium.driver.find_element("css selector", "[data-other-data]").is_displayed()
    assert [row[3] for row in table(chromium, "scores")] == ["–", "–"]
    assert "different data" in text(chromium, "[data-examples-note]")


def test_scores_without_text_are_compared_as_scores(chromium, build, make_record, publish):
    records = [publish(make_record(name=name), None, scores={"BLEU": [1.0, 2.0]}) for name in "ab"]
    site = build(records, store=publish.store)
    view(chromium, site)
    assert ids(chromium) == ["test-0", "test-1"]
    assert "not published" in text(chromium, ".example")


def test_ten_thousand_examples_stay_quick_and_are_paged(chromium, build, make_record, publish):
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
    view(chromium, site)
    assert len(ids(chromium)) == 20
    assert text(chromium, "[data-page]") == "Page 1 of 500"
    chromium.driver.find_element("css selector", "[data-turn='1']").click()
    assert ids(chromium)[0] == "test-20"
    assert "page=2" in chromium.driver.current_url
    start = time.perf_counter()
    choose(chromium, "[data-view=order]", "gains")
    chromium.driver.find_element("css selector", "[data-view=find]").send_keys("number 77")
    elapsed = time.perf_counter() - start
    assert text(chromium, "[data-count]") == "Examples 1 to 20 of 111; 10000 in all"
    # Ten redraws by key; slow machines included, none may take a second.
    assert elapsed < 10
    chromium.driver.find_element("css selector", "[data-turn='-1']").click()
    assert text(chromium, "[data-page]") == "Page 1 of 6"


HOSTILE = (
    "\"'><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    "</script><svg onload='window.hacked = 1'>\u2028\u2029\u202e\u2066 javascript:window.hacked=1 \x00"
)


def test_a_strangers_text_is_shown_and_never_runs(chromium, build, make_record, part, publish):
    chromium.driver.get("about:blank")
    chromium.drain()
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
    view(chromium, site)
    assert len(chromium.run("return document.querySelectorAll('.example')")) == 2
    for control, values in (("mark", ["characters", "reference", "none"]), ("order", ["gains", "losses"])):
        for value in values:
            choose(chromium, f"[data-view={control}]", value)
    assert chromium.run("return window.hacked") is None
    assert chromium.run("return document.images.length + document.querySelectorAll('svg').length") == 0
    assert chromium.run("return [...document.scripts].every(item => item.src.startsWith('file:') && !item.text)")
    assert "<script>window.hacked = 1</script>" in text(chromium, ".output-a dd")
    assert "characters in all" in text(chromium, ".example:last-child .output-a dd")
    assert chromium.run("return document.documentElement.scrollWidth <= innerWidth")
    chromium.assert_quiet()


def test_without_javascript_the_page_leads_to_the_models(chromium, pair):
    chromium.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        chromium.open(pair.folder / "compare.html")
        found = chromium.driver.execute_cdp_cmd(
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
        chromium.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert found == {"links": ["office-zh-en", "first", "second", "other-board", "elsewhere"], "controls": 0}
