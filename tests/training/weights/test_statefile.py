"""State without pickle: everything back, bit for bit, or a clear refusal."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import torch

from zoo.errors import ZooError
from zoo.training.seeds import capture_randomness, preserved_randomness, restore_randomness, stream_seed
from zoo.training.weights.statefile import load_state, save_state


def test_trees_come_back_with_their_types(tmp_path: Path) -> None:
    tree = {
        "groups": [{"lr": 0.1 + 0.2, "betas": (0.9, 0.98), "fused": None, "name": "größe", "eps": math.inf}],
        0: {"step": torch.tensor(3.0), "moment": torch.randn(2, 3).bfloat16(), "empty": torch.zeros(0)},
        "nested": ([], (), {}),
    }
    save_state(tmp_path / "state", tree)
    back = load_state(tmp_path / "state")
    assert back["groups"] == tree["groups"]
    assert type(back["groups"][0]["betas"]) is tuple
    assert back["nested"] == ([], (), {})
    for name in ("step", "moment", "empty"):
        assert torch.equal(back[0][name], tree[0][name])
        assert back[0][name].dtype == tree[0][name].dtype


def test_views_of_one_storage_are_written_apart(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    save_state(tmp_path / "state", {"a": whole[:3], "b": whole.view(2, 3).t()})
    back = load_state(tmp_path / "state")
    assert back["a"].tolist() == [0, 1, 2]
    assert back["b"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_what_only_pickle_could_hold_is_refused_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"'state\.optimizer\.hook' is a function"):
        save_state(tmp_path / "state", {"optimizer": {"hook": lambda: None}})


def test_generators_go_on_where_they_stood(tmp_path: Path) -> None:
    save_state(tmp_path / "state", capture_randomness())
    first = (torch.rand(3).tolist(), random.random())
    restore_randomness(load_state(tmp_path / "state"))
    assert (torch.rand(3).tolist(), random.random()) == first


def test_the_callers_generators_are_left_as_they_were() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2).tolist()
    torch.manual_seed(1)
    with preserved_randomness():
        torch.rand(100)
    assert torch.rand(2).tolist() == expected


def test_streams_of_one_seed_and_of_neighbouring_seeds_differ() -> None:
    seeds = {stream_seed(seed, stream) for seed in range(20) for stream in ("initialisation", "order", "dropout")}
    assert len(seeds) == 60
    assert all(0 <= seed < 2**63 for seed in seeds)
