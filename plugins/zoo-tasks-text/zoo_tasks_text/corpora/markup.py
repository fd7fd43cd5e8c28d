"""Sentence pairs from programs' messages: formatting taken off, placeholders the same on both sides."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator

from zoo_tasks_text.corpora.cleaning import aligned_sentences, clean, lengths_fit, reason_to_drop

_HELP_TAG = re.compile(r"<(ref|jump|img|italic|bold|header|format)>(.*?)</\1>", re.DOTALL)
"""Wesnoth's help: ``<ref>dst='traits' text='Traits'</ref>``."""
_HELP_TEXT = re.compile(r"\btext=(?:'((?:[^'\\]|\\.)*)'|(\S+))")
_HELP_ATTRIBUTE = re.compile(r"\s*(?:dst|src|align|box|amount|to|color|font_size|bold|italic)=")
_FORMAT_TAG = re.compile(
    r"</?(?:color(?:_[\w%]+)?|info|bold|good|bad|neutral|stat|header|dark|italic|i|b|u|s|big|small|tt|sub|sup"
    r"|span(?:\s[^<>]*)?|br\s*/?)>"
)
_VALUE = re.compile(
    r"%(?:\d+\$)?[-+#0]*\d*(?:\.\d+)?(?:ll|l|h|z)?[diuoxXfFeEgGcs]"
    r"|\$[A-Za-z_](?:[A-Za-z0-9_$]|\.[A-Za-z_]|\|\.)*\|?"
    r"|<[A-Za-z_][A-Za-z0-9_:!'-]+>"
    r"|\{[A-Za-z0-9_]+\}"
)
"""What a program puts a value in place of: ``%1$s``, ``$unit.name|``, ``<npcname>``, ``{0}``."""
_REST = re.compile(
    r"[<>{}\\\x00-\x08\x0b\x0e-\x1f]|\$[A-Za-z]|%[A-Za-z%]|&#?\w+;|\|\||_\s?\"|\w=(?:['\"{]|\s*\||[^\s|]*\|)"
    r"|(?:[\w’'-]+,){5}\w"
)
"""What is left of markup that is not understood; grammars and lists that names are made from."""
_HOTKEY = re.compile(r"\[([A-Za-z])\](?=[a-z])")
"""``[b]attery``: the letter is a key."""
_LABEL = re.compile(r"^\[[^][%]{1,12}\]\s*(?=.)")
_BRACKETED = re.compile(r"^\[([^][]+)\]$")
_BULLET = re.compile(r"^(?:\*\s+|[•·◦]\s*|[-–—]+\s+|—+)")
_BREAK = re.compile(r"[ \t]*\n[ \t]*")
_BLANK = re.compile(r"\n[ \t]*\n\s*")


def plain(text: str) -> str:
    """The text without formatting; line feeds and placeholders stay."""
    text = _HOTKEY.sub(r"\1", _FORMAT_TAG.sub("", _HELP_TAG.sub(_help_text, text)))
    # A program that knows tags writes these characters as entities.
    text = html.unescape(text) if re.search(r"&(?:amp|lt|gt|quot|apos|nbsp);", text) else text
    # Cataclysm's mark of what is told, not said.
    return text.removeprefix("&").strip() if re.match(r"&(?!\s)", text) else text.strip()


def _help_text(tag: re.Match[str]) -> str:
    inner = tag[2]
    if found := _HELP_TEXT.search(inner):
        return (found[1] or found[2] or "").replace("\\", "")
    return "" if _HELP_ATTRIBUTE.match(inner) else inner


def placeholders(text: str) -> Counter[str]:
    """How often each placeholder stands in the text. ``$name`` and ``$name|`` are one."""
    return Counter(found.rstrip("|") for found in _VALUE.findall(text))


def sentence_pairs(english: str, other: str, language: str, dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    """The clean sentence pairs of a message and its translation; `dropped` counts the others by reason.

    Paragraphs, lines and sentences are paired where both sides have equally many; else the next larger unit is one
    pair. So it is where the placeholders of two sentences differ and those of the whole do not.
    """
    for left, right in _blocks(plain(english), plain(other), language):
        pairs = aligned_sentences(left, right, language) if left and right else [(left, right)]
        if any(placeholders(first) != placeholders(second) for first, second in pairs):
            pairs = [(left, right)]
        for first, second in pairs:
            reason = _reason(first, second, language)
            if reason is None:
                # In a format, %% stands for one of them.
                yield first.replace("%%", "%"), second.replace("%%", "%")
            else:
                dropped[reason] += 1


def _reason(english: str, other: str, language: str) -> str | None:
    if placeholders(english) != placeholders(other):
        return "other placeholders"
    left, right = (_VALUE.sub(" ", side).replace("%%", "%").strip() for side in (english, other))
    if _REST.search(left) or _REST.search(right):
        return "placeholder or markup"
    return reason_to_drop(left, right, language)


def _blocks(english: str, other: str, language: str) -> Iterator[tuple[str, str]]:
    """Paragraphs in pairs, and their lines where each is a text of its own; white space cleaned."""
    for left, right in _cut(english, other, _BLANK, language):
        lines = _cut(left, right, _BREAK, language)
        if any(line[:1].islower() for line, _ in lines[1:]):
            # The lines of one sentence.
            lines = [(left, right)]
        for first, second in lines:
            yield _unlabelled(_BULLET.sub("", clean(first)), _BULLET.sub("", clean(second)))


def _unlabelled(english: str, other: str) -> tuple[str, str]:
    """Both sides, without what translators add in brackets: ``[组队]`` before a line, or all of a sound in them."""
    if "[" not in english:
        other = _LABEL.sub("", _BRACKETED.sub(r"\1", other))
    return english, other


def _cut(english: str, other: str, at: re.Pattern[str], language: str) -> list[tuple[str, str]]:
    left, right = ([part for part in at.split(side) if part.strip()] for side in (english, other))
    if len(left) == len(right) > 1 and all(map(lengths_fit, left, right, [language] * len(left))):
        return list(zip(left, right, strict=True))
    return [(english, other)]
