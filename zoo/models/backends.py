"""The attention kernels, registered with transformers under names of our own, and the choice between them.

Each is called as transformers calls its own and takes three things more: `terms`, `q_positions` and `k_positions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models._compat import AttentionInterface, AttentionMaskInterface, eager_mask, sdpa_mask
from zoo.models.contracts import Term
from zoo.models.lowering import additive_mask, fuses, score_mod

try:
    from torch.nn.attention.flex_attention import AuxRequest
except ImportError:
    AuxRequest = None  # type: ignore[assignment,misc]

EAGER, SDPA, FLEX, AUTO = "zoo_eager", "zoo_sdpa", "zoo_flex", "zoo_auto"

_OURS = {"eager": EAGER, "sdpa": SDPA, "flex": FLEX, "flex_attention": FLEX, "auto": AUTO}


def backend_name(requested: str) -> str:
    """Our name for a spec's or transformers' name of a backend. Raises ValueError for one that we do not have."""
    name = _OURS.get(requested, requested)
    if name not in {EAGER, SDPA, FLEX, AUTO}:
        raise ValueError(
            f"attention implementation {requested!r}: zoo models have eager, sdpa, flex_attention and auto"
        )
    return name


def choose(requested: str, query: Tensor, terms: Sequence[Term], *, dropout: float, weights: bool) -> str:
    """The backend that will run: what was asked for where it can, else the fastest that can.

    Attention weights (`weights`) exist in eager only. FlexAttention has no dropout, and no gradient on CPU. Auto takes
    FlexAttention where it has something to fuse: terms, on CUDA, in more than one query (one query is a decoding
    step, whose bias is one row).
    """
    if weights or requested == EAGER:
        return EAGER
    if requested == SDPA:
        return SDPA
    flex_can = dropout == 0.0 and (query.is_cuda or not (torch.is_grad_enabled() and query.requires_grad))
    if requested == FLEX:
        return FLEX if flex_can else SDPA
    return FLEX if flex_can and terms and query.is_cuda and query.shape[-2] > 1 and fuses(terms) else SDPA


def choose_with_statistics(
    requested: str, query: Tensor, terms: Sequence[Term], *, dropout: float, weights: bool
) -> str:
    """The backend for schemes that need the log-sum-exp: FlexAttention on CUDA, and on CPU, where nothing is trained,
    what was asked for. Elsewhere attention is written out: no other kernel gives a log-sum-exp with a gradient.
    """
    if weights or dropout > 0.0 or requested == EAGER or query.shape[-2] == 1:
        return EAGER
    if query.is_cuda:
        return FLEX if requested in {FLEX, AUTO} and fuses(terms) else EAGER
    if query.device.type != "cpu" or torch.is_grad_enabled():
        return EAGER
    return FLEX if requested == FLEX else SDPA


def _combined(
    query: Tensor,
    mask: Tensor | None,
    causal: bool,
    terms: Sequence[Term],
    q_positions: Tensor | None,
    k_positions: Tensor | None,
) -> tuple[Tensor | None, bool]:
    if not terms:
        return mask, causal
    if q_positions is None or k_positions is None:
        raise ValueError("terms need the positions of queries and keys")
    return additive_mask(terms, q_positions, k_positions, visible=mask, causal=causal, dtype=query.dtype), False


def _is_causal(module: nn.Module, query: Tensor, mask: Tensor | None, is_causal: bool | None) -> bool:
    """transformers' convention: the argument, else the module's; never with a mask or for a decoding step."""
    causal = getattr(module, "is_causal", False) if is_causal is None else is_causal
    return bool(causal) and mask is None and query.shape[2] > 1


def sdpa_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    terms: Sequence[Term] = (),
    q_positions: Tensor | None = None,
    k_positions: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """torch's scaled_dot_product_attention; terms become its additive mask. Output ``[B, Lq, H, Dh]``."""
    causal = _is_causal(module, query, attention_mask, is_causal)
    mask, causal = _combined(query, attention_mask, causal, terms, q_positions, k_positions)
    output = F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal, scale=scaling
    )  # [B, H, Lq, Dh]
    return output.transpose(1, 2), None  # [B, Lq, H, Dh]


def eager_logits(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    *,
    scaling: float,
    causal: bool,
    terms: Sequence[Term] = (),
    q_positions: Tensor | None = None,
    k_positions: Tensor | None = None,
) -> Tensor:
    """Attention logits ``[B, H, Lq, Lk]`` in float32, hidden entries at the lowest finite number."""
    logits = (query @ key.transpose(-1, -2)).float() * scaling  # [B, H, Lq, Lk]
    if terms:
        mask, causal = _combined(logits, mask, causal, terms, q_positions, k_positions)
    lowest = torch.finfo(logits.dtype).min
    if mask is not None:
        logits = logits.masked_fill(~mask, lowest) if mask.dtype == torch.bool else logits + mask
    if causal:
        later = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).triu(1)  # [Lq, Lk]
        logits = logits.masked_fill(later, lowest)
    return logits


def eager_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    terms: Sequence[Term] = (),
    q_positions: Tensor | None = None,
    k_positions: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention written out, softmax in float32. Output ``[B, Lq, H, Dh]`` and weights ``[B, H, Lq, Lk]``."""
    logits = eager_logits(
        query,
        key,
        attention_mask,
        scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
        causal=_is_causal(module, query, attention_mask, is_causal),
        terms=terms,
        q_positions=q_positions,
        k_positions=k_positions,
    )
    weights = F.dropout(logits.softmax(-1).to(value.dtype), dropout, training=dropout > 0.0)  # [B, H, Lq, Lk]
    return (weights @ value).transpose(1, 2), weights  # [B, Lq, H, Dh]


_VARIANTS = 64
"""How many variants of FlexAttention one process may compile: a model has one per stack, mask and mode, and beyond
torch's default of 8 calls would fall back, silently, to a form that writes the scores out."""


@cache
def _flex(compiled: bool) -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    plain: Callable[..., Any] = flex_attention
    if not compiled:
        return plain
    fused: Callable[..., Tensor] = torch.compile(plain, dynamic=True)

    def call(*args: Any, **kwargs: Any) -> Tensor:
        # Lengths vary, but the numbers that a scheme's bucket or formula holds are constants: as variables they would
        # be inputs of the kernel, which it cannot take.
        with torch._dynamo.config.patch(cache_size_limit=_VARIANTS, specialize_int=True, specialize_float=True):
            return fused(*args, **kwargs)

    return call


def flex_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    terms: Sequence[Term] = (),
    q_positions: Tensor | None = None,
    k_positions: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """FlexAttention; terms and mask become its score_mod. Compiled on CUDA, unfused on CPU. Output ``[B, Lq, H, Dh]``.

    Raises ValueError for attention dropout, which FlexAttention has not.
    """
    if dropout > 0.0:
        raise ValueError("FlexAttention has no dropout on attention weights")
    causal = _is_causal(module, query, attention_mask, is_causal)
    modify = score_mod(terms, q_positions, k_positions, visible=attention_mask, causal=causal)
    output = _flex(query.is_cuda)(query, key, value, score_mod=modify, scale=scaling)  # [B, H, Lq, Dh]
    return output.transpose(1, 2), None  # [B, Lq, H, Dh]


def sdpa_with_statistics(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    scaling: float,
    causal: bool,
    terms: Sequence[Term],
    q_positions: Tensor,
    k_positions: Tensor,
) -> tuple[Tensor, Tensor]:
    """What SDPA runs on a CPU, which has no gradient through the second of its results.

    Output ``[B, H, Lq, Dh]`` and log-sum-exp ``[B, H, Lq]``, float32.
    """
    mask, causal = _combined(query, mask, causal, terms, q_positions, k_positions)
    if mask is not None:
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, torch.finfo(query.dtype).min)
        mask = mask.to(query.dtype).expand(*mask.shape[:2], query.shape[-2], key.shape[-2])  # [B or 1, H or 1, Lq, Lk]
    output, log_sum_exp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, 0.0, causal, attn_mask=mask, scale=scaling
    )  # [B, H, Lq, Dh], [B, H, Lq]
    return output, log_sum_exp


def flex_with_statistics(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    scaling: float,
    causal: bool,
    terms: Sequence[Term],
    q_positions: Tensor,
    k_positions: Tensor,
) -> tuple[Tensor, Tensor]:
    """FlexAttention's output ``[B, H, Lq, Dh]`` and log-sum-exp ``[B, H, Lq]``, float32."""
    modify = score_mod(terms, q_positions, k_positions, visible=mask, causal=causal)
    kernel = _flex(query.is_cuda)
    if AuxRequest is None:  # torch before 2.9
        return kernel(query, key, value, score_mod=modify, scale=scaling, return_lse=True)  # type: ignore[return-value]
    output, extra = kernel(
        query, key, value, score_mod=modify, scale=scaling, return_aux=AuxRequest(lse=True)
    )  # [B, H, Lq, Dh]
    return output, extra.lse


WITH_STATISTICS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    SDPA: sdpa_with_statistics,
    FLEX: flex_with_statistics,
}


def auto_forward(module: nn.Module, query: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
    """Whichever of the others `choose` names."""
    name = choose(AUTO, query, kwargs.get("terms", ()), dropout=kwargs.get("dropout", 0.0), weights=False)
    return FUNCTIONS[name](module, query, *args, **kwargs)


FUNCTIONS: dict[str, Callable[..., tuple[Tensor, Tensor | None]]] = {
    EAGER: eager_forward,
    SDPA: sdpa_forward,
    FLEX: flex_forward,
    AUTO: auto_forward,
}


def register() -> None:
    """Make the backends known to transformers. Attention alone is not enough: without a mask function under the same
    name, 5.x leaves padding unmasked."""
    for name, function in FUNCTIONS.items():
        AttentionInterface.register(name, function)
        AttentionMaskInterface.register(name, eager_mask if name == EAGER else sdpa_mask)
