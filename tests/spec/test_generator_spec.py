"""Specs of generators: other sections than those of models that write text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from zoo.errors import InputError
from zoo.registry import use_registry
from zoo.spec import Spec, resolve, resolve_model, spec_hash
from zoo.spec.generator_spec import GeneratorModel, GeneratorSpec
from zoo.spec.outputs import outputs_section
from zoo.spec.schema import spec_schema
from zoo.testing.shapes import with_shapes

MakeSpec = Callable[..., Spec]


def test_a_generators_spec_has_what_it_needs_and_no_more(digits_spec: MakeSpec) -> None:
    spec = digits_spec()
    assert isinstance(spec, GeneratorSpec)
    plain = spec.plain()
    assert set(plain["model"]) == {"architecture", "generator"}
    assert not {"tokenizer", "target_tokenizer", "decoding", "detection"} & set(plain)
    assert "objective" not in plain["training"]
    assert outputs_section(spec) is spec.generation
    assert (spec.model.reads, spec.model.writes) == ("image", "images")


def test_written_out_it_is_read_back_as_the_same(digits_spec: MakeSpec) -> None:
    spec = digits_spec(**{"generation.seed": 4})
    again = resolve(spec.plain())
    assert again == spec
    assert spec_hash(again) == spec_hash(spec)
    assert isinstance(resolve_model(spec.plain()["model"]), GeneratorModel)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("tokenizer", "byte-level", "a generator has no tokenizer: leave 'tokenizer' out"),
        ("decoding", {"strategy": "greedy"}, "a generator has no decoding"),
        ("detection", {}, "unknown key 'detection'"),
        ("training.objective", "cross-entropy", "a generator has no objective"),
        ("model.d_model", 64, "a generator has no d_model"),
        ("model.pixels", {"enlarge": True}, "a generator has no pixels"),
        ("model.generator", None, "missing key 'generator'"),
        ("evaluation.probes", ["repetition"], "probes are read off models that write texts"),
        ("training.steps", 3, "the student would never be trained: there are 3 steps in all"),
    ],
)
def test_what_a_generator_has_not_is_refused_by_name(digits_spec: MakeSpec, key: str, value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        digits_spec(**{key: value})


def test_a_task_of_boxes_is_refused(digits_spec: MakeSpec) -> None:
    with use_registry(with_shapes()), pytest.raises(InputError, match="but a generator writes 'images'"):
        digits_spec(task={"use": "shapes"})


def test_a_detector_has_no_generator(shapes_spec: MakeSpec) -> None:
    with use_registry(with_shapes()), pytest.raises(InputError, match="a detector has no generator"):
        shapes_spec(**{"model.generator": "ddpm"})


def test_the_schema_knows_generators(digits_spec: MakeSpec) -> None:
    validator = jsonschema.Draft202012Validator(spec_schema())
    plain = digits_spec().plain()
    validator.validate(plain)
    assert not validator.is_valid({**plain, "decoding": {"strategy": {"use": "greedy"}}})
    assert not validator.is_valid({**plain, "model": {**plain["model"], "d_model": 8}})
    overlay = {"extends": "base.yaml", "model": {"architecture": "generator", "generator": {"use": "nsgan"}}}
    validator.validate(overlay)
