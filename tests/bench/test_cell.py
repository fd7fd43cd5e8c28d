from __future__ import annotations

from typing import Any

import pytest

from zoo.bench.cell import Cell


def a_cell(spec: Any, data: str = "sha256:data", hardware: str = "cpu: one") -> Cell:
    return Cell(spec, data, hardware)


def test_the_same_cell_has_the_same_key_and_a_description_does_not_change_it(small_spec: Any) -> None:
    key = a_cell(small_spec()).key
    assert a_cell(small_spec()).key == key
    assert a_cell(small_spec("description=other words")).key == key


@pytest.mark.parametrize(
    ("sets", "place"),
    [
        (["seed=2"], {}),
        (["training.steps=31"], {}),
        (["name=another"], {}),
        (["model.position=rotary"], {}),
        ([], {"data": "sha256:other"}),
        ([], {"hardware": "cpu: two"}),
    ],
)
def test_whatever_decides_a_result_changes_the_key(small_spec: Any, sets: list[str], place: dict[str, str]) -> None:
    assert a_cell(small_spec(*sets), **place).key != a_cell(small_spec()).key


def test_a_new_version_changes_the_key(small_spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = a_cell(small_spec())
    key = cell.key
    assert set(cell.distributions) >= {"zoo-registry", "zoo-positional", "zoo-tasks-text"}
    monkeypatch.setattr("zoo.bench.cell.__version__", "99.0")
    assert cell.key != key


def test_a_control_is_shared_by_the_models_of_a_board_and_by_nothing_else(small_spec: Any) -> None:
    key = a_cell(small_spec()).baseline_key("copy")
    assert a_cell(small_spec("model.position=rotary", "name=b", "seed=5")).baseline_key("copy") == key
    assert a_cell(small_spec()).baseline_key("untrained") != key
    assert a_cell(small_spec(), data="sha256:other").baseline_key("copy") != key
    assert a_cell(small_spec("evaluation.max_examples=11")).baseline_key("copy") != key


def test_a_control_has_another_key_where_the_target_has_a_tokenizer_of_its_own(small_spec: Any) -> None:
    specs = (small_spec("model.tie_embeddings=none"), small_spec("model.tie_embeddings=none", "target_tokenizer=bpe"))
    assert len({a_cell(spec).baseline_key("untrained") for spec in specs}) == 2
