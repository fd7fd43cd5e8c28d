"""The attention host: projections, positions, cache and backend.

Plugins never see a kernel; kernels never see a plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models._compat import cached_keys_and_values
from zoo.models.backends import (
    EAGER,
    FUNCTIONS,
    SDPA,
    WITH_STATISTICS,
    choose,
    choose_with_statistics,
    eager_logits,
)
from zoo.models.contracts import AttentionStatistics, Position, Term
from zoo.models.distance import far_back, masses_of_band, masses_of_matrix
from zoo.models.lowering import additive_mask


@dataclass(frozen=True)
class View:
    """What the queries of one pass see, the same in every layer.

    `mask` is None, boolean (True = seen) or additive, broadcastable to ``[B, H, Lq, Lk]``; `causal` is SDPA's
    ``is_causal``. `terms` are those shared by the layers; None means that each layer asks its scheme. `consecutive`
    says that the queries are the last of the keys' tokens and that tokens that see each other stand at consecutive
    positions; `backwards` that no query sees what stands after it.
    """

    q_positions: Tensor  # [B or 1, Lq]
    k_positions: Tensor  # [B or 1, Lk]
    mask: Tensor | None
    causal: bool
    backend: str
    terms: tuple[Term, ...] | None = ()
    consecutive: bool = False
    backwards: bool = False


def view_of_pass(
    x: Tensor,
    schemes: Sequence[Position],
    *,
    q_positions: Tensor,
    k_positions: Tensor,
    mask: Tensor | None,
    causal: bool,
    backend: str,
    dropout: float = 0.0,
    share: bool = True,
    consecutive: bool = False,
    backwards: bool = False,
) -> View:
    """The view of an attention pass of x ``[B, Lq, D]``, with `dropout` on attention weights.

    Terms that look at no content and come from one object are asked for once; unless they go into a fused kernel
    they are written out once, together with the mask, in the dtype that the kernel takes. `share` is False where
    layers are recomputed in the backward pass, which could not reach a tensor made outside them.
    """
    scheme = schemes[0]
    alike = all(other is scheme for other in schemes) and not scheme.content_dependent
    if not share or not alike:
        return View(q_positions, k_positions, mask, causal, backend, None, consecutive, backwards)
    terms = scheme.score(None, None, q_positions, k_positions)
    # x stands for the queries: same length, device and need of a gradient.
    chosen = choose(backend, x, terms, dropout=dropout, weights=False)
    if terms and chosen in {SDPA, EAGER}:
        dtype = kernel_dtype(x) if chosen == SDPA else x.dtype
        mask = additive_mask(terms, q_positions, k_positions, visible=mask, causal=causal, dtype=dtype)
        causal, terms = False, ()
    return View(q_positions, k_positions, mask, causal, backend, terms, consecutive, backwards)


def kernel_dtype(x: Tensor) -> torch.dtype:
    """What autocast makes of x: else it would convert a mask anew in each layer, and its lowest number to -inf."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def view_of_memory(x: Tensor, keys: int, mask: Tensor | None, backend: str) -> View:
    """The view of queries x ``[B, Lq, D]`` on a memory of `keys` tokens, each seen as `mask` ``[B, Lk]`` says."""
    seen = None if mask is None else mask.bool()[:, None, None]  # [B, 1, 1, Lk]
    q_positions = torch.arange(x.shape[1], device=x.device)[None]  # [1, Lq]
    k_positions = torch.arange(keys, device=x.device)[None]  # [1, Lk]
    return View(q_positions, k_positions, seen, causal=False, backend=backend)


class _Attention(nn.Module):
    """Shared by self- and cross-attention: head shapes, the output projection, the scheme, the call of a backend."""

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        bias: bool,
        dropout: float,
        layer: int,
        head_dim: int | None = None,
        head_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = head_dim or width // heads
        self.inner = heads * self.head_dim
        self.scaling = self.head_dim**-0.5
        self.dropout = dropout
        self.head_dropout = head_dropout
        self.layer = layer
        self.out = nn.Linear(self.inner, width, bias=bias)
        self.is_causal = False  # a backend asks the module where nobody says
        self.ran: str | None = None
        """The backend that ran last."""

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        view: View,
        position: Position,
        weights: list[Tensor] | None,
    ) -> Tensor:
        """Attention as `position` has it, of heads that it has rotated. -> ``[B, Lq, H, Dh]``."""
        scaling = self.scaling * position.logit_scale
        terms = view.terms
        if terms is None:
            q, k = (query * scaling, key) if position.content_dependent else (None, None)
            terms = position.score(q, k, view.q_positions, view.k_positions)
        if position.needs_statistics:
            return self._with_statistics(query, key, value, view, terms, position, weights)
        output = self._call(query, key, value, view, terms, weights, scaling)  # [B, Lq, H, Dh]
        return position.output(output.transpose(1, 2), None, view.q_positions).transpose(1, 2)

    def _with_statistics(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        view: View,
        terms: tuple[Term, ...],
        position: Position,
        weights: list[Tensor] | None,
    ) -> Tensor:
        """The same for schemes whose value side needs to know the attention. -> ``[B, Lq, H, Dh]``.

        A kernel that gives its log-sum-exp is taken where there is one: FlexAttention on CUDA, and on CPU, in
        inference, what SDPA runs there. Elsewhere (training on CPU, attention dropout, positions that a caller gave)
        attention is written out.
        """
        scaling = self.scaling * position.logit_scale
        dropout = self.dropout if self.training else 0.0
        q_positions, k_positions = view.q_positions, view.k_positions
        name = EAGER
        if view.consecutive:
            name = choose_with_statistics(view.backend, query, terms, dropout=dropout, weights=weights is not None)
        self.ran = name
        masses: Callable[[int], Tensor]
        if name == EAGER:
            logits = eager_logits(
                query,
                key,
                view.mask,
                scaling=scaling,
                causal=view.causal,
                terms=terms,
                q_positions=q_positions,
                k_positions=k_positions,
            )  # [B, H, Lq, Lk]
            log_sum_exp = logits.logsumexp(-1)  # [B, H, Lq]
            attention = (logits - log_sum_exp[..., None]).exp()  # [B, H, Lq, Lk], float32
            if weights is not None:
                weights.append(attention.to(value.dtype))
            attention = F.dropout(attention, dropout, training=self.training)
            output = attention.to(value.dtype) @ value  # [B, H, Lq, Dh]
            masses = partial(masses_of_matrix, attention, q_positions, k_positions)
        else:
            run = WITH_STATISTICS[name]

            def kernel(terms: tuple[Term, ...]) -> tuple[Tensor, Tensor]:
                return run(
                    query,
                    key,
                    value,
                    view.mask,
                    scaling=scaling,
                    causal=view.causal,
                    terms=terms,
                    q_positions=q_positions,
                    k_positions=k_positions,
                )

            output, log_sum_exp = kernel(terms)  # [B, H, Lq, Dh], [B, H, Lq]

            def masses(clip: int) -> Tensor:
                back = None
                if not view.backwards:
                    behind = kernel((*terms, far_back(self.heads, clip, query.device)))[1]  # [B, H, Lq]
                    back = (behind - log_sum_exp).exp()  # [B, H, Lq]
                return masses_of_band(
                    query * scaling,
                    key,
                    log_sum_exp,
                    view.mask,
                    terms,
                    q_positions,
                    k_positions,
                    causal=view.causal,
                    clip=clip,
                    back=back,
                )

        statistics = AttentionStatistics(
            query=query * scaling,
            key=key,
            log_sum_exp=log_sum_exp,
            k_positions=k_positions,
            distance_masses=masses,
            visible=_boolean(view, key.shape[-2], query.shape[-2]),
        )
        return position.output(output, statistics, q_positions).transpose(1, 2)

    def _call(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        view: View,
        terms: tuple[Term, ...],
        weights: list[Tensor] | None,
        scaling: float,
    ) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        name = choose(view.backend, query, terms, dropout=dropout, weights=weights is not None)
        output, made = FUNCTIONS[name](
            self,
            query,
            key,
            value,
            view.mask,
            scaling=scaling,
            dropout=dropout,
            is_causal=view.causal,
            terms=terms,
            q_positions=view.q_positions,
            k_positions=view.k_positions,
        )  # [B, Lq, H, Dh]
        self.ran = name
        if weights is not None and made is not None:
            weights.append(made)
        return output

    def _joined(self, output: Tensor) -> Tensor:
        """The heads' outputs ``[B, Lq, H, Dh]`` -> ``[B, Lq, D]``.

        In training whole heads are left out of an example, and the others scaled up (Zhou et al. 2020,
        arXiv:2004.13342, section 3).
        """
        if self.training and self.head_dropout:
            output = F.dropout2d(output.transpose(1, 2), self.head_dropout).transpose(1, 2)  # [B, Lq, H, Dh]
        return self.out(output.flatten(2))  # type: ignore[no-any-return]


class SelfAttention(_Attention):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2) of one layer.

    Queries, keys and values come from one matrix; its rows are ordered q, k, v. Initialised as three
    Xavier-uniform matrices, biases zero.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        bias: bool,
        dropout: float,
        layer: int,
        head_dim: int | None = None,
        head_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            width, heads, bias=bias, dropout=dropout, layer=layer, head_dim=head_dim, head_dropout=head_dropout
        )
        self.qkv = nn.Linear(width, 3 * self.inner, bias=bias)
        _xavier_blocks(self.qkv, 3)
        _xavier_blocks(self.out, 1)

    def forward(
        self, x: Tensor, view: View, position: Position, cache: Any = None, weights: list[Tensor] | None = None
    ) -> Tensor:
        """x ``[B, Lq, D]`` -> ``[B, Lq, D]``. `cache` is a self-attention cache; weights are appended where asked."""
        new = view.q_positions
        query, key, value = self._project(x, position.inputs(x, new))
        query, key, value = position.rotate(query, key, value, new, new)
        if cache is not None:
            key, value = cache.update(key, value, self.layer)  # [B, H, Lk, Dh]
        output = self._attend(query, key, value, view, position, weights)  # [B, Lq, H, Dh]
        return self._joined(output)

    def _project(self, x: Tensor, placed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys of `placed` and values of x, both ``[B, L, D]`` -> ``[B, H, L, Dh]`` each."""
        batch, length, _ = x.shape
        if placed is x:
            together = self.qkv(x).view(batch, length, 3, self.heads, self.head_dim)
            query, key, value = together.permute(2, 0, 3, 1, 4).unbind(0)  # [B, H, L, Dh] each
            return query, key, value
        bias = self.qkv.bias
        parts = [
            F.linear(source, self.qkv.weight[rows], None if bias is None else bias[rows])
            for source, rows in ((placed, slice(None, 2 * self.inner)), (x, slice(2 * self.inner, None)))
        ]  # [B, L, 2 H Dh], [B, L, H Dh]
        query, key = parts[0].view(batch, length, 2, self.heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, parts[1].view(batch, length, self.heads, self.head_dim).transpose(1, 2)


class CrossAttention(_Attention):
    """Multi-head attention of decoder tokens to a memory. Keys and values are computed once a sentence.

    Rows of the `kv` matrix are ordered k, v. Initialised like self-attention.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        bias: bool,
        dropout: float,
        layer: int,
        head_dim: int | None = None,
        head_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            width, heads, bias=bias, dropout=dropout, layer=layer, head_dim=head_dim, head_dropout=head_dropout
        )
        self.query = nn.Linear(width, self.inner, bias=bias)
        self.kv = nn.Linear(width, 2 * self.inner, bias=bias)
        _xavier_blocks(self.query, 1)
        _xavier_blocks(self.kv, 2)
        _xavier_blocks(self.out, 1)

    def forward(
        self,
        x: Tensor,
        key_source: Tensor | None,
        value_source: Tensor | None,
        view: View,
        cache: Any = None,
        weights: list[Tensor] | None = None,
        position: Position | None = None,
    ) -> Tensor:
        """x ``[B, T, D]``, sources ``[B, S, D]`` -> ``[B, T, D]``. `cache` is an EncoderDecoderCache.

        The sources may be None where the cache already holds this layer's keys and values. `position` places targets
        and sources; without one cross-attention knows no positions.
        """
        batch, length, _ = x.shape
        targets, sources = view.q_positions, view.k_positions
        placed = x if position is None else position.inputs(x, targets)  # [B, T, D]
        query = self.query(placed).view(batch, length, self.heads, self.head_dim).transpose(1, 2)  # [B, H, T, Dh]
        if cache is not None and cache.is_updated.get(self.layer):
            key, value = cached_keys_and_values(cache.cross_attention_cache, self.layer)
            if position is not None:
                none = key[:, :, :0]  # [B, H, 0, Dh]
                query, _, _ = position.rotate(query, none, none, targets, sources[:, :0])
        else:
            if key_source is None or value_source is None:
                raise ValueError("cross-attention needs a memory: its cache is empty")
            if position is not None:
                key_source = position.inputs(key_source, sources)  # [B, S, D]
            key, value = self._project(key_source, value_source)
            if position is not None:
                query, key, value = position.rotate(query, key, value, targets, sources)
            if cache is not None:
                key, value = cache.cross_attention_cache.update(key, value, self.layer)
                cache.is_updated[self.layer] = True
        if position is None:
            output = self._call(query, key, value, view, (), weights, self.scaling)  # [B, T, H, Dh]
        else:
            output = self._attend(query, key, value, view, position, weights)  # [B, T, H, Dh]
        return self._joined(output)

    def _project(self, key_source: Tensor, value_source: Tensor) -> tuple[Tensor, Tensor]:
        batch, length, _ = key_source.shape
        if key_source is value_source:
            both = self.kv(key_source).view(batch, length, 2, self.heads, self.head_dim)
            key, value = both.permute(2, 0, 3, 1, 4).unbind(0)  # [B, H, S, Dh] each
            return key, value
        bias = self.kv.bias
        projected = [
            F.linear(source, self.kv.weight[rows], None if bias is None else bias[rows])
            for source, rows in ((key_source, slice(None, self.inner)), (value_source, slice(self.inner, None)))
        ]  # [B, S, H * Dh] each
        key, value = (item.view(batch, -1, self.heads, self.head_dim).transpose(1, 2) for item in projected)
        return key, value


def _xavier_blocks(linear: nn.Linear, blocks: int) -> None:
    """Xavier-uniform for each block of a fused matrix, as if it were a matrix of its own; biases zero."""
    for block in linear.weight.chunk(blocks):
        nn.init.xavier_uniform_(block)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def _boolean(view: View, keys: int, queries: int) -> Tensor | None:
    """What is seen, as a boolean tensor, of a view whose terms are not folded into its mask."""
    if view.mask is not None:
        return view.mask if view.mask.dtype == torch.bool else view.mask > torch.finfo(view.mask.dtype).min / 2
    if not view.causal:
        return None
    return torch.ones(queries, keys, dtype=torch.bool, device=view.q_positions.device).tril()[None, None]
