"""Papers as links. Only schemes known here, and only ids that their registries could have given, become addresses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from zoo.site.naming import one_line

_SCHEMES = {
    "arxiv": (
        re.compile(r"(?:\d{4}\.\d{4,5}|[a-z-]{2,20}(?:\.[A-Z]{2})?/\d{7})(?:v\d{1,2})?"),
        "https://arxiv.org/abs/",
    ),
    "doi": (re.compile(r"10\.\d{4,9}/[-._;()/:A-Za-z0-9]{1,200}"), "https://doi.org/"),
    "acl": (
        re.compile(r"[A-Z]\d{2}-\d{4,5}|\d{4}\.[a-z0-9_]{1,40}-[a-z0-9]{1,20}\.\d{1,5}"),
        "https://aclanthology.org/",
    ),
}


@dataclass(frozen=True)
class Reference:
    """`url` is None where the text names nothing that we know."""

    text: str
    url: str | None


def reference(text: str) -> Reference:
    """``arXiv:2104.09864``, ``doi:10.18653/v1/W15-3049`` and ``ACL:2022.wmt-1.52`` lead somewhere; the rest is text."""
    scheme, _, identifier = text.strip().partition(":")
    pattern, address = _SCHEMES.get(scheme.casefold(), (None, ""))
    if pattern is None or pattern.fullmatch(identifier) is None:
        return Reference(one_line(text), None)
    return Reference(f"{scheme}:{identifier}", address + quote(identifier, safe="/:;().-_"))
