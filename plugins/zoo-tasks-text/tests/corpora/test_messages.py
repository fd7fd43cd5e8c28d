"""Compiled gettext catalogues."""

from __future__ import annotations

import gettext
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.corpora.messages import Message, catalogue

from zoo.errors import InputError


def test_messages_come_sorted_without_the_header(mo):
    found = catalogue(mo({"Open": "打开", "Close": "关闭"}))
    assert found == [Message(None, "Close", "关闭"), Message(None, "Open", "打开")]


def test_a_context_is_set_apart(mo):
    assert catalogue(mo({"menu\4Open": "打开"})) == [Message("menu", "Open", "打开")]


def test_of_plural_forms_the_first_is_taken(mo):
    assert catalogue(mo({"%d file\0%d files": "%d 个文件"})) == [Message(None, "%d file", "%d 个文件")]
    assert catalogue(mo({"%d file\0%d files": "%d ファイル\0別"})) == [Message(None, "%d file", "%d ファイル")]


def test_a_message_without_a_translation_is_left_out(mo):
    assert catalogue(mo({"Open": "", "Shut\0Shuts": "\0"})) == []


def test_both_byte_orders_and_the_charset_of_the_header_are_read(mo):
    assert catalogue(mo({"Open": "開く"}, order=">")) == [Message(None, "Open", "開く")]
    header = "Content-Type: text/plain; charset=euc-jp\n"
    assert catalogue(mo({"Open": "開く"}, header=header, charset="euc-jp")) == [Message(None, "Open", "開く")]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\4"), min_size=1, max_size=20)


@given(st.dictionaries(texts, texts, max_size=20))
def test_translations_are_those_that_the_standard_library_gives(mo, messages):
    data = mo(messages)
    library = gettext.GNUTranslations(io.BytesIO(data))
    found = catalogue(data)
    assert {message.text for message in found} == set(messages)
    assert all(message.translation == library.gettext(message.text) for message in found)


@pytest.mark.parametrize(
    "make",
    [
        lambda mo: b"",
        lambda mo: b"PO",
        lambda mo: b"\xde\x12\x04\x95",
        lambda mo: b"\xde\x12\x04\x95" + b"\xff" * 24,
        lambda mo: mo({"Open": "打开"})[:-4],
        lambda mo: mo({"Open": "打开"}, header="Content-Type: text/plain; charset=nonsense\n"),
        lambda mo: mo({"Open": "打开"}).replace("打".encode(), b"\xff\xff\xff"),
    ],
)
def test_what_is_no_catalogue_gives_one_line_with_its_name(mo, make):
    data = make(mo)
    with pytest.raises(InputError, match="no gettext catalogue") as caught:
        catalogue(data, where="zh.mo")
    assert "zh.mo" in str(caught.value)
    assert "\n" not in str(caught.value)
