"""Positions in the queries and keys of every layer (Li et al. 2022, P-Transformer)."""

from __future__ import annotations

from torch import Tensor

from zoo.models.contracts import Position, StackContext
from zoo_positional.combined import Combined
from zoo_positional.options import PTransformerOptions, ShawOptions, SinusoidalOptions
from zoo_positional.shaw import Shaw
from zoo_positional.sinusoidal import Sinusoidal


class PlacedInputs(Sinusoidal):
    """Sinusoids added to what queries and keys are projected from, and not to the embeddings."""

    def __init__(self, options: SinusoidalOptions, context: StackContext) -> None:
        super().__init__(options, context)
        # The sinusoids of the pass under way: layers share them, and `embed`, called once a pass, replaces them.
        self._code_of_pass: tuple[Tensor, Tensor] | None = None

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        self._code_of_pass = (positions, self.encode(positions))
        return x

    def inputs(self, x: Tensor, positions: Tensor) -> Tensor:
        remembered = self._code_of_pass
        known = remembered is not None and remembered[0] is positions
        code = remembered[1] if remembered is not None and known else self.encode(positions)  # [B or 1, L, D]
        return (x + code).to(x.dtype)


class PTransformer(Combined):
    """``Q = (X + P) Wq, K = (X + P) Wk, V = X Wv`` in every layer, with sinusoidal P (arXiv:2212.05830; second hand).

    As `model.decoder.cross_position` it adds the P of the targets on the side of the queries and the P of the sources
    on that of the keys. In self-attention the paper has relative positions too, which the option `relative` chooses;
    in cross-attention they would compare places of two languages, and are left out.
    """

    options: PTransformerOptions

    def __init__(self, options: PTransformerOptions, context: StackContext) -> None:
        placed = SinusoidalOptions(layout=options.layout, base=options.base)
        members: list[Position] = [PlacedInputs(placed, context)]
        if options.relative != "none" and not context.cross:
            shaw = ShawOptions(clip=options.clip, values=options.relative == "shaw-keys-and-values")
            members.append(Shaw(shaw, context))
        super().__init__(options, context, members)
