"""Figures that a command wrote become pages of the site."""

from __future__ import annotations

import json

import pytest

from zoo.site import build_site
from zoo.site.published_figures import figure_pages

FIGURE = {
    "schema": "zoo.figure/1",
    "title": "Boxes that move",
    "text": "What is seen.",
    "source": "https://arxiv.org/abs/1911.08287",
    "command": "zoo boxes simulate",
    "versions": {"zoo-acme": "1.2"},
    "charts": [
        {
            "title": "Error",
            "x": "step",
            "y": "error, millions",
            "series": [
                {"name": "one", "points": [[0, 4.0], [10, 1.0]]},
                {"name": "two", "points": [[0, 4.0], [5, 2.0], [10, 0.0]]},
            ],
        }
    ],
}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "figures"
    made.mkdir()
    (made / "moving.json").write_text(json.dumps(FIGURE))
    return made


def built(folder, tmp_path, registry):
    report = build_site([], tmp_path / "site", figures=folder, registry=registry)
    return report, tmp_path / "site"


def test_a_figure_is_a_page_of_charts_with_their_values_and_origin(folder, tmp_path, registry, site_parse):
    report, site = built(folder, tmp_path, registry)
    assert report.problems == ()
    (file,) = (site / "figures").glob("*.html")
    page = site_parse(file)
    assert page.one("h1").words == "Boxes that move"
    assert len(page.all("polyline")) == 4  # two lines, and two in the key
    rows = [[cell.words for cell in row.children_elements()] for row in page.one("tbody").all("tr")]
    assert rows == [["0", "4.000", "4.000"], ["5", "–", "2.000"], ["10", "1.000", "0"]]
    pairs = {item.one("dt").words: item.one("dd").words for item in page.one("dl", class_="pairs").all("div")}
    assert pairs == {"Command": "zoo boxes simulate", "Source": FIGURE["source"], "zoo-acme": "1.2"}
    links = [link for link in site_parse(site / "index.html").all("a") if link.words == "Boxes that move"]
    assert [link.attributes["href"] for link in links] == [f"figures/{file.name}"]


def test_a_site_without_figures_says_nothing_of_them(tmp_path, registry, site_parse):
    _, site = built(tmp_path / "absent", tmp_path, registry)
    assert not (site / "figures").exists()
    assert "Figures" not in site_parse(site / "index.html").words


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "zoo.figure/2"}, "schema"),
        ({"charts": []}, "charts"),
        ({"colour": "red"}, "colour"),
        ({"charts": [{**FIGURE["charts"][0], "series": [{"name": "x", "points": [[0, "1"]]}]}]}, "points.0.1"),
    ],
)
def test_files_that_are_no_figures_are_told_and_left_out(folder, tmp_path, registry, change, said):
    (folder / "other.json").write_text(json.dumps({**FIGURE, **change}))
    (folder / "torn.json").write_text('{"schema": ')
    report, site = built(folder, tmp_path, registry)
    first, second = report.problems
    assert (first.path.name, second.path.name) == ("other.json", "torn.json")
    assert first.message.startswith("not a zoo.figure/1: ")
    assert said in first.message
    assert len(list((site / "figures").glob("*.html"))) == 1


def test_texts_of_strangers_stay_texts(folder, tmp_path, registry, site_parse):
    evil = "</title><script>alert(1)</script>"
    chart = {**FIGURE["charts"][0], "title": evil, "series": [{"name": evil, "points": [[0, 1.0], [1, 2.0]]}]}
    hostile = {"title": evil, "text": evil, "source": "javascript:alert(1)", "command": evil, "charts": [chart]}
    (folder / "moving.json").write_text(json.dumps({**FIGURE, **hostile}))
    _, site = built(folder, tmp_path, registry)
    (file,) = (site / "figures").glob("*.html")
    page = site_parse(file)
    assert [script.attributes.get("src") for script in page.all("script")] == ["../assets/site.js"]
    assert not [link for link in page.all("a") if link.attributes.get("href", "").startswith("javascript")]


def test_equal_names_of_lines_are_told_apart(folder):
    chart = {**FIGURE["charts"][0], "series": [FIGURE["charts"][0]["series"][0]] * 2}
    (folder / "moving.json").write_text(json.dumps({**FIGURE, "charts": [chart]}))
    ((page,), problems) = figure_pages(folder)
    assert problems == []
    assert page.drawn[0].table.columns == ("one", "one (2)")
