"""Names and outputs come from strangers: whatever they hold, a page keeps its shape and shows them as text."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zoo.bench.record import Sample
from zoo.site.naming import one_line, printable

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></svg></pre></bdi></td></table><h1>",
    "<!-- ",
    "]]><![CDATA[",
    "&lt;b&gt;&amp;&#60;script&#62;",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "../../../etc/passwd",
    "abc\u202edef\u2066ghi",
    "line\nbreak\r\nand\rmore\u2028\u2029",
    "nul\x00 and \x1b[31m",
    "=HYPERLINK(1)",
    "\ufeff\ufffe\uffff",
]


def record_of(make_record, part, text):
    """A record with `text` in every place that a stranger fills."""
    quality = part.quality(20.0, metric=text, unit=text, signature=text, split=text)
    performance = part.cpu(device=text, dtype=text, attention=text, memory={"kind": text, "peak": 1})
    return make_record(
        id="20261120T090000.000000Z-0123456789",
        minute=1,
        name=text,
        task=text,
        cell=text,
        error=text,
        status="ok",
        spec={"description": text, text: {"use": text, text: [text]}},
        spec_hash=text,
        data_revision=text,
        distributions={text: text},
        quality=[quality],
        performance=[performance],
        probes={text: 0.5},
        probe_series={
            text: {"axis": text, "unit": text, "x": [text, f"{text}2"], "lines": {text: [0.5, 1.0]}},
            f"{text}3": {"axis": text, "unit": text, "x": [1.0, 2.0], "lines": {text: [0.5, None]}},
        },
        curve=[
            {"step": 0, "probes": {f"same.{text}": 0.25}},
            {"step": 20, "loss": 5.0, "probes": {f"same.{text}": 0.5}},
        ],
        samples=[Sample(id=text, source=text, reference=text, output=text)],
        environment={text: text, "cpu": text, "git": {"commit": text, "dirty": True}},
    )


def failure_of(make_record, text):
    return make_record(
        name=text, task=text, data_revision=text, error=text, status="invalid", spec={}, seed=7, minute=0
    )


def shapes(site, site_parse):
    """The shape of every page by its folder: file names hold hashes of the names."""
    return sorted((str(file.parent.relative_to(site.folder)), site_parse(file).shape()) for file in site.pages())


def text_strategy():
    alphabet = st.sampled_from("<>&\"'=/!-[]{}%# \t\n\r\x00\u202e\u2066\u2028a\ufffe字`;\\")
    return st.one_of(
        st.sampled_from(HOSTILE), st.text(alphabet, min_size=1), st.text(st.characters(codec="utf-8"), min_size=1)
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=text_strategy())
@example(text="<script>alert(1)</script>")
@example(text='"><img src=x onerror=alert(1)>')
@example(text="\x00")
def test_no_text_changes_the_shape_of_a_page(text, build, make_record, part, site_parse, tmp_path):
    if not (tmp_path / "plain").exists():
        build([record_of(make_record, part, "harmless"), failure_of(make_record, "harmless")], name="plain")
    shutil.rmtree(tmp_path / "hostile", ignore_errors=True)
    hostile = build([record_of(make_record, part, text), failure_of(make_record, text)], name="hostile")
    assert shapes(hostile, site_parse) == shapes(type(hostile)(tmp_path / "plain"), site_parse)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(text, build, make_record, part, site_parse):
    site = build([record_of(make_record, part, text)])
    (model,) = (site.folder / "models").iterdir()
    page = site_parse(model)
    assert page.one("h1").words == " ".join(one_line(text).split())
    for item in page.one("article").all("dd"):
        # An HTML parser reads a lone carriage return as a line feed; `printable` has replaced it before.
        assert item.text == printable(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_make_no_file_outside_the_site(text, build, make_record, part, tmp_path):
    build([record_of(make_record, part, text)])
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    for file in (tmp_path / "site").rglob("*"):
        assert set(file.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-."), file.name


def test_a_deep_spec_from_a_stranger_ends(build, make_record):
    deep = {"use": "x"}
    for _ in range(150):
        deep = {"a": deep}
    assert build([make_record(spec=deep)]).model("rotary").one("h1").words == "rotary"
