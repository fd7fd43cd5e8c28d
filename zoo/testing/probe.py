"""What is asked of probes: numbers that say what they are, and a model that is left as it was."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch

from zoo.errors import InputError
from zoo.models.tokenizers import Tokenizers
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.probes.harness import drawn, measured
from zoo.spec.options import Chosen
from zoo.tasks import Example
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings
from zoo.testing.tiny_model import tiny_examples, tiny_model, tiny_tokenizers


class ProbeSuite(ComponentSuite):
    """Probes: see `zoo.probes.contracts.Probe`.

    They are tried on a tiny encoder-decoder; for a probe that reads another kind of model, override `model`,
    `tokenizers` and `examples`.
    """

    kind: ClassVar[str] = "probe"

    def model(self) -> Any:
        """A model with initial weights, on the CPU; the same at each call."""
        return tiny_model()

    def tokenizers(self) -> Tokenizers:
        """The tokenizers of `model`."""
        return tiny_tokenizers()

    def examples(self) -> Sequence[Example]:
        """What the probe looks at."""
        return tiny_examples()

    def outputs(self, sample: Sequence[Example]) -> list[str]:
        """What the model is taken to have written for each example."""
        return [example.target for example in sample]

    def measure(self, chosen: Chosen, model: Any, examples: Sequence[Example] | None = None) -> ProbeResult:
        """What the probe finds, as the host measures it."""
        probe = chosen.create()
        assert isinstance(probe, Probe)
        probe.accept(model)
        given = self.examples() if examples is None else examples
        return measured(model, self.tokenizers(), chosen, given, max_tokens=64, write=self.outputs)

    def test_it_finds_something_and_says_what(self, chosen: Chosen) -> None:
        found = self.measure(chosen, self.model())
        assert isinstance(found, ProbeResult)
        assert found.scalars or found.series, "the probe found nothing"
        for name in (*found.scalars, *found.series):
            assert name, "a name is empty"
            assert name == name.strip(), f"{name!r} has space around it"
        for name, value in found.scalars.items():
            assert math.isfinite(float(value)), f"{name} is {value}"
        for name, series in found.series.items():
            assert isinstance(series, Series)
            assert series.axis.strip(), f"{name}: the axis says what the places are"
            assert series.unit.strip(), f"{name}: the unit says what the values are"
            assert series.x, f"{name} has no places"
            assert series.lines, f"{name} has no lines"
            kinds = {isinstance(place, str) for place in series.x}
            assert len(kinds) == 1, f"{name}: places are numbers or names, not both"
        json.dumps(_plain(found), allow_nan=False)

    def test_measuring_again_finds_the_same(self, chosen: Chosen) -> None:
        model = self.model()
        assert _plain(self.measure(chosen, model)) == _plain(self.measure(chosen, model))

    def test_the_model_is_left_as_it_was(self, chosen: Chosen) -> None:
        for training in (False, True):
            model = self.model().train(training)
            parameter = next(iter(model.parameters()))
            parameter.grad = torch.ones_like(parameter)
            weights, settings = _weights(model), _settings(model)
            self.measure(chosen, model)
            assert _weights(model) == weights, "the probe changed weights or buffers"
            assert [item for item in model.modules() if item.training is not training] == [], "the mode was changed"
            assert torch.equal(parameter.grad, torch.ones_like(parameter)), "a gradient was changed"
            others = [item for item in model.parameters() if item is not parameter]
            assert all(item.grad is None for item in others), "the probe left gradients: use torch.autograd.grad"
            assert all(item.requires_grad for item in model.parameters()), "the probe froze parameters"
            assert _settings(model) == settings, "the probe left hooks, or changed the configuration"

    def test_the_random_state_is_left_as_it_was(self, chosen: Chosen) -> None:
        """Behind the host's back, too: what a probe draws comes from the context's generator."""
        model = self.model()
        with untouched_surroundings():
            self.measure(chosen, model)
        probe: Probe = chosen.create()
        context = ProbeContext(
            model=model,
            tokenizers=self.tokenizers(),
            examples=tuple(self.examples()),
            options=probe.options,
            max_tokens=64,
            generator=torch.Generator().manual_seed(1),
            outputs=tuple(self.outputs(self.examples())) if probe.reads == "outputs" else None,
        )
        with torch.set_grad_enabled(probe.needs_gradients), untouched_surroundings():
            probe.measure(context)

    def test_one_example_is_no_error(self, chosen: Chosen) -> None:
        assert isinstance(self.measure(chosen, self.model(), self.examples()[:1]), ProbeResult)

    @pytest.mark.parametrize("architecture", ["causal-lm", "prefix-lm"])
    def test_a_language_model_is_read_or_refused(self, chosen: Chosen, architecture: str) -> None:
        """By `accept`, before training: not by what goes wrong when it is measured."""
        model, probe = tiny_model(architecture=architecture), chosen.create()
        try:
            probe.accept(model)
        except InputError:
            return
        found = measured(model, tiny_tokenizers(), chosen, tiny_examples(), max_tokens=32, write=self.outputs)
        assert found.scalars or found.series, "the probe accepts a language model, and finds nothing in it"

    def test_max_examples_bounds_the_sample(self, chosen: Chosen) -> None:
        options = chosen.options.model_copy(update={"max_examples": 3})
        bounded = Chosen(chosen.component, options)
        model, examples = self.model(), self.examples()
        sample = drawn(examples, 3, bounded.create().options.sample_seed)
        assert len(sample) == 3
        assert _plain(self.measure(bounded, model)) == _plain(self.measure(bounded, model, sample))


def _plain(found: ProbeResult) -> dict[str, Any]:
    return {
        "scalars": {name: repr(float(value)) for name, value in found.scalars.items()},
        "series": {
            name: [
                series.axis,
                series.unit,
                list(series.x),
                {line: list(map(repr, v)) for line, v in series.lines.items()},
            ]
            for name, series in found.series.items()
        },
    }


def _weights(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _settings(model: Any) -> tuple[Any, ...]:
    hooks = [
        len(getattr(item, name))
        for item in model.modules()
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    ]
    return hooks, model.config.to_json_string(), model.config._attn_implementation
