"""What stands on the pages."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from zoo.bench.record import Sample
from zoo.bench.store import Problem


def rows(board):
    """Model name -> column key -> cell, of the board's first table."""
    table = board.all("table")[0]
    keys = [header.attributes["data-column"] for header in table.all("th") if "data-column" in header.attributes]
    found = {}
    for row in table.one("tbody").all("tr"):
        cells = dict(zip(keys, row.children_elements(), strict=True))
        found[cells["model"].one("a").words] = cells
    return found


def test_the_index_counts_records_and_leads_to_the_board(build, realistic):
    page = build(realistic).index()
    facts = {item.one("dt").words: item.one("dd").words for item in page.one("dl", class_="facts").all("div")}
    assert facts == {"Records": "8", "ok": "7", "collapsed": "1", "Newest record": "2026-11-20 09:08 UTC"}
    card = page.one("li", class_="card")
    assert card.all("a")[0].words == "office-zh-en"
    assert [link.words for link in card.one("ul", class_="leaders").all("a")] == ["rotary", "alibi"]


def test_the_index_lists_failures_with_their_reason(build, realistic):
    table = build(realistic).index().all("table")[-1]
    assert "learned-lr-0.1" in table.words
    assert "one output for 98.7% of the inputs" in table.words


def test_the_index_lists_the_newest_records_with_their_score_and_commit(build, make_record, part):
    records = [make_record(name=f"m{index}", quality=[part.quality(float(index))]) for index in range(12)]
    section = build(records).index().one("div", aria_labelledby="latest")
    rows = [[cell.words for cell in row.children_elements()] for row in section.one("tbody").all("tr")]
    assert [row[1] for row in rows] == [f"m{index}" for index in range(11, 1, -1)]
    assert rows[0] == ["2026-11-20 09:12 UTC", "m11", "office-zh-en", "1", "ok", "BLEU 11.0", "3223d7c5a1b2"]


def test_the_index_leads_to_a_comparison_of_the_first_two(build, realistic):
    site = build(realistic)
    links = [link.attributes["href"] for link in site.index().one("li", class_="card").all("a")]
    first, second = site.model_file("rotary").stem, site.model_file("alibi").stem
    assert f"compare.html#a={first}&b={second}" in links


def test_unreadable_records_are_named_and_the_rest_is_served(build, realistic):
    problem = Problem(Path("/somewhere/records/20261120-half.json"), "EOF while parsing a value")
    site = build(realistic, [problem])
    text = site.index().words
    assert "20261120-half.json" in text
    assert "EOF while parsing a value" in text
    assert "/somewhere" not in text
    assert site.board_file().exists()


def test_a_site_without_records_says_so(build):
    assert "no records yet" in build([]).index().words


def test_overlapping_models_share_a_letter_and_others_do_not(build, realistic):
    found = rows(build(realistic).board())
    assert {name: cells["rank"].words for name, cells in found.items()} == {
        "rotary": "a",
        "alibi": "a",
        "sinusoidal": "b",
        "learned-lr-0.1": "–",
        "copy": "–",
        "untrained": "–",
    }


def test_a_model_between_two_groups_has_the_letters_of_both(build, make_record, part):
    scores = {"best": 24.0, "between": 22.0, "worst": 20.0}  # each plus or minus 1.2
    records = [make_record(name=name, quality=[part.quality(bleu, half_width=1.2)]) for name, bleu in scores.items()]
    found = rows(build(records).board())
    assert {name: cells["rank"].words for name, cells in found.items()} == {"best": "a", "between": "a b", "worst": "b"}
    # The order is that of the ranks: one model is wholly better than the worst, none than the other two.
    assert [cells["rank"].attributes["data-value"] for cells in found.values()] == ["1", "1", "2"]


def test_a_board_of_more_groups_than_letters_shows_ranks(build, make_record, part):
    records = [make_record(name=f"m{index:02d}", quality=[part.quality(3.0 * index)]) for index in range(30)]
    board = build(records).board()
    assert board.one("th", data_column="rank").one("bdi").words == "Rank"
    ranks = [cells["rank"].words for cells in rows(board).values()]
    assert ranks == [str(rank) for rank in range(1, 31)]


def test_rows_stand_in_the_order_of_rank_then_failures_then_baselines(build, realistic):
    assert list(rows(build(realistic).board())) == [
        "rotary",
        "alibi",
        "sinusoidal",
        "learned-lr-0.1",
        "copy",
        "untrained",
    ]


def test_a_score_over_seeds_shows_mean_interval_range_and_number(build, realistic):
    # Seeds 24.6, 24.1 and 25.0, each plus or minus 1.2.
    cell = rows(build(realistic).board())["rotary"]["bleu"]
    assert cell.words == "24.6 [22.9, 26.2]24.1 to 25.0, n=3"
    assert float(cell.attributes["data-value"]) == pytest.approx((24.6 + 24.1 + 25.0) / 3)


def test_a_better_metric_can_be_the_lower_one(build, make_record, part):
    records = [
        make_record(name=name, quality=[part.quality(value, metric="TER", direction="lower", half_width=1.0)])
        for name, value in (("worse", 60.0), ("better", 50.0))
    ]
    found = rows(build(records).board())
    assert list(found) == ["better", "worse"]
    assert found["better"]["rank"].words == "a"


def test_models_without_an_interval_have_no_rank(build, make_record, part):
    board = build([make_record(quality=[part.quality(20.0, half_width=None)]), make_record(name="other")]).board()
    assert rows(board)["rotary"]["rank"].words == "–"
    assert rows(board)["other"]["rank"].words == "a"


def test_baselines_are_told_apart_and_never_ranked(build, make_record, part):
    board = build(
        [make_record(name="copy", role="baseline", spec={}, quality=[part.quality(90.0)]), make_record()]
    ).board()
    found = rows(board)
    assert found["copy"]["rank"].words == "–"
    assert found["rotary"]["rank"].words == "a"
    assert "baseline" in found["copy"]["model"].words


def test_a_failure_shows_its_status_and_reason_on_the_board(build, realistic):
    cell = rows(build(realistic).board())["learned-lr-0.1"]["status"]
    assert cell.words.startswith("collapsedone output for 98.7%")


def test_a_model_with_good_and_failed_seeds_says_both(build, make_record):
    records = [make_record(seed=1), make_record(seed=2, status="nan", error="loss is nan at step 40")]
    cell = rows(build(records).board())["rotary"]["status"]
    assert cell.words == "ok, 1 failedloss is nan at step 40"


def test_every_device_has_columns_of_its_own(build, realistic):
    board = build(realistic).board()
    groups = [header.words for header in board.all("th", scope="colgroup")]
    assert groups == ["CPU AMD EPYC 7763 64-Core Processor, 2 threads, float32", "NVIDIA H100 80GB HBM3, bfloat16"]
    cells = rows(board)["rotary"]
    assert cells["latency-device-1"].words == "116114 to 118"
    assert cells["latency-device-2"].words == "20.0"
    assert rows(board)["alibi"]["latency-device-2"].words == "–"


def test_throughputs_at_different_batch_sizes_do_not_share_a_column(build, make_record, part):
    records = [
        make_record(name="a", performance=[part.cpu(throughput=[{"batch": 1, "tokens_per_second": 9.0}])]),
        make_record(name="b", performance=[part.cpu(throughput=[{"batch": 64, "tokens_per_second": 9.0}])]),
    ]
    units = [header.words for header in build(records).board().all("th", scope="col")]
    assert len([text for text in units if "batch 1 " in f"{text} "]) == 1
    assert len([text for text in units if "batch 64" in text]) == 1


def test_memory_names_what_it_counts(build, realistic):
    headers = [header.words for header in build(realistic).board().all("th", scope="col")]
    assert [text for text in headers if "Peak memory" in text] == [
        "Peak memory MiB, rss",
        "Peak memory MiB, cuda-allocated",
    ]


def test_bytes_of_the_optimizers_state_are_a_column_where_they_are_on_record(build, make_record, part):
    records = [
        make_record(name="a", performance=[part.cpu(optimizer_state_bytes=3 * 2**20)]),
        make_record(name="b", performance=[part.cpu()]),
    ]
    board = build(records).board()
    assert "Optimizer state MiB" in [header.words for header in board.all("th", scope="col")]
    (key,) = (key for key in rows(board)["a"] if "optimizer" in key)
    assert float(rows(board)["a"][key].words) == 3
    assert rows(board)["b"][key].words == "–"
    assert not any("optimizer" in key for key in rows(build(records[1:]).board())["b"])


def test_scores_from_different_data_stand_in_different_tables(build, make_record):
    old = make_record(name="old", minute=0, data_revision="sha256:old")
    new = make_record(name="new", minute=1, data_revision="sha256:new")
    board = build([old, new]).board()
    assert [table.one("tbody").one("tr").one("th").words for table in board.all("table")] == ["new", "old"]
    assert "never ranked against each other" in board.words


def test_the_chart_has_a_title_a_description_and_a_table_with_the_same_values(build, realistic):
    figure = build(realistic).board().all("figure")[0]
    svg = figure.one("svg")
    assert svg.attributes["role"] == "img"
    title, description = svg.attributes["aria-labelledby"].split()
    assert svg.one("title", id=title).words == "BLEU with 95% intervals"
    assert "rotary 24.6; alibi 23.7; sinusoidal 19.2" in svg.one("desc", id=description).words


def test_the_chart_of_a_long_board_shows_its_head_and_the_baselines(build, make_record, part):
    models = [make_record(name=f"m{index}", quality=[part.quality(20.0 + index)]) for index in range(20)]
    control = make_record(name="copy", role="baseline", spec={}, quality=[part.quality(1.0)])
    svg = build([*models, control]).board().all("svg", class_="chart")[0]
    assert svg.children_elements()[0].words == "BLEU with 95% intervals, the first 15 of 20 models"
    labels = [label.words for label in svg.all("text", class_="label")]
    assert labels == [f"m{index}" for index in range(19, 4, -1)] + ["copy"]


def test_a_baseline_is_not_described_as_the_model_whose_spec_it_borrows(build, make_record):
    page = build([make_record(name="untrained", role="baseline")]).model("untrained")
    assert page.one("p", class_="lead").words.startswith("A control that every trained model must beat")


def test_a_models_page_shows_what_it_is(build, realistic):
    page = build(realistic).model("rotary")
    assert page.one("h1").words == "rotary"
    assert "rotary positions, trained from nothing" in page.one("p", class_="lead").words
    specification = page.one("section", aria_labelledby="spec").one("pre").text
    assert "use: zoo-positional/rotary" in specification
    components = page.one("section", aria_labelledby="components").all("tr")
    assert [row.words for row in components if "rotary" in row.words] == [
        "model.positionzoo-positional/rotaryRotary positions on queries and keys"
    ]


def test_a_component_name_used_in_two_kinds_is_explained_by_its_slot(build, realistic):
    rows_ = build(realistic).model("rotary").one("section", aria_labelledby="components").all("tr")
    assert [row.words for row in rows_ if "none" in row.words] == ["training.clippingzoo-optimizers/noneNo clipping"]


def test_a_component_that_is_not_installed_is_named_all_the_same(build, realistic):
    text = build(realistic).model("alibi").one("section", aria_labelledby="components").words
    assert "zoo-positional/alibinot installed where this page was built" in text


def test_samples_carry_the_languages_of_the_task(build, realistic):
    page = build(realistic).model("rotary")
    first = page.all("article")[0]
    source, reference, output = first.all("dd")
    assert (source.attributes["lang"], reference.attributes["lang"], output.attributes["lang"]) == ("zh", "en", "en")
    assert source.text == "晚饭以前请把“红色 - 蓝色”两把伞放回门口。"
    assert page.all("article")[2].all("dd")[2].words == "(empty)"


def test_a_task_whose_name_tells_no_language_claims_none(build, make_record):
    page = build([make_record(task="generated")]).model("rotary")
    assert all("lang" not in item.attributes for item in page.one("article").all("dd"))


def test_samples_keep_their_line_breaks(build, make_record):
    sample = Sample(id="1", source="a\nb", reference="c", output="d  e")
    page = build([make_record(samples=[sample])]).model("rotary")
    assert [item.text for item in page.one("article").all("dd")] == ["a\nb", "c", "d  e"]


def test_the_learning_curve_is_a_chart_and_a_table(build, realistic):
    section = build(realistic).model("alibi").one("section", aria_labelledby="curve")
    assert section.one("svg").one("desc").words.startswith("Loss against optimizer steps: training loss, seed 1 from")
    assert len(section.one("table").one("tbody").all("tr")) == 60


def test_the_curves_table_has_columns_for_clipping_where_any_is_told(build, make_record):
    points = [
        {"step": 20, "loss": 5.0, "gradient_norm": 3.0, "clipped_norm": 1.0, "clipped_fraction": 0.5},
        {
            "step": 40,
            "dev_loss": 4.5,
            "update_clipped_fraction": 0.25,
            "gradients": {"<b>.norm": 2.5, "norms.norm": 1.5},
        },
    ]
    section = build([make_record(curve=points)]).model("rotary").one("section", aria_labelledby="curve")
    whole, parts = section.all("table")
    heads = [header.words for header in whole.all("th")]
    assert heads[2:] == [
        "Training loss",
        "Dev loss",
        "Learning rate",
        "Gradient norm",
        "Norm after clipping",
        "Clipped",
        "Updates clipped",
    ]
    cells = [[cell.words for cell in row.all("td")] for row in whole.one("tbody").all("tr")]
    assert cells == [
        ["1", "20", "5.000", "–", "–", "3.000", "1.000", "0.5000", "–"],
        ["1", "40", "–", "4.500", "–", "–", "–", "–", "0.2500"],
    ]
    assert [header.words for header in parts.all("th")] == ["Seed", "Step", "<b>.norm", "norms.norm"]
    assert [cell.words for cell in parts.one("tbody").one("tr").all("td")] == ["1", "40", "2.500", "1.500"]


def test_every_record_is_listed_with_its_id_environment_versions_and_commit(build, realistic):
    page = build(realistic).model("rotary")
    details = page.all("details", class_="record")
    assert len(details) == 3
    newest = realistic[2]
    text = details[0].words
    for expected in (
        newest.id,
        newest.spec_hash,
        newest.cell,
        "3223d7c5a1b2",
        "transformers: 5.23.0",
        "zoo-positional 0.1.0",
    ):
        assert expected in text


def test_a_dirty_tree_is_said(build, make_record):
    record = make_record(environment={"git": {"commit": "0123456789abcdef", "dirty": True}})
    assert "0123456789ab with local changes" in build([record]).model("rotary").words


def test_records_of_an_earlier_spec_are_listed_but_do_not_count(build, make_record, part):
    old = make_record(minute=1)
    new = make_record(minute=2, spec={**part.spec("rotary", "rotary", 1), "training": {"steps": 9}})
    page = build([old, new]).model("rotary")
    assert "1 record of an earlier spec of this name does not count" in page.words
    counted = [
        item.one("summary").one("code").words
        for item in page.all("details", class_="record")
        if item.all("span", class_="tag")
    ]
    assert counted == [new.id]


@pytest.mark.parametrize(
    "changes",
    [
        {"quality": []},
        {"performance": []},
        {"curve": []},
        {"samples": []},
        {"spec": {}},
        {"environment": {}, "distributions": {}},
        {"probes": {}},
        {"probe_series": {"a.b": {"axis": "layer", "unit": "share", "x": [], "lines": {}}}},
        {"probe_series": {"a.b": {"axis": "layer", "unit": "share", "x": [1, 2], "lines": {"one": [None, None]}}}},
        {"probe_series": {"a.b": {"axis": "layer", "unit": "share", "x": [1e308, -1e308], "lines": {"one": [1e308]}}}},
        {"curve": [{"step": 2**53 - 1, "probes": {"no dot": -1e308}}, {"step": 0, "probes": {"": 1}}]},
        {"parameters": None, "steps": None, "training_seconds": None},
        {"error": None, "status": "oom"},
        {"created": "some day"},
        {"parameters": 2**53 - 1, "steps": 2**53 - 1, "training_seconds": 1e308},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_a_record_with_parts_missing_or_absurd_still_has_its_pages(build, make_record, changes):
    site = build([make_record(**changes), make_record(seed=2)])
    for file in site.pages():
        text = file.read_text(encoding="utf-8")
        assert "None" not in text
    assert rows(site.board())
    assert site.model("rotary").one("h1").words == "rotary"


def test_links_lead_to_files_and_places_of_the_site(build, realistic, site_parse):
    site = build([*realistic])
    for file in site.pages():
        page = site_parse(file)
        places = [node.attributes[name] for node in page.all() for name in ("href", "src") if name in node.attributes]
        assert places
        for place in places:
            parts = urlsplit(place)
            if file.name == "exports.html" and parts.scheme:  # it names its sources
                assert parts.scheme == "https"
                continue
            assert not parts.scheme
            assert not parts.netloc
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.is_relative_to(site.folder.resolve())
            assert target.is_file()
            if parts.fragment and "=" not in parts.fragment:  # else it is a view, such as two models to compare
                assert site_parse(target).all(id=parts.fragment)


def test_the_page_on_exports_can_be_reached_from_every_page_and_jumps_to_its_complaints(build, realistic, site_parse):
    site = build([*realistic])
    for file in site.pages():
        links = [node.attributes.get("href", "") for node in site_parse(file).all("a")]
        assert any(link.endswith("exports.html") for link in links)
    page = site_parse(site.folder / "exports.html")
    headings = {node.attributes["id"] for node in page.all("h2") if "id" in node.attributes}
    jumps = {node.attributes["href"][1:] for node in page.all("a") if node.attributes.get("href", "").startswith("#")}
    assert {"opset", "threads", "bindings", "contiguous", "servers", "u8s8"} <= headings & jumps


def test_ids_are_unique_and_labels_refer_to_them(build, realistic, site_parse):
    site = build(realistic)
    for file in site.pages():
        nodes = site_parse(file).all()
        ids = [node.attributes["id"] for node in nodes if "id" in node.attributes]
        assert len(ids) == len(set(ids))
        for node in nodes:
            for reference in node.attributes.get("aria-labelledby", "").split():
                assert reference in ids


def test_nothing_of_another_host_is_named(build, realistic):
    site = build(realistic)
    for file in [path for path in site.folder.rglob("*") if path.is_file()]:
        # Parquet is compressed: its text is that of the JSON beside it.
        text = file.read_text(encoding="utf-8", errors="ignore").replace("http://www.w3.org/2000/svg", "")
        if file.name == "exports.html":  # it names its sources, which a reader may follow
            text = re.sub(r'<a href="https://[^"]*" rel="noreferrer">', "", text)
        assert "http:" not in text
        assert "https:" not in text
        assert "//cdn" not in text


def test_pages_allow_no_inline_script_or_style(build, realistic, site_parse):
    for file in build(realistic).pages():
        page = site_parse(file)
        (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
        assert "default-src 'none'" in policy.attributes["content"]
        assert "unsafe" not in policy.attributes["content"]
        assert not page.all("style")
        assert {script.text for script in page.all("script")} == {""}
        assert not [node for node in page.all() for name in node.attributes if name == "style" or name.startswith("on")]
