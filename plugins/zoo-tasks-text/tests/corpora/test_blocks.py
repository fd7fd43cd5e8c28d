"""Pages as blocks."""

from __future__ import annotations

import pytest
from zoo_tasks_text.corpora.blocks import Block, html_blocks, mallard_blocks

from zoo.errors import ZooError


def _shapes(blocks: list[Block]) -> list[tuple[str, str]]:
    return [(block.kind, " ".join(block.text.split())) for block in blocks]


def test_every_block_element_is_a_block_and_inline_markup_is_not():
    page = (
        "<body><h1>Files</h1><p>Open <code>a.txt</code> now.</p><ul><li>One <b>thing</b></li><li>Two</li></ul></body>"
    )
    assert _shapes(html_blocks(page)) == [
        ("heading", "Files"),
        ("p", "Open a.txt now."),
        ("li", "One thing"),
        ("li", "Two"),
    ]


def test_a_paragraph_in_a_list_item_is_of_the_kind_of_the_bare_item():
    assert _shapes(html_blocks("<ul><li><p>One</p></li></ul>")) == _shapes(html_blocks("<ul><li>One</li></ul>"))


def test_elements_left_open_end_where_the_next_one_begins():
    assert _shapes(html_blocks("<p>One<p>Two<ul><li>Three<li>Four</ul>Five")) == [
        ("p", "One"),
        ("p", "Two"),
        ("li", "Three"),
        ("li", "Four"),
        ("p", "Five"),
    ]


def test_a_listing_has_a_mark_and_no_text():
    [block] = html_blocks("<pre>ls  -l\nrm x</pre>")
    assert (block.kind, block.text, block.marks) == ("listing", "", {"listing ls -l rm x"})


@pytest.mark.parametrize(
    "unseen",
    [
        "<head><title>T</title></head>",
        "<script>var a = '<p>no</p>';</script>",
        '<div class="toc"><ul><li>Contents</li></ul></div>',
        '<div class="navheader"><p>Next</p></div>',
        '<div role="navigation"><br><p>Next<p>Back</div>',
        '<label class="ocn"><a href="#8">8</a></label>',
    ],
)
def test_what_is_not_the_page_s_own_text_is_left_out(unseen):
    assert _shapes(html_blocks(f"<html>{unseen}<body><p>Text</p></body></html>")) == [("p", "Text")]


def test_a_class_of_the_whole_page_hides_nothing():
    assert _shapes(html_blocks('<body class="toc2"><p>Text</p></body>')) == [("p", "Text")]


@pytest.mark.parametrize(
    "heading",
    ["4.1. Files", "Chapter 5. Files", "A.2 Files", "7. Files", '<span class="section-number">4.1. </span>Files'],
)
def test_a_heading_s_number_is_left_out(heading):
    [block] = html_blocks(f"<h2>{heading}</h2>")
    assert (block.text, block.level) == ("Files", 2)


def test_a_heading_may_begin_with_a_letter_or_number_of_its_own():
    assert [block.text for block in html_blocks("<h2>A file</h2><h2>3 files</h2>")] == ["A file", "3 files"]


def test_identifiers_that_a_tool_counted_out_are_no_identifiers():
    page = '<a name="idm12"></a><p id="id-1.2.3">One</p><div id="files"><p id="833">Two</p></div>'
    assert [block.ids for block in html_blocks(page)] == [(), ("files",)]


def test_addresses_are_marks_without_what_languages_differ_in():
    english = '<p><a href="../x/ch01.en.html#a">a</a> <a href="https://en.wikipedia.org/wiki/File">b</a></p>'
    japanese = '<p><a href="ch01.ja.html#b">a</a> <a href="https://ja.wikipedia.org/wiki/ファイル">b</a></p>'
    assert html_blocks(english)[0].marks == html_blocks(japanese)[0].marks == {"ch01", "wikipedia"}


def test_a_mallard_page_gives_its_description_titles_and_items():
    page = b"""<page xmlns="http://projectmallard.org/1.0/" id="a"><info><link type="guide" xref="b"/>
    <credit><name>A. Writer</name></credit><desc>Press keys.</desc></info><title>Sticky <em>keys</em></title>
    <steps><item><p>Open <gui>Settings</gui>.</p></item></steps><code>x</code></page>"""
    assert _shapes(mallard_blocks(page, "a.page"))[:3] == [
        ("p", "Press keys."),
        ("heading", "Sticky keys"),
        ("li", "Open Settings."),
    ]


def test_a_broken_mallard_page_is_named():
    with pytest.raises(ZooError, match=r"a\.page is no well-formed XML"):
        mallard_blocks(b"<page><p>", "a.page")
