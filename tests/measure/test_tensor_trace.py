"""What a trace sees: kernels, attention scores that are written out, bytes that live."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from zoo.measure.tensor_trace import WRITTEN_OUT, TensorTrace

B, H, L, D = 2, 3, 11, 8


def heads() -> list[torch.Tensor]:
    return [torch.randn(B, H, L, D) for _ in range(3)]


def test_a_fused_kernel_is_named_and_writes_no_scores():
    q, k, v = heads()
    with TensorTrace((L, L)) as trace:
        F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert dict(trace.kernels) == {"sdpa flash": 1}
    assert not trace.written


def test_attention_written_out_is_seen_as_such():
    q, k, v = heads()
    with TensorTrace((L, L)) as trace:
        weights = (q @ k.transpose(-1, -2)).softmax(-1)  # [B, H, L, L]
        _ = weights @ v
    assert dict(trace.kernels) == {WRITTEN_OUT: 1}
    assert trace.written["_softmax"] == 1
    assert trace.written.total() >= 2


def test_a_bias_counts_once_and_what_is_done_to_it_in_place_not_again():
    q, k, v = heads()
    table, index = torch.randn(H, 5), torch.randint(5, (L, L))
    with TensorTrace((L, L)) as trace:
        bias = table[:, index]  # [H, L, L]
        bias.masked_fill_(torch.ones(L, L, dtype=torch.bool).triu(1), -1e9)
        F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None].expand(B, -1, -1, -1))
    assert trace.written.total() == 1
    with TensorTrace((L, L)) as trace:
        bias = table[:, index]
        bias = bias.masked_fill(torch.ones(L, L, dtype=torch.bool).triu(1), -1e9)
    assert trace.written.total() == 2


def test_a_bias_that_is_made_flat_counts_once():
    table, index = torch.randn(H, 5), torch.randint(5, (L * L,))
    with TensorTrace((L, L)) as trace:
        bias = table.index_select(1, index).view(1, H, L, L)
        bias.masked_fill_(torch.ones(L, L, dtype=torch.bool).triu(1), -1e9)
        _ = bias.expand(B, -1, -1, -1).transpose(0, 1)
    assert trace.written.total() == 1


def test_a_mask_without_heads_is_no_matrix_of_scores():
    with TensorTrace((L, L)) as trace:
        _ = torch.zeros(B, 1, L, L) + 1
    assert not trace.written


def test_the_peak_is_what_was_alive_at_once():
    with TensorTrace() as trace:
        first = torch.zeros(1000)
        second = torch.zeros(2000)
        del first
        third = torch.zeros(500)
        view = third[:10]
        third.add_(1)
        del view
    assert trace.peak == 4 * 3000
    assert trace.live == 4 * 2500
    del second, third
    assert trace.live == 0


def test_what_the_backward_pass_makes_counts_too():
    x = torch.randn(100, 100, requires_grad=True)
    with TensorTrace() as trace:
        kept = (x * 2).exp().sum()
        before = trace.live
        kept.backward()
    assert before >= 4 * 10_000  # exp keeps its result
    assert trace.peak >= before + 4 * 10_000  # and the gradient is as large
