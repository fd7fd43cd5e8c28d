"""Domain tags on the source (Kobus, Crego and Senellart 2017, arXiv:1612.06140, section 3.1), one token each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from zoo.errors import InputError
from zoo.tasks import Example, Split
from zoo_tasks_text.tasks.draws import below, fraction
from zoo_tasks_text.tasks.options import EvaluationTag, ParallelOptions

EVALUATION_TAGS: tuple[EvaluationTag, ...] = get_args(EvaluationTag)
"""How an example that is evaluated may be tagged."""

_MOST = 1000
"""Domains that may have a tag: more are names of documents rather than domains."""
_UNFIT = re.compile(r"[^\w.-]+")
_TAG = re.compile(r"<[\w.-]+>")


def tag_of(domain: str) -> str:
    """The text of a domain's tag: ``<domain>``."""
    return f"<{_UNFIT.sub('_', domain)}>"


def known_tags(vocabulary: Iterable[str]) -> tuple[str, ...]:
    """Those of a tokenizer's own tokens (the special ones aside) that are domain tags, in alphabetical order."""
    return tuple(sorted(token for token in vocabulary if _TAG.fullmatch(token)))


def evaluation_tag(kind: EvaluationTag, own: str | None, known: Sequence[str], name: str) -> str | None:
    """The tag that the example called `name`, whose domain has the tag `own`, is evaluated with: its own (correct),
    one of the others (wrong), any of the known ones (random), or none.
    """
    match kind:
        case "correct":
            return own
        case "none":
            return None
        case "random":
            return known[below(len(known), "random tag", name)]
        case "wrong":
            others = [tag for tag in known if tag != own]
            return others[below(len(others), "wrong tag", name)] if others else None


def with_tag(example: Example, known: Sequence[str], kind: EvaluationTag) -> Example:
    """The example as ``evaluation_tag: <kind>`` would have it, whatever tag it carries."""
    own = tag_of(example.domain) if example.domain is not None else None
    tag = evaluation_tag(kind, own if own in known else None, known, example.id)
    text = example.source if example.tag is None else example.source.removeprefix(f"{example.tag} ")
    source = text if tag is None else f"{tag} {text}"
    sentence = None if source == example.translated else example.translated
    return replace(example, source=source, tag=tag, sentence=sentence)


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
        return evaluation_tag(self.options.evaluation_tag, own, self.known, name)

    def escaped(self, text: str) -> str:
        """`text` with a space inside whatever spells a tag: data is text, never a tag."""
        for tag in self.known:
            if tag in text:
                text = text.replace(tag, f"< {tag[1:]}")
        return text
