"""What a board can be filtered by."""

from __future__ import annotations

from zoo.bench.standings import standings
from zoo.site.facets import MOST, facets


def offered(records):
    return {facet.label: dict(facet.values) for facet in facets(standings(records))}


def test_settings_in_which_models_differ_are_offered_with_their_counts(make_record, part):
    records = [
        make_record(name=name, spec=part.spec(name, position, 1))
        for name, position in (("one", "rotary"), ("two", "rotary"), ("three", "alibi"))
    ]
    assert offered(records) == {"model.position": {"zoo-positional/alibi": 1, "zoo-positional/rotary": 2}}


def test_name_description_and_seed_are_no_settings(make_record):
    records = [make_record(name=name, spec={"name": name, "description": name, "seed": 1}) for name in "ab"]
    assert offered(records) == {}


def test_status_and_role_are_offered_where_they_differ(make_record):
    records = [make_record(), make_record(name="copy", role="baseline"), make_record(name="x", status="nan", error="x")]
    found = offered(records)
    assert found["Status"] == {"nan": 1, "ok": 2}
    assert found["Role"] == {"baseline": 1, "model": 2}


def test_numbers_stand_in_the_order_of_their_size(make_record):
    records = [make_record(name=f"m{width}", spec={"model": {"d_model": width}}) for width in (512, 64, 1024)]
    assert list(offered(records)["model.d_model"]) == ["64", "512", "1024"]


def test_each_model_knows_its_value_and_one_without_has_none(make_record):
    records = [
        make_record(name="a", spec={"heads": 8, "bias": True}),
        make_record(name="b", spec={"heads": 4, "bias": False}),
        make_record(name="c", spec={"heads": 4}),
    ]
    found = {facet.label: facet for facet in facets(standings(records))}
    assert found["heads"].places == (1, 0, 0)
    assert found["bias"].values == (("false", 1), ("true", 1))
    assert found["bias"].places == (1, 0, None)


def test_a_strangers_ten_thousand_keys_make_few_filters(make_record):
    records = [
        make_record(name=name, spec={f"key-{number:05d}": f"{name}-{number}" for number in range(10_000)})
        for name in ("a", "b")
    ]
    assert len(offered(records)) <= MOST


def test_components_come_before_other_settings(make_record):
    records = [
        make_record(name=name, spec={"model": {"width": width, "position": {"use": name}}})
        for name, width in (("a", 1), ("b", 2))
    ]
    assert list(offered(records)) == ["model.position", "model.width"]
