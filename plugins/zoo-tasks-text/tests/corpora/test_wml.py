"""Translatable strings of WML and Lua."""

from __future__ import annotations

from zoo_tasks_text.corpora.wml import Translatable, lua_strings, wml_strings

SCENARIO = """
#textdomain wesnoth-x
[scenario]
    name= _ "The Start"
    # a comment with _ "no text" in it
    [event]
        [message]
            speaker=narrator
            message= _"He said ""no"" # and left."
        [/message]
        {TALK  Konrad (_ "From a macro.")}
    [/event]
    path="not _ translated"
    [lua]
        code=<< local text = _ "In Lua" ; n = #"x" >>
    [/lua]
#define PART
    [part]
        story= _ "Long
ago."
    [/part]
#enddef
[/scenario]
#textdomain wesnoth-y
[unit]
    name= _ "Orc"
[/unit]
"""


def test_strings_come_in_order_with_catalogue_tag_and_key():
    assert list(wml_strings(SCENARIO)) == [
        Translatable("wesnoth-x", "The Start", "scenario", "name"),
        Translatable("wesnoth-x", 'He said "no" # and left.', "message", "message"),
        Translatable("wesnoth-x", "From a macro.", "event", ""),
        Translatable("wesnoth-x", "In Lua", "lua", ""),
        Translatable("wesnoth-x", "Long\nago.", "part", "story"),
        Translatable("wesnoth-y", "Orc", "unit", "name"),
    ]


def test_tags_that_a_macro_closes_do_not_confuse_the_outer_ones():
    source = '[event]\n[message]\n{END}\n[/event]\n[note]\ndescription= _ "Hold."\n[/note]\n[/other]\nx= _ "y"'
    assert [(found.tag, found.key) for found in wml_strings(source)] == [("note", "description"), ("", "x")]


def test_lua_names_its_catalogue_and_escapes_quotes():
    source = """local _ = wesnoth.textdomain 'wesnoth-wc'\nf(_ "Say \\"hi\\".\\nBye", _'One', no_"x")"""
    assert [(found.domain, found.text) for found in lua_strings(source)] == [
        ("wesnoth-wc", 'Say "hi".\nBye'),
        ("wesnoth-wc", "One"),
    ]
