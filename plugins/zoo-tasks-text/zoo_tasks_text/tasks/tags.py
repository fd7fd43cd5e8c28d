"""Domain tags on the source (Kobus, Crego and Senellart 2017, arXiv:1612.06140, section 3.1), one token each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from zoo.errors import InputError
from zoo.tasks import Split
from zoo_tasks_text.tasks.draws import below, fraction
from zoo_tasks_text.tasks.options import ParallelOptions

_MOST = 1000
"""Domains that may have a tag: more are names of documents rather than domains."""
_UNFIT = re.compile(r"[^\w.-]+")


def tag_of(domain: str) -> str:
    """The text of a domain's tag: ``<domain>``."""
    return f"<{_UNFIT.sub('_', domain)}>"


@dataclass(frozen=True)
class Tags:
    """The tags of a task, in alphabetical order, and how its options use them."""

    options: ParallelOptions
    known: tuple[str, ...]

    @classmethod
    def of(cls, options: ParallelOptions, domains: Sequence[str], corpus: str) -> Tags:
        """Tags of the training domains. Raises InputError where there are none, or too many to be domains."""
        if options.tag == "none":
            return cls(options, ())
        if not domains:
            raise InputError(f"tag: domain is asked for, but no training pair of corpus {corpus} has a domain")
        if len(domains) > _MOST:
            raise InputError(f"corpus {corpus} has {len(domains)} domains, expected at most {_MOST} for tag: domain")
        return cls(options, tuple(sorted({tag_of(domain) for domain in domains})))

    def chosen(self, domain: str | None, name: str, split: Split) -> str | None:
        """The tag that the example called `name` carries; None where it carries none."""
        if not self.known:
            return None
        own = tag_of(domain) if domain is not None else None
        own = own if own in self.known else None
        if split == "train":
            return None if fraction("untagged", name) < self.options.untagged else own
        match self.options.evaluation_tag:
            case "correct":
                return own
            case "none":
                return None
            case "random":
                return self.known[below(len(self.known), "random tag", name)]
            case "wrong":
                others = [tag for tag in self.known if tag != own]
                return others[below(len(others), "wrong tag", name)] if others else None

    def escaped(self, text: str) -> str:
        """`text` with a space inside whatever spells a tag: data is text, never a tag."""
        for tag in self.known:
            if tag in text:
                text = text.replace(tag, f"< {tag[1:]}")
        return text
