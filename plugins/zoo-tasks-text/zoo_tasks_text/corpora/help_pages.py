"""Paragraphs of the LibreOffice help pages, by the id that all translations of a paragraph share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

_BLOCKS = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_START, _END = 'id="DisplayArea"', 'id="SearchFrame"'
_CODE = re.compile(r"\b\w*code\w*\b", re.IGNORECASE)


@dataclass(frozen=True)
class Paragraph:
    """One paragraph or heading. `embedded`: shown here, but owned by another page."""

    id: str
    text: str
    embedded: bool


def paragraphs(html: str) -> list[Paragraph]:
    """The paragraphs of a page's body in their order, the first of each id; program code is left out.

    White space is as in the file. Of inline alternatives (one text for macOS, one for the others), the default one
    is read, else the first.
    """
    start = html.find(_START)
    if start < 0:
        return []
    end = html.find(_END, start)
    reader = _Reader()
    # From the start of the tag that carries the id, so that the parser sees whole tags.
    reader.feed(html[html.rfind("<", 0, start) : html.rfind("<", 0, end) if end > 0 else len(html)])
    reader.close()
    return reader.found


@dataclass
class _Switch:
    """Inline alternatives that are open: depth of the element, and the alternatives read so far."""

    depth: int
    outer: list[str]
    alternatives: list[tuple[bool, list[str]]]


class _Reader(HTMLParser):
    """Collects the text of block elements that have an id."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Paragraph] = []
        self._ids: set[str] = set()
        self._open: list[str] = []
        self._embedded_at: int | None = None
        self._block: tuple[str, int] | None = None
        self._text: list[str] = []
        self._switches: list[_Switch] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            if tag == "br":
                self._text.append("\n")
            return
        given = dict(attributes)
        classes = (given.get("class") or "").split()
        self._open.append(tag)
        depth = len(self._open)
        if tag == "div" and "embedded" in classes and self._embedded_at is None:
            self._embedded_at = depth
        if self._block is None:
            identifier = given.get("id")
            if tag in _BLOCKS and identifier and not _CODE.search(given.get("class") or ""):
                self._block, self._text = (identifier, depth), []
            return
        if "switchinline" in classes:
            self._switches.append(_Switch(depth, self._text, []))
        elif self._switches and depth == self._switches[-1].depth + 1:
            self._text = []
            self._switches[-1].alternatives.append(((given.get("id") or "").startswith("default"), self._text))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._open:
            return
        while self._open:
            depth = len(self._open)
            closed = self._open.pop()
            self._close(depth)
            if closed == tag:
                return

    def _close(self, depth: int) -> None:
        if self._switches and self._switches[-1].depth == depth:
            switch = self._switches.pop()
            chosen = [text for default, text in switch.alternatives if default] or [
                text for _, text in switch.alternatives
            ]
            self._text = switch.outer
            self._text.extend(chosen[0] if chosen else ())
        if self._block is not None and self._block[1] == depth:
            identifier, self._block = self._block[0], None
            if identifier not in self._ids:
                self._ids.add(identifier)
                self.found.append(Paragraph(identifier, "".join(self._text), self._embedded_at is not None))
        if self._embedded_at == depth:
            self._embedded_at = None

    def handle_data(self, data: str) -> None:
        if self._block is not None:
            self._text.append(data)
