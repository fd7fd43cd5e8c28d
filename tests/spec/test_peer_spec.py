"""Specs of peers: laid over the spec of a model, whose task and scoring they keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jsonschema
import pytest

from zoo.errors import InputError
from zoo.registry import Component, current_registry, use_registry
from zoo.spec import Spec, load_cells, resolve, spec_hash
from zoo.spec.peer_spec import PeerSpec, refuse_peer
from zoo.spec.schema import spec_schema
from zoo.tasks.images import Source
from zoo.tasks.peers import Peer, PeerFacts
from zoo.testing.glyphs import with_glyphs
from zoo.testing.shapes import with_shapes

MakeSpec = Callable[..., Spec]
SMOKE = Path(__file__).parents[2] / "benchmarks" / "specs" / "smoke.yaml"


class Shouting(Peer):
    """Gives each text back in capitals."""

    def facts(self) -> PeerFacts:
        return PeerFacts("shouting", "1", {"capitals": "sha256:" + "0" * 64})

    def answer(self, sources: Sequence[Source]) -> list[str]:
        return [str(source).upper() for source in sources]


COMPONENTS = tuple(
    Component(kind="peer", name=name, target=f"{__name__}:Shouting", summary="Capitals", traits=traits)
    for name, traits in (("shouting", {}), ("seeing", {"inputs": "image"}))
)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_glyphs(with_shapes()).plus("zoo-shouting", "0", __name__, COMPONENTS)):
        yield


def over(path: Path, text: str, base: Path = SMOKE) -> Path:
    path.write_text(f"extends: {base}\n{text}")
    return path


def test_a_peer_keeps_the_task_and_the_scoring_of_what_it_is_laid_over(tmp_path: Path) -> None:
    model = load_cells(SMOKE)[0].spec
    probing = over(tmp_path / "probing.yaml", "name: probing\nevaluation: {probes: [repetition]}\nseed: 7\n")
    spec = load_cells(over(tmp_path / "peer.yaml", "name: loud\npeer: shouting\n", probing))[0].spec
    assert isinstance(spec, PeerSpec)
    plain = spec.plain()
    assert set(plain) == {"name", "description", "seed", "task", "evaluation", "measurement", "peer"}
    assert plain["task"] == model.plain()["task"]
    assert plain["evaluation"] == model.plain()["evaluation"]
    assert plain["seed"] == 1
    assert plain["peer"] == {"use": "zoo-shouting/shouting"}


def test_written_out_it_is_read_back_as_the_same(tmp_path: Path) -> None:
    spec = load_cells(over(tmp_path / "peer.yaml", "name: loud\npeer: shouting\n"))[0].spec
    assert resolve(spec.plain()) == spec
    assert spec_hash(resolve(spec.plain())) == spec_hash(spec)


def test_a_spec_without_a_peer_is_as_it_was() -> None:
    spec = load_cells(SMOKE)[0].spec
    assert spec.peer is None
    assert "peer" not in spec.plain()


def test_a_pretrained_model_is_not_looked_for_where_a_peer_stands_in_its_place(tmp_path: Path) -> None:
    text = "name: loud\nmodel: {from: no/such/folder}\npeer: shouting\n"
    base = tmp_path / "task.yaml"
    plain = load_cells(SMOKE)[0].spec.plain()
    base.write_text(json.dumps({"task": plain["task"], "evaluation": {"metrics": ["chrf"]}}))
    assert isinstance(load_cells(over(tmp_path / "peer.yaml", text, base))[0].spec, PeerSpec)


def test_a_grid_names_peers_and_varies_no_model(tmp_path: Path) -> None:
    path = over(tmp_path / "peers.yaml", "name: lines\ngrid: {peer: [shouting, zoo-shouting/shouting]}\n")
    with pytest.raises(InputError, match="two cells are called 'peer=shouting'"):
        load_cells(path)
    path = over(tmp_path / "peer.yaml", "name: lines\ngrid: {peer: [shouting], measurement.processes: [0, 1]}\n")
    assert [cell.spec.name for cell in load_cells(path)] == [
        "lines+peer=shouting+processes=0",
        "lines+peer=shouting+processes=1",
    ]
    path = over(tmp_path / "both.yaml", "name: lines\npeer: shouting\ngrid: {model.heads: [2, 4]}\n")
    with pytest.raises(InputError, match="'model.heads' is of a model, and a peer stands in its place") as raised:
        load_cells(path)
    assert raised.value.where == f"{path}:4:8"


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        ("seeing", "the inputs of the task 'translation' are of the kind 'text', but the peer 'seeing' reads 'image'"),
        ("shooting", "did you mean 'shouting'"),
        ("{use: shouting, loud: true}", "unknown key 'loud'"),
        ("4", "expected the name of a peer"),
    ],
)
def test_peers_that_do_not_fit_are_refused_where_they_stand(tmp_path: Path, peer: str, said: str) -> None:
    path = over(tmp_path / "peer.yaml", f"name: loud\npeer: {peer}\n")
    with pytest.raises(InputError, match=said) as raised:
        load_cells(path)
    assert str(raised.value).startswith(f"{path}:3:")


def test_a_task_of_boxes_has_no_peer_that_writes_text(shapes_spec: MakeSpec) -> None:
    with pytest.raises(InputError, match="the outputs of the task 'shapes' are of the kind 'detections'"):
        shapes_spec(peer="seeing")


def test_a_peer_is_neither_built_nor_trained(glyph_spec: MakeSpec) -> None:
    refuse_peer(glyph_spec())
    with pytest.raises(InputError, match="the peer 'seeing' comes as it is"):
        refuse_peer(glyph_spec(peer="seeing"))


def test_the_schema_takes_a_peer_over_a_file_and_alone(tmp_path: Path) -> None:
    schema = jsonschema.Draft202012Validator(spec_schema(current_registry()))
    spec = load_cells(over(tmp_path / "peer.yaml", "name: loud\npeer: shouting\n"))[0].spec
    model = load_cells(SMOKE)[0].spec.plain()
    given = {"extends": "base.yaml", "name": "x", "grid": {"peer": ["shouting"]}}
    for good in (spec.plain(), model, {**model, "peer": "shouting"}, {"extends": "a.yaml", "peer": "shouting"}, given):
        assert schema.is_valid(good)
    for bad in ({**spec.plain(), "peer": "shooting"}, {"name": "x", "peer": "shouting"}):
        assert not schema.is_valid(bad)
