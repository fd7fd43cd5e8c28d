"""What is asked of every component of a model, whatever its kind: a small model with it in its slot must behave."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import pytest
import torch
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.models import ZooForConditionalGeneration
from zoo.models._compat import CACHE, new_cache
from zoo.registry import use_registry
from zoo.spec import ModelSection
from zoo.spec.options import SLOT_MARK, Chosen
from zoo.testing.module import TorchSuite, close, random_tensor
from zoo.testing.plain import DISTRIBUTION, LONGEST, SECTION, VOCABULARY, plain_model, with_plain_components
from zoo.testing.surroundings import untouched_surroundings

SOURCES: tuple[tuple[int, ...], ...] = ((5, 9, 4, 7, 11, 6), (8, 13, 10, 5))
CONTEXTS: tuple[tuple[int, ...], ...] = ((12, 6, 9), (7, 5, 14, 8, 10))
TARGETS: tuple[tuple[int, ...], ...] = ((0, 6, 12, 9, 5), (0, 14, 7))
PAD = 0
COMPILATIONS = ("whole", "parts", "none")
TOLERANCE = 3e-5

Moved = TypeVar("Moved", bound=nn.Module)
PaddingSide = Literal["left", "right"]
Rows = Sequence[Sequence[int]]


class InAModel(TorchSuite):
    """Inherited by a kind whose components have a slot in the model section, with `ModuleSuite` where they are modules.

    The slot is found by the kind; a kind whose slot is not in the model section or in the options of a plain component
    sets `slot`. The other slots hold the plain components of the kit. Three things a component may be unable to do,
    and says so:

    - its trait ``compile``: ``whole`` where absent (torch.compile makes one graph of the model), ``parts`` (it compiles
      with breaks), ``none``;
    - a position scheme's `position_limit`: longer sentences are an InputError instead of finite numbers;
    - its trait ``gradient: estimated``: what flows back is by design not the derivative (straight-through estimators).
    """

    slot: ClassVar[str] = ""
    """Dotted path of the component's slot in the model section, such as ``feedforward.activation``."""

    half_scores: ClassVar[tuple[torch.dtype, ...]] = (torch.bfloat16,)
    """Types of the scores that a model in bfloat16 may give."""

    compiled_layers: ClassVar[int] = 1
    """Layers of encoder and decoder in the model that is compiled. Each is traced alike: what joins layers sets two."""

    def section(self, chosen: Chosen) -> dict[str, Any]:
        """The model section with the component in its slot, as plain data. A kind that needs more around it adds to
        it here."""
        plain: dict[str, Any] = dict(SECTION)
        *above, last = (self.slot or slot_of(self.kind)).split(".")
        place = plain
        for step in above:
            inner = place.get(step, {})
            place[step] = {"use": inner} if isinstance(inner, str) else dict(inner)
            place = place[step]
        place[last] = chosen.plain()
        return plain

    def model(self, chosen: Chosen, **changes: Any) -> ZooForConditionalGeneration:
        """A small model with the component in its slot, in evaluation mode; no weight is as it was initialised."""
        return moved(plain_model(**{**self.section(chosen), **changes}))

    def inputs(
        self,
        model: ZooForConditionalGeneration,
        rows: Sequence[int] = (0, 1),
        *,
        source_side: PaddingSide = "right",
        target_side: PaddingSide = "right",
        sources: Rows = SOURCES,
        targets: Rows = TARGETS,
    ) -> dict[str, Tensor]:
        """The arguments of a pass over some of the sentences, padded to the longest of them on either side."""
        names = ("input_ids", "attention_mask"), ("decoder_input_ids", "decoder_attention_mask")
        found = dict(zip(names[0], padded([sources[row] for row in rows], source_side), strict=True))
        found |= dict(zip(names[1], padded([targets[row] for row in rows], target_side), strict=True))
        if model.reads_context:
            context = padded([CONTEXTS[row] for row in rows], source_side)
            found |= dict(zip(("context_input_ids", "context_attention_mask"), context, strict=True))
        return found

    def logits(self, model: ZooForConditionalGeneration, inputs: dict[str, Tensor]) -> list[Tensor]:
        """The logits ``[T, V]`` of each row's real target tokens."""
        with torch.no_grad():
            output = model(**inputs, use_cache=False).logits  # [B, T, V]
        return [row[real.bool()] for row, real in zip(output, inputs["decoder_attention_mask"], strict=True)]

    def stepped(self, model: ZooForConditionalGeneration, inputs: dict[str, Tensor]) -> Tensor:
        """The logits ``[B, T, V]`` of unpadded targets, token by token from a cache."""
        given = {name: item for name, item in inputs.items() if not name.startswith("decoder_")}
        cache, steps = new_cache(), []
        with torch.no_grad():
            for index in range(inputs["decoder_input_ids"].shape[1]):
                token = inputs["decoder_input_ids"][:, index : index + 1]  # [B, 1]
                piece = {"decoder_input_ids": token, CACHE: cache}
                steps.append(model(**given, **piece, use_cache=True).logits)
        return torch.cat(steps, dim=1)  # [B, T, V]

    def test_in_a_model_cached_decoding_equals_one_pass(self, chosen: Chosen) -> None:
        """Token by token from the cache, the decoder gives what it gives of the whole target at once."""
        model = self.model(chosen)
        inputs = self.inputs(model, targets=(TARGETS[0], TARGETS[0]))
        whole = torch.stack(self.logits(model, inputs))  # [B, T, V]
        close(self.stepped(model, inputs), whole, TOLERANCE, "cached against one pass")

    def test_in_a_model_beams_do_not_depend_on_the_cache(self, chosen: Chosen) -> None:
        """Beam search repeats, reorders and drops rows of what was cached."""
        model = self.model(chosen)
        inputs = self.inputs(model)
        for name in ("decoder_input_ids", "decoder_attention_mask"):
            del inputs[name]
        options = {
            "num_beams": 3,
            "num_return_sequences": 3,
            "max_new_tokens": 4,
            "min_new_tokens": 4,
            "do_sample": False,
            "return_dict_in_generate": True,
            "output_scores": True,
        }
        cached, uncached = (
            model.generate(**inputs, **options, use_cache=use).sequences_scores for use in (True, False)
        )  # [B * 3] each
        close(cached, uncached, TOLERANCE, "the beams' scores with and without the cache")

    def test_in_a_model_each_sentence_of_a_batch_is_computed_as_if_alone(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        together = self.logits(model, self.inputs(model))
        for row, expected in enumerate(together):
            (alone,) = self.logits(model, self.inputs(model, [row]))
            close(alone, expected, TOLERANCE, f"sentence {row} alone and in a batch")

    @pytest.mark.parametrize(("source_side", "target_side"), [("left", "right"), ("right", "left")])
    def test_in_a_model_left_padding_is_right_padding(
        self, chosen: Chosen, source_side: PaddingSide, target_side: PaddingSide
    ) -> None:
        model = self.model(chosen)
        right = self.logits(model, self.inputs(model))
        left = self.logits(model, self.inputs(model, source_side=source_side, target_side=target_side))
        for row in range(2):
            close(left[row], right[row], TOLERANCE, f"sentence {row} padded left and right")

    def test_in_a_model_a_sentence_of_one_token_will_do(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        sources, targets = (SOURCES[0], (9,)), (TARGETS[0], (0,))
        together = self.logits(model, self.inputs(model, sources=sources, targets=targets))
        (alone,) = self.logits(model, self.inputs(model, [1], sources=sources, targets=targets))
        close(alone, together[1], TOLERANCE, "one token alone and in a batch")

    def test_in_a_model_an_empty_source_gives_finite_numbers(self, chosen: Chosen) -> None:
        """A row of padding alone: an empty text, or the absent context of a first sentence."""
        model = self.model(chosen)
        inputs = self.inputs(model)
        expected = self.logits(model, inputs)[0]
        for name in ("attention_mask", "context_attention_mask"):
            if name in inputs:
                inputs[name][1] = 0
        output = model(**inputs, use_cache=False).logits
        close(output[0], expected, TOLERANCE, "the sentence beside an empty one")
        assert torch.isfinite(output).all(), "an empty source gives numbers that are not finite"
        output.sum().backward()
        refuse_gradients_that_are_not_finite(model)

    @pytest.mark.parametrize("long", ["source", "target"])
    def test_in_a_model_longer_sentences_than_any_trained_on_are_finite_or_refused(
        self, chosen: Chosen, long: str
    ) -> None:
        """Refused with InputError where a position scheme says that it ends (`position_limit`), and only there."""
        model = self.model(chosen)
        length = LONGEST + 9
        row = tuple(itertools.islice(itertools.cycle(range(4, VOCABULARY)), length))
        inputs = self.inputs(
            model, [0], sources=(row,) if long == "source" else SOURCES, targets=(row,) if long == "target" else TARGETS
        )
        limit = (model.encoder if long == "source" else model.decoder).position.position_limit
        if limit is not None and limit < length:
            with pytest.raises(InputError, match=rf"\b{limit}\b"):
                self.logits(model, inputs)
        else:
            assert torch.isfinite(self.logits(model, inputs)[0]).all(), f"{length} tokens give no finite numbers"

    def test_in_a_model_bfloat16_stays_finite(self, chosen: Chosen) -> None:
        model = self.model(chosen).to(torch.bfloat16)
        output = model(**self.inputs(model), use_cache=False).logits
        assert output.dtype in self.half_scores, f"bfloat16 weights, {output.dtype} logits"
        assert torch.isfinite(output).all(), "logits in bfloat16 are not finite"
        output.sum().backward()
        refuse_gradients_that_are_not_finite(model)

    def test_in_a_model_what_was_saved_is_loaded(self, chosen: Chosen, tmp_path: Path) -> None:
        model = self.model(chosen)
        expected = self.logits(model, self.inputs(model))
        with use_registry(with_plain_components()):
            model.save_pretrained(tmp_path)
            with untouched_surroundings():
                loaded = ZooForConditionalGeneration.from_pretrained(tmp_path).eval()
        for row, logits in enumerate(self.logits(loaded, self.inputs(loaded))):
            assert torch.equal(logits, expected[row]), "a loaded model computes something else than the saved one"

    @pytest.mark.slow
    def test_in_a_model_torch_compile_changes_nothing(self, first_chosen: Chosen) -> None:
        """Forwards and backwards, through AOTAutograd; the kernels themselves are torch's business."""
        extent = self.registered().traits.get("compile", "whole")
        assert extent in COMPILATIONS, f"trait 'compile' is {extent!r}, expected one of {', '.join(COMPILATIONS)}"
        if extent == "none":
            pytest.skip("the record says that torch.compile is not supported (trait 'compile')")
        section = self.section(first_chosen)
        stacks = {name: {**section[name], "layers": self.compiled_layers} for name in ("encoder", "decoder")}
        model = self.model(
            first_chosen, **stacks
        ).train()  # the model's dropout is 0; what the component draws is drawn alike
        inputs = self.inputs(model)
        real = inputs["decoder_attention_mask"].bool()  # what a padding token's place holds is nobody's business
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            expected = model(**inputs, use_cache=False).logits[real]  # [tokens, V]
        expected.sum().backward()
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        model.zero_grad(set_to_none=True)
        torch.compiler.reset()
        compiled: Any = torch.compile(model, fullgraph=extent == "whole", backend="aot_eager", dynamic=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            output = compiled(**inputs, use_cache=False).logits[real]  # [tokens, V]
        close(output, expected, TOLERANCE, "compiled")
        output.sum().backward()
        for name, parameter in model.named_parameters():
            before = gradients[name]
            if before is not None:
                assert parameter.grad is not None, f"compiled, no gradient reaches {name}"
                close(parameter.grad, before, 10 * TOLERANCE, f"compiled, the gradient of {name}")


def moved(model: Moved) -> Moved:
    """`model` in evaluation mode, every weight somewhat off its initial value: initial zeros and ones would hide a gate
    or a gain from every comparison."""
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            parameter.add_(0.1 * random_tensor(*parameter.shape, seed=2000 + index))
    return model.eval()


@cache  # of no registry: the answer lies in the model section and the kit's own components. Schemas take long.
def slot_of(kind: str) -> str:
    """Dotted path of the first slot of `kind` in the model section, or in the options of a plain component in one.

    Raises ValueError where there is none: a suite then says its `slot` itself.
    """
    registry = with_plain_components()
    schema = ModelSection.model_json_schema()
    nested = {
        f"{name}.": registry.get(name, f"{DISTRIBUTION}/plain-{name}").load_options().model_json_schema()
        for name in _slots(schema)
        if f"plain-{name}" in registry.names(name)
    }
    for prefix, found in {"": schema, **nested}.items():
        path = _slots(found).get(kind)
        if path is not None:
            return prefix + path
    raise ValueError(f"no slot of the model section takes a {kind}: set 'slot' in the suite")


def _slots(schema: dict[str, Any]) -> dict[str, str]:
    """Kind -> dotted path of its first slot; slots of the section itself come before those of its parts."""
    found: dict[str, str] = {}
    parts: list[tuple[str, dict[str, Any]]] = [("", schema)]
    for prefix, part in parts:
        for name, field in part.get("properties", {}).items():
            for choice in (field, *field.get("anyOf", ())):
                if SLOT_MARK in choice:
                    found.setdefault(choice[SLOT_MARK], prefix + name)
                if "$ref" in choice:
                    parts.append((f"{prefix}{name}.", schema["$defs"][choice["$ref"].rpartition("/")[2]]))
    return found


def padded(rows: Rows, side: PaddingSide) -> tuple[Tensor, Tensor]:
    """Token ids and mask ``[B, L]`` of `rows`, padded on `side` to the longest."""
    longest = max(len(row) for row in rows)
    gaps = [longest - len(row) for row in rows]
    ids = [
        [PAD] * gap + [*row] if side == "left" else [*row] + [PAD] * gap for row, gap in zip(rows, gaps, strict=True)
    ]
    mask = [
        [0] * gap + [1] * len(row) if side == "left" else [1] * len(row) + [0] * gap
        for row, gap in zip(rows, gaps, strict=True)
    ]
    return torch.tensor(ids), torch.tensor(mask)


def refuse_gradients_that_are_not_finite(model: nn.Module) -> None:
    """Raise AssertionError where the gradient of a parameter of `model` is not finite."""
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), f"the gradient of {name} is not finite"
