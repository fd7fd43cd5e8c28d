"""Specs of detectors: other sections than those of models that write text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from zoo.errors import InputError
from zoo.registry import use_registry
from zoo.spec import Spec, resolve, resolve_model, spec_hash
from zoo.spec.detection_spec import DetectionSpec, DetectorModel
from zoo.spec.outputs import outputs_section
from zoo.testing.glyphs import with_glyphs
from zoo.testing.shapes import with_shapes

MakeSpec = Callable[..., Spec]


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_glyphs(with_shapes())):
        yield


def test_a_detectors_spec_has_what_it_needs_and_no_more(shapes_spec: MakeSpec) -> None:
    spec = shapes_spec()
    assert isinstance(spec, DetectionSpec)
    plain = spec.plain()
    assert set(plain["model"]) == {"architecture", "detector", "pixels"}
    assert not {"tokenizer", "target_tokenizer", "decoding"} & set(plain)
    assert "objective" not in plain["training"]
    assert outputs_section(spec) is spec.detection
    assert (spec.model.reads, spec.model.writes) == ("image", "detections")


def test_written_out_it_is_read_back_as_the_same(shapes_spec: MakeSpec) -> None:
    spec = shapes_spec(**{"model.pixels.enlarge": True})
    again = resolve(spec.plain())
    assert again == spec
    assert spec_hash(again) == spec_hash(spec)
    assert isinstance(resolve_model(spec.plain()["model"]), DetectorModel)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("tokenizer", "byte-level", "a detector has no tokenizer: leave 'tokenizer' out"),
        ("decoding", {"strategy": "greedy"}, "a detector has no decoding"),
        ("training.objective", "cross-entropy", "a detector has no objective"),
        ("training.packing", True, "a detector has no packing"),
        ("model.d_model", 64, "a detector has no d_model"),
        ("model.image", {"input": "native"}, "a detector has no image"),
        ("model.pixels", {"std": [0.0, 1.0, 1.0]}, "expected numbers above 0"),
        ("model.detector", None, "missing key 'detector'"),
        ("evaluation.probes", ["repetition"], "probes are read off models that write texts"),
        ("model.pixel", {}, "did you mean 'pixels'"),
    ],
)
def test_what_a_detector_has_not_is_refused_by_name(shapes_spec: MakeSpec, key: str, value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        shapes_spec(**{key: value})


def test_a_task_of_texts_is_refused(shapes_spec: MakeSpec) -> None:
    with pytest.raises(InputError, match="outputs of the task 'glyphs' are of the kind 'text', but a detector writes"):
        shapes_spec(**{"task.use": "glyphs"})


def test_a_model_of_text_has_no_detector(glyph_spec: MakeSpec) -> None:
    with pytest.raises(InputError, match="an image-to-text has no detector"):
        glyph_spec(**{"model.detector": {"use": "anchor-free", "matcher": "task-aligned", "box_loss": "giou"}})


def test_a_model_of_text_still_needs_a_tokenizer(glyph_spec: MakeSpec) -> None:
    for key in ("tokenizer", "decoding"):
        with pytest.raises(InputError, match=f"missing key '{key}'"):
            glyph_spec(**{key: None})
