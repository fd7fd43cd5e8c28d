"""Pages of manuals (HTML, Mallard) as sequences of blocks: paragraphs, headings, list items, cells, listings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from xml.parsers import expat

from zoo.errors import ZooError

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "title", "summary"})
_CONTAINERS = frozenset({"li", "dt", "dd", "td", "th", "item", "caption", "figcaption"})
"""A paragraph inside one of these is of its kind: one tool writes <li>text</li>, another <li><p>text</p></li>."""
_LISTINGS = frozenset({"pre", "screen", "listing"})
_STRUCTURE = frozenset(
    {"p", "div", "section", "article", "aside", "blockquote", "address", "body", "main", "figure", "details", "center"}
    | {"ul", "ol", "dl", "table", "thead", "tbody", "tfoot", "tr", "form"}
    | {"page", "info", "desc", "list", "steps", "terms", "note", "comment", "media", "example"}
)
_BLOCKS = _STRUCTURE | _HEADINGS | _CONTAINERS | _LISTINGS
_UNSEEN = frozenset(
    {"head", "script", "style", "nav", "form", "label", "footer", "button", "svg", "math", "template", "credit"}
)
"""Elements whose text is not the page's own."""
_UNSEEN_CLASS = re.compile(
    r"^(?:nav\w*|docnav|toc[\w-]*|list-of-\w+|menu|contents|this-page-menu|sphinxsidebar\w*|related|footer|"
    r"wy-(?:nav-side|nav-top|breadcrumbs)\S*|language_switcher\S*|headerlink|section-number|mathjax\S*|indexterm|"
    r"fn-bracket|linenos|legalnotice|copyright|hidden|colophon|translators|contributors)$",
    re.IGNORECASE,
)
_UNSEEN_ROLE = frozenset({"navigation", "search", "contentinfo", "banner"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"})
_CLOSED_BY_SIBLING = {"li": {"li"}, "dt": {"dt", "dd"}, "dd": {"dt", "dd"}, "tr": {"tr"}, "td": {"td", "th"}}
_COUNTER = re.compile(r"^\W*(?:[a-z]{1,4}[-_.]?)?[\d.]+$|^idm?\d|^id-\d")
"""Identifiers that a tool counted out: in another language the same ones stand elsewhere."""
_LANGUAGE_SUFFIX = re.compile(r"(?:\.(?:en|ja|zh|zh-cn))?\.html$")
_ENCYCLOPEDIA = re.compile(r"https?://\w+\.(wikipedia|wiktionary)\.org/")
"""Translations link to the edition in their own language, where the article has another name."""
_NUMBERED = re.compile(
    r"^(?:(?:Chapter|Appendix|Section|Part)\s+(?:\d+|[A-Z]|[IVX]+)\b|[第附付]\s*(?:录|録)?\s*(?:\d+|[A-Z])\s*[章节節部]?|"
    r"(?:\d+|[A-Z])(?:\.\d+)+|\d+(?=\.\s)|[A-Z](?=\.\s))[.:。、]?\s*"
)


@dataclass(frozen=True)
class Block:
    """One block. `kind`, `ids` and `marks` (addresses, listings) are what a translator leaves as they are.

    White space is as in the file. A listing has no text, only a mark. `level` is that of an HTML heading, else 0.
    """

    kind: str
    text: str
    ids: tuple[str, ...] = ()
    marks: frozenset[str] = frozenset()
    level: int = 0


def html_blocks(html: str) -> list[Block]:
    """The blocks of an HTML page in their order. Navigation, contents lists and scripts are left out."""
    reader = _HtmlReader()
    reader.feed(html)
    reader.close()
    reader.collector.finish()
    return reader.collector.found


def mallard_blocks(xml: bytes, where: str) -> list[Block]:
    """The blocks of a page of GNOME's help. Raises ZooError where it is no well-formed XML."""
    collector = _Collector()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda tag, given: collector.start(tag.rpartition(":")[2], given)
    parser.EndElementHandler = lambda tag: collector.end(tag.rpartition(":")[2])
    parser.CharacterDataHandler = collector.data
    try:
        parser.Parse(xml, True)
    except expat.ExpatError as error:
        raise ZooError(f"{where} is no well-formed XML: {error}") from error
    collector.finish()
    return collector.found


class _HtmlReader(HTMLParser):
    """Feeds a collector."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.collector = _Collector()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.collector.start(tag, {name: value or "" for name, value in attributes})
        if tag in _VOID:
            self.collector.end(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.collector.start(tag, {name: value or "" for name, value in attributes})
        self.collector.end(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            self.collector.end(tag)

    def handle_data(self, data: str) -> None:
        self.collector.data(data)


class _Collector:
    """Cuts a stream of tags and text into blocks at every border of a block element."""

    def __init__(self) -> None:
        self.found: list[Block] = []
        self._open: list[str] = []
        self._unseen_at: int | None = None
        self._text: list[str] = []
        self._ids: dict[str, None] = {}
        self._marks: set[str] = set()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in _BLOCKS and self._unseen_at is None:
            self._flush()
            self._close_siblings(tag)
        self._open.append(tag)
        if self._unseen_at is not None:
            return
        if _is_unseen(tag, attributes):
            self._unseen_at = len(self._open)
            return
        if tag == "br":
            self._text.append("\n")
        for name in ("id", "name") if tag == "a" else ("id",):
            identifier = attributes.get(name, "")
            if identifier and not _COUNTER.search(identifier):
                self._ids[identifier] = None
        for name in ("href", "src", "xref"):
            if target := attributes.get(name):
                self._marks.add(_target(target))

    def _close_siblings(self, tag: str) -> None:
        if self._open and self._open[-1] == "p":
            self._open.pop()
        if self._open and self._open[-1] in _CLOSED_BY_SIBLING.get(tag, ()):
            self._open.pop()

    def end(self, tag: str) -> None:
        if tag not in self._open:
            return
        while self._open:
            if self._open[-1] in _BLOCKS and self._unseen_at is None:
                self._flush()
            if self._unseen_at == len(self._open):
                self._unseen_at = None
            if self._open.pop() == tag:
                return

    def data(self, data: str) -> None:
        if self._unseen_at is None:
            self._text.append(data)

    def finish(self) -> None:
        self._flush()

    def _flush(self) -> None:
        text = "".join(self._text)
        self._text = []
        if not text.strip():
            return
        kind, level = self._kind()
        if kind == "listing":
            self._marks.add("listing " + " ".join(text.split()))
            text = ""
        elif kind == "heading":
            text = _NUMBERED.sub("", text.strip())
        self.found.append(Block(kind, text, tuple(self._ids), frozenset(self._marks), level))
        self._ids, self._marks = {}, set()

    def _kind(self) -> tuple[str, int]:
        for tag in reversed(self._open):
            if tag in _LISTINGS:
                return "listing", 0
            if tag in _HEADINGS:
                return "heading", int(tag[1]) if tag[1].isdigit() else 0
            if tag in _CONTAINERS:
                return "li" if tag == "item" else tag, 0
        return "p", 0


def _is_unseen(tag: str, attributes: dict[str, str]) -> bool:
    if tag in {"html", "body"}:
        # Their classes tell of the page's look: asciidoctor's "toc2" stands on the body.
        return False
    return (
        tag in _UNSEEN
        or attributes.get("role") in _UNSEEN_ROLE
        or any(_UNSEEN_CLASS.match(name) for name in attributes.get("class", "").split())
        or _UNSEEN_CLASS.match(attributes.get("id", "")) is not None
    )


def _target(address: str) -> str:
    """What an address keeps in every language: all of a foreign one, of the manual's own the page's bare name."""
    if foreign := _ENCYCLOPEDIA.match(address):
        return foreign[1]
    if "://" in address or address.startswith("mailto:"):
        return address
    page, _, fragment = address.partition("#")
    return _LANGUAGE_SUFFIX.sub("", page.rpartition("/")[2]) or "#" + fragment
