"""The probe that puts one model under four tags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from zoo_tasks_text.probes import domain_tag
from zoo_tasks_text.tasks.draws import below

from zoo.measure.generation import Generated
from zoo.probes.contracts import ProbeResult
from zoo.probes.harness import measured
from zoo.registry import current_registry
from zoo.spec import load_spec
from zoo.spec.options import Chosen
from zoo.tasks import Example
from zoo.testing.surroundings import one_thread
from zoo.testing.tiny_model import OTHER_TAG, TAG, tiny_examples, tiny_model, tiny_tokenizers

SPEC = """
name: tags
task: {use: translation, corpus: {use: generated, registers: domain}, source: qaa, target: qab, tag: domain}
tokenizer: {use: word, vocab_size: 100}
model:
  d_model: 16
  heads: 2
  encoder: {layers: 1}
  decoder: {layers: 1}
  position: none
  block: pre-norm
  normalization: layer-norm
  feedforward: {use: mlp, width: 16}
  fusion: top
training: {steps: 1, objective: cross-entropy, optimizer: adamw, schedule: constant, clipping: none}
decoding: {strategy: greedy}
evaluation: {metrics: [exact-match, cer, contrastive, rare-token-recall]}
"""


@pytest.fixture
def spec(tmp_path: Any) -> Any:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return load_spec(path)


def measure(examples: Sequence[Example], spec: Any = None, **options: Any) -> ProbeResult:
    component = current_registry().get("probe", "zoo-tasks-text/domain-tag")
    chosen = Chosen(component, component.load_options().model_validate(options))
    with one_thread():
        return measured(
            tiny_model(), tiny_tokenizers(), chosen, examples, max_tokens=64, write=lambda sample: [], spec=spec
        )


def loss_of(examples: Sequence[Example]) -> float:
    """The mean loss that another probe finds of the same references, their sources as they are."""
    component = current_registry().get("probe", "zoo-probes/source-swap")
    chosen = Chosen(component, component.load_options().model_validate({"max_examples": 200}))
    with one_thread():
        found = measured(tiny_model(), tiny_tokenizers(), chosen, examples, max_tokens=64, write=lambda sample: [])
    return found.scalars["loss"]


TAGGED = tuple(example for example in tiny_examples() if example.domain)
BARE = [example.source.removeprefix(f"{TAG} ") for example in TAGGED]
OWN = [f"<{example.domain}>" for example in TAGGED]


def under(tags: Sequence[str | None]) -> list[Example]:
    sources = [text if tag is None else f"{tag} {text}" for tag, text in zip(tags, BARE, strict=True)]
    return [replace(example, source=source) for example, source in zip(TAGGED, sources, strict=True)]


def test_losses_are_those_of_the_examples_with_that_tag() -> None:
    found = measure(tiny_examples()).scalars
    other = {TAG: OTHER_TAG, OTHER_TAG: TAG}
    drawn = [sorted(other)[below(2, "random tag", example.id)] for example in TAGGED]
    assert found["examples"] == len(TAGGED) == 8
    assert found["correct_loss"] == pytest.approx(loss_of(under(OWN)), rel=1e-6)
    assert found["wrong_loss"] == pytest.approx(loss_of(under([other[tag] for tag in OWN])), rel=1e-6)
    assert found["random_loss"] == pytest.approx(loss_of(under(drawn)), rel=1e-6)
    assert found["none_loss"] == pytest.approx(loss_of(under([None] * 8)), rel=1e-6)
    assert found["steering_loss"] == pytest.approx(found["random_loss"] - found["correct_loss"])
    assert len({found[f"{kind}_loss"] for kind in ("correct", "wrong", "random", "none")}) == 4


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """Decoding by a model that writes the reference where the tag is right, and nothing elsewhere."""
    references = {
        source: example.target for example, source in zip(TAGGED, [e.source for e in under(OWN)], strict=True)
    }
    asked: list[list[str]] = []

    def generate(model: Any, tokenizers: Any, sources: Sequence[str], decoding: Any, **options: Any) -> Generated:
        asked.append(list(sources))
        return Generated(tuple(references.get(source, "") for source in sources), 0, 0, 0)

    monkeypatch.setattr(domain_tag, "generate_outputs", generate)
    return lambda: asked


def test_scores_are_the_specs_metrics_of_what_the_model_writes(spec: Any, obedient: Any) -> None:
    found = measure(tiny_examples(), spec)
    assert len(obedient()) == 4
    scalars = found.scalars
    assert (scalars["correct_exact-match"], scalars["wrong_exact-match"], scalars["none_exact-match"]) == (1, 0, 0)
    right = sum(tag == own for tag, own in zip([source.split(" ")[0] for source in obedient()[2]], OWN, strict=True))
    assert scalars["random_exact-match"] == pytest.approx(right / 8)
    assert 0 < right < 8
    assert not any("contrastive" in name or "recall" in name for name in scalars)  # no likelihoods, no training data
    series = found.series["exact-match"]
    assert (series.x, series.unit) == (("correct", "wrong", "random", "none"), "fraction")
    assert list(series.lines["exact-match"]) == [1, 0, right / 8, 0]


def test_steering_is_better_when_it_is_more_whichever_way_the_metric_goes(spec: Any, obedient: Any) -> None:
    scalars = measure(tiny_examples(), spec).scalars
    assert scalars["correct_cer"] < scalars["random_cer"]
    assert scalars["steering_cer"] == scalars["random_cer"] - scalars["correct_cer"] > 0
    assert scalars["steering_exact-match"] == 1 - scalars["random_exact-match"]


def test_outputs_may_be_left_out(spec: Any, obedient: Any) -> None:
    assert set(measure(tiny_examples(), spec, outputs=False).series) == {"loss"}
    assert obedient() == []


def test_without_domains_there_is_nothing_to_find() -> None:
    assert measure([replace(example, domain=None) for example in tiny_examples()]) == ProbeResult()
    assert measure([replace(example, domain="unheard") for example in tiny_examples()]) == ProbeResult()
