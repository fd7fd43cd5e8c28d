"""The lock file: the same spec comes back, and what drifted is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from zoo.errors import InputError
from zoo.spec import load_cells, load_spec, resolve, spec_hash
from zoo.spec.lock import drift, lock_text, read_lock, write_lock

sys.path.insert(0, str(Path(__file__).parent))
from mistakes import GOOD

CONTENT = {"data": "sha256:aa", "tokenizer": "sha256:bb", "weights": "sha256:cc"}


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(GOOD)
    return path


def test_a_lock_resolves_to_the_spec_it_was_written_from(spec_file: Path, tmp_path: Path) -> None:
    spec = load_spec(spec_file)
    write_lock(tmp_path / "zoo.lock.yaml", spec, CONTENT)
    assert load_spec(tmp_path / "zoo.lock.yaml") == spec
    assert read_lock(tmp_path / "zoo.lock.yaml").spec == spec


def test_a_lock_writes_every_default_out_and_qualifies_every_component(spec_file: Path) -> None:
    document = yaml.safe_load(lock_text(load_spec(spec_file), CONTENT))
    assert document["spec"]["model"]["attention_dropout"] == 0.0
    assert document["spec"]["model"]["position"]["use"] == "zoo-positional/sinusoidal"
    assert "position/zoo-positional/sinusoidal" in document["components"]
    assert "activation/zoo-blocks/relu" in document["components"]
    assert {"zoo-registry", "zoo-positional", "torch", "transformers"} <= set(document["distributions"])


def test_the_same_spec_gives_the_same_bytes(spec_file: Path) -> None:
    assert lock_text(load_spec(spec_file), CONTENT) == lock_text(load_spec(spec_file), dict(CONTENT))


def test_nothing_has_drifted_just_after_writing(spec_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "zoo.lock.yaml"
    write_lock(path, load_spec(spec_file), CONTENT)
    assert not drift(read_lock(path), CONTENT)


def test_drift_names_versions_values_and_contents(spec_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "zoo.lock.yaml"
    write_lock(path, load_spec(spec_file), CONTENT)
    document = yaml.safe_load(path.read_text())
    document["distributions"]["zoo-positional"] = "0.0.1"
    document["spec"]["model"]["position"]["an_old_option"] = 3
    del document["spec"]["model"]["position"]["an_old_option"]
    del document["spec"]["decoding"]["batch_size"]  # as if written before the option existed
    path.write_text(yaml.safe_dump(document))
    lines = drift(read_lock(path), {**CONTENT, "weights": "sha256:dd"}).lines()
    assert len(lines) == 3
    assert "drift: spec.decoding.batch_size: locked absent, now 32" in lines
    assert any(line.startswith("drift: distributions.zoo-positional: locked 0.0.1, now ") for line in lines)
    assert "drift: content.weights: locked sha256:cc, now sha256:dd" in lines


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda d: d.pop("spec_hash"), "missing key 'spec_hash'"),
        (lambda d: d.update(zoo_lock=9), "at most 1"),
        (lambda d: d["spec"]["model"].update(position={"use": "zoo-gone/x"}), "pip install zoo-gone"),
        (lambda d: d["spec"].pop("model"), "missing key 'model'"),
    ],
)
def test_a_damaged_lock_is_refused_with_its_place(spec_file: Path, tmp_path: Path, edit: object, says: str) -> None:
    path = tmp_path / "zoo.lock.yaml"
    write_lock(path, load_spec(spec_file), CONTENT)
    document = yaml.safe_load(path.read_text())
    edit(document)  # type: ignore[operator]
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(InputError, match=says) as caught:
        read_lock(path)
    assert str(caught.value).startswith(f"{path}:")


def test_the_hash_ignores_the_name_and_nothing_else(spec_file: Path) -> None:
    base = spec_hash(load_spec(spec_file))
    assert spec_hash(load_spec(spec_file, ["name=other", "description=x"])) == base
    for change in ("seed=4", "model.position=rotary", "training.optimizer.lr=2e-3", "evaluation.split=dev"):
        assert spec_hash(load_spec(spec_file, [change])) != base


def test_a_plain_spec_resolves_to_itself(spec_file: Path) -> None:
    spec = load_spec(spec_file)
    assert resolve(spec.plain()) == spec


def test_a_cell_of_a_grid_is_chosen_by_label(spec_file: Path) -> None:
    spec_file.write_text(GOOD + "grid: {model.position: [rotary, alibi]}\n")
    assert load_spec(spec_file, cell="position=alibi").model.position.name == "alibi"
    with pytest.raises(InputError, match="choose one with --cell position=rotary"):
        load_spec(spec_file)
    with pytest.raises(InputError, match="did you mean 'position=rotary'"):
        load_spec(spec_file, cell="position=rotari")
    assert [cell.spec.name for cell in load_cells(spec_file)] == ["good+position=rotary", "good+position=alibi"]
