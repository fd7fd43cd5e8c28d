"""Tokenizers are trained once, for exactly what they were trained on."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import ZooError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import prepare
from zoo.training.preparation import tokenizer_hash, tokenizer_key


def folders(home: DataHome) -> list[str]:
    return sorted(path.name for path in home.tokenizers.iterdir() if path.is_dir())


def test_a_tokenizer_is_trained_once(
    make_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, spec = DataHome(tmp_path), make_spec()
    left = home.tokenizers / ".tmp-killed"
    left.mkdir(parents=True)
    first = prepare(spec, home)
    assert not left.exists(), "what a killed writer left is swept"
    trainer = spec.tokenizer.load()

    def never(self: Any, texts: Any) -> Any:
        raise AssertionError("trained a second time")

    monkeypatch.setattr(trainer, "train", never)
    second = prepare(make_spec(seed=99), home)
    assert tokenizer_hash(first.tokenizers.target) == tokenizer_hash(second.tokenizers.target)
    assert len(folders(home)) == 1


def test_its_name_changes_with_data_and_options(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec()
    keys = {
        tokenizer_key(spec.tokenizer, "sha256:a"),
        tokenizer_key(spec.tokenizer, "sha256:b"),
        tokenizer_key(make_spec(tokenizer={"use": "unigram", "vocab_size": 170}).tokenizer, "sha256:a"),
        tokenizer_key(make_spec(tokenizer={"use": "bpe", "vocab_size": 160}).tokenizer, "sha256:a"),
    }
    assert len(keys) == 4
    assert tokenizer_key(make_spec(seed=99).tokenizer, "sha256:a") == tokenizer_key(spec.tokenizer, "sha256:a")


def test_one_killed_while_it_was_written_is_trained_again(
    make_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, spec = DataHome(tmp_path), make_spec()
    whole = prepare(spec, DataHome(tmp_path / "other"))

    class Died(BaseException):
        pass

    def dies(self: Any, folder: Path) -> None:
        (folder / "tokenizer.json").write_text("{")
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(type(whole.tokenizers.target), "save_pretrained", dies)
        with pytest.raises(Died):
            prepare(spec, home)
    assert tokenizer_hash(prepare(spec, home).tokenizers.target) == tokenizer_hash(whole.tokenizers.target)


def test_a_tokenizer_with_other_special_ids_is_refused(
    make_spec: Callable[..., Spec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec()
    trainer = spec.tokenizer.load()
    original = trainer.train

    def other(self: Any, texts: Any) -> Any:
        tokenizer = original(self, texts)
        tokenizer.eos_token = tokenizer.bos_token
        return tokenizer

    monkeypatch.setattr(trainer, "train", other)
    with pytest.raises(ZooError, match="special ids"):
        prepare(spec, DataHome(tmp_path))


def _prepare(spec: dict[str, Any], root: Path) -> str:
    from zoo.spec import resolve

    return tokenizer_hash(prepare(resolve(spec), DataHome(root)).tokenizers.target)


@pytest.mark.slow
def test_processes_at_once_share_one_tokenizer(make_spec: Callable[..., Spec], tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        hashes = pool.starmap(_prepare, [(make_spec().plain(), tmp_path)] * 2)
    assert len(set(hashes)) == 1
    assert len(folders(DataHome(tmp_path))) == 1
