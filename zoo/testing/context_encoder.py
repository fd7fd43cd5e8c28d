"""What is asked of context encoders."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo.models._compat import new_cache, reserve_layers
from zoo.models.attention import CrossAttention
from zoo.models.backends import SDPA
from zoo.models.contracts import Block, Context, ContextEncoder, ContextPlace
from zoo.spec.options import Chosen
from zoo.testing.in_a_model import TARGETS, TOLERANCE, InAModel, PaddingSide, refuse_gradients_that_are_not_finite
from zoo.testing.module import WIDTH, ModuleSuite, close, random_tensor

LAYERS, HEADS = 2, 4


class _PlainBlock(Block):
    """Residual connections alone."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def forward(self, x: Tensor, sublayers: tuple[nn.Module, ...]) -> Tensor:  # type: ignore[override]
        for sublayer in sublayers:
            x = x + sublayer(x)
        return x


class ContextEncoderSuite(InAModel, ModuleSuite):
    """Context encoders: see `zoo.models.contracts.ContextEncoder`."""

    kind: ClassVar[str] = "context-encoder"
    compiled_layers: ClassVar[int] = 2

    def build(self, chosen: Chosen) -> ContextEncoder:
        place = ContextPlace(
            d_model=WIDTH,
            heads=HEADS,
            decoder_layers=LAYERS,
            bias=True,
            dropout=0.0,
            attention_dropout=0.0,
            make_attention=lambda layer: CrossAttention(WIDTH, HEADS, bias=True, dropout=0.0, layer=layer),
            make_norm=lambda: nn.LayerNorm(WIDTH),
            make_feedforward=lambda: nn.Linear(WIDTH, WIDTH),
            make_block=lambda sublayers: _PlainBlock(),
        )
        component: ContextEncoder = chosen.create(place)
        assert isinstance(component, ContextEncoder)
        return component

    def sample(self) -> tuple[Tensor, ...]:
        """States, what a layer found in the source, context states and their mask; the second context is shorter."""
        mask = torch.tensor([[True] * 3, [True] * 2 + [False]])
        states, found = random_tensor(2, 5, WIDTH), random_tensor(2, 5, WIDTH, seed=1)
        return states, found, random_tensor(2, 3, WIDTH, seed=2), mask

    def run(self, module: ContextEncoder, *inputs: Tensor) -> Tensor:
        states, found, context_states, mask = inputs
        return self.entered(module, states, found, Context(context_states, mask))

    def entered(
        self, module: ContextEncoder, states: Tensor, found: Tensor, context: Context | None, cache: object = None
    ) -> Tensor:
        """What the component makes of a context: ``[B, S, D]``, or of all decoder layers ``[B, K * T, D]``."""
        if module.where == "encoder":
            # What a decoder layer found is added, so that gradients reach every input of the suite.
            return module.merge(states, None, context, SDPA) + found
        if context is None:
            return found.repeat(1, LAYERS, 1)
        layers = [module.attend(layer, states, found, context, SDPA, cache) for layer in range(LAYERS)]
        return torch.cat(layers, dim=1)

    def test_in_a_model_an_empty_context_is_none(self, chosen: Chosen) -> None:
        """A row without a real context token gives what a model gives that is handed no context, with finite gradients,
        whatever the other rows have; the first sentence of a text has none before it."""
        model = self.model(chosen)
        inputs = self.inputs(model)
        beside = self.logits(model, inputs)[0]
        bare = {name: item for name, item in inputs.items() if not name.startswith("context_")}
        without = self.logits(model, bare)[1]
        sides: tuple[PaddingSide, ...] = ("right", "left")
        for side in sides:
            padded = self.inputs(model, source_side=side)
            padded["context_attention_mask"][1] = 0
            kept, empty = self.logits(model, padded)
            close(kept, beside, TOLERANCE, f"the sentence beside one without context, padded {side}")
            close(empty, without, TOLERANCE, f"an empty context padded {side}, against none")
        inputs["context_attention_mask"].zero_()
        output = model(**inputs, use_cache=False).logits
        output.sum().backward()
        refuse_gradients_that_are_not_finite(model)

    def test_in_a_model_cached_decoding_knows_who_has_a_context(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        inputs = self.inputs(model, targets=(TARGETS[0], TARGETS[0]))
        inputs["context_attention_mask"][1] = 0
        close(
            self.stepped(model, inputs), torch.stack(self.logits(model, inputs)), TOLERANCE, "cached against one pass"
        )

    def component_of(self, chosen: Chosen) -> ContextEncoder:
        """The built component, typed."""
        module = self.built(chosen)
        assert isinstance(module, ContextEncoder)
        return module

    def test_it_says_where_the_context_enters(self, chosen: Chosen) -> None:
        assert self.component_of(chosen).where in {"encoder", "decoder"}

    def test_the_context_matters(self, chosen: Chosen) -> None:
        module, (states, found, context, mask) = self.component_of(chosen), self.sample()
        other = self.run(module, states, found, context.flip(-1), mask)
        assert not torch.allclose(other, self.run(module, states, found, context, mask), atol=1e-3)

    def test_hidden_context_tokens_do_not_count(self, chosen: Chosen) -> None:
        module, (states, found, context, mask) = self.component_of(chosen), self.sample()
        other = torch.where(mask[..., None], context, context + 5)
        close(
            self.run(module, states, found, other, mask),
            self.run(module, states, found, context, mask),
            1e-6,
            "hidden context tokens changed",
        )

    def test_an_example_without_context_is_as_without_an_encoder_of_it(self, chosen: Chosen) -> None:
        module, (states, found, context, mask) = self.component_of(chosen), self.sample()
        mask = mask & torch.tensor([[True], [False]])
        mixed = self.run(module, states, found, context, mask)
        plain = self.entered(module, states, found, None)
        close(mixed[1], plain[1], 1e-6, "an example without context in a batch with one")
        whole = self.run(module, *self.sample())
        close(mixed[0], whole[0], 1e-6, "the example beside it")

    def test_no_gradient_is_lost_to_an_empty_context(self, chosen: Chosen) -> None:
        """A NaN that is not chosen is a NaN in the gradient all the same."""
        module, (states, found, context, mask) = self.component_of(chosen), self.sample()
        states.requires_grad_()
        self.run(module, states, found, context, torch.zeros_like(mask)).sum().backward()  # type: ignore[no-untyped-call]
        assert states.grad is None or torch.isfinite(states.grad).all()
        for name, parameter in module.named_parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all(), f"the gradient of {name}"

    def test_one_context_token_will_do(self, chosen: Chosen) -> None:
        module, (states, found, context, _) = self.component_of(chosen), self.sample()
        alone = self.entered(module, states, found, Context(context[:, :1], None))
        masked = torch.tensor([[True, False, False]] * 2)
        close(self.run(module, states, found, context, masked), alone, 1e-6, "one context token")

    def test_cached_decoding_equals_one_pass(self, chosen: Chosen) -> None:
        module, (states, found, context, mask) = self.component_of(chosen), self.sample()
        whole = self.run(module, states, found, context, mask)
        if module.where == "encoder":
            return
        cache, steps = new_cache(), []
        reserve_layers(cache.cross_attention_cache, 2 * LAYERS)
        for t in range(states.shape[1]):
            piece = slice(t, t + 1)
            steps.append(self.entered(module, states[:, piece], found[:, piece], Context(context, mask), cache))
        stepped = torch.stack(steps, dim=2).flatten(1, 2)  # [B, K * T, D]
        close(stepped, whole, 1e-5, "cached against one pass")
        for layer in range(LAYERS):
            assert not cache.is_updated.get(layer), "the keys of the attention to the source were taken"
