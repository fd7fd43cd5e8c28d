"""One pass of source tokens through a stack of encoder layers."""

from __future__ import annotations

from torch import Tensor

from zoo.models.attention import view_of_pass
from zoo.models.backends import backend_name
from zoo.models.stack import LayerStack


def through_layers(
    stack: LayerStack,
    x: Tensor,
    positions: Tensor,
    mask: Tensor | None,
    *,
    consecutive: bool = False,
    states: list[Tensor] | None = None,
    weights: list[Tensor] | None = None,
) -> Tensor:
    """Embedded tokens ``[B, S, D]`` to the stack's normalised top ``[B, S, D]``.

    positions ``[B or 1, S]``, `consecutive` where tokens that see each other count on by one; mask broadcastable to
    ``[B, 1, S, S]`` (True = seen) or None. Each layer's output is put
    into `states`, the last one normalised, and its attention weights into `weights`, where these are given.
    """
    schemes = stack.schemes()
    view = view_of_pass(
        x,
        schemes,
        q_positions=positions,
        k_positions=positions,
        mask=mask,
        causal=False,
        backend=backend_name(stack.config._attn_implementation),
        dropout=stack.attention_dropout,
        share=not stack.checkpointing,
        consecutive=consecutive,
    )
    for layer, scheme in zip(stack.layers, schemes, strict=True):
        x = layer(x, view=view, position=scheme, weights=weights)  # [B, S, D]
        if states is not None:
            states.append(x)
    x = stack.final_norm(x)
    if states is not None:
        states[-1] = x
    return x
