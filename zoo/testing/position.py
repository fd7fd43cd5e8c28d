"""What is asked of position schemes. They are run inside `ReferenceAttention`, which knows positions only as given."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.contracts import Dense, Formula, Position, Side, StackContext
from zoo.spec.options import Chosen
from zoo.spec.positions import position_places, rotates_cache
from zoo.testing.attention import ReferenceAttention, dense_bias
from zoo.testing.in_a_language_model import SEPARATOR, InALanguageModel
from zoo.testing.in_a_model import TARGETS, TOLERANCE, PaddingSide
from zoo.testing.module import ModuleSuite, close, random_tensor

HEADS, HEAD_DIM, LENGTH, LAYERS = 6, 4, 7, 2
WIDTH = HEADS * HEAD_DIM
MAX_POSITIONS = 512
SIDES: tuple[Side, ...] = ("encoder", "decoder")


class PositionSuite(InALanguageModel, ModuleSuite):
    """Position schemes: see `zoo.models.contracts.Position`.

    Traits: ``where`` (embedding, attention, both, none) says where the scheme acts; ``cache`` (plain where absent, or
    rotated) says whether cached keys and values depend on their positions. ``members`` says of either that it is as
    the schemes have it that are chosen in the options.
    """

    kind: ClassVar[str] = "position"

    def build(self, chosen: Chosen, side: Side = "encoder") -> Position:
        context = StackContext(side=side, layers=LAYERS, d_model=WIDTH, heads=HEADS, max_positions=MAX_POSITIONS)
        position: Position = chosen.create(context)
        assert isinstance(position, Position)
        return position

    def sample(self) -> tuple[Tensor, ...]:
        """Embeddings, and positions far from 0: rounded to half precision they would fall together."""
        start = torch.tensor([[0], [MAX_POSITIONS - LENGTH]])
        return random_tensor(2, LENGTH, WIDTH), start + torch.arange(LENGTH)

    def run(self, module: Position, *inputs: Tensor) -> Tensor:
        attention = ReferenceAttention(WIDTH, HEADS)
        each = [attention(module, *inputs, layer=index) for index in range(LAYERS)]
        return torch.stack(each, dim=1).flatten(1, 2)  # [B, layers * L, D]

    def first_layer(self, module: Position, *inputs: Tensor) -> Tensor:
        """What the first layer computes, ``[B, L, D]``."""
        return ReferenceAttention(WIDTH, HEADS)(module, *inputs)

    def scheme(self, chosen: Chosen) -> Position:
        """The built scheme, typed."""
        module = self.built(chosen)
        assert isinstance(module, Position)
        return module

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_shapes_and_dtypes_are_kept(self, chosen: Chosen, dtype: torch.dtype) -> None:
        position = self.scheme(chosen).to(dtype)
        x, positions = self.sample()
        embedded = position.embed(x.to(dtype), positions)
        assert (embedded.shape, embedded.dtype) == (x.shape, dtype)
        head = random_tensor(2, HEADS, LENGTH, HEAD_DIM).to(dtype)
        for index in range(LAYERS):
            part = position.layer(index)
            assert isinstance(part, Position)
            placed = part.inputs(x.to(dtype), positions)
            assert (placed.shape, placed.dtype) == (x.shape, dtype)
            for turned in part.rotate(head, head, head, positions, positions):
                assert (turned.shape, turned.dtype) == (head.shape, dtype)

    @pytest.mark.parametrize("heads", [1, 2, 3, 8, 12])
    def test_any_number_of_heads_will_do(self, chosen: Chosen, heads: int) -> None:
        width = heads * HEAD_DIM
        context = StackContext(side="encoder", layers=1, d_model=width, heads=heads, max_positions=MAX_POSITIONS)
        with torch.random.fork_rng(devices=[]):
            position: Position = chosen.create(context).eval()
        x = random_tensor(2, LENGTH, width)
        output = ReferenceAttention(width, heads)(position, x, torch.arange(LENGTH)[None])
        assert output.shape == x.shape
        assert torch.isfinite(output).all()

    def test_a_head_need_not_be_the_models_width_over_the_heads(self, chosen: Chosen) -> None:
        """As in T5's larger models, and wherever ``model.head_dim`` says so."""
        context = StackContext(
            side="encoder", layers=1, d_model=WIDTH, heads=HEADS, max_positions=MAX_POSITIONS, head_width=2 * HEAD_DIM
        )
        with torch.random.fork_rng(devices=[]):
            part = chosen.create(context).eval().layer(0)
        positions = torch.arange(LENGTH)[None]
        head = random_tensor(2, HEADS, LENGTH, 2 * HEAD_DIM)
        q, k, v = part.rotate(head, head, head, positions, positions)
        assert q.shape == k.shape == v.shape == head.shape
        for term in part.score(q, k, positions, positions):
            assert tuple(dense_bias(term, positions, positions).shape[1:]) == (HEADS, LENGTH, LENGTH)

    def test_terms_have_the_shapes_of_their_types(self, chosen: Chosen) -> None:
        part = self.scheme(chosen).layer(0)
        q_positions, k_positions = torch.arange(3, 6)[None], torch.arange(LENGTH)[None]
        q, k = random_tensor(2, HEADS, 3, HEAD_DIM), random_tensor(2, HEADS, LENGTH, HEAD_DIM)
        content: tuple[Tensor | None, Tensor | None] = (q, k) if part.content_dependent else (None, None)
        for term in part.score(content[0], content[1], q_positions, k_positions):
            bias = dense_bias(term, q_positions, k_positions)
            assert bias.shape[0] in (1, 2)
            assert tuple(bias.shape[1:]) == (HEADS, 3, LENGTH)
            assert torch.isfinite(bias).all()
            if isinstance(term, Formula):
                assert term.parameters.ndim == 2, "parameters are [H, P]"
            elif not isinstance(term, Dense):
                index = term.bucket(q_positions[..., None], k_positions[:, None])
                assert not index.is_floating_point(), "a bucket is an index"
                assert 0 <= int(index.min()) <= int(index.max()) < term.table.shape[-1]

    @pytest.mark.parametrize("side", SIDES)
    def test_cached_decoding_equals_one_pass(self, chosen: Chosen, side: Side) -> None:
        """Keys are cached rotated; a step sees one query at its own position."""
        with torch.random.fork_rng(devices=[]):
            position = self.build(chosen, side).eval()
        attention, (x, positions) = ReferenceAttention(WIDTH, HEADS), self.sample()
        whole = attention(position, x, positions, causal=True)
        cache, steps = None, []
        for index in range(LENGTH):
            piece = slice(index, index + 1)
            step, cache = attention.step(position, x[:, piece], positions[:, piece], cache, causal=True)
            steps.append(step)
        close(torch.cat(steps, dim=1), whole, 1e-5, "cached against one pass")

    def test_positions_are_taken_from_the_argument_alone(self, chosen: Chosen) -> None:
        """Tokens listed in another order, with their positions, are the same sentence."""
        position, (x, positions) = self.scheme(chosen), self.sample()
        order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
        shuffled = self.first_layer(position, x[:, order], positions[:, order])
        close(shuffled, self.first_layer(position, x, positions)[:, order], 1e-5, "tokens listed in another order")

    def test_one_row_of_positions_serves_the_whole_batch(self, chosen: Chosen) -> None:
        position, (x, _) = self.scheme(chosen), self.sample()
        row = torch.arange(LENGTH)[None]
        close(self.run(position, x, row), self.run(position, x, row.expand(2, -1)), 1e-6, "positions [1, L] and [B, L]")

    @pytest.mark.parametrize("side", SIDES)
    def test_sentences_packed_in_one_row_are_computed_as_if_alone(self, chosen: Chosen, side: Side) -> None:
        """Positions begin anew in each sentence of the row, whose tokens see their own sentence only."""
        with torch.random.fork_rng(devices=[]):
            position = self.build(chosen, side).eval()
        attention, causal = ReferenceAttention(WIDTH, HEADS), side == "decoder"
        lengths = (LENGTH, 1, LENGTH - 3)
        sentences = [random_tensor(1, length, WIDTH, seed=length) for length in lengths]
        places = [torch.arange(length)[None] for length in lengths]
        segments = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))[None]  # [1, L]
        visible = (segments[:, :, None] == segments[:, None])[:, None]  # [1, 1, L, L]
        packed = attention(position, torch.cat(sentences, 1), torch.cat(places, 1), causal=causal, visible=visible)
        alone = [attention(position, x, at, causal=causal) for x, at in zip(sentences, places, strict=True)]
        close(packed, torch.cat(alone, 1), 1e-5, "packed against alone")

    def test_shift_invariance_holds_where_claimed(self, chosen: Chosen) -> None:
        position, (x, positions) = self.scheme(chosen), self.sample()
        if not position.shift_invariant:
            pytest.skip("not claimed")
        positions = positions % 100
        close(
            self.run(position, x, positions + 37), self.run(position, x, positions), 1e-5, "all positions moved by 37"
        )

    def test_trait_where_says_what_the_scheme_does(self, chosen: Chosen) -> None:
        declared = self.registered().traits.get("where")
        assert declared in {"embedding", "attention", "both", "none", "members"}, f"trait 'where' is {declared!r}"
        where = position_places(chosen)
        position, (x, positions) = self.scheme(chosen), self.sample()
        embeds = not torch.equal(position.embed(x, positions), x)
        assert embeds == ("embedding" in where), "trait 'where' against embed"
        # Other tokens at the same positions: only a scheme that knows no order gives the same sentence back.
        order = torch.arange(LENGTH).flip(0).roll(1)
        moved = self.first_layer(position, x[:, order], positions)
        kept = self.first_layer(position, x, positions)[:, order]
        assert torch.allclose(moved, kept, atol=1e-5) == (not where), "trait 'where' against attention"

    def test_trait_cache_says_what_is_cached(self, chosen: Chosen) -> None:
        declared = self.registered().traits.get("cache", "plain")
        assert declared in {"plain", "rotated", "members"}, f"trait 'cache' is {declared!r}"
        cache = "rotated" if rotates_cache(chosen) else "plain"
        head, (_, positions) = random_tensor(2, HEADS, LENGTH, HEAD_DIM), self.sample()
        _, key, value = self.scheme(chosen).layer(0).rotate(head, head, head, positions, positions)
        kept = torch.equal(key, head) and torch.equal(value, head)
        assert kept == (cache == "plain"), "trait 'cache' against rotate"

    def test_queries_are_rotated_alike_with_and_without_new_keys(self, chosen: Chosen) -> None:
        """In cross-attention the keys of the memory are cached: later queries come alone."""
        part, (_, positions) = self.scheme(chosen).layer(0), self.sample()
        q, k, v = (random_tensor(2, HEADS, LENGTH, HEAD_DIM, seed=seed) for seed in range(3))
        with_keys, _, _ = part.rotate(q, k, v, positions, positions)
        alone, key, value = part.rotate(q, k[:, :, :0], v[:, :, :0], positions, positions[:, :0])
        close(alone, with_keys, 0.0, "queries without new keys")
        assert key.shape == value.shape == (2, HEADS, 0, HEAD_DIM)

    def test_in_a_model_it_places_cross_attention_too(self, chosen: Chosen) -> None:
        """As ``decoder.cross_position``, for which a scheme must act in attention alone."""
        if "embedding" in position_places(chosen):
            pytest.skip("cross-attention has no embeddings of its own")
        model = self.model(chosen, decoder={"layers": 2, "cross_position": chosen.plain()})
        inputs = self.inputs(model)
        together = self.logits(model, inputs)
        plain = self.model(chosen)
        plain.load_state_dict(model.state_dict(), strict=False)  # but for the scheme's own weights the same
        placed = not torch.allclose(together[0], self.logits(plain, inputs)[0], atol=1e-4)
        assert placed == bool(position_places(chosen)), "the scheme of cross-attention against none"
        sides: tuple[tuple[PaddingSide, PaddingSide], ...] = (("left", "right"), ("right", "left"))
        for source_side, target_side in sides:
            left = self.logits(model, self.inputs(model, source_side=source_side, target_side=target_side))
            for row in range(2):
                close(
                    left[row], together[row], TOLERANCE, f"sentence {row}: source {source_side}, target {target_side}"
                )
        for row in range(2):
            (alone,) = self.logits(model, self.inputs(model, [row]))
            close(alone, together[row], TOLERANCE, f"sentence {row} alone and in a batch")
        whole = self.inputs(model, source_side="left", targets=(TARGETS[0], TARGETS[0]))
        close(self.stepped(model, whole), torch.stack(self.logits(model, whole)), TOLERANCE, "cached against one pass")

    def test_in_a_language_model_longer_texts_than_any_trained_on_are_finite_or_refused(self, chosen: Chosen) -> None:
        """Source and target share one row of positions: together they may be too long where neither is."""
        model = self.language_model(chosen, "prefix-lm")
        row = torch.tensor([[*range(4, 22), SEPARATOR, *range(4, 22)]])  # [1, 37]
        limit = model.decoder.position.position_limit
        with torch.no_grad():
            if limit is not None and limit < row.shape[1]:
                with pytest.raises(InputError, match=rf"\b{limit}\b"):
                    model(row, use_cache=False)
            else:
                logits = model(row, use_cache=False).logits  # [1, L, V]
                assert torch.isfinite(logits).all(), f"{row.shape[1]} tokens give no finite numbers"

    def test_a_table_covers_the_positions_asked_for(self, chosen: Chosen) -> None:
        limit = self.scheme(chosen).position_limit
        assert limit is None or limit >= MAX_POSITIONS

    def test_nothing_of_one_pass_is_left_in_the_next(self, chosen: Chosen) -> None:
        """Positions that change in place between passes, as a static decoding loop keeps them."""
        position, (x, positions) = self.scheme(chosen), self.sample()
        moving = positions.clone() % 100
        self.run(position, x, moving)
        moving += 11
        fresh = self.run(self.scheme(chosen), x, moving.clone())
        close(self.run(position, x, moving), fresh, 1e-6, "positions changed in place")

    def test_torch_compile_traces_it_whole(self, chosen: Chosen) -> None:
        position, (x, positions) = self.scheme(chosen), self.sample()
        attention = ReferenceAttention(WIDTH, HEADS)
        torch.compiler.reset()  # or the variants compiled for earlier tests count against this one
        compiled = torch.compile(attention.__call__, fullgraph=True, backend="eager", dynamic=False)
        close(compiled(position, x, positions), attention(position, x, positions), 1e-5, "compiled")
