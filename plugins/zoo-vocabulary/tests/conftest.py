"""Tiny models, made once a session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from zoo.testing.checkpoints import write_checkpoint
from zoo.testing.surroundings import one_thread

# Not `checkpoints`: the core's tests have a module of that name.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _on_one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``checkpoint("marian")``: the folder of one, the same for all tests, which leave it alone."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        if kind == "marian-apart" and version("transformers").startswith("4."):
            pytest.skip("transformers 4 gives a saved Marian's target side the rows of its source")
        if kind not in made:
            made[kind] = write_checkpoint(kind, tmp_path_factory.mktemp("checkpoints") / kind)
        return made[kind]

    return of


@pytest.fixture
def corpus_file(tmp_path: Path) -> Callable[..., Path]:
    """``corpus_file(lines)``: a file of texts."""

    def write(lines: Any, name: str = "corpus.txt") -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write
