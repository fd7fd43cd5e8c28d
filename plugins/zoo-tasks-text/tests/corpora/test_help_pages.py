"""Reading LibreOffice help pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.corpora.help_pages import paragraphs


def page(body: str) -> str:
    return (
        '<html><body><header><p id="par_logo">LibreOffice Help</p></header>'
        f'<div id="DisplayArea" itemscope="true">{body}</div><div id="SearchFrame"></div>'
        '<footer><p id="bm_module">footer</p></footer></body></html>'
    )


def texts(body: str) -> list[tuple[str, str]]:
    return [(item.id, " ".join(item.text.split())) for item in paragraphs(page(body))]


def test_paragraphs_and_headings_come_in_order_and_the_frame_is_left_out():
    body = '<h1 id="hd_1">Title</h1><p id="par_1" class="paragraph">A <span class="emph">bold</span> word.</p>'
    assert texts(body) == [("hd_1", "Title"), ("par_1", "A bold word.")]


def test_elements_without_an_id_and_program_code_are_left_out():
    assert texts('<p>no id</p><p id="par_1" class="bascode">Dim a</p><p id="par_2" class="code">x</p>') == []


def test_the_default_alternative_is_read():
    switch = (
        '<span id="s" class="switchinline"><span hidden="true" id="MACx" class="MAC">'
        '<span class="keycode">Command</span></span><span hidden="true" id="defaultx">'
        '<span class="keycode">Ctrl</span></span></span>'
    )
    assert texts(f'<p id="par_1">Press {switch}+F7 twice.</p>') == [("par_1", "Press Ctrl+F7 twice.")]


def test_without_a_default_the_first_alternative_is_read():
    switch = '<span class="switchinline"><span id="WRITERx">text</span><span id="CALCx">sheet</span></span>'
    assert texts(f'<p id="par_1">This {switch}.</p>') == [("par_1", "This text.")]


def test_alternatives_inside_alternatives():
    inner = '<span class="switchinline"><span id="MACy">M</span><span id="defaulty">d</span></span>'
    outer = f'<span class="switchinline"><span id="WRITERx">w</span><span id="defaultx">[{inner}]</span></span>'
    assert texts(f'<p id="par_1">a {outer} z</p>') == [("par_1", "a [d] z")]


def test_character_references_and_breaks():
    assert texts('<p id="par_1">a &lt;= b<br>c&#x4E2D;<img src="x" alt="no"></p>') == [("par_1", "a <= b c中")]


def test_the_first_paragraph_of_an_id_counts():
    assert texts('<p id="par_1">one</p><p id="par_1">two</p>') == [("par_1", "one")]


def test_embedded_paragraphs_are_marked():
    found = paragraphs(page('<div class="embedded"><p id="par_1">x</p></div><p id="par_2">y</p>'))
    assert [(item.id, item.embedded) for item in found] == [("par_1", True), ("par_2", False)]


def test_a_page_without_a_body_has_no_paragraphs():
    assert paragraphs("<html><p id='par_1'>x</p></html>") == []


@given(st.text(alphabet='<>/pdivspan "=idclas&#;x', max_size=200))
def test_broken_html_never_raises_and_gives_each_id_once(body):
    ids = [item.id for item in paragraphs(page(body))]
    assert all(ids)
    assert len(set(ids)) == len(ids)
