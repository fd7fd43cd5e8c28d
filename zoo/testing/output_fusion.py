"""What is asked of output fusions."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from zoo.models.contracts import OutputContext, OutputFusion
from zoo.spec.options import Chosen
from zoo.testing.in_a_model import InAModel
from zoo.testing.module import WIDTH, ModuleSuite, close, random_tensor

SOURCE, TARGET, VOCABULARY = 5, 4, 11


class OutputFusionSuite(InAModel, ModuleSuite):
    """Output fusions: see `zoo.models.contracts.OutputFusion`."""

    kind: ClassVar[str] = "output-fusion"
    compiled_layers: ClassVar[int] = 2
    inputs_may_be_detached: ClassVar[bool] = True
    half_scores: ClassVar[tuple[torch.dtype, ...]] = (torch.bfloat16, torch.float32)

    def build(self, chosen: Chosen) -> OutputFusion:
        fusion: OutputFusion = chosen.create(OutputContext(WIDTH))
        assert isinstance(fusion, OutputFusion)
        return fusion

    def sample(self) -> tuple[Tensor, ...]:
        """Decoder states, encoder states, source embeddings and what is visible; the second source is shorter."""
        visible = torch.tensor([[[True] * 5], [[True] * 3 + [False] * 2]])  # [B, 1, S]
        states = (random_tensor(2, length, WIDTH, seed=length) for length in (TARGET, SOURCE))
        return (*states, random_tensor(2, SOURCE, WIDTH, seed=9), visible)

    def run(self, module: Any, *inputs: Tensor, places: Tensor | None = None, all_visible: bool = False) -> Tensor:
        decoder_states, encoder_states, embeddings, visible = inputs
        output = random_tensor(WIDTH, VOCABULARY, seed=20).to(decoder_states)
        inner = random_tensor(WIDTH, WIDTH, seed=21).to(decoder_states)

        def project(x: Tensor) -> Tensor:
            x = x if places is None else x.flatten(0, 1)[places]  # [B, T, D] or [M, D]
            return x @ output

        scores: Tensor = module.combine(
            project(decoder_states),
            decoder_states=decoder_states,
            encoder_states=encoder_states,
            source_embeddings=embeddings,
            visible=None if all_visible else visible,
            feedforward=lambda x: (x @ inner).relu(),
            project=project,
        )
        return scores

    def test_gradients_are_finite_and_reach_every_parameter(self, chosen: Chosen) -> None:
        """Inputs may be cut off from the gradient (Liu et al. 2021 do so with the states)."""
        module = self.built(chosen)
        inputs = tuple(item.requires_grad_() if item.is_floating_point() else item for item in self.sample())
        output = self.run(module, *inputs)
        (output * random_tensor(*output.shape, seed=7)).sum().backward()  # type: ignore[no-untyped-call]
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, f"no gradient reaches {name}"
            assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
        for index, item in enumerate(inputs):
            assert item.grad is None or torch.isfinite(item.grad).all(), f"the gradient of input {index} is not finite"

    def test_bfloat16_agrees_with_float32(self, chosen: Chosen) -> None:
        """Scores may stay in float32: a log-probability rounded to eight bits is a poor loss."""
        inputs = self.sample()
        halved = tuple(item.bfloat16() if item.is_floating_point() else item for item in inputs)
        output = self.run(self.built(chosen).bfloat16(), *halved)
        assert output.dtype in {torch.bfloat16, torch.float32}
        close(output, self.run(self.built(chosen), *inputs), 0.05, "bfloat16 against float32")

    def test_a_score_for_each_token_of_the_vocabulary(self, chosen: Chosen) -> None:
        scores = self.run(self.built(chosen), *self.sample())
        assert tuple(scores.shape) == (2, TARGET, VOCABULARY)

    def test_the_scores_of_chosen_tokens_are_those_of_all(self, chosen: Chosen) -> None:
        """In training only real target tokens are projected."""
        module, places = self.built(chosen), torch.tensor([0, 2, 5])
        whole = self.run(module, *self.sample()).flatten(0, 1)[places]
        close(self.run(module, *self.sample(), places=places), whole, 1e-5, "chosen tokens against all")

    def test_hidden_source_tokens_do_not_count(self, chosen: Chosen) -> None:
        module, (target, source, embeddings, visible) = self.built(chosen), self.sample()
        hidden = ~visible[:, 0, :, None]  # [B, S, 1]
        other = self.run(module, target, source + 5.0 * hidden, embeddings + 5.0 * hidden, visible)
        close(other, self.run(module, target, source, embeddings, visible), 1e-5, "hidden source tokens changed")

    def test_without_a_mask_every_source_token_is_visible(self, chosen: Chosen) -> None:
        module, inputs = self.built(chosen), self.sample()
        everything = (*inputs[:3], torch.ones_like(inputs[3]))
        close(self.run(module, *inputs, all_visible=True), self.run(module, *everything), 1e-6, "no mask")

    def test_each_target_token_may_see_tokens_of_its_own(self, chosen: Chosen) -> None:
        """Packed rows."""
        module, inputs = self.built(chosen), self.sample()
        rows = inputs[3].expand(-1, TARGET, -1)
        close(self.run(module, *inputs[:3], rows), self.run(module, *inputs), 1e-6, "a mask for each target token")

    @pytest.mark.parametrize("length", [1, 3])
    def test_an_empty_source_gives_finite_scores(self, chosen: Chosen, length: int) -> None:
        target, source, embeddings, visible = self.sample()
        cut = (source[:, :length], embeddings[:, :length], torch.zeros_like(visible[..., :length]))
        assert torch.isfinite(self.run(self.built(chosen), target, *cut)).all()

    def test_the_claim_about_the_scores_holds(self, chosen: Chosen) -> None:
        """Log-probabilities are never positive, and never add up to more than one."""
        module = self.built(chosen)
        assert isinstance(module, OutputFusion)
        if not module.log_probabilities:
            pytest.skip("logits")
        assert self.run(module, *self.sample()).logsumexp(-1).max() <= 1e-5
