"""Which languages a plain model has, and how each is told to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.export.folder import LanguagesPart
from zoo.export.language_table import languages_of
from zoo.export.runtime.languages import in_language, pair_of
from zoo.export.runtime.texts import Texts
from zoo.export.tokenizer_files import write_tokenizers
from zoo.models.tokenizers import Tokenizers
from zoo.testing.checkpoints import texts, write_checkpoint

LINES = texts(seed=5, count=4)


def loaded(kind: str, folder: Path) -> Any:
    write_checkpoint(kind, folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(("kind", "others"), [("m2m100", ["ja", "zh"]), ("nllb", ["deu_Latn", "zho_Hans"])])
def test_sources_of_each_language_are_read_without_transformers_as_with_it(
    tmp_path: Path, kind: str, others: list[str]
) -> None:
    """One `tokenizer.json`, cut to seven tokens of which the language's is one; the tokenizer is left as it was."""
    tokenizer = loaded(kind, tmp_path / kind)
    language = tokenizer.src_lang
    found = languages_of(tokenizer, {"start": 2, "forced": None}, {})
    assert found is not None
    assert found.source == language
    (tmp_path / "out").mkdir()
    write_tokenizers(Tokenizers.of(tokenizer), tmp_path / kind, tmp_path / "out", LINES, 7, found)
    assert tokenizer.src_lang == language
    mine = Texts(tmp_path / "out", longest_source=7)
    for other in (language, *others):
        tokenizer.src_lang = other
        expected = tokenizer(LINES, truncation=True, max_length=7)["input_ids"]
        assert in_language(mine.encoded(LINES), found, pair_of(found, other, None)) == expected
        assert tokenizer.convert_tokens_to_ids(tokenizer.convert_ids_to_tokens(expected[0][0])) == found.tokens[other]


def test_a_table_that_reads_in_another_way_is_refused(tmp_path: Path) -> None:
    tokenizer = loaded("nllb", tmp_path / "nllb")
    found = languages_of(tokenizer, {"start": 2, "forced": None}, {})
    assert found is not None
    wrong = found.model_copy(update={"behind": [None], "before": [2]})
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="reads a source of 'eng_Latn' in another way than transformers"):
        write_tokenizers(Tokenizers.of(tokenizer), tmp_path / "nllb", tmp_path / "out", LINES, None, wrong)


class Named:
    """A tokenizer with these tokens."""

    supported_language_codes = (">>deu<<", "nothing")

    def get_vocab(self) -> dict[str, int]:
        return {"<2pt_BR>": 1, "<2en>": 0, "<2 x>": 2, "two": 3}


def test_models_that_are_told_by_text_have_what_stands_in_front_of_a_source() -> None:
    tasks = {
        "translation_en_to_de": {"prefix": "translate English to German: ", "max_length": 300},
        "summarization": {"prefix": "summarize: "},
    }
    special = {"start": 0, "forced": None}
    found = languages_of(Named(), special, {"model_type": "t5", "task_specific_params": tasks})
    assert found is not None
    assert [(item.source, item.target, item.text) for item in found.texts] == [
        (None, "deu", ">>deu<< "),
        ("en", "de", "translate English to German: "),
        (None, "en", "<2en> "),
        (None, "pt_BR", "<2pt_BR> "),
    ]
    found = languages_of(Named(), special, {"model_type": "marian", "task_specific_params": tasks})
    assert found == LanguagesPart(texts=[{"source": None, "target": "deu", "text": ">>deu<< "}])  # type: ignore[list-item]


def test_a_model_in_torch_refuses_an_unknown_language_in_one_line_before_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_checkpoint("nllb", tmp_path / "nllb")
    capsys.readouterr()
    assert main(["translate", str(folder), "-", "--target-language", "de"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "target language 'de': did you mean 'deu_Latn'? (known: deu_Latn, eng_Latn, zho_Hans)" in told
