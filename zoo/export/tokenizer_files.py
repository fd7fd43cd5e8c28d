"""The tokenizers of an export: a ``tokenizer.json`` for each side, whatever transformers makes of its own.

Those that transformers runs in Python (Marian's, M2M100's) are converted (`zoo.export.pieces`), and looked at: what an
export reads and writes is what its model does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.export.folder import TARGET_TOKENIZER, LanguagesPart
from zoo.export.language_table import reading
from zoo.export.pieces import Numbers, decoding_tokenizer, encoding_tokenizer
from zoo.export.runtime.languages import in_language, pair_of
from zoo.export.runtime.texts import NUMBERED, STRIP, UNKNOWN, Texts
from zoo.models._compat import save_tokenizer
from zoo.models.tokenizers import Tokenizers, save_tokenizers

_CONVERTED = {"MarianTokenizer": "source.spm", "M2M100Tokenizer": "sentencepiece.bpe.model"}
"""Tokenizers that transformers runs in Python and that a tokenizer.json can say, with the model that cuts sources."""


def refuse_python_tokenizers(tokenizers: Tokenizers, where: str) -> None:
    """Raise InputError where a tokenizer is run in Python and has no tokenizer.json."""
    for tokenizer in (tokenizers.source, tokenizers.target):
        if tokenizer is not None and not tokenizer.is_fast and type(tokenizers.source).__name__ not in _CONVERTED:
            raise InputError(
                f"its tokenizer is run in Python ({type(tokenizer).__name__}), and has no tokenizer.json", where=where
            )


def write_tokenizers(
    tokenizers: Tokenizers,
    loaded_from: Path,
    folder: Path,
    texts: Sequence[str],
    longest: int | None,
    languages: LanguagesPart | None = None,
) -> None:
    """Write those of a model, `loaded_from` a folder, into the `folder` of an export.

    Raises InputError where one without transformers would read one of `texts` in another way, cut to `longest` tokens,
    or the first of them in one of the `languages`, or write it.
    """
    tokenizer = tokenizers.source
    if tokenizer is None or tokenizer.is_fast:
        save_tokenizers(tokenizers, folder)
    else:
        _write_converted(tokenizer, loaded_from, folder)
    if texts and tokenizer is not None and tokenizers.shared:
        mine = Texts(folder, longest_source=longest)
        _refuse_other_texts(tokenizer, mine, texts, longest, str(loaded_from))
        if languages is not None:
            _refuse_other_languages(tokenizer, mine, texts[0], longest, languages, str(loaded_from))


def _numbers(tokenizer: Any) -> tuple[Numbers, Numbers]:
    """Of sources and of targets."""
    special = list(tokenizer.all_special_tokens)
    unknown = str(tokenizer.unk_token)
    ids = dict(tokenizer.encoder)
    if type(tokenizer).__name__ == "M2M100Tokenizer":
        before, behind = (
            tokenizer.convert_ids_to_tokens(found) for found in (tokenizer.prefix_tokens, tokenizer.suffix_tokens)
        )
        numbered = {**ids, **tokenizer.lang_token_to_id}
        rows = max(numbered.values()) + 1 + int(tokenizer.num_madeup_words)
        # Transformers 5 writes the unknown token for a number without one, 4.57 nothing.
        missing = tokenizer.decode([rows - 1], skip_special_tokens=True)
        both = Numbers(
            numbered, special, before=before, behind=behind, unknown=unknown, rows=rows, missing=str(missing)
        )
        return both, both
    source = Numbers(ids, special, tokenizer.supported_language_codes, (), [str(tokenizer.eos_token)], unknown)
    if not tokenizer.separate_vocabs:
        return source, Numbers(ids, special, unknown=unknown)
    return source, Numbers(dict(tokenizer.target_encoder), special, unknown=unknown)


def _write_converted(tokenizer: Any, folder: Path, out: Path) -> None:
    """A Python tokenizer of transformers, and what reads and writes as it does without transformers."""
    save_tokenizer(tokenizer, out)
    source, target = _numbers(tokenizer)
    encoding_tokenizer(folder / _CONVERTED[type(tokenizer).__name__], source).save(str(out / "tokenizer.json"))
    (out / TARGET_TOKENIZER).mkdir(exist_ok=True)
    decoding_tokenizer(target).save(str(out / TARGET_TOKENIZER / "tokenizer.json"))
    path = out / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {NUMBERED: source.size, UNKNOWN: source.ids[source.unknown]}
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    settings = {"clean_up_tokenization_spaces": bool(tokenizer.clean_up_tokenization_spaces), STRIP: True}
    (out / TARGET_TOKENIZER / "tokenizer_config.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")


def _refuse_other_languages(
    tokenizer: Any, mine: Texts, text: str, longest: int | None, languages: LanguagesPart, where: str
) -> None:
    """Read a text as one of each language."""

    def read(given: str) -> list[list[int]]:
        found = tokenizer([given], truncation=longest is not None, max_length=longest)["input_ids"]
        return [list(ids) for ids in found]

    for language in languages.tokens:
        with reading(tokenizer, language):
            expected = read(text)
        pair = pair_of(languages, language, None)
        if in_language(mine.encoded([text]), languages, pair) != expected:
            raise InputError(
                f"its tokenizer.json reads a source of '{language}' in another way than transformers", where=where
            )
    for told in dict.fromkeys(item.text for item in languages.texts):
        if mine.encoded([told + text]) != read(told + text):
            raise InputError(
                f"its tokenizer.json reads {told!r} in front of a source in another way than transformers", where=where
            )


def _refuse_other_texts(tokenizer: Any, mine: Texts, texts: Sequence[str], longest: int | None, where: str) -> None:
    expected = tokenizer(list(texts), truncation=longest is not None, max_length=longest)["input_ids"]
    with _some_target(tokenizer):
        written = tokenizer(text_target=list(texts))["input_ids"]
    outputs = tokenizer.batch_decode(written, skip_special_tokens=True)
    for text, ids, found in zip(texts, expected, mine.encoded(texts), strict=True):
        if list(ids) != list(found):
            raise InputError(f"its tokenizer.json reads {text[:60]!r} in another way than transformers", where=where)
    for text, output, mine_written in zip(texts, outputs, mine.decoded(written), strict=True):
        if output != mine_written:
            raise InputError(f"its tokenizer.json writes {text[:60]!r} in another way than transformers", where=where)


@contextmanager
def _some_target(tokenizer: Any) -> Iterator[None]:
    """Within the block a tokenizer of several languages has one for targets: M2M100's reads none without."""
    unset = getattr(tokenizer, "tgt_lang", "") is None
    if unset:
        tokenizer.tgt_lang = tokenizer.src_lang
    try:
        yield
    finally:
        if unset:
            tokenizer.tgt_lang = None
