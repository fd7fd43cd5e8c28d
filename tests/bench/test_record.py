from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from zoo.bench import Record, RecordStore, Status, record_schema, record_text
from zoo.bench.record import CurvePoint

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
series = st.fixed_dictionaries(
    {
        "axis": texts,
        "unit": texts,
        "x": st.lists(finite, max_size=3) | st.lists(texts, max_size=3),
        "lines": st.dictionaries(texts, st.lists(st.none() | finite, max_size=3), max_size=2),
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
        "probe_series": st.dictionaries(texts, series, max_size=2),
        "curve": st.lists(
            st.fixed_dictionaries(
                {"step": st.integers(0, 10**9), "probes": st.dictionaries(texts, finite, max_size=2)},
                optional={"averaged_dev_loss": finite},
            ),
            max_size=2,
        ),
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


# What the schema cannot say: 1.0 is an integer to JSON Schema.
fractions = finite.filter(lambda value: not value.is_integer())
leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | fractions | texts
values = leaves | st.lists(leaves, max_size=3) | st.dictionaries(texts, leaves, max_size=2)
SCHEMA_OF_RECORDS = jsonschema.Draft202012Validator(record_schema())


def places(part: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document, free-form facts aside."""
    children = list(part.items()) if isinstance(part, dict) else list(enumerate(part)) if isinstance(part, list) else []
    return [place] * bool(place) + [
        found for key, child in children for found in ([*places(child, (*place, key))] if key not in FREE else [])
    ]


FREE = {"spec", "environment"}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records, st.data())
def test_a_document_with_one_wrong_value_is_judged_alike_by_schema_and_reader(
    tmp_path: Path, facts: dict[str, Any], data: st.DataObject
) -> None:
    document = json.loads(record_text(Record(**facts)))
    name = document["id"]
    *parents, last = data.draw(st.sampled_from(places(document)))
    part = document
    for step in parents:
        part = part[step]
    if isinstance(part, dict) and data.draw(st.booleans(), label="left out"):
        del part[last]
    else:
        part[last] = data.draw(values)
    (tmp_path / f"{name}.json").write_text(json.dumps(document))
    reading = RecordStore(tmp_path).read()
    # That its name is the file's own is the store's to say, not the schema's.
    is_record = bool(reading.records) or "expected the file's name" in reading.problems[0].message
    assert SCHEMA_OF_RECORDS.is_valid(document) == is_record, (parents, last, reading.problems)
    (tmp_path / f"{name}.json").unlink()


@pytest.mark.parametrize("count", ["parameters", "steps", "seed", "attempt"])
@pytest.mark.parametrize(("value", "fits"), [(2**53 - 1, True), (2**53, False), (-1, False)])
def test_integers_stay_where_every_reader_has_them_exactly(
    make_record: Any, count: str, value: int, fits: bool
) -> None:
    document = json.loads(record_text(make_record()))
    document[count] = value
    assert SCHEMA_OF_RECORDS.is_valid(document) == fits
    if fits:
        assert getattr(Record.model_validate_json(json.dumps(document), strict=True), count) == value
    else:
        with pytest.raises(ValidationError, match=count):
            Record.model_validate_json(json.dumps(document), strict=True)


def test_a_file_that_does_not_name_its_schema_is_no_record(tmp_path: Path, make_record: Any) -> None:
    record = make_record()
    document = json.loads(record_text(record))
    del document["schema"]
    (tmp_path / f"{record.id}.json").write_text(json.dumps(document))
    (problem,) = RecordStore(tmp_path).read().problems
    assert "the key 'schema' is missing" in problem.message
    assert not SCHEMA_OF_RECORDS.is_valid(document)


def test_every_record_that_a_bench_writes_follows_the_schema(tmp_path: Path, append_sound_record: Any) -> None:
    for options in ({}, {"text": False}, {"job": "copy"}, {"status": "nan", "error": "step 3", "quality": []}):
        record = append_sound_record(tmp_path, **options)
        SCHEMA_OF_RECORDS.validate(json.loads((tmp_path / f"{record.id}.json").read_text()))


def test_the_schema_is_itself_a_valid_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(record_schema())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_is_refused(make_record: Any, value: float) -> None:
    with pytest.raises(ValidationError):
        make_record(probes={"x": value})
    with pytest.raises(ValueError, match="Out of range float values"):
        record_text(make_record(environment={"x": value}))


def test_a_curve_without_averaged_weights_is_written_as_it_always_was() -> None:
    assert "averaged_dev_loss" not in CurvePoint(step=1, dev_loss=2.0).model_dump()
    assert CurvePoint(step=1, averaged_dev_loss=2.0).model_dump()["averaged_dev_loss"] == 2.0


def test_a_record_has_every_number_of_a_trainings_curve_that_averages() -> None:
    from zoo.bench.cell_process import _curve_point
    from zoo.training import CurvePoint as Logged

    assert _curve_point(Logged(3, dev_loss=2.0, averaged_dev_loss=1.5)) == CurvePoint(
        step=3, dev_loss=2.0, averaged_dev_loss=1.5
    )


def test_a_record_cannot_be_changed(make_record: Any) -> None:
    with pytest.raises(ValidationError):
        make_record().status = "nan"
