"""Python tokenizers of transformers as a tokenizer.json, against themselves."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from zoo.errors import InputError
from zoo.export.pieces import _read, encoding_tokenizer
from zoo.export.runtime.texts import Texts
from zoo.export.tokenizer_files import _numbers, _write_converted, refuse_python_tokenizers, write_tokenizers
from zoo.models._compat import V5
from zoo.models.tokenizers import Tokenizers
from zoo.testing.checkpoints import texts, write_checkpoint

STRANGE = [
    "a  b   zz",
    " q@ x xx é漢字 foo",
    "¿abde?",
    "ｋｌｍ ﬁn",
    "ab</s>de <unk> gi",
    "漢字",
    "x.y, z!",
]
"""Characters that no piece has, wide ones, special tokens, and spaces."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {kind: write_checkpoint(kind, root / kind) for kind in ("marian", "marian-apart", "m2m100-bpe")}


def converted(folder: Path, out: Path) -> tuple[Any, Texts]:
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    _write_converted(tokenizer, folder, out)
    return tokenizer, Texts(out, longest_source=None)


@pytest.mark.parametrize("kind", ["marian", "marian-apart", "m2m100-bpe"])
def test_texts_are_read_and_written_as_transformers_does(folders: dict[str, Path], kind: str, tmp_path: Path) -> None:
    """Of pieces of the other side, of pieces without a number, and of unknown ones, too."""
    tokenizer, mine = converted(folders[kind], tmp_path)
    lines = [*texts(seed=9), *STRANGE]
    if kind == "marian":
        lines.append(">>deu<< abd egi")  # the code of a language that it knows
    expected = tokenizer(lines)["input_ids"]
    assert mine.encoded(lines) == expected
    known = {number for row in expected for number in row}
    assert tokenizer.unk_token_id in known
    draw = random.Random(3)
    _, target = _numbers(tokenizer)
    rows = [[draw.randrange(target.size) for _ in range(6)] for _ in range(200)]
    assert mine.decoded(rows) == tokenizer.batch_decode(rows, skip_special_tokens=True)


def test_a_piece_without_a_number_is_cut_all_the_same_and_unknown(folders: dict[str, Path], tmp_path: Path) -> None:
    """Taken out of vocab.json, a piece goes on to decide how a text is cut: nothing else gets another number."""
    tokenizer = AutoTokenizer.from_pretrained(str(folders["marian"]))
    row = max(tokenizer(texts(seed=9))["input_ids"], key=len)
    gone = row[1]
    tokenizer.encoder = {token: number for token, number in tokenizer.encoder.items() if number != gone}
    tokenizer.current_encoder = tokenizer.encoder
    _write_converted(tokenizer, folders["marian"], tmp_path)
    expected = tokenizer(texts(seed=9))["input_ids"]
    assert Texts(tmp_path, longest_source=None).encoded(texts(seed=9)) == expected
    assert any(tokenizer.unk_token_id in ids for ids in expected)


def test_a_model_that_no_file_of_tokenizers_can_say_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(folders["marian"]))
    proto = _read(folders["marian"] / "source.spm")
    proto.pieces[-1].type = 6
    (tmp_path / "bytes.spm").write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match=r"bytes\.spm: has bytes for what it does not know"):
        encoding_tokenizer(tmp_path / "bytes.spm", _numbers(tokenizer)[0])
    (tmp_path / "text.spm").write_text("no model at all")
    with pytest.raises(InputError, match=r"text\.spm: is no SentencePiece model"):
        encoding_tokenizer(tmp_path / "text.spm", _numbers(tokenizer)[0])


class Backwards:
    """A tokenizer that transformers runs in Python, and of which nothing is known."""

    is_fast = False


def test_a_tokenizer_that_has_no_file_of_tokenizers_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="in Python \\(Backwards\\), and has no tokenizer.json"):
        refuse_python_tokenizers(Tokenizers(Backwards(), Backwards()), "here")


def test_a_text_that_would_be_read_in_another_way_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    """In transformers 5 a code that the model does not have is an unknown token, and no text."""
    if not V5:
        pytest.skip("4.57 takes it out")
    tokenizers = Tokenizers.of(AutoTokenizer.from_pretrained(str(folders["marian-apart"])))
    write_tokenizers(tokenizers, folders["marian-apart"], tmp_path, texts(seed=9), 64)
    with pytest.raises(InputError, match="reads '>>deu<< abd egi' in another way than transformers"):
        write_tokenizers(tokenizers, folders["marian-apart"], tmp_path, [">>deu<< abd egi"], 64)
