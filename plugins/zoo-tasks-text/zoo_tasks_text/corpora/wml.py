"""Translatable strings of the Wesnoth Markup Language and of Lua, in the order of the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_WML = re.compile(
    r"""
      \#textdomain[ \t]+(?P<domain>[\w-]+)
    | \#(?:define|arg|ifdef|ifndef|ifhave|ifnhave|ifver|ifnver|else|endif|enddef|endarg|undef)\b
    | \#[^\n]*                                  # a comment
    | <<(?P<lua>.*?)>>
    | (?<!\w)_[ \t]*"(?P<text>(?:[^"]|"")*)"
    | "(?:[^"]|"")*"
    | \[(?P<tag>[+/]?\w+)\]
    | (?P<key>\w+)[ \t]*=
    """,
    re.VERBOSE | re.DOTALL,
)
_LUA_DOMAIN = re.compile(r"textdomain\s*\(?\s*[\"']([\w-]+)[\"']")
_LUA_TEXT = re.compile(r"""(?<!\w)_\s*(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)')""")
_LUA_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Translatable:
    """A string that a catalogue translates: the catalogue's name, the string, and where it stands."""

    domain: str
    text: str
    tag: str
    """The innermost open tag, such as ``message``; empty outside of all."""
    key: str
    """The attribute, such as ``story``; the last one before a string that a macro is given."""


def wml_strings(source: str, domain: str = "wesnoth") -> Iterator[Translatable]:
    """The strings of a .cfg file; those of Lua inside it have the tag ``lua``."""
    tags: list[str] = []
    key = ""
    for token in _WML.finditer(source):
        kind = token.lastgroup
        if kind == "domain":
            domain = token["domain"]
        elif kind == "text":
            yield Translatable(domain, token["text"].replace('""', '"'), tags[-1] if tags else "", key)
        elif kind == "key":
            key = token["key"]
        elif kind == "lua":
            yield from lua_strings(token["lua"], domain)
        elif kind == "tag":
            tag, key = token["tag"], ""
            if not tag.startswith("/"):
                tags.append(tag.removeprefix("+"))
            elif tag[1:] in tags:
                # Tags that a macro opens or closes leave others open: close these, too.
                while tags.pop() != tag[1:]:
                    pass


def lua_strings(source: str, domain: str = "wesnoth") -> Iterator[Translatable]:
    """The strings of a Lua program, of the catalogue that it names first."""
    if named := _LUA_DOMAIN.search(source):
        domain = named[1]
    for found in _LUA_TEXT.finditer(source):
        text = found[1] if found[1] is not None else found[2]
        yield Translatable(domain, _LUA_ESCAPE.sub(lambda one: "\n" if one[1] == "n" else one[1], text), "lua", "")
