"""Probes as the host runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from zoo.errors import InputError
from zoo.probes.batches import IGNORED, MeanLoss, teacher_forced, token_losses
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.probes.harness import drawn, measure_probes, refuse_unfit
from zoo.probes.options import ProbeOptions
from zoo.registry import Component, RegisteredComponent
from zoo.spec.options import Chosen
from zoo.tasks import Example
from zoo.testing.tiny_model import tiny_examples, tiny_model, tiny_tokenizers


class Told(Probe):
    """Tells what it was given."""

    seen: ProbeContext
    mode: tuple[bool, bool]

    def accept(self, model: Any) -> None:
        if getattr(model, "deaf", False):
            raise InputError("the probe 'told' reads a model that hears")

    def measure(self, context: ProbeContext) -> ProbeResult:
        type(self).seen = context
        type(self).mode = (context.model.training, torch.is_grad_enabled())
        torch.rand(3)  # against the contract: the host shuts it off
        series = Series("step", "value", (0, 1), {"one": (1.0, float("nan"))})
        return ProbeResult(
            {"draw": float(torch.rand((), generator=context.generator)), "bad": float("inf")}, {"s": series}
        )


class Reader(Told):
    """The same of outputs."""

    reads = "outputs"


class Sloped(Told):
    """The same with gradients."""

    needs_gradients = True


def chosen(probe: type[Probe], name: str = "told", **options: Any) -> Chosen:
    record = RegisteredComponent(Component("probe", name, "nowhere:Nothing", "Of a test"), "zoo-test", "0")

    class Made(Chosen):
        def load(self) -> Any:
            return probe

    return Made(record, ProbeOptions(**options))


def measured(*probes: Chosen, model: Any = None, write: Any = None, examples: Sequence[Example] = ()) -> Any:
    return measure_probes(
        model if model is not None else tiny_model(),
        tiny_tokenizers(),
        probes,
        examples or tiny_examples(),
        max_tokens=64,
        write=write or (lambda sample: [example.target.upper() for example in sample]),
        step=7,
    )


def test_names_carry_the_probes_and_numbers_that_are_not_finite_are_left_out() -> None:
    found = measured(chosen(Told), chosen(Reader, "reader"))
    assert set(found.scalars) == {"told.draw", "reader.draw"}
    assert found.series["told.s"].lines == {"one": (1.0, None)}


def test_a_probe_sees_the_model_at_rest_and_the_caller_gets_it_back_as_it_was() -> None:
    model = tiny_model().train()
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    measured(chosen(Told), model=model)
    assert Told.mode == (False, False)
    assert model.training
    assert torch.equal(torch.rand(2), expected)
    measured(chosen(Sloped), model=model)
    assert Sloped.mode == (False, True)
    assert Sloped.seen.step == 7


def test_a_probe_that_fails_leaves_the_mode_as_it_was() -> None:
    class Broken(Told):
        def measure(self, context: ProbeContext) -> ProbeResult:
            raise ValueError("broken")

    model = tiny_model().train()
    with pytest.raises(ValueError, match="broken"):
        measured(chosen(Broken), model=model)
    assert model.training
    assert torch.is_grad_enabled()


def test_a_part_that_rests_while_the_others_train_goes_on_resting() -> None:
    """A frozen encoder, say, whose dropout is off."""
    model = tiny_model().train()
    model.encoder.eval()
    measured(chosen(Told), model=model)
    assert not any(part.training for part in model.encoder.modules())
    assert all(part.training for part in model.decoder.modules())


def test_outputs_are_asked_for_the_sample_alone_and_only_where_they_are_read() -> None:
    asked: list[int] = []

    def write(sample: Sequence[Example]) -> list[str]:
        asked.append(len(sample))
        return [example.id for example in sample]

    measured(chosen(Told), chosen(Reader, max_examples=4), write=write)
    assert asked == [4]
    assert Reader.seen.outputs == tuple(example.id for example in Reader.seen.examples)
    assert Told.seen.outputs is None


def test_a_larger_sample_holds_the_smaller_and_keeps_the_order() -> None:
    examples = tiny_examples(40)
    small, large = drawn(examples, 5, 1), drawn(examples, 20, 1)
    assert set(small) < set(large)
    places = [examples.index(item) for item in large]
    assert places == sorted(places)
    assert drawn(examples, 5, 2) != small
    assert drawn(examples, 99, 1) == examples
    # An example more or less in front moves nothing.
    assert set(drawn(examples[1:], 39, 1)) == set(examples[1:])


def test_special_and_tag_ids_are_told_apart() -> None:
    measured(chosen(Told))
    tokenizer = tiny_tokenizers().source
    assert Told.seen.special_ids == {0, 1, 2, 3}
    assert Told.seen.tag_ids == set(tokenizer.convert_tokens_to_ids(["<2formal>", "<2plain>"]))


def test_a_model_that_a_probe_cannot_read_is_refused() -> None:
    model = tiny_model()
    refuse_unfit(model, [chosen(Told)])
    model.deaf = True
    with pytest.raises(InputError, match="reads a model that hears"):
        refuse_unfit(model, [chosen(Told)])


def test_batches_are_what_the_model_was_trained_on() -> None:
    model, tokenizers = tiny_model(), tiny_tokenizers()
    batch = teacher_forced(model, tokenizers, tiny_examples(3), max_tokens=7)
    assert batch.input_ids.shape[1] == 7, "cut"
    ids = tokenizers.target(tiny_examples(1)[0].target)["input_ids"]
    assert batch.labels[0].tolist() == ids + [IGNORED] * (batch.labels.shape[1] - len(ids))
    assert batch.decoder_input_ids[0, 1 : len(ids)].tolist() == ids[:-1]
    whole = teacher_forced(model, tokenizers, tiny_examples(3), max_tokens=64)
    logits = model(**whole.inputs()).logits
    loss = MeanLoss()
    loss.add(logits, whole.labels)
    own = model(input_ids=whole.input_ids, attention_mask=whole.attention_mask, labels=whole.labels).loss
    assert loss.value == pytest.approx(float(own.detach()), rel=1e-6)
    assert token_losses(logits, whole.labels)[whole.labels == IGNORED].eq(0).all()
    with pytest.raises(ValueError, match="no tokens"):
        _ = MeanLoss().value


def test_a_line_has_a_value_for_each_place() -> None:
    with pytest.raises(ValueError, match="line 'one' has 1 values for 2 places"):
        Series("a", "u", (1, 2), {"one": (1.0,)})
