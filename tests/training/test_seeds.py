"""One seed for a run, or one for each of its streams of randomness."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from zoo.bench.run import with_seeds
from zoo.errors import InputError
from zoo.models import weights_hash
from zoo.spec import Spec, resolve, spec_hash
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.seeds import Stream, seed_of, stream_seed
from zoo.training.trainer import ZooTrainer

STREAMS: tuple[Stream, ...] = ("initialization", "order", "dropout")


def test_streams_are_the_numbers_that_they_were_before_they_had_seeds_of_their_own(
    make_spec: Callable[..., Spec],
) -> None:
    spec = make_spec()
    for stream, name in zip(STREAMS, ("initialisation", "order", "dropout"), strict=True):
        digest = hashlib.sha256(f"zoo:{name}:3".encode()).digest()
        assert seed_of(spec, stream) == int.from_bytes(digest[:8], "big") >> 1


@pytest.mark.parametrize("stream", STREAMS)
def test_a_seed_of_its_own_stays_where_the_specs_changes(make_spec: Callable[..., Spec], stream: Stream) -> None:
    for spec in with_seeds(make_spec(seeds={stream: 0}), 3):
        for each in STREAMS:
            assert seed_of(spec, each, 1) == stream_seed(0 if each == stream else spec.seed, each, 1)


def test_no_seeds_of_their_own_leave_no_trace_in_the_spec(make_spec: Callable[..., Spec]) -> None:
    plain = make_spec().plain()
    assert "seeds" not in plain
    for empty in ({}, {"order": None}):
        assert spec_hash(make_spec(seeds=empty)) == spec_hash(make_spec())
    given = make_spec(seeds={"order": 3})
    assert given.plain()["seeds"] == {"order": 3}
    assert spec_hash(resolve(given.plain())) == spec_hash(given) != spec_hash(make_spec())


def test_an_unknown_stream_is_told_the_nearest(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(InputError, match="unknown key 'dropuot'.*dropout"):
        make_spec(seeds={"dropuot": 1})


def test_each_seed_decides_its_own_stream_alone(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first step begins with, under another seed for one of the three."""
    seen: list[dict[str, Any]] = []
    original = ZooTrainer.training_step

    def look(self: Any, model: Any, inputs: Any, items: Any) -> Any:
        first = next(iter(self.batches.stream()))
        found = {
            "initialization": weights_hash(model),
            "order": first.indices.tolist(),
            "dropout": torch.get_rng_state().tolist(),
        }
        seen.append(found)
        return original(self, model, inputs, items)

    monkeypatch.setattr(ZooTrainer, "training_step", look)
    for name, seeds in (("plain", {}), *((stream, {stream: 5}) for stream in STREAMS)):
        train(make_spec(**{"training.steps": 1, "seeds": seeds}), tmp_path / name, home=home)
    plain, *others = seen
    for stream, found in zip(STREAMS, others, strict=True):
        assert [each for each in STREAMS if found[each] != plain[each]] == [stream]


def test_all_three_together_are_the_one_seed(make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path) -> None:
    changes = {"training.steps": 3}
    train(make_spec(**changes), tmp_path / "one", home=home)
    train(make_spec(**changes, seed=8, seeds=dict.fromkeys(STREAMS, 3)), tmp_path / "three", home=home)
    one, three = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "three"))
    assert one.keys() == three.keys()
    assert all(torch.equal(one[name], three[name]) for name in one)
