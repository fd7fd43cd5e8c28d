"""A sum of position schemes."""

from __future__ import annotations

from zoo.models.contracts import StackContext
from zoo_positional.combined import Combined
from zoo_positional.options import SumOptions


class Sum(Combined):
    """The schemes of the option `of`, each with weights of its own, such as absolute and relative positions together.

    What they add to embeddings and to logits adds up; what they do to queries, keys and values is done in order.
    """

    options: SumOptions

    def __init__(self, options: SumOptions, context: StackContext) -> None:
        super().__init__(options, context, [member.create(context) for member in options.of])
