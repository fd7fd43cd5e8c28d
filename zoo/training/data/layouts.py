"""How a model's skeleton has its training examples laid out: the lengths of rows, their tensors, their bounds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from zoo.errors import InputError
from zoo.training.data.batching import Lengths
from zoo.training.data.collate import Collating, Collator
from zoo.training.data.ragged import EncodedPairs
from zoo.training.data.sequences import SequenceCollator, row_lengths


class Layout(ABC):
    """What training asks of a layout."""

    @abstractmethod
    def lengths(self, pairs: EncodedPairs) -> Sequence[Lengths]:
        """The length of each example in each kind of row."""

    @abstractmethod
    def collator(self, pairs: EncodedPairs, config: Any, *, source_loss: bool = False) -> Collating:
        """What makes batches of `pairs` for a model of `config`."""

    @abstractmethod
    def refuse_past_the_table(self, model: Any, pairs: EncodedPairs) -> None:
        """Raise InputError where an example is longer than a position scheme: before training, not some steps later."""


class Pairs(Layout):
    """Source and target in rows of their own."""

    def lengths(self, pairs: EncodedPairs) -> Sequence[Lengths]:
        return [side.lengths for side in pairs.sides]

    def collator(self, pairs: EncodedPairs, config: Any, *, source_loss: bool = False) -> Collator:
        return Collator(pairs, pad_id=config.pad_token_id, start_id=config.decoder_start_token_id)

    def refuse_past_the_table(self, model: Any, pairs: EncodedPairs) -> None:
        sides = [(model.encoder, "source", pairs.sources), (model.decoder, "target", pairs.targets)]
        if pairs.contexts is not None:
            sides.append((model.encoder.context_stack or model.encoder, "context", pairs.contexts))
        for stack, side, sequences in sides:
            limit, longest = stack.position.position_limit, int(sequences.lengths.max())
            if limit is not None and longest > limit:
                raise InputError(
                    f"the longest {side} has {longest} tokens, but the position scheme of the {stack.side} "
                    f"ends at {limit}: set training.max_tokens to at most {limit}, or raise model.max_positions"
                )


class Sequences(Layout):
    """Source, separator and target in one row."""

    def __init__(self, *, prefix: bool) -> None:
        self._prefix = prefix

    def lengths(self, pairs: EncodedPairs) -> Sequence[Lengths]:
        return [row_lengths(pairs)]

    def collator(self, pairs: EncodedPairs, config: Any, *, source_loss: bool = False) -> SequenceCollator:
        return SequenceCollator(
            pairs,
            pad_id=config.pad_token_id,
            separator=config.bos_token_id,
            prefix=self._prefix,
            source_loss=source_loss,
        )

    def refuse_past_the_table(self, model: Any, pairs: EncodedPairs) -> None:
        limit, longest = model.decoder.position.position_limit, int(row_lengths(pairs).max())
        if limit is not None and longest > limit:
            raise InputError(
                f"the longest source and target have {longest} tokens together, but the position scheme ends at "
                f"{limit}: set training.max_tokens to at most {limit // 2}, or raise model.max_positions"
            )


PAIRS = Pairs()


def layout_of(model: Any) -> Layout:
    """The layout that a model's skeleton asks for."""
    return PAIRS if model.arrangement == "pair" else Sequences(prefix=model.reads_prefix)
