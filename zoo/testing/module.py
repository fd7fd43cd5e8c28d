"""What is asked of every component that is a torch module."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from zoo.spec.options import Chosen
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import one_thread, untouched_surroundings

WIDTH = 16


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers that do not touch the global generator."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(actual: Tensor, expected: Tensor, tolerance: float, message: str = "") -> None:
    """Assert that the largest difference is within `tolerance` of the largest expected magnitude (at least 1)."""
    assert actual.shape == expected.shape, f"{message}: shape {tuple(actual.shape)}, expected {tuple(expected.shape)}"
    assert torch.isfinite(actual).all(), f"{message}: not finite"
    if actual.numel():
        difference = (actual.double() - expected.double()).abs().max().item()
        scale = max(1.0, expected.double().abs().max().item())
        assert difference <= tolerance * scale, f"{message}: differs by {difference:.3g}"


class TorchSuite(ComponentSuite):
    """Tests that compute with torch."""

    @pytest.fixture(autouse=True)
    def _one_thread(self) -> Iterator[None]:
        with one_thread():
            yield


class ModuleSuite(TorchSuite):
    """A kind's suite says how to `build` a module, what to feed it (`sample`) and how to `run` it."""

    inputs_may_be_detached: ClassVar[bool] = False
    """Whether a component of the kind may cut inputs off from the gradient: derivatives are then asked by the
    parameters alone."""

    def build(self, chosen: Chosen) -> nn.Module:
        """The module, as the host builds it."""
        raise NotImplementedError

    def sample(self) -> tuple[Tensor, ...]:
        """Inputs for a batch of two; the first dimension of each is the batch, floating ones are float32."""
        raise NotImplementedError

    def run(self, module: Any, *inputs: Tensor) -> Tensor:
        """Everything the module computes from the inputs, as one tensor with the batch first."""
        raise NotImplementedError

    def built(self, chosen: Chosen, seed: int = 0) -> nn.Module:
        """A module in evaluation mode with the weights of `seed`; the global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.build(chosen).eval()
        # Initial values such as zeros and ones would hide a parameter from every comparison below.
        for index, (_, parameter) in enumerate(module.named_parameters()):
            with torch.no_grad():
                parameter.add_(0.1 * random_tensor(*parameter.shape, seed=1000 + index))
        return module

    def test_output_is_finite_and_repeatable(self, chosen: Chosen) -> None:
        module = self.built(chosen)
        first = self.run(module, *self.sample())
        assert torch.isfinite(first).all()
        assert torch.equal(first, self.run(module, *self.sample()))

    def test_each_example_of_a_batch_is_computed_as_if_alone(self, chosen: Chosen) -> None:
        module, inputs = self.built(chosen), self.sample()
        together = self.run(module, *inputs)
        for row in range(2):
            alone = self.run(module, *(item[row : row + 1] for item in inputs))
            close(alone, together[row : row + 1], 1e-5, f"example {row} alone and in a batch")

    def test_gradients_are_finite_and_reach_every_parameter(self, chosen: Chosen) -> None:
        module = self.built(chosen)
        inputs = tuple(item.requires_grad_() if item.is_floating_point() else item for item in self.sample())
        output = self.run(module, *inputs)
        (output * random_tensor(*output.shape, seed=7)).sum().backward()  # type: ignore[no-untyped-call]
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None, f"no gradient reaches {name}"
                assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
        for index, item in enumerate(inputs):
            if item.is_floating_point():
                assert item.grad is not None, f"no gradient reaches input {index}"
                assert torch.isfinite(item.grad).all(), f"the gradient of input {index} is not finite"

    def test_gradients_are_the_derivatives(self, chosen: Chosen) -> None:
        """torch's gradcheck in float64, by one random direction; only where there are parameters to learn.

        The trait ``gradient: estimated`` says that what flows back is not the derivative by design (straight-through
        estimators); then this is not asked. Computing in float32 whatever comes in is no such reason: promote instead.
        """
        extent = self.registered().traits.get("gradient", "exact")
        assert extent in {"exact", "estimated"}, f"trait 'gradient' is {extent!r}, expected exact or estimated"
        module = self.built(chosen).double()
        names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
        if extent == "estimated" or not names:
            pytest.skip("the record says that gradients are estimated" if names else "no parameters")
        inputs = tuple(item.double() if item.is_floating_point() else item for item in self.sample())
        if not self.inputs_may_be_detached:
            inputs = tuple(item.requires_grad_() if item.is_floating_point() else item for item in inputs)
        weights = [module.get_parameter(name).detach().requires_grad_() for name in names]
        runner = _Runner(self, module)

        def value(*given: Tensor) -> Tensor:
            held = {f"module.{name}": weight for name, weight in zip(names, given, strict=False)}
            output: Tensor = functional_call(runner, held, given[len(names) :])
            return output

        assert torch.autograd.gradcheck(value, (*weights, *inputs), fast_mode=True, atol=1e-4)

    def test_inputs_are_left_as_they_were(self, chosen: Chosen) -> None:
        inputs = self.sample()
        before = [item.clone() for item in inputs]
        with torch.no_grad():
            self.run(self.built(chosen), *inputs)
        for index, (item, kept) in enumerate(zip(inputs, before, strict=True)):
            assert torch.equal(item, kept), f"input {index} was written to"

    def test_running_leaves_global_state_alone(self, chosen: Chosen) -> None:
        module = self.built(chosen)
        with untouched_surroundings():
            self.run(module, *self.sample())

    def test_same_seed_gives_same_weights(self, chosen: Chosen) -> None:
        with untouched_surroundings():
            first, second = self.built(chosen, seed=3), self.built(chosen, seed=3)
        for (name, weight), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
            assert torch.equal(weight, other), f"{name} does not come from torch's generator alone"

    def test_state_dict_restores_the_module(self, chosen: Chosen) -> None:
        module = self.built(chosen, seed=1)
        other = self.built(chosen, seed=2)
        other.load_state_dict(copy.deepcopy(module.state_dict()))
        assert torch.equal(self.run(other, *self.sample()), self.run(module, *self.sample()))

    def test_state_dict_restores_a_module_made_on_the_meta_device(self, chosen: Chosen) -> None:
        """How transformers loads a model: whatever is not in the state dict is garbage."""
        module = self.built(chosen, seed=1)
        with torch.device("meta"):
            empty = self.build(chosen)
        empty = empty.to_empty(device="cpu").eval()
        with torch.no_grad():
            for tensor in (*empty.parameters(), *empty.buffers()):
                tensor.fill_(float("nan") if tensor.is_floating_point() else 1)
        empty.load_state_dict(module.state_dict())
        kept = set(module.state_dict())
        lost = [name for name, _ in module.named_buffers() if name not in kept]
        message = f"buffers outside the state dict are lost: {', '.join(lost)}" if lost else "restored"
        close(self.run(empty, *self.sample()), self.run(module, *self.sample()), 0.0, message)

    def test_no_value_is_read_off_the_device(self, chosen: Chosen) -> None:
        """On an accelerator each such reading waits for everything that was asked of it before; here it fails.

        A check that only a CPU does (``if x.device.type == "cpu"``) is no such reading.
        """
        with torch.device("meta"):
            module = self.build(chosen).eval()
        output = self.run(module, *(item.to("meta") for item in self.sample()))
        assert output.device.type == "meta", "the output left the device of the input"

    def test_copies_are_independent(self, chosen: Chosen) -> None:
        module = self.built(chosen)
        before = self.run(module, *self.sample()).detach().clone()
        twin = copy.deepcopy(module)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.zero_()
        assert torch.equal(self.run(module, *self.sample()), before)

    def test_bfloat16_agrees_with_float32(self, chosen: Chosen) -> None:
        module = self.built(chosen)
        expected = self.run(module, *self.sample())
        halved = tuple(item.bfloat16() if item.is_floating_point() else item for item in self.sample())
        output = self.run(self.built(chosen).bfloat16(), *halved)
        assert output.dtype == torch.bfloat16, f"bfloat16 in, {output.dtype} out"
        close(output, expected, 0.05, "bfloat16 against float32")


class _Runner(nn.Module):
    """A suite's way of running a module, as a module itself."""

    def __init__(self, suite: ModuleSuite, module: nn.Module) -> None:
        super().__init__()
        self.suite, self.module = suite, module

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.suite.run(self.module, *inputs)
