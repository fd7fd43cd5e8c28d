"""Which languages a plain model of transformers can be asked for, and what each is told by.

- M2M100, NLLB, mBART and mBART-50 have a token for each: a source begins or ends with its own, an output begins with
  that of the target, or its decoder does.
- Marian's models of several targets are told by ``>>deu<<`` in front of a source, those of T5's build by ``<2de>``, or
  by a sentence for each pair that their configuration has under ``task_specific_params``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zoo.export.folder import LanguagesPart, LanguageText

_FLORES = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
"""NLLB's names, of which transformers 5 keeps no list apart from other special tokens."""
_MARIAN = re.compile(r">>(.+)<<")
_TO = re.compile(r"<2([A-Za-z_]+)>")
_TASK = re.compile(r"translation_(\w+?)_to_(\w+)")


def languages_of(tokenizer: Any, special: Mapping[str, Any], plain: Mapping[str, Any]) -> LanguagesPart | None:
    """The languages of a model with this tokenizer, whose decoding begins as `special` says (``start``, ``forced``:
    token ids, or None) and whose config.json holds `plain`. None where it names fewer than two."""
    tokens = _tokens(tokenizer)
    if len(tokens) > 1:
        return _by_tokens(tokenizer, tokens, special)
    texts = list(_texts(tokenizer, plain))
    return LanguagesPart(texts=texts) if texts else None


@contextmanager
def reading(tokenizer: Any, language: str) -> Iterator[None]:
    """Within the block the tokenizer reads sources of that language."""
    before = tokenizer.src_lang
    tokenizer.src_lang = language
    try:
        yield
    finally:
        tokenizer.src_lang = before


def _tokens(tokenizer: Any) -> dict[str, int]:
    """Name -> token of each language that the tokenizer has a token for."""
    if not hasattr(tokenizer, "set_src_lang_special_tokens"):
        return {}
    named = getattr(tokenizer, "lang_code_to_id", None)
    if named is None:
        codes = [str(token) for token in tokenizer.all_special_tokens if _FLORES.fullmatch(str(token))]
        named = {code: tokenizer.convert_tokens_to_ids(code) for code in codes}
    return {str(name): int(token) for name, token in named.items() if token not in (None, tokenizer.unk_token_id)}


def _by_tokens(tokenizer: Any, tokens: dict[str, int], special: Mapping[str, Any]) -> LanguagesPart:
    around = []
    one, other = list(tokens)[:2]
    for language in (one, other):
        with reading(tokenizer, language):
            around.append((list(tokenizer.prefix_tokens), list(tokenizer.suffix_tokens)))
    (before, behind), (before_other, behind_other) = around
    names = {token: name for name, token in tokens.items()}
    starts = special["start"] in names
    return LanguagesPart(
        source=tokenizer.src_lang,
        target=names.get(special["forced"], names.get(special["start"])),
        tokens=tokens,
        before=_template(before, before_other),
        behind=_template(behind, behind_other),
        starts=starts,
        forces=special["forced"] in names or not starts,
    )


def _template(one: list[int], other: list[int]) -> list[int | None]:
    """What two languages' tokens have in common, and None in the place of the language's own."""
    return [token if token == also else None for token, also in zip(one, other, strict=True)]


def _texts(tokenizer: Any, plain: Mapping[str, Any]) -> Iterator[LanguageText]:
    for code in getattr(tokenizer, "supported_language_codes", ()):
        found = _MARIAN.fullmatch(code)
        if found:
            yield LanguageText(source=None, target=found[1], text=f"{code} ")
    if plain.get("model_type") not in ("t5", "mt5"):
        return
    tasks = plain.get("task_specific_params")
    for name, settings in (tasks if isinstance(tasks, dict) else {}).items():
        pair, prefix = _TASK.fullmatch(name), settings.get("prefix") if isinstance(settings, dict) else None
        if pair and isinstance(prefix, str):
            yield LanguageText(source=pair[1], target=pair[2], text=prefix)
    for token in sorted(tokenizer.get_vocab()):
        to = _TO.fullmatch(token)
        if to:
            yield LanguageText(source=None, target=to[1], text=f"{token} ")
