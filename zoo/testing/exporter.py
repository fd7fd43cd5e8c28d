"""What is asked of exporters: a tiny model goes out whole, or is refused before anything is written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from zoo.errors import InputError
from zoo.export.contracts import KEEP, Exporter, Parity, Written
from zoo.registry import use_registry
from zoo.spec.options import Chosen
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings
from zoo.testing.tiny_model import kit_registry, tiny_examples, tiny_model, tiny_tokenizers

NEW_TOKENS = 8


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
        refused = []
        for architecture in ("encoder-decoder", "causal-lm", "prefix-lm"):
            try:
                exporter.refuse(self.model(architecture=architecture))
            except InputError as error:
                refused.append(str(error))
        assert all(text.strip() for text in refused), "an error says what cannot be exported"
        assert len(refused) < 3, "it refuses every model"

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
        with exporter.trials(model) as trial:
            folders = [tmp_path / name for name in ("all", "but-one", "none")]
            for folder in folders:
                folder.mkdir()
            changed = trial((), folders[0]).changed
            if not changed:
                pytest.skip("changes no layer with these options")
            assert len(set(changed)) == len(changed)
            assert set(changed) <= {name for name, _ in model.named_modules()}, "layers have their names in torch"
            assert trial(changed[:1], folders[1]).changed == changed[1:]
            assert trial(changed, folders[2]).changed == ()
        found = [exporter.parity(model, folder, [_batch()], max_new_tokens=NEW_TOKENS) for folder in folders]
        assert found[0].largest_difference > found[2].largest_difference, "its layers are said to be changed"
        assert found[2].largest_difference < 1e-4
        assert found[2].same_outputs == 5
        for one in found:
            assert one.mean_difference is not None
            assert one.divergence is not None
            assert one.mean_difference <= one.largest_difference

    def parity(self, chosen: Chosen, model: Any, folder: Path) -> Parity:
        """The comparison of one batch."""
        return self.build(chosen).parity(model, folder, [_batch()], max_new_tokens=NEW_TOKENS)
