"""What is asked of positions of patches. They are run inside `ReferenceAttention`, behind registers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest
import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.contracts import Dense, Formula, Position, Term
from zoo.models.vision.contracts import REGISTER, PatchContext, PatchPosition, place_of
from zoo.spec.options import Chosen
from zoo.testing.attention import ReferenceAttention, dense_bias
from zoo.testing.in_a_model import COMPILATIONS, TOLERANCE
from zoo.testing.in_an_image_model import TARGETS, InAnImageModel, some_image
from zoo.testing.module import ModuleSuite, close, random_tensor

HEADS, HEAD_DIM, LAYERS, REGISTERS = 2, 8, 2, 2
WIDTH = HEADS * HEAD_DIM
GRIDS = ((3, 4), (2, 5))
LONGEST = 12
FAR = (90, 140)
"""Rows and columns of a grid beyond the tables of any test."""


def grid_positions(rows: int, columns: int, longest: int | None = None) -> Tensor:
    """``[1, N, 4]``: row, column, rows, columns of each patch, padded to `longest` with the place 0, 0."""
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).view(-1, 2)
    places = torch.nn.functional.pad(places, (0, 0, 0, (longest or len(places)) - len(places)))
    grid = torch.tensor([rows, columns]).expand(len(places), -1)
    return torch.cat((places, grid), dim=-1)[None]  # [1, N, 4]


class PatchPositionSuite(InAnImageModel, ModuleSuite):
    """Positions of patches: see `zoo.models.vision.contracts.PatchPosition`.

    The trait ``where`` (embedding, attention, both, none) says where the scheme acts. `grid_limit` says that grids
    beyond it are refused; else any grid must do.
    """

    kind: ClassVar[str] = "patch-position"

    def image(self, chosen: Chosen) -> dict[str, Any]:
        return {"patch_position": chosen.plain()}

    def build(self, chosen: Chosen, heads: int = HEADS) -> PatchPosition:
        context = PatchContext(
            side="encoder",
            layers=LAYERS,
            d_model=heads * HEAD_DIM,
            heads=heads,
            max_positions=16,
            registers=REGISTERS,
        )
        position: PatchPosition = chosen.create(context)
        assert isinstance(position, PatchPosition)
        return position

    def scheme(self, chosen: Chosen) -> PatchPosition:
        """The built scheme, typed."""
        module = self.built(chosen)
        assert isinstance(module, PatchPosition)
        return module

    def sample(self) -> tuple[Tensor, ...]:
        """Embedded patches of two images of different grids, and where they stand."""
        positions = torch.cat([grid_positions(*grid, LONGEST) for grid in GRIDS])  # [2, N, 4]
        return random_tensor(2, LONGEST, WIDTH), positions

    def run(self, module: PatchPosition, *inputs: Tensor) -> Tensor:
        return torch.cat([self.layer(module, *inputs, index=index) for index in range(LAYERS)], dim=1)

    def layer(
        self, module: PatchPosition, x: Tensor, positions: Tensor, *, index: int = 0, visible: Tensor | None = None
    ) -> Tensor:
        """What one layer computes of registers and patches, ``[B, R + N, D]``."""
        heads = x.shape[-1] // HEAD_DIM
        registers = random_tensor(1, REGISTERS, x.shape[-1], seed=9).to(x).expand(len(x), -1, -1)
        tokens = torch.cat((registers, module.embed(x, positions)), dim=1)  # [B, R + N, D]
        attention = ReferenceAttention(x.shape[-1], heads)
        # What the reference asks of a scheme, after the embeddings, which have no registers.
        acting = cast(Position, SimpleNamespace(embed=lambda embedded, places: embedded, layer=module.layer))
        return attention(acting, tokens, self.places(positions), visible=visible, layer=index)

    def places(self, positions: Tensor) -> Tensor:
        """Places of registers and patches, ``[B, R + N]``."""
        return torch.nn.functional.pad(place_of(positions), (REGISTERS, 0), value=REGISTER)

    def terms(self, part: Position, places: Tensor) -> tuple[Term, ...]:
        """The terms of one row of places ``[1, L]``."""
        head = random_tensor(1, HEADS, places.shape[1], HEAD_DIM)
        content: tuple[Tensor | None, Tensor | None] = (head, head) if part.content_dependent else (None, None)
        return part.score(*content, places, places)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_shapes_and_dtypes_are_kept(self, chosen: Chosen, dtype: torch.dtype) -> None:
        position, (x, positions) = self.scheme(chosen).to(dtype), self.sample()
        embedded = position.embed(x.to(dtype), positions)
        assert (embedded.shape, embedded.dtype) == (x.shape, dtype)
        head = random_tensor(2, HEADS, REGISTERS + LONGEST, HEAD_DIM).to(dtype)
        places = self.places(positions)
        for turned in position.layer(0).rotate(head, head, head, places, places):
            assert (turned.shape, turned.dtype) == (head.shape, dtype)

    @pytest.mark.parametrize("heads", [1, 3])
    def test_any_number_of_heads_will_do(self, chosen: Chosen, heads: int) -> None:
        with torch.random.fork_rng(devices=[]):
            position = self.build(chosen, heads).eval()
        x = random_tensor(1, 6, heads * HEAD_DIM)
        assert torch.isfinite(self.layer(position, x, grid_positions(2, 3))).all()

    def test_terms_cover_registers_and_distances_beyond_any_table(self, chosen: Chosen) -> None:
        part = self.scheme(chosen).layer(0)
        places = torch.cat((self.places(grid_positions(2, 2)), place_of(torch.tensor([[FAR, (0, FAR[1])]]))), dim=1)
        length = places.shape[1]
        for term in self.terms(part, places):
            bias = dense_bias(term, places, places)
            assert tuple(bias.shape[1:]) == (HEADS, length, length)
            assert torch.isfinite(bias).all()
            if not isinstance(term, (Formula, Dense)):
                index = term.bucket(places[:, :, None], places[:, None])
                assert not index.is_floating_point(), "a bucket is an index"
                assert 0 <= int(index.min()) <= int(index.max()) < term.table.shape[-1]

    def test_a_register_stands_nowhere(self, chosen: Chosen) -> None:
        """A bias between a register and a patch is the same wherever the patch stands."""
        places = self.places(grid_positions(3, 4))
        for term in self.terms(self.scheme(chosen).layer(0), places):
            bias = dense_bias(term, places, places)  # [1, H, L, L]
            for between in (bias[..., :REGISTERS, REGISTERS:], bias[..., REGISTERS:, :REGISTERS].mT):
                close(between, between[..., :1].expand_as(between), 1e-6, "biases between a register and patches")

    def test_places_are_taken_from_the_argument_alone(self, chosen: Chosen) -> None:
        """Patches listed in another order, with their places, are the same image."""
        position, (x, positions) = self.scheme(chosen), self.sample()
        order = torch.randperm(LONGEST, generator=torch.Generator().manual_seed(3))
        shuffled = self.layer(position, x[:, order], positions[:, order])[:, REGISTERS:]
        expected = self.layer(position, x, positions)[:, REGISTERS:][:, order]
        close(shuffled, expected, 1e-5, "patches listed in another order")

    def test_images_in_one_row_are_placed_as_if_alone(self, chosen: Chosen) -> None:
        position = self.scheme(chosen)
        each = [grid_positions(*grid) for grid in GRIDS]
        patches = [random_tensor(1, item.shape[1], WIDTH, seed=item.shape[1]) for item in each]
        segments = torch.cat([torch.full((item.shape[1],), number) for number, item in enumerate(each)])
        own = (segments[:, None] == segments)[None, None]
        visible = torch.nn.functional.pad(own, (REGISTERS, 0, REGISTERS, 0), value=True)
        visible[..., REGISTERS:, :REGISTERS] = False  # patches that see no register
        packed = self.layer(position, torch.cat(patches, 1), torch.cat(each, 1), visible=visible)[:, REGISTERS:]
        alone = []
        for x, positions in zip(patches, each, strict=True):
            hidden = torch.ones(1, 1, REGISTERS + x.shape[1], REGISTERS + x.shape[1], dtype=torch.bool)
            hidden[..., REGISTERS:, :REGISTERS] = False
            alone.append(self.layer(position, x, positions, visible=hidden)[:, REGISTERS:])
        close(packed, torch.cat(alone, 1), 1e-5, "packed against alone")

    def test_trait_where_says_what_the_scheme_does(self, chosen: Chosen) -> None:
        where = self.registered().traits.get("where")
        assert where in {"embedding", "attention", "both", "none"}, f"trait 'where' is {where!r}"
        position, (x, positions) = self.scheme(chosen), self.sample()
        embeds = not torch.equal(position.embed(x, positions), x)
        assert embeds == (where in {"embedding", "both"}), "trait 'where' against embed"
        # Attention alone: other patches at the same places give the same image back only where no place is known.
        order = torch.arange(LONGEST).flip(0).roll(1)
        acting = SimpleNamespace(embed=lambda patches, at: patches, layer=position.layer)
        moved = self.layer(cast(PatchPosition, acting), x[:, order], positions)[:, REGISTERS:]
        kept = self.layer(cast(PatchPosition, acting), x, positions)[:, REGISTERS:][:, order]
        attends = not torch.allclose(moved, kept, atol=1e-5)
        assert attends == (where in {"attention", "both"}), "trait 'where' against attention"

    def test_shift_invariance_holds_where_claimed(self, chosen: Chosen) -> None:
        position, (x, positions) = self.scheme(chosen), self.sample()
        if not position.shift_invariant:
            pytest.skip("not claimed")
        shift = torch.tensor([3, 2, 0, 0])
        close(self.run(position, x, positions + shift), self.run(position, x, positions), 1e-5, "all patches moved")

    def test_grids_larger_than_any_trained_on_are_finite_or_refused(self, chosen: Chosen) -> None:
        """Refused with InputError where the scheme says that its table ends (`grid_limit`), and only there."""
        model = self.model(chosen)
        encoded = self.encoded_of(model, [some_image(8 * 30, 8)])
        limit = model.encoder.position.grid_limit
        if limit is None or limit[0] >= 30:
            assert torch.isfinite(self.logits(model, encoded, [0])).all(), "a grid of 30 rows is not finite"
        else:
            with pytest.raises(InputError, match=rf"\b{limit[0]} x {limit[1]} patches"):
                self.logits(model, encoded, [0])

    @pytest.mark.slow
    def test_in_a_model_torch_compile_changes_nothing(self, first_chosen: Chosen) -> None:
        """Forwards and backwards, through AOTAutograd, with registers and a mask."""
        extent = self.registered().traits.get("compile", "whole")
        assert extent in COMPILATIONS, f"trait 'compile' is {extent!r}, expected one of {', '.join(COMPILATIONS)}"
        if extent == "none":
            pytest.skip("the record says that torch.compile is not supported (trait 'compile')")
        model = self.model(first_chosen, registers=2)
        inputs = {**self.encoded(model), "decoder_input_ids": TARGETS, "use_cache": False}
        expected = model(**inputs).logits
        expected.sum().backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        model.zero_grad(set_to_none=True)
        torch.compiler.reset()
        compiled: Any = torch.compile(model, fullgraph=extent == "whole", backend="aot_eager", dynamic=False)
        output = compiled(**inputs).logits
        close(output, expected, TOLERANCE, "compiled")
        output.sum().backward()
        for name, parameter in model.named_parameters():
            before = gradients[name]
            if before is not None:
                assert parameter.grad is not None, f"compiled, no gradient reaches {name}"
                close(parameter.grad, before, 10 * TOLERANCE, f"compiled, the gradient of {name}")
