"""Doc2Doc: k sentences of a document are read and k are written (Tiedemann and Scherrer 2017, section 3; Liu et al.
2020, arXiv:2001.08210, section 4, whose document BLEU is what metrics of whole outputs give here).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from zoo.tasks import Example, Pair, Split
from zoo_tasks_text.tasks.documents import DocumentOrder
from zoo_tasks_text.tasks.draws import fraction
from zoo_tasks_text.tasks.options import DocToDocOptions
from zoo_tasks_text.tasks.parallel import Computed, ParallelTask, PreparedParallel


class PreparedDocToDoc(PreparedParallel):
    """One example for k pairs that follow each other; a document's last example may hold fewer."""

    options: DocToDocOptions

    @property
    def special_tokens(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("\n", *self.tags.known)

    def whole(self, split: Split) -> Sequence[Example]:
        pairs, shuffled = self.corpus.pairs(split), self.options.context == "shuffled"
        chunks = DocumentOrder(pairs).chunks(self.options.sentences)
        if self.options.tag == "domain":
            # A chunk has one tag, which must be that of all its sentences.
            chunks = [part for chunk in chunks for part in _where_domains_change(chunk, pairs)]
        if shuffled:
            groups: dict[str | None, list[list[int]]] = {}
            for chunk in chunks:
                domain = pairs[chunk[0]].domain if self.options.tag == "domain" else None
                groups.setdefault(domain, []).append(chunk)
            chunks = [chunk for group in groups.values() for chunk in _redistributed(group, split)]

        def example(index: int) -> Example:
            return self._example([pairs[item] for item in chunks[index]], split, index, shuffled)

        return Computed(len(chunks), example)

    def _example(self, chunk: list[Pair], split: Split, index: int, shuffled: bool) -> Example:
        target, first = self.options.target, chunk[0]
        whole = first.document and not shuffled
        name = f"{first.document}#{first.order}-{chunk[-1].order}" if whole else f"{split}:{index}"
        sentences = "\n".join(" ".join(self.source_of(pair).split()) for pair in chunk)
        lines = [" ".join(pair.texts[target].split()) for pair in chunk]
        read, tag = self.tagged(sentences, first, name, split)
        return Example(
            id=name,
            source=read,
            target="\n".join(lines),
            document=first.document if whole else None,
            domain=first.domain,
            sentence=None if read == sentences else sentences,
            tag=tag,
            checks=tuple(check for pair in chunk for check in pair.checks.get(target, ())),
            contrasts=tuple(
                "\n".join([*lines[:place], " ".join(wrong.split()), *lines[place + 1 :]])
                for place, pair in enumerate(chunk)
                for wrong in pair.contrasts.get(target, ())
            ),
        )


def _where_domains_change(chunk: list[int], pairs: Sequence[Pair]) -> list[list[int]]:
    """The runs of one domain in a chunk, in its order."""
    return [list(run) for _, run in groupby(chunk, key=lambda item: pairs[item].domain)]


def _redistributed(chunks: list[list[int]], split: Split) -> list[list[int]]:
    """Chunks of the same sizes whose pairs come in an order drawn by hash: sentences that belong to no document."""
    pairs = sorted((item for chunk in chunks for item in chunk), key=lambda item: fraction(split, str(item)))
    taken = iter(pairs)
    return [[next(taken) for _ in chunk] for chunk in chunks]


class DocToDoc(ParallelTask):
    """Reads and writes k sentences of a document, a line each."""

    options: DocToDocOptions
    prepared_class = PreparedDocToDoc

    @property
    def suffix(self) -> str:  # type: ignore[override]
        """Examples of several sentences are other examples, so that they have a board of their own for each k."""
        return f"-doc2doc{self.options.sentences}" + ("-shuffled" if self.options.context == "shuffled" else "")
