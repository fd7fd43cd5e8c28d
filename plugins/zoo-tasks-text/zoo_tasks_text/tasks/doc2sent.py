"""Doc2Sent: one sentence is written, the source sentences before it are read too.

Tiedemann and Scherrer 2017 (doi:10.18653/v1/W17-4811), section 3: context as a prefix. Controls after Li et al. 2020
(arXiv:2005.03393), section 4: shuffled context, noise, and context that is left out at inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from zoo.tasks import Example, Pair, Split
from zoo.tasks.alignment import wide
from zoo.tasks.context import ContextReading
from zoo_tasks_text.tasks.documents import DocumentOrder
from zoo_tasks_text.tasks.draws import below
from zoo_tasks_text.tasks.options import ContextKind, DocToSentOptions
from zoo_tasks_text.tasks.parallel import Computed, ParallelTask, PreparedParallel

_PATIENCE = 100
"""Draws for the context of another document before a split counts as having but one."""


_SAMPLE = 1000
"""Sentences that tell whether a language has spaces between its words."""
_LONG_WORD = 25
"""Characters beyond which a text without a space is no word."""


class Contexts:
    """The context of each pair of a split, of one kind."""

    def __init__(self, pairs: Sequence[Pair], kind: ContextKind, options: DocToSentOptions) -> None:
        self._pairs = pairs
        self._kind = kind
        self._count = options.context_sentences
        self._source = options.source
        self._order = DocumentOrder(pairs)

    @cached_property
    def _spaced(self) -> bool:
        """Whether most sentences are of words with spaces between them, by a sample of the split."""
        step = max(1, len(self._pairs) // _SAMPLE)
        texts = [self._text(index) for index in range(0, len(self._pairs), step)]
        unspaced = sum(wide(text) or (len(text) > _LONG_WORD and " " not in text) for text in texts)
        return 2 * unspaced <= len(texts)

    def of(self, index: int, name: str) -> list[str]:
        """The sentences before pair `index`, or what stands in their place; none at the start of a document."""
        true = self._order.previous(index, self._count)
        if self._kind == "none" or not true:
            return []
        match self._kind:
            case "true":
                return [self._text(item) for item in true]
            case "shuffled":
                return [self._text(item) for item in self._elsewhere(index, len(true), name)]
            case _:
                return [self._noise(self._text(item), name, line) for line, item in enumerate(true)]

    def _text(self, index: int) -> str:
        return " ".join(self._pairs[index].texts[self._source].split())

    def _elsewhere(self, index: int, count: int, name: str) -> list[int]:
        """`count` sentences that follow each other in another document, or as many as the one drawn has."""
        order = self._order
        own = order.documents[order.place[index]]
        longest: list[int] = []
        for attempt in range(_PATIENCE):
            place = below(len(self._pairs), "shuffled context", name, str(attempt))
            if order.documents[place] == own:
                continue
            found = order.previous(int(order.order[place]), count)
            if len(found) == count:
                return found
            longest = max(longest, found, key=len)
        return longest

    def _noise(self, sentence: str, name: str, line: int) -> str:
        """As many words, each from a place drawn from the whole split; in a language without spaces, characters."""
        spaced = self._spaced
        units = sentence.split() if spaced else list(sentence)
        drawn = []
        for place in range(len(units)):
            names = ("noise", name, str(line), str(place))
            other = self._text(below(len(self._pairs), *names))
            others = other.split() if spaced else [character for character in other if not character.isspace()]
            drawn.append(others[below(len(others), "unit", *names)])
        return (" " if spaced else "").join(drawn)


class PreparedDocToSent(PreparedParallel):
    """One example a pair: the same ids and targets as sentence translation."""

    options: DocToSentOptions

    @property
    def special_tokens(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("\n", *self.tags.known)

    def whole(self, split: Split) -> Sequence[Example]:
        pairs, options = self.corpus.pairs(split), self.options
        kind = options.context if split == "train" else options.evaluation_context or options.context
        contexts = Contexts(pairs, kind, options)

        def example(index: int) -> Example:
            pair = pairs[index]
            name = self.name_of(pair, split, index)
            sentence = " ".join(self.source_of(pair).split())
            before = [self.tags.escaped(text) for text in contexts.of(index, name)]
            prefix = options.context_as == "prefix"
            read, tag = self.tagged("\n".join([*before, sentence] if prefix else [sentence]), pair, name, split)
            return Example(
                id=name,
                source=read,
                target=" ".join(pair.texts[options.target].split()),
                document=pair.document,
                domain=pair.domain,
                sentence=None if read == sentence else sentence,
                tag=tag,
                context=None if prefix else "\n".join(before),
                context_lines=len(before),
                checks=pair.checks.get(options.target, ()),
                contrasts=pair.contrasts.get(options.target, ()),
            )

        return Computed(len(pairs), example)


class DocToSent(ParallelTask):
    """Reads up to k source sentences and the one to translate; writes that one."""

    options: DocToSentOptions
    prepared_class = PreparedDocToSent

    @property
    def context(self) -> ContextReading | None:
        """That of evaluation. A control's context is none of a document's own: nothing is read then."""
        kind = self.options.evaluation_context or self.options.context
        if kind != "true" and self.options.context_as == "prefix":
            return None
        return ContextReading(
            self.options.context_sentences if kind == "true" else 0, self.options.context_as == "second-input"
        )
