"""The JSON Schema agrees with the loader: a real validator accepts what loads and refuses what does not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from zoo.errors import ZooError
from zoo.spec import load_cells
from zoo.spec.reader import read_text
from zoo.spec.schema import spec_schema

sys.path.insert(0, str(Path(__file__).parent))
from mistakes import GOOD, LANGUAGE_MODEL, MISTAKES, MODEL, Mistake

SPECS = sorted((Path(__file__).parents[2] / "benchmarks" / "specs").glob("*.yaml"))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return spec_schema()


def faults(schema: dict[str, Any], document: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]


def valid(schema: dict[str, Any], document: Any) -> bool:
    return not faults(schema, document)


def test_the_schema_is_itself_valid(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_spec_that_loads_is_valid(schema: dict[str, Any]) -> None:
    assert faults(schema, read_text(GOOD, "good").plain()) == []


def test_a_resolved_spec_is_valid(schema: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    assert faults(schema, load_cells(path)[0].spec.plain()) == []


def test_a_language_model_without_an_encoder_is_valid_given_and_resolved(
    schema: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "lm.yaml"
    path.write_text(GOOD.replace(MODEL, LANGUAGE_MODEL) + "grid: {training.source_loss: [true, false]}\n")
    assert faults(schema, read_text(path.read_text(), "lm").plain()) == []
    for cell in load_cells(path):
        assert faults(schema, cell.spec.plain()) == []


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_specs_that_ship_are_valid(schema: dict[str, Any], path: Path) -> None:
    document = read_text(path.read_text(), str(path)).plain()
    if path.name.startswith("base"):
        document = {"extends": "nothing.yaml", **document}  # it is one layer of a spec, not a whole one
    assert faults(schema, document) == []


# What a schema cannot say: relations between values, YAML's own errors, files that are not there.
BEYOND_A_SCHEMA = {
    "two vocabularies of a language model",
    "source loss of an encoder-decoder",
    "one matrix for two vocabularies",
    "one matrix for two vocabularies, asked for",
    "heads do not divide width",
    "an output shorter than the shortest",
    "fraction for a count",
    "extends nothing",
    "extends itself",
    "extends a folder",
    "grid over an unknown key",
    "grid with a bad value",
    "grid with a bad labelled value",
    "grid over names",
    "grid with twins",
    "grid too large",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name.replace(" ", "-"))
def test_a_mistake_is_invalid_too(schema: dict[str, Any], mistake: Mistake) -> None:
    try:
        document = read_text(GOOD.replace(mistake.old, mistake.new, 1), "f").plain()
    except ZooError:
        pytest.skip("not YAML that a schema would see")
    if mistake.name in BEYOND_A_SCHEMA:
        pytest.skip("beyond what a schema can say")
    assert not valid(schema, document)


def test_a_file_that_extends_may_leave_keys_out_but_not_misspell_them(schema: dict[str, Any]) -> None:
    assert valid(schema, {"extends": "base.yaml", "model": {"heads": 8}})
    assert not valid(schema, {"extends": "base.yaml", "model": {"hedas": 8}})
    assert not valid(schema, {"model": {"heads": 8}})
