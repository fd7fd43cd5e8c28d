"""Evaluating and measuring models that read images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.bench.smoke import smoke
from zoo.errors import InputError
from zoo.measure.evaluate import evaluate
from zoo.measure.generation import generate_outputs
from zoo.measure.likelihoods import target_likelihoods
from zoo.measure.performance import probe_request
from zoo.measure.probe import ProbeRequest
from zoo.measure.reading import ImageReader, key_of_source, source_of
from zoo.measure.step_report import Shape, step_costs
from zoo.models.tokenizers import Tokenizers
from zoo.probes.harness import refuse_unfit
from zoo.registry import use_registry
from zoo.spec import Spec
from zoo.tasks import DataHome, Example, PixelImage
from zoo.testing.glyphs import with_glyphs
from zoo.training import prepare
from zoo.training.building import assemble_for
from zoo.training.watch.vocabulary_report import vocabulary_report

MakeSpec = Callable[..., Spec]
LIMIT = 512
CPU = torch.device("cpu")
CTC = {
    "model.architecture": "image-ctc",
    "model.decoder": None,
    "model.position": None,
    "model.fusion": None,
    "model.tie_embeddings": "none",
}


@dataclass(frozen=True)
class Recogniser:
    spec: Spec
    model: Any
    tokenizers: Tokenizers
    examples: tuple[Example, ...]


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_glyphs()):
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def untrained(_registered: None, glyph_spec: MakeSpec, home: DataHome) -> Recogniser:
    spec = glyph_spec()
    prepared = prepare(spec, home)
    # In double precision no two logits tie, so that batched and single decoding must agree letter for letter.
    model = assemble_for(spec, prepared).double()
    return Recogniser(spec, model, prepared.tokenizers, tuple(prepared.task.examples("test")))


def test_an_image_is_read_alike_alone_and_among_others(untrained: Recogniser, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = ImageReader.encoded
    sizes: list[tuple[int, ...]] = []

    def doubled(self: ImageReader, *args: Any, **options: Any) -> dict[str, Any]:
        found = encoded(self, *args, **options)
        sizes.append(tuple(found["pixel_values"].shape[:2]))
        return {**found, "pixel_values": found["pixel_values"].double()}

    monkeypatch.setattr(ImageReader, "encoded", doubled)
    sources = [source_of(example) for example in untrained.examples]
    outputs = []
    for size in (1, 8):
        decoding = untrained.spec.decoding.model_copy(update={"batch_size": size})
        found = generate_outputs(untrained.model, untrained.tokenizers, sources, decoding, max_source_tokens=LIMIT)
        outputs.append(found.outputs)
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0])) > 1, "the model writes the same of every image: nothing is compared"
    patches = [len(example.target) + 1 for example in untrained.examples]
    assert [count for _, count in sizes[: len(sources)]] == sorted(patches, reverse=True)


def test_likelihoods_are_those_of_the_models_own_loss(
    untrained: Recogniser, glyph_spec: MakeSpec, home: DataHome
) -> None:
    model = assemble_for(untrained.spec, prepare(untrained.spec, home)).eval()
    examples = [replace(example, contrasts=(example.target[::-1] + "a",)) for example in untrained.examples[:3]]
    found = target_likelihoods(model, untrained.tokenizers, examples, batch_size=4, max_tokens=LIMIT)
    for example, scores in zip(examples, found, strict=True):
        assert example.image is not None
        inputs = model.image_processor([example.image.load()])
        for text, score in zip((example.target, *example.contrasts), scores, strict=True):
            labels = untrained.tokenizers.target(text, return_tensors="pt")["input_ids"]
            loss = model(**inputs, labels=labels, num_items_in_batch=1).loss
            assert score == pytest.approx(-float(loss.detach()), rel=1e-5)


def test_samples_name_images_and_hold_no_pixels(untrained: Recogniser) -> None:
    model = untrained.model.float()
    found = evaluate(model, untrained.tokenizers, untrained.examples, untrained.spec)
    assert found.sources == tuple(example.source for example in untrained.examples)
    assert {type(value) for sample in found.samples for value in vars(sample).values()} == {str, type(None)}


def test_examples_that_hold_texts_are_refused(untrained: Recogniser) -> None:
    texts = [replace(example, image=None) for example in untrained.examples]
    with pytest.raises(InputError, match="examples are of the kind 'text', but the model"):
        evaluate(untrained.model, untrained.tokenizers, texts, untrained.spec)


def test_probes_that_read_source_texts_are_refused_by_name(glyph_spec: MakeSpec, untrained: Recogniser) -> None:
    spec = glyph_spec(**{"evaluation.probes": ["repetition", "reversal"]})
    refuse_unfit(untrained.model, spec.evaluation.probes[:1])
    with pytest.raises(InputError, match="the probe 'reversal' reads sources that are texts"):
        refuse_unfit(untrained.model, spec.evaluation.probes)
    broken_off = glyph_spec(**{"evaluation.probes": [{"use": "repetition", "fragment": 0.5}]})
    with pytest.raises(InputError, match="breaks no images off"):
        refuse_unfit(untrained.model, broken_off.evaluation.probes)


def test_a_request_holds_the_images_themselves(untrained: Recogniser, tmp_path: Path) -> None:
    sources = [source_of(example) for example in untrained.examples]
    request = probe_request(tmp_path, sources, untrained.spec)
    received = ProbeRequest.model_validate_json(request.model_dump_json()).sources()
    assert [key_of_source(item) for item in received] == [key_of_source(item) for item in sources]
    for item, example in zip(received, untrained.examples, strict=True):
        assert isinstance(item, PixelImage)
        assert example.image is not None
        assert np.array_equal(item.pixels, example.image.load())


def test_images_draw_by_their_pixels_alone() -> None:
    pixels = np.arange(2 * 6 * 3, dtype=np.uint8).reshape(2, 6, 3)
    same, turned, other = PixelImage(pixels.copy()), PixelImage(pixels.reshape(6, 2, 3)), PixelImage(pixels + 1)
    keys = [key_of_source(image) for image in (PixelImage(pixels), same, turned, other)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("changes", [{}, CTC], ids=["decoder", "ctc"])
def test_the_smoke_test_of_a_spec_takes_images(glyph_spec: MakeSpec, changes: dict[str, Any]) -> None:
    smoke(glyph_spec(**changes))


def test_steps_on_random_tokens_are_not_of_models_of_images(untrained: Recogniser) -> None:
    with pytest.raises(InputError, match="glyphs reads images"):
        step_costs([("glyphs", lambda: untrained.model)], Shape(2, 5, 6), rounds=1, device=CPU, layers=[2])


def test_a_vocabulary_is_reported_on_what_is_written(glyph_spec: MakeSpec, home: DataHome) -> None:
    spec = glyph_spec()
    prepared = prepare(spec, home)
    report = vocabulary_report(spec, prepared.task, prepared.tokenizers)
    assert {part.text for part in report.parts} == {"target"}
    assert [item.side for item in report.tokenizers] == ["target"]
