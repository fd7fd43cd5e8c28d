"""What stands in a program's messages beside words: keyboard marks, ellipses, placeholders."""

from __future__ import annotations

import re
from collections import Counter

from zoo_tasks_text.corpora.cleaning import clean, reason_to_drop

_FORMAT = r"(?:\d+\$)?[-+#0']*(?:\d+|\*)?(?:\.(?:\d+|\*))?q?[+#]*(?:hh?|ll?|[zjtLw](?=[a-zA-Z]))?[a-zA-Z]"
"""What follows the sign in printf's formats and GCC's: %s %1$s %.2f %q+D."""
PLACEHOLDER = re.compile(
    rf"%(?:[A-Z][A-Z_]{{2,}}%?|{_FORMAT}|\d+|%)"  # %PRODUCTNAME %s %1 %%
    r"|\$\w+|\$\{\w*\}|\$\(\w*\)|\$\[\w*\]"  # $1 $name ${name} $(ARG1) $[name]
    r"|\{[\w:.+]*\}"  # {} {0} {name} {:.2f}
)
"""What a program puts a value for."""

_NUMBERED = re.compile(r"%\d+\$")
_CONVERSION = re.compile(r"%(?![%A-Z]{3})(?=[-+#0'\d.*]*q?[+#]*[a-zA-Z])")
_PLURAL = re.compile(r"\{\w+, *(?:plural|select|selectordinal)\b")
_ELLIPSIS = re.compile(r"\s*(?:\.\.\.|…+|⋯+)$")
_BLOCK = re.compile(r"\n\s*\n|\n\s*[-=]{4,}\s*(?:\n|$)|\n(?=\s*(?:[*•-]\s|・))")
"""An empty line, a line that underlines the one before it, the beginning of a list's entry."""
_BULLET = re.compile(r"^\s*(?:[*•-]\s+|・\s*)")
_LATIN = "A-Za-z0-9"


def without_marks(english: str, other: str, mark: str) -> tuple[str, str]:
    """Both sides without `mark`, the character that says which key picks an entry.

    Chinese and Japanese add the key in brackets: ``E_xit`` is ``退出(_X)``. Where they do not, an underscore must begin
    a word, for in the midst of one it is a part of a name.
    """
    sign = re.escape(mark)
    added = re.search(rf"\s*[(（]\s*{sign}([{_LATIN}])\s*[)）]", other)
    if added:
        other = other[: added.start()] + other[added.end() :]
        without, count = re.subn(rf"{sign}(?={added[1]})", "", english, count=1, flags=re.IGNORECASE)
        if count:
            return without, other
    inside = "" if mark == "_" else rf"|(?<=[A-Za-z]){sign}(?=[a-z])"
    place = rf"(?<![{_LATIN}{sign}]){sign}(?=[^\W_]){inside}"
    if len(re.findall(place, english)) == 1:
        english = re.sub(place, "", english)
        other = re.sub(place, "", other)
    return english, other


def without_ellipsis(text: str) -> str:
    """Without the dots that say that a dialogue follows."""
    return _ELLIPSIS.sub("", text)


def numbered(english: str, other: str) -> str:
    """The English format with the argument numbers that `other` has and it lacks: ``%s of %s`` as ``%1$s of %2$s``."""
    if not _NUMBERED.search(other) or _NUMBERED.search(english) or "*" in english:
        return english
    parts = _CONVERSION.split(english.replace("%%", "\0"))
    text = parts[0] + "".join(f"%{place}${part}" for place, part in enumerate(parts[1:], start=1))
    return text.replace("\0", "%%")


def blocks(english: str, other: str) -> list[tuple[str, str]]:
    """The paragraphs and list entries of a message where both sides have equally many, else the message as it is."""
    left, right = ([_BULLET.sub("", part) for part in _BLOCK.split(side) if part.strip()] for side in (english, other))
    return list(zip(left, right, strict=True)) if len(left) == len(right) else [(english, other)]


def reason_to_drop_message(english: str, other: str, language: str) -> str | None:
    """Why two sides of a cleaned message are no pair to learn from, or None."""
    if _PLURAL.search(english) or _PLURAL.search(other):
        return "plural forms in one message"
    if Counter(PLACEHOLDER.findall(english)) != Counter(PLACEHOLDER.findall(other)):
        return "other placeholders"
    # The rest is judged by its words alone: a format is neither Latin script nor length nor number.
    left, right = (clean(PLACEHOLDER.sub(" ", side)) for side in (english, other))
    if not any(map(str.isalpha, left)):
        return "no words"
    return reason_to_drop(left, right, language)
