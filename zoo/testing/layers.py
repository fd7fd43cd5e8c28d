"""What is asked of normalisations, activations, feed-forward layers, blocks and fusions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from zoo.models.contracts import Block, BlockContext, Feedforward, Fusion, FusionContext, Memory, Side
from zoo.spec.options import Chosen
from zoo.testing.in_a_language_model import InALanguageModel
from zoo.testing.in_a_model import InAModel
from zoo.testing.module import WIDTH, ModuleSuite, close, random_tensor

EXTREMES = (0.0, 1e-8, -1e-8, 1e4, -1e4)


class _FeatureSuite(InALanguageModel, ModuleSuite):
    """Modules that map features at each place, whatever stands at the others."""

    def sample(self) -> tuple[Tensor, ...]:
        return (random_tensor(2, 5, WIDTH),)

    def run(self, module: Callable[[Tensor], Tensor], *inputs: Tensor) -> Tensor:
        return module(inputs[0])

    def test_shape_and_dtype_are_kept(self, chosen: Chosen) -> None:
        (x,) = self.sample()
        output = self.run(self.built(chosen), x)
        assert (output.shape, output.dtype) == (x.shape, x.dtype)

    def test_each_place_is_computed_as_if_alone(self, chosen: Chosen) -> None:
        module, (x,) = self.built(chosen), self.sample()
        whole = self.run(module, x)
        for place in range(x.shape[1]):
            close(self.run(module, x[:, place : place + 1]), whole[:, place : place + 1], 1e-5, f"place {place} alone")

    @pytest.mark.parametrize("value", EXTREMES)
    def test_extreme_inputs_give_finite_outputs_and_gradients(self, chosen: Chosen, value: float) -> None:
        x = torch.full((2, 5, WIDTH), value, requires_grad=True)
        output = self.run(self.built(chosen), x)
        output.sum().backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(output).all()
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()


class NormalizationSuite(_FeatureSuite):
    """Normalisations: see `zoo.models.contracts.Normalization`."""

    kind: ClassVar[str] = "normalization"

    def build(self, chosen: Chosen) -> nn.Module:
        module: nn.Module = chosen.create(WIDTH)
        return module

    @pytest.mark.parametrize("leading", [(), (3,), (2, 3, 4)])
    def test_any_leading_dimensions_will_do(self, chosen: Chosen, leading: tuple[int, ...]) -> None:
        module, x = self.built(chosen), random_tensor(*leading, WIDTH)
        flat = self.run(module, x.reshape(-1, WIDTH))
        close(self.run(module, x), flat.reshape(x.shape), 1e-6, f"leading dimensions {leading}")


class ActivationSuite(_FeatureSuite):
    """Activations: see `zoo.models.contracts.Activation`."""

    kind: ClassVar[str] = "activation"

    def build(self, chosen: Chosen) -> nn.Module:
        module: nn.Module = chosen.create()
        return module

    def test_each_element_is_computed_as_if_alone(self, chosen: Chosen) -> None:
        module, (x,) = self.built(chosen), self.sample()
        alone = torch.stack([self.run(module, element) for element in x.flatten()])
        close(alone.reshape(x.shape), self.run(module, x), 1e-6, "element by element")


class FeedforwardSuite(_FeatureSuite):
    """Feed-forward layers: see `zoo.models.contracts.Feedforward`."""

    kind: ClassVar[str] = "feedforward"

    def build(self, chosen: Chosen) -> Feedforward:
        module: Feedforward = chosen.create(WIDTH)
        assert isinstance(module, Feedforward)
        return module

    def test_initialisations_get_every_matrix_once(self, chosen: Chosen) -> None:
        """`matrices` is what an initialisation of the model sets: views will do, copies will not."""
        module = self.build(chosen)
        owners = {weight.untyped_storage().data_ptr(): name for name, weight in module.named_parameters()}
        shown: dict[str, int] = {}
        for name, matrix in module.matrices().items():
            assert matrix.ndim == 2, f"{name} is no matrix: {tuple(matrix.shape)}"
            owner = owners.get(matrix.untyped_storage().data_ptr())
            assert owner is not None, f"{name} shares no memory with a parameter"
            shown[owner] = shown.get(owner, 0) + matrix.numel()
        sizes = {name: weight.numel() for name, weight in module.named_parameters() if weight.ndim > 1}
        assert shown == sizes, "elements shown by parameter, and elements there"


class _Linear:
    """A sublayer with fixed weights that notes when it was called, and with what."""

    def __init__(self, seed: int, log: list[int]) -> None:
        self.weight: Tensor = random_tensor(WIDTH, WIDTH, seed=seed) / WIDTH**0.5
        self.seed, self.log = seed, log

    def __call__(self, x: Tensor) -> Tensor:
        self.log.append(self.seed)
        output: Tensor = x @ self.weight.to(x)
        return output


def _sublayers(count: int, log: list[int] | None = None) -> tuple[_Linear, ...]:
    return tuple(_Linear(seed, [] if log is None else log) for seed in range(count))


class BlockSuite(InALanguageModel, ModuleSuite):
    """Blocks: see `zoo.models.contracts.Block`."""

    kind: ClassVar[str] = "block"

    def build(
        self,
        chosen: Chosen,
        sublayers: int = 3,
        dropout: float = 0.0,
        side: Side = "decoder",
        layer: int = 1,
        depths: tuple[int, int] = (3, 2),
    ) -> Block:
        """The block of one layer of a model with so many encoder and decoder layers."""
        context = BlockContext(
            side=side,
            layer=layer,
            encoder_layers=depths[0],
            decoder_layers=depths[1],
            sublayers=sublayers,
            make_norm=lambda: nn.LayerNorm(WIDTH),
            dropout=dropout,
        )
        block: Block = chosen.create(context)
        assert isinstance(block, Block)
        return block

    def sample(self) -> tuple[Tensor, ...]:
        return (random_tensor(2, 5, WIDTH, seed=9),)

    def run(self, module: Block, *inputs: Tensor) -> Tensor:
        output: Tensor = module(inputs[0], _sublayers(3))
        return output

    @pytest.mark.parametrize("count", [2, 3])
    def test_each_sublayer_is_called_once_in_order(self, chosen: Chosen, count: int) -> None:
        log: list[int] = []
        (x,) = self.sample()
        output = self.build(chosen, count).eval()(x, _sublayers(count, log))
        assert log == list(range(count))
        assert (output.shape, output.dtype) == (x.shape, x.dtype)

    @pytest.mark.parametrize("index", [0, 1, 2])
    def test_each_sublayer_counts(self, chosen: Chosen, index: int) -> None:
        block, (x,) = self.build(chosen).eval(), self.sample()
        sublayers = list(_sublayers(3))
        kept = block(x, tuple(sublayers))
        sublayers[index].weight = -sublayers[index].weight
        assert not torch.allclose(block(x, tuple(sublayers)), kept, atol=1e-4)

    @pytest.mark.parametrize(
        ("side", "depths"), [("encoder", (6, 0)), ("decoder", (0, 6)), ("encoder", (6, 2)), ("decoder", (2, 6))]
    )
    def test_every_layer_of_every_kind_of_model_has_one(
        self, chosen: Chosen, side: Side, depths: tuple[int, int]
    ) -> None:
        """A model of one stack has 0 layers in the other."""
        sublayers = 3 if side == "decoder" and depths[0] else 2
        (x,) = self.sample()
        for layer in (0, 5):
            block = self.build(chosen, sublayers, side=side, layer=layer, depths=depths).eval()
            output = block(x, _sublayers(sublayers))
            assert output.shape == x.shape
            assert torch.isfinite(output).all()

    def test_final_norm_is_a_plain_fact(self, chosen: Chosen) -> None:
        assert isinstance(self.build(chosen).final_norm, bool)

    def test_dropout_acts_in_training_only(self, chosen: Chosen) -> None:
        (x,) = self.sample()
        block = self.build(chosen, dropout=0.5)
        kept = self.run(block.eval(), x)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            assert not torch.equal(self.run(block.train(), x), kept), "dropout 0.5 changed nothing in training"
        assert torch.equal(self.run(block.eval(), x), kept)

    def test_dropout_zero_is_the_same_in_training(self, chosen: Chosen) -> None:
        (x,) = self.sample()
        block = self.build(chosen, dropout=0.0)
        assert torch.equal(self.run(block.train(), x), self.run(block.eval(), x))


class FusionSuite(InAModel, ModuleSuite):
    """Fusions: see `zoo.models.contracts.Fusion`."""

    kind: ClassVar[str] = "fusion"
    compiled_layers: ClassVar[int] = 2
    context: ClassVar[FusionContext] = FusionContext(encoder_layers=3, decoder_layers=2, d_model=WIDTH)

    def build(self, chosen: Chosen) -> Fusion:
        fusion: Fusion = chosen.create(self.context)
        assert isinstance(fusion, Fusion)
        return fusion

    def section(self, chosen: Chosen) -> dict[str, Any]:
        """The model's depths are those of `context`: options may name as many numbers as there are layers."""
        depths = {"encoder": self.context.encoder_layers, "decoder": self.context.decoder_layers}
        return super().section(chosen) | {side: {"layers": layers} for side, layers in depths.items()}

    def sample(self) -> tuple[Tensor, ...]:
        mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
        return random_tensor(2, self.context.encoder_layers + 1, 5, WIDTH), mask

    def memories(self, fusion: Fusion, states: Tensor, mask: Tensor | None) -> list[Memory]:
        """The memory of every decoder layer, from as many encoder layers as the fusion asks for."""
        given = states if fusion.needs_all_layers else states[:, -1:]
        return [fusion.memory(given, mask, layer) for layer in range(self.context.decoder_layers)]

    def run(self, module: Fusion, *inputs: Tensor) -> Tensor:
        sources = [(memory.key_source, memory.value_source) for memory in self.memories(module, inputs[0], inputs[1])]
        return torch.stack([source for pair in sources for source in pair], dim=1)  # [B, 2 layers, S, D]

    def test_memory_has_the_shapes_of_its_fields(self, chosen: Chosen) -> None:
        states, mask = self.sample()
        fusion = self.build(chosen).eval()
        for given in (mask, None):
            for memory in self.memories(fusion, states, given):
                batch, length = memory.key_source.shape[:2]
                assert memory.key_source.shape == memory.value_source.shape == (2, length, WIDTH)
                assert memory.mask is None or memory.mask.shape == (batch, length)
        assert all(memory.mask is not None for memory in self.memories(fusion, states, mask)), "the mask was lost"

    def test_padding_does_not_reach_real_places(self, chosen: Chosen) -> None:
        states, mask = self.sample()
        fusion = self.build(chosen).eval()
        other = torch.where(mask[:, None, :, None], states, states + 5)
        for before, after in zip(self.memories(fusion, states, mask), self.memories(fusion, other, mask), strict=True):
            assert before.mask is not None
            assert after.mask is not None
            assert torch.equal(before.mask, after.mask)
            real = before.mask.bool()
            close(after.key_source[real], before.key_source[real], 1e-6, "keys of real places")
            close(after.value_source[real], before.value_source[real], 1e-6, "values of real places")

    def test_layers_share_a_memory_where_claimed(self, chosen: Chosen) -> None:
        states, mask = self.sample()
        fusion = self.build(chosen).eval()
        if not fusion.shared_by_layers:
            pytest.skip("not claimed")
        first, *others = self.memories(fusion, states, mask)
        for other in others:
            assert torch.equal(other.key_source, first.key_source)
            assert torch.equal(other.value_source, first.value_source)

    def test_contributions_add_up_to_the_memory(self, chosen: Chosen) -> None:
        """But for one vector that no layer brings; and each term is zero where its layer is omitted."""
        states, mask = self.sample()
        fusion = self.built(chosen)
        assert isinstance(fusion, Fusion)
        given = states if fusion.needs_all_layers else states[:, -1:]
        if fusion.contributions(given, 0) is None:
            pytest.skip("a memory is no sum over layers")
        for layer in range(self.context.decoder_layers):
            terms = fusion.contributions(given, layer)
            assert terms is not None
            assert terms.shape == (given.shape[1], *given.shape[:1], *given.shape[2:])
            whole = fusion.memory(given, mask, layer).value_source
            rest = whole - terms.sum(0)
            close(rest, rest[:1, :1].expand_as(rest), 1e-5, "the memory less its terms, from place to place")
            fusion.omitted = frozenset({self.context.encoder_layers})
            left = fusion.contributions(given, layer)
            assert left is not None
            assert not left[-1].any(), "the last layer was omitted, its term is not zero"
            without = fusion.memory(given, mask, layer).value_source
            assert not torch.allclose(without, whole), "the last layer was omitted, the memory is as before"
            fusion.omitted = frozenset()
