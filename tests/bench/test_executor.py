"""What a sweep consists of, and how the executor is chosen. What an executor does is tried by its suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zoo.bench.executor import CellJob, Done, Setting, Settings, cell_jobs, choose_executor
from zoo.errors import InputError, ZooError
from zoo.registry import Component, LoadPolicy, RegisteredComponent, Registry, use_registry
from zoo.registry.discovery import discover
from zoo.testing.glyphs import with_glyphs


def registry_of(**defaults: bool) -> Registry:
    """Executors by name, and whether each wants to be the default."""
    found = discover(LoadPolicy(), entry_points=[])
    for name, default in defaults.items():
        component = Component(
            kind="executor", name=name, target="nowhere:Nothing", summary="Never loaded", traits={"default": default}
        )
        found.components.append(RegisteredComponent(component, "stranger", "0"))
    return Registry(found)


def test_controls_are_jobs_once_for_a_board(small_spec: Any) -> None:
    specs = [small_spec(), small_spec("seed=2"), small_spec("model.position=rotary", "name=b")]
    jobs = cell_jobs([*specs, small_spec("evaluation.max_examples=11", "name=c")])
    assert [job.job for job in jobs].count("copy") == 2
    assert [job.job for job in jobs].count("untrained") == 2
    assert [job.spec.name for job in jobs if job.job == "model"] == ["smoke", "smoke", "b", "c"]


def test_a_board_of_images_has_no_control_that_gives_the_source_back(glyph_spec: Any) -> None:
    with use_registry(with_glyphs()):
        assert [job.job for job in cell_jobs([glyph_spec()])] == ["untrained", "model"]


def test_a_cell_that_is_asked_for_twice_is_one_job(small_spec: Any) -> None:
    assert len(cell_jobs([small_spec(), small_spec("description=the same")])) == 3


def test_the_installed_default_is_chosen_where_none_is_named() -> None:
    assert choose_executor(None, registry=registry_of(near=True, far=False)).id == "stranger/near"
    assert choose_executor("far", registry=registry_of(near=True, far=False)).id == "stranger/far"


@pytest.mark.parametrize(
    ("registry", "message"),
    [
        (registry_of(), "no executor is installed that could be the default: pip install zoo-executors"),
        (registry_of(far=False), "no executor is installed that could be the default"),
        (registry_of(near=True, far=True), "write --executor stranger/far or stranger/near"),
    ],
)
def test_without_one_default_the_user_is_told_what_to_do(registry: Registry, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_executor(None, registry=registry)


def test_a_mistake_in_a_setting_is_named_by_its_place() -> None:
    with pytest.raises(InputError, match=r"^--workers 0: .*'workers': expected a number at least 1") as caught:
        choose_executor("local", [Setting("workers", "0", "--workers 0")])
    assert caught.value.where == "--workers 0"


def test_settings_take_absolute_folders_only() -> None:
    """Relative ones would be other folders on other machines."""
    with pytest.raises(ValueError, match="expected an absolute path"):
        Settings(store=Path("records"), home=Path("/home"))


def test_a_job_ends_either_way(small_spec: Any) -> None:
    with pytest.raises(ValueError, match="either a result or an error"):
        Done(CellJob(small_spec()))
    assert Done(CellJob(small_spec()), error=ZooError("no data")).result is None
