"""Relative positions of Transformer-XL (Dai et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.models.contracts import Bucket, KeyTable, Position, QueryTable, StackContext, Term
from zoo_positional.options import SinusoidalOptions, TransformerXlOptions
from zoo_positional.sinusoidal import Sinusoidal


def backward_distance(clip: int, *, causal: bool) -> Bucket:
    """Bucket of ``i - j``, clipped to +-clip, or to [0, clip] where a query sees nothing after it."""
    lowest = 0 if causal else -clip

    def bucket(q_positions: Tensor, k_positions: Tensor) -> Tensor:
        return (q_positions - k_positions).clamp(lowest, clip) - lowest

    return bucket


def one_bucket(q_positions: Tensor, k_positions: Tensor) -> Tensor:
    """The same bucket for all."""
    return (q_positions - k_positions) * 0


class TransformerXl(Position):
    """``((q_i + u) k_j + (q_i + v) W R_{i-j}) / sqrt(Dh)`` (section 3.3).

    R are sinusoids of the distance, W ``[H Dh, D]`` is a layer's own, u and v ``[H, Dh]`` are shared by the layers. The
    scheme alone: segments of the paper are not carried over. Distances beyond `clip` count as `clip`.
    """

    shift_invariant = True
    content_dependent = True
    options: TransformerXlOptions

    def __init__(self, options: TransformerXlOptions, context: StackContext) -> None:
        super().__init__(options, context)
        self.sinusoids = Sinusoidal(SinusoidalOptions(base=options.base), context)
        self.content_bias = nn.Parameter(torch.empty(context.heads, context.head_dim))
        self.position_bias = nn.Parameter(torch.empty(context.heads, context.head_dim))
        self.layers = nn.ModuleList(TransformerXlLayer(options, context, self) for _ in range(context.layers))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw u and v from N(0, 0.02^2)."""
        nn.init.normal_(self.content_bias, std=0.02)
        nn.init.normal_(self.position_bias, std=0.02)

    def layer(self, index: int) -> Position:
        return self.layers[index]  # type: ignore[return-value]


class TransformerXlLayer(Position):
    """One layer's W, Xavier-uniform at first."""

    shift_invariant = True
    content_dependent = True
    options: TransformerXlOptions

    def __init__(self, options: TransformerXlOptions, context: StackContext, owner: TransformerXl) -> None:
        super().__init__(options, context)
        # In a tuple the owner is no submodule: u and v belong to it alone.
        self._owner = (owner,)
        self.distances = nn.Linear(context.d_model, context.heads * context.head_dim, bias=False)
        nn.init.xavier_uniform_(self.distances.weight)

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        assert q is not None
        assert k is not None
        (owner,), clip, causal = self._owner, self.options.clip, self.context.causal
        scaling = self.context.head_dim**-0.5
        each = torch.arange(0 if causal else -clip, clip + 1, device=q.device)[None]  # [1, N]
        coded = self.distances(owner.sinusoids.encode(each).to(self.distances.weight.dtype))[0]  # [N, D]
        vectors = coded.unflatten(-1, (self.context.heads, self.context.head_dim)).transpose(0, 1)  # [H, N, Dh]
        to_distance = (q + owner.position_bias[:, None] * scaling) @ vectors.mT  # [B, H, Lq, N]; q comes scaled
        of_content = k @ (owner.content_bias * scaling)[..., None]  # [B, H, Lk, 1]
        return (
            QueryTable(to_distance, backward_distance(clip, causal=causal)),
            KeyTable(of_content, one_bucket),
        )
