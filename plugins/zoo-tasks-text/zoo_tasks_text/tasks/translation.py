"""The task of translating one sentence at a time."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.tasks import Example, Split
from zoo_tasks_text.tasks.options import TranslationOptions
from zoo_tasks_text.tasks.parallel import Computed, ParallelTask, PreparedParallel


class PreparedTranslation(PreparedParallel):
    """One example a pair."""

    options: TranslationOptions

    def whole(self, split: Split) -> Sequence[Example]:
        pairs, target = self.corpus.pairs(split), self.options.target

        def example(index: int) -> Example:
            pair = pairs[index]
            name, source = self.name_of(pair, split, index), self.source_of(pair)
            read, tag = self.tagged(source, pair, name, split)
            return Example(
                id=name,
                source=read,
                target=pair.texts[target],
                document=pair.document,
                domain=pair.domain,
                sentence=None if read == source else source,
                tag=tag,
                checks=pair.checks.get(target, ()),
                contrasts=pair.contrasts.get(target, ()),
            )

        return Computed(len(pairs), example)


class Translation(ParallelTask):
    """Translation from `source` to `target` over one corpus."""

    options: TranslationOptions
    prepared_class = PreparedTranslation
