from __future__ import annotations

import json
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from zoo.bench import Record, Status, record_schema, record_text

finite = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | finite | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=6,
)
qualities = st.fixed_dictionaries(
    {
        "metric": texts,
        "value": finite,
        "direction": st.sampled_from(["higher", "lower"]),
        "unit": texts,
        "signature": texts,
        "split": texts,
        "examples": st.integers(0, 10**9),
        "interval": st.none() | st.tuples(finite, finite),
    }
)
distributions = st.fixed_dictionaries(
    {
        "unit": texts,
        "samples": st.integers(1, 10**6),
        "median": finite,
        "minimum": finite,
        "maximum": finite,
        "p90": st.none() | finite,
        "values": st.lists(finite, max_size=3),
    }
)
performances = st.fixed_dictionaries(
    {
        "device": texts,
        "device_kind": st.sampled_from(["cpu", "cuda"]),
        "threads": st.integers(1, 1000),
        "dtype": texts,
        "attention": texts,
        "latency": st.none() | distributions,
        "throughput": st.lists(
            st.fixed_dictionaries({"batch": st.integers(1, 512), "tokens_per_second": st.none() | finite}), max_size=2
        ),
        "memory": st.none() | st.fixed_dictionaries({"kind": texts, "peak": st.integers(0, 2**50)}),
    }
)
records = st.fixed_dictionaries(
    {
        "id": st.from_regex(r"[0-9A-Za-z][0-9A-Za-z._-]{7,40}", fullmatch=True),
        "created": texts,
        "cell": texts,
        "name": texts,
        "role": st.sampled_from(["model", "baseline"]),
        "task": texts,
        "status": st.sampled_from(get_args(Status)),
        "error": st.none() | texts,
        "seed": st.integers(0, 2**32),
        "spec": st.dictionaries(texts, json_values, max_size=3),
        "spec_hash": texts,
        "data_revision": texts,
        "distributions": st.dictionaries(texts, texts, max_size=2),
        "parameters": st.none() | st.integers(0, 2**53 - 1),
        "quality": st.lists(qualities, max_size=2),
        "performance": st.lists(performances, max_size=2),
        "probes": st.dictionaries(texts, finite, max_size=2),
        "environment": st.dictionaries(texts, json_values, max_size=2),
        "attempt": st.integers(1, 100),
    }
)


@settings(max_examples=60, deadline=None)
@given(records)
def test_a_record_read_back_is_the_record_written_and_follows_the_published_schema(facts: dict[str, Any]) -> None:
    record = Record(**facts)
    text = record_text(record)
    assert Record.model_validate_json(text, strict=True) == record
    jsonschema.Draft202012Validator(record_schema()).validate(json.loads(text))


@settings(max_examples=40, deadline=None)
@given(records, texts, st.sampled_from([(), ("quality", 0), ("performance", 0), ("performance", 0, "latency")]))
def test_an_unknown_key_is_refused_at_every_level_by_model_and_schema_alike(
    facts: dict[str, Any], key: str, place: tuple[str | int, ...]
) -> None:
    document = json.loads(record_text(Record(**facts)))
    part: Any = document
    for step in place:
        part = part[step] if isinstance(part, dict) or part else None
        if part is None:
            return
    if key in part:
        return
    part[key] = 1
    with pytest.raises(ValidationError):
        Record.model_validate_json(json.dumps(document), strict=True)
    assert not jsonschema.Draft202012Validator(record_schema()).is_valid(document)


def test_the_schema_is_itself_a_valid_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(record_schema())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_is_refused(make_record: Any, value: float) -> None:
    with pytest.raises(ValidationError):
        make_record(probes={"x": value})
    with pytest.raises(ValueError, match="Out of range float values"):
        record_text(make_record(environment={"x": value}))


def test_a_record_cannot_be_changed(make_record: Any) -> None:
    with pytest.raises(ValidationError):
        make_record().status = "nan"
