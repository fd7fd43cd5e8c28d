"""The kernels, as transformers sees them and as the host chooses between them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import MarianConfig, MarianMTModel
from transformers.masking_utils import AttentionMaskInterface
from transformers.modeling_utils import AttentionInterface

from zoo.models import backends
from zoo.models.contracts import Dense, Formula
from zoo.models.visibility import Padding, causal_visibility

NAMES = ("zoo_eager", "zoo_sdpa", "zoo_flex", "zoo_auto")


@pytest.mark.parametrize("name", NAMES)
def test_backends_are_known_to_both_of_transformers_registers(name):
    assert name in AttentionInterface().valid_keys()
    # Without a mask function under the same name, 5.x would build no mask and padding would leak.
    assert name in AttentionMaskInterface().valid_keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_transformers_model_runs_through_our_backends_without_leaking_padding(name):
    torch.manual_seed(0)
    size = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in
            (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))}  # fmt: skip
    config = MarianConfig(vocab_size=20, d_model=16, pad_token_id=0, decoder_start_token_id=0, init_std=0.5, **size)
    model = MarianMTModel(config).eval()
    source = torch.tensor([[5, 6, 7, 8, 1], [9, 8, 1, 0, 0]])
    batch = {"input_ids": source, "attention_mask": source.ne(0).long(), "decoder_input_ids": source[:, :3]}
    with torch.no_grad():
        expected = model(**batch).logits
        model.config._attn_implementation = name
        torch.testing.assert_close(model(**batch).logits, expected, atol=1e-5, rtol=1e-5)
        other = batch | {"input_ids": source.masked_fill(source == 0, 13)}
        torch.testing.assert_close(model(**other).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("forward", [backends.sdpa_forward, backends.eager_forward, backends.flex_forward])
@pytest.mark.parametrize("biased", [False, True], ids=["plain", "biased"])
@pytest.mark.parametrize("hidden", ["nothing", "later", "padding"])
def test_backends_compute_the_softmax_of_the_definition(forward, biased, hidden):
    draw = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(2, 3, 4, 16, generator=draw) for _ in range(3))
    positions = torch.arange(4)[None]
    terms = (Formula(torch.rand(3, 1, generator=draw), lambda c, q, k: -c[0] * (q - k).abs()),) if biased else ()
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()[:, None, None] if hidden == "padding" else None
    output, _ = forward(
        nn.Module(),
        query,
        key,
        value,
        mask,
        scaling=0.3,
        is_causal=hidden == "later",
        terms=terms,
        q_positions=positions,
        k_positions=positions,
    )
    logits = torch.einsum("bhid,bhjd->bhij", query, key) * 0.3
    if biased:
        logits -= terms[0].parameters[None, :, :1, None] * (positions.T - positions).abs()
    seen = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    if hidden == "later":
        seen = seen.tril()
    if hidden == "padding":
        seen = seen & mask
    weights = logits.masked_fill(~seen, -torch.inf).softmax(-1)
    torch.testing.assert_close(output, torch.einsum("bhij,bhjd->bihd", weights, value), atol=1e-5, rtol=1e-5)


class TestChoice:
    query = torch.zeros(1, 1, 4, 8)
    fusable = (Formula(torch.zeros(1, 1), lambda c, q, k: c[0] * q),)

    def choose(self, requested, **changes):
        options = {"terms": self.fusable, "dropout": 0.0, "weights": False} | changes
        return backends.choose(requested, options.pop("query", self.query), options.pop("terms"), **options)

    def test_auto_is_sdpa_off_cuda(self):
        assert self.choose("zoo_auto") == "zoo_sdpa"

    def test_weights_exist_in_eager_only(self):
        assert {self.choose(name, weights=True) for name in NAMES} == {"zoo_eager"}

    def test_flex_gives_way_to_sdpa_where_it_cannot_run(self):
        assert self.choose("zoo_flex") == "zoo_flex"
        assert self.choose("zoo_flex", dropout=0.1) == "zoo_sdpa"
        assert self.choose("zoo_flex", query=self.query.clone().requires_grad_()) == "zoo_sdpa"

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, "zoo_flex"),
            ({"terms": ()}, "zoo_sdpa"),
            ({"terms": (Dense(torch.zeros(1)),)}, "zoo_sdpa"),
            ({"dropout": 0.1}, "zoo_sdpa"),
            ({"queries": 1}, "zoo_sdpa"),
        ],
        ids=["terms", "nothing-to-fuse", "dense", "dropout", "decoding-step"],
    )
    def test_auto_on_cuda_takes_flex_where_it_has_terms_to_fuse(self, changes, expected):
        class OnCuda:
            is_cuda = True
            requires_grad = True
            shape = (1, 1, changes.pop("queries", 4), 8)

        assert self.choose("zoo_auto", query=OnCuda(), **changes) == expected

    def test_an_unknown_backend_is_refused_with_the_known_ones(self):
        with pytest.raises(ValueError, match="'flash_attention_2': zoo models have eager, sdpa"):
            backends.backend_name("flash_attention_2")


class TestSharedBias:
    """A bias that layers share is written out once a stack, whatever the layers then run."""

    @pytest.fixture
    def written_by_layers(self, monkeypatch):
        calls = []
        lower = backends.additive_mask
        monkeypatch.setattr(backends, "additive_mask", lambda *args, **rest: calls.append(1) or lower(*args, **rest))
        return calls

    @torch.no_grad()
    def test_where_dropout_keeps_layers_from_fusing_it(self, make_model, sentences, written_by_layers):
        model = make_model("alibi", attention="flex", attention_dropout=0.1).train()
        model(**sentences)
        assert model.attention_backend == "sdpa"
        assert not written_by_layers

    @torch.no_grad()
    @pytest.mark.parametrize("attention", ["sdpa", "eager"])
    def test_under_autocast_in_the_type_that_the_kernel_takes(self, make_model, sentences, monkeypatch, attention):
        masks = []
        run = backends.FUNCTIONS[f"zoo_{attention}"]

        def watch(module, query, key, value, mask, **rest):
            masks.append(mask)
            return run(module, query, key, value, mask, **rest)

        monkeypatch.setitem(backends.FUNCTIONS, f"zoo_{attention}", watch)
        model = make_model("alibi", attention=attention)
        with torch.autocast("cpu", torch.bfloat16):
            model(**sentences)
        biases = [mask for mask in masks if mask is not None and mask.dtype != torch.bool]
        assert len(biases) == 4
        assert {mask.dtype for mask in biases} == {torch.bfloat16 if attention == "sdpa" else torch.float32}
        assert all(mask.isfinite().all() for mask in biases)


class TestVisibility:
    device = torch.device("cpu")

    def test_no_mask_is_made_where_nothing_is_padded(self):
        padding = Padding.of(torch.ones(2, 5))
        assert padding.keys() is None
        assert causal_visibility(padding, 5, 5, self.device) == (None, True)
        assert causal_visibility(padding, 1, 5, self.device) == (None, False)

    def test_a_chunk_after_a_cache_sees_the_cache_and_itself_up_to_each_query(self):
        mask, causal = causal_visibility(Padding(None), 2, 5, self.device)
        assert not causal
        assert mask[0, 0].tolist() == [[True] * 4 + [False], [True] * 5]

    def test_padding_is_hidden_from_every_query_but_itself(self):
        mask, _ = causal_visibility(Padding.of(torch.tensor([[0, 1, 1]])), 3, 3, self.device)
        assert mask[0, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]

    def test_only_left_padding_makes_positions_differ_within_a_batch(self):
        right = Padding.of(torch.tensor([[1, 1, 1], [1, 0, 0]]))
        left = Padding.of(torch.tensor([[1, 1, 1], [0, 1, 1]]))
        assert right.positions(3, self.device).tolist() == [[0, 1, 2]]
        assert left.positions(3, self.device).tolist() == [[0, 1, 2], [0, 0, 1]]
