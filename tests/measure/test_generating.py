"""Evaluating and measuring models that make images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from zoo.bench.cell import controls_of
from zoo.bench.smoke import smoke
from zoo.errors import ZooError
from zoo.measure.baselines import copy_baseline
from zoo.measure.batch_probe import probe as batch_probe
from zoo.measure.evaluate import evaluate
from zoo.measure.generating import all_alike, generate_all, generate_images, image_probes
from zoo.measure.latency_probe import probe as latency_probe
from zoo.measure.performance import probe_request
from zoo.measure.probe import ProbeRequest
from zoo.measure.reading import source_of
from zoo.models.generators.pixels import as_images, as_pixels
from zoo.models.tokenizers import NO_TOKENIZERS
from zoo.spec import Spec
from zoo.spec.generator_spec import GenerationSection
from zoo.tasks import DataHome
from zoo.training import build
from zoo.training.building import Built

MakeSpec = Callable[..., Spec]


@pytest.fixture(scope="module")
def built(digits_spec: MakeSpec, digits_home: DataHome, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(digits_spec(), tmp_path_factory.mktemp("built") / "run", digits_home)


def making(pixels: Callable[[int, int], torch.Tensor]) -> Any:
    """A model that makes `pixels(count, seed)`."""
    return SimpleNamespace(generate_images=pixels, modules=lambda: [], eval=lambda: None)


def test_pixels_become_images_and_come_back() -> None:
    images = list(np.random.default_rng(1).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8))
    assert np.array_equal(np.stack(as_images(as_pixels(images))), np.stack(images))
    assert as_images(torch.tensor([-3.0, 0.5, 9.0])[None, :, None, None])[0].tolist() == [[[0, 191, 255]]]


def test_as_many_images_are_made_as_asked_for_each_batch_from_a_seed_of_its_own() -> None:
    asked: list[tuple[int, int]] = []

    def pixels(count: int, seed: int) -> torch.Tensor:
        asked.append((count, seed))
        return torch.zeros(count, 3, 2, 2)

    section = GenerationSection(seed=5, batch_size=4)
    assert len(generate_all(making(pixels), 10, section)) == 10
    assert [count for count, _ in asked] == [4, 4, 2]
    assert len({seed for _, seed in asked}) == 3
    first = list(asked)
    generate_all(making(pixels), 10, section)
    assert asked[3:] == first
    generate_images(making(pixels), 4, GenerationSection(seed=6))
    assert asked[-1] != first[0]


def test_pixels_that_are_not_finite_are_a_failure() -> None:
    with pytest.raises(ZooError, match="not finite"):
        generate_images(making(lambda count, seed: torch.full((count, 3, 2, 2), float("nan"))), 2, GenerationSection())


def test_one_image_whatever_the_noise_is_collapse_and_a_few_are_not() -> None:
    draw = np.random.default_rng(2)
    real = list(draw.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8))
    nearly = [np.clip(real[0].astype(int) + draw.integers(-3, 4, real[0].shape), 0, 255).astype(np.uint8)] * 20
    assert "alike" in str(all_alike(nearly, real))
    assert all_alike([real[0], real[1]] * 10, real) is None
    assert all_alike(nearly[:9], real) is None
    assert image_probes(real, real) == {"pixel_variation": 1.0}


def test_an_evaluation_tells_modes_costs_and_what_the_reader_is_worth(digits_spec: MakeSpec, built: Built) -> None:
    examples = built.prepared.task.examples("test")
    spec = digits_spec(**{"model.generator.sampling_steps": 2})
    found = evaluate(built.model, NO_TOKENIZERS, examples, spec)
    assert {score.metric: score.unit for score in found.quality} == {"modes-covered": "modes", "mode-kl": "nats"}
    assert found.examples == 30
    assert all(len(output) == 3 and set(output) <= set("012-") for output in found.outputs)
    assert set(found.references) == {""}
    generator = built.model.generator
    assert found.probes["function_evaluations"] == generator.options.sampling_steps == 1, "the model's, not the spec's"
    assert found.probes["sampler_parameters"] == sum(item.numel() for item in generator.student.parameters())
    assert found.probes["modes-covered.reader_accuracy"] >= 0.995
    assert found.samples[0].source.startswith("the digits ")


def test_the_control_that_gives_real_images_back_covers_their_modes(digits_spec: MakeSpec, built: Built) -> None:
    spec, examples = digits_spec(), built.prepared.task.examples("test")
    assert controls_of(spec) == ("copy", "untrained")
    found = copy_baseline(examples, spec)
    shown = {example.source.removeprefix("the digits ") for example in examples}
    value = {score.metric: score.value for score in found.quality}["modes-covered"]
    assert value == pytest.approx(len(shown), abs=1), "but for a digit that is misread"
    assert found.collapsed is None


def test_every_clock_runs_on_a_generator(digits_spec: MakeSpec, built: Built) -> None:
    sources = [source_of(example) for example in built.prepared.task.examples("test")[:2]]
    request = probe_request(built.directory, sources, digits_spec(), device=torch.device("cpu"))
    request = ProbeRequest.model_validate_json(request.model_dump_json())
    assert isinstance(request.decoding, GenerationSection)
    (answer,) = latency_probe(request)
    assert len(answer["latency"]) == 2
    assert answer["encode"] is None
    answers = list(batch_probe(request))
    rate = next(item["rate"] for item in answers if "rate" in item)
    assert rate["sentences_per_second"] > 0
    assert rate["tokens_per_second"] is None


def test_a_generator_is_tried_without_data(digits_spec: MakeSpec, tmp_path: Path) -> None:
    for name in ("nsgan", "r3gan"):
        smoke(digits_spec(**{"model.generator": {"use": name, "width": 4, "latent": 4}}))
