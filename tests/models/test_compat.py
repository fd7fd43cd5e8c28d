"""What one line of transformers writes, the other reads."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from zoo.models._compat import save_tokenizer


def test_a_saved_tokenizer_names_a_class_that_both_lines_know(tmp_path: Path) -> None:
    backend = Tokenizer(WordLevel({"<pad>": 0, "</s>": 1, "<s>": 2, "<unk>": 3, "a": 4}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")
    save_tokenizer(tokenizer, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert AutoTokenizer.from_pretrained(tmp_path)("a b").input_ids == [4, 3]
