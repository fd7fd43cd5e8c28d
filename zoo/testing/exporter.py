"""What is asked of exporters: a tiny model goes out whole, or is refused before anything is written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
import torch

from zoo.errors import InputError
from zoo.export.contracts import KEEP, Exporter, Parity, Written
from zoo.export.presets import PRESETS, settled
from zoo.registry import use_registry
from zoo.spec.options import Chosen
from zoo.testing.plain import plain_image_model
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings
from zoo.testing.tiny_model import kit_registry, tiny_examples, tiny_model, tiny_tokenizers

NEW_TOKENS = 8

CLOSENESS = {"float16": 0.01, "bfloat16": 0.05, "int8": 0.1, "int4": 0.5}
"""How far logits may be from the model's, as a share of how far those of an unrelated model are.

Rounding to b bits between -3 and 3 standard deviations errs by 6 / 2^b / sqrt(12) of one: 0.007 with 8 bits, 0.11 with
4; float16 errs by 0.0003 of a number, bfloat16 by 0.002. A product of rounded weights and activations errs by sqrt(2)
of that, and n products behind each other by sqrt(n) of one. The tiny model has about ten: 0.03, 0.35 (activations have
8 bits there, too), 0.001 and 0.009. More is allowed, as its layers are small, but never what an unrelated model comes
near to.
"""


@cache
def _batch() -> dict[str, Any]:
    """Sources of several lengths, encoded."""
    texts = [example.source for example in tiny_examples(5)]
    encoded = tiny_tokenizers().source(texts, padding=True, return_tensors="pt")
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


class ExporterSuite(ComponentSuite):
    """Exporters: see `zoo.export.contracts.Exporter`."""

    kind: ClassVar[str] = "exporter"

    def model(self, seed: int = 3, architecture: str = "encoder-decoder") -> Any:
        """A tiny model, of the kit's own components, but for those that the record's trait ``components`` names by
        their slots: what an exporter writes that has a form for some components only."""
        return tiny_model(seed, architecture, self.registered().traits.get("components"))

    @pytest.fixture(autouse=True)
    def _components_of_the_model(self) -> Iterator[None]:
        """The tiny model is made of the kit's own, which no plugin brings."""
        with use_registry(kit_registry()):
            yield

    def build(self, chosen: Chosen) -> Exporter:
        """The exporter, as the host builds it."""
        exporter: Exporter = chosen.create()
        assert isinstance(exporter, Exporter)
        return exporter

    def export(self, chosen: Chosen, model: Any, folder: Path) -> Written:
        """What the host asks for; a model that the exporter refuses is skipped."""
        exporter = self.build(chosen)
        try:
            exporter.refuse(model)
        except InputError as error:
            pytest.skip(f"refuses a plain encoder-decoder: {error}")
        return exporter.write(model, folder, tiny_tokenizers())

    def test_a_model_that_it_cannot_say_is_refused_by_name_and_any_other_is_not(self, chosen: Chosen) -> None:
        exporter = self.build(chosen)
        models = [self.model(architecture=name) for name in ("encoder-decoder", "causal-lm", "prefix-lm")]
        models += [plain_image_model(name).eval() for name in ("image-to-text", "image-ctc")]
        refused = []
        for model in models:
            try:
                exporter.refuse(model)
            except InputError as error:
                refused.append(str(error))
        assert all(text.strip() for text in refused), "an error says what cannot be exported"
        assert len(refused) < len(models), "it refuses every model"

    @pytest.mark.slow
    def test_what_is_written_computes_what_the_model_does(self, chosen: Chosen, tmp_path: Path) -> None:
        """Files are told as they are; model and global state are left alone; another model is told from it."""
        model = self.model()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with untouched_surroundings():
            written = self.export(chosen, model, tmp_path)
        assert written.sizes == {file.name: file.stat().st_size for file in tmp_path.iterdir()}
        assert all(size > 0 for size in written.sizes.values())
        assert written.versions
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
        assert not model.training
        found = self.parity(chosen, model, tmp_path)
        assert found.examples == 5
        assert math.isfinite(found.largest_difference)
        if not written.changed:
            assert found.same_outputs == 5, "what is in float32 throughout writes what the model does"
            assert found.largest_difference < 1e-4
        assert self.parity(chosen, self.model(seed=4), tmp_path).largest_difference > 1e-2

    @pytest.mark.slow
    def test_layers_that_it_changes_are_told_and_can_be_kept(self, chosen: Chosen, tmp_path: Path) -> None:
        """What it takes to find the layers that do harm: names that the model knows, and trials with others kept."""
        exporter, model = self.build(chosen), self.model()
        if not exporter.keeps:
            pytest.skip(f"has no option '{KEEP}': it changes no layers, or all of them")
        if exporter.exact() is None:
            pytest.skip("changes no layer with these options")
        with exporter.trials(model) as trial:
            folders = [tmp_path / name for name in ("all", "but-one", "none")]
            for folder in folders:
                folder.mkdir()
            changed = trial((), folders[0]).changed
            assert changed, "layers that are in fewer bits are told"
            assert len(set(changed)) == len(changed)
            assert set(changed) <= {name for name, _ in model.named_modules()}, "layers have their names in torch"
            assert trial(changed[:1], folders[1]).changed == changed[1:]
            assert trial(changed, folders[2]).changed == ()
        found = [exporter.parity(model, folder, [_batch()], max_new_tokens=NEW_TOKENS) for folder in folders]
        for one in found:
            assert one.mean_difference is not None
            assert one.divergence is not None
            assert one.mean_difference <= one.largest_difference
        assert found[0].largest_difference > 0, "its layers are said to be changed"
        # What lies between layers may have fewer bits still.
        assert found[2].divergence is not None
        assert found[2].divergence < 1e-5
        assert found[2].same_outputs == 5

    @pytest.mark.parametrize("preset", PRESETS)
    def test_every_preset_makes_options_that_it_takes(self, chosen: Chosen, preset: str) -> None:
        settled_as, _, decisions = settled(replace(chosen, options=type(chosen.options)()), preset, "avx2")
        self.build(settled_as)
        for decision in decisions:
            assert decision.reason
            assert decision.source
            taken = getattr(settled_as.options, decision.what, decision.value)
            assert taken == decision.value, "what is told is what is taken"

    @pytest.mark.slow
    def test_weights_of_fewer_bits_give_logits_as_close_as_rounding_allows(
        self, chosen: Chosen, tmp_path: Path
    ) -> None:
        """Each precision that it has opens and runs. Measured by how far the logits of a model with other weights are:
        see `CLOSENESS`."""
        if chosen.options.model_fields_set:
            pytest.skip("what each precision is held to is asked once, of the defaults")
        options = type(chosen.options)
        field = options.model_fields.get("weights")
        precisions = [name for name in CLOSENESS if field is not None and name in get_args(field.annotation)]
        if not precisions:
            pytest.skip("has no option 'weights'")
        model, other = self.model(), self.model(seed=4)
        written: Path | None = None
        for name in precisions:
            exporter = self.build(replace(chosen, options=options.model_validate({"weights": name})))
            folder = tmp_path / name
            folder.mkdir()
            exact = exporter.exact()
            if exact is None:
                told = exporter.write(model, folder, tiny_tokenizers())
            else:
                if written is None:
                    written = tmp_path / "exact"
                    written.mkdir()
                    exact.write(model, written, tiny_tokenizers())
                told = exporter.write_reduced(model, written, folder, tiny_tokenizers())
            assert told.weights == name
            assert told.changed
            found, far = (
                exporter.parity(which, folder, [_batch()], max_new_tokens=NEW_TOKENS) for which in (model, other)
            )
            assert found.mean_difference is not None
            assert far.mean_difference is not None
            assert 0 < found.mean_difference < CLOSENESS[name] * far.mean_difference, name

    def parity(self, chosen: Chosen, model: Any, folder: Path) -> Parity:
        """The comparison of one batch."""
        return self.build(chosen).parity(model, folder, [_batch()], max_new_tokens=NEW_TOKENS)
