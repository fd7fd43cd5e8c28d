"""The pages of components and the references they lead to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from zoo.registry import Component, RegisteredComponent, Registry
from zoo.registry.core_kinds import zoo_kinds
from zoo.registry.discovery import Discovery
from zoo.site import build_site
from zoo.site.references import reference
from zoo.spec import Options


class RampOptions(Options):
    """Options for a page."""

    slope: float = Field(default=0.5, description="Rise <b>per</b> position")
    steps: int = Field(description="Number of steps")


def registry_of(*components):
    found = Discovery(manager=None)
    found.kinds.update({kind.name: kind for kind in zoo_kinds()})
    found.components.extend(RegisteredComponent(item, "zoo-acme", "2.1.0") for item in components)
    return Registry(found)


def ramp(**changes):
    fields = {"kind": "position", "name": "ramp", "target": "acme:Ramp", "summary": "Adds a ramp", **changes}
    return Component(**fields)


@pytest.fixture
def pages(tmp_path, site_parse):
    """``pages(records, component...)`` -> the page of a component by its name, and the index."""

    def make(records, *components):
        build_site(records, tmp_path / "site", registry=registry_of(*components))
        folder = tmp_path / "site"
        found = {file.name.rpartition("-")[0]: site_parse(file) for file in (folder / "components").glob("*.html")}
        return found, site_parse(folder / "components.html")

    return make


def using(make_record, part, name, component, **changes):
    record = {**part.spec(name, "rotary", 1), "model": {"position": {"use": component}}}
    return make_record(name=name, spec=record, **changes)


def facts(page):
    return {item.one("dt").words: item.one("dd").words for item in page.one("dl", class_="facts").all("div")}


def test_a_page_tells_summary_plugin_version_papers_and_traits(pages):
    found, _ = pages([], ramp(references=("arXiv:2104.09864",), traits={"where": "embedding", "cache": True}))
    page = found["zoo-acme-ramp"]
    assert page.one("h1").words == "ramp position"
    assert page.one("p", class_="lead").words == "Adds a ramp"
    assert facts(page) == {"Kind": "position", "Plugin": "zoo-acme 2.1.0", "Models": "0", "Paper": "arXiv:2104.09864"}
    pairs = page.one("dl", class_="pairs").all("div")
    assert [(item.one("dt").words, item.one("dd").words) for item in pairs] == [
        ("where", "embedding"),
        ("cache", "yes"),
    ]
    assert "No record on this site uses it yet." in page.words


def test_options_are_a_table_of_what_the_model_says(pages):
    found, _ = pages([], ramp(options=f"{__name__}:RampOptions"))
    rows = found["zoo-acme-ramp"].one("section", aria_labelledby="options").one("tbody").all("tr")
    assert [[cell.words for cell in row.children_elements()] for row in rows] == [
        ["slope", "number", "0.5", "Rise <b>per</b> position"],
        ["steps", "integer", "required", "Number of steps"],
    ]


def test_options_that_cannot_be_read_cost_their_table_only(pages):
    found, index = pages([], ramp(options="no_such_module:Options"), ramp(name="other"))
    section = found["zoo-acme-ramp"].one("section", aria_labelledby="options").words
    assert "cannot be read here" in section
    assert "no_such_module" in section
    assert "It has none." in found["zoo-acme-other"].words
    assert len(index.one("tbody").all("tr")) == 2


def test_users_stand_by_board_in_its_order_with_their_score(pages, make_record, part):
    records = [
        using(make_record, part, "worse", "zoo-acme/ramp", quality=[part.quality(10.0)]),
        using(make_record, part, "better", "zoo-acme/ramp", quality=[part.quality(30.0)]),
        using(make_record, part, "without", "zoo-acme/other"),
        using(make_record, part, "elsewhere", "zoo-acme/ramp", task="another-board"),
    ]
    found, index = pages(records, ramp(), ramp(name="other"))
    section = found["zoo-acme-ramp"].one("section", aria_labelledby="users")
    assert [item.words for item in section.all("h3")] == ["another-board 1 model", "office-zh-en 2 models"]
    rows = section.all("table")[1].one("tbody").all("tr")
    assert [[cell.words for cell in row.children_elements()] for row in rows] == [
        ["better", "30.0", "model.position"],
        ["worse", "10.0", "model.position"],
    ]
    counts = {row.one("a").words: row.all("td")[-1].words for row in index.all("table")[0].one("tbody").all("tr")}
    assert counts == {"other": "1", "ramp": "3"}


def test_a_component_that_only_records_name_has_a_page_of_what_they_say(pages, make_record, part):
    record = using(make_record, part, "m", "zoo-gone/spiral", distributions={"zoo-gone": "3.2.1"})
    found, index = pages([record], ramp())
    page = found["zoo-gone-spiral"]
    assert "Not installed where this site was built" in page.words
    assert facts(page) == {"Plugin": "zoo-gone", "Version in records": "3.2.1", "Models": "1"}
    assert "model.position" in page.one("section", aria_labelledby="users").words
    listed = index.one("section", aria_labelledby="not-installed")
    assert "spiral" in [link.words for link in listed.all("a")]
    assert not page.all("section", aria_labelledby="options")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("arXiv:2104.09864", "https://arxiv.org/abs/2104.09864"),
        ("arXiv:2104.09864v2", "https://arxiv.org/abs/2104.09864v2"),
        ("arXiv:cmp-lg/9408011", "https://arxiv.org/abs/cmp-lg/9408011"),
        ("doi:10.18653/v1/W15-3049", "https://doi.org/10.18653/v1/W15-3049"),
        ("ACL:2022.wmt-1.52", "https://aclanthology.org/2022.wmt-1.52"),
        ("ACL:W15-3049", "https://aclanthology.org/W15-3049"),
        ("javascript:alert(1)", None),
        ("arXiv:javascript:alert(1)", None),
        ("arXiv:2104.09864/../../x", None),
        ("arXiv:2104.09864?x=1", None),
        ("doi:10.1/x", None),
        ("doi:10.1234/a b", None),
        ("doi://10.1234/ab", None),
        ("https://elsewhere/2104.09864", None),
        ("Vaswani et al. 2017", None),
    ],
)
def test_only_ids_of_known_schemes_become_links(text, url):
    assert reference(text).url == url


@given(st.text())
def test_no_text_leads_anywhere_but_to_the_three_known_hosts(text):
    for candidate in (text, f"arXiv:{text}", f"doi:10.1234/{text}", f"ACL:{text}"):
        url = reference(candidate).url
        assert url is None or url.startswith(
            ("https://arxiv.org/abs/", "https://doi.org/10.1234/", "https://aclanthology.org/")
        )
        assert url is None or set(url) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?#[]@!$&'()*+,;=%"
        )


def test_a_strangers_metadata_is_text(pages, make_record, part):
    attack = "<script>alert(1)</script>"
    component = ramp(
        summary=attack,
        references=(attack, "javascript:alert(1)", 'arXiv:2104.09864" onclick="alert(1)'),
        traits={attack: attack},
        options=f"{__name__}:RampOptions",
    )
    found, index = pages([using(make_record, part, attack, "zoo-acme/ramp")], component)
    page = found["zoo-acme-ramp"]
    assert page.one("p", class_="lead").words == attack
    for document in (page, index):
        assert {script.text for script in document.all("script")} == {""}
        assert not document.all("a", class_="paper")
        addresses = [link.attributes["href"] for link in document.all("a")]
        assert not [address for address in addresses if ":" in address]


def test_links_to_papers_are_plain_and_tell_nobody_where_they_were_clicked(pages):
    found, _ = pages([], ramp(references=("arXiv:2104.09864",)))
    (link,) = found["zoo-acme-ramp"].all("a", class_="paper")
    assert link.attributes["href"] == "https://arxiv.org/abs/2104.09864"
    assert "noreferrer" in link.attributes["rel"]


def test_a_spec_full_of_components_costs_no_more_than_some_hundred_pages(pages, make_record):
    spec = {"k" * 100_000: {f"slot{index}": {"use": f"zoo-gone/c{index}"} for index in range(5000)}}
    found, index = pages([make_record(spec=spec)], ramp())
    assert len(found) <= 501
    listed = index.one("section", aria_labelledby="not-installed").one("tbody").all("tr")
    assert max(len(row.text) for row in listed) < 1000
