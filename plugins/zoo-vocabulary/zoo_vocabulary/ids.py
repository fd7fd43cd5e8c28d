"""Token ids and vocabulary sizes in config.json and generation_config.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from zoo_vocabulary.remap import Remap

SIZES = ("vocab_size", "decoder_vocab_size", "encoder_vocab_size")
READ = frozenset({"pad_token_id", "eos_token_id", "bos_token_id", "sep_token_id"})
"""Roles that tokens have on the source's side as well; all others are about what is written."""
LANGUAGES = frozenset({"lang_to_id", "lang_code_to_id"})
SEQUENCES = frozenset({"force_words_ids", "forced_decoder_ids"})
SUPPRESSED = frozenset({"suppress_tokens", "begin_suppress_tokens"})
BANNED = "bad_words_ids"
_ZOO = "model"
"""zoo's own section of a configuration: components and their options, and the checkpoint that it began with."""


def named_ids(config: dict[str, Any], size: int, roles: frozenset[str] | None = None) -> set[int]:
    """Ids that a configuration gives a role (one of `roles`); they must stay. What is outside of the vocabulary, as
    -1, is none."""
    return {identity for role, identity in _roles(config) if 0 <= identity < size and (roles is None or role in roles)}


def _roles(config: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for key, value in config.items():
        if key.endswith("_token_id") or key in SEQUENCES or key in LANGUAGES:
            # Of a forced token (place, id) the place is no id; to keep a token more than needed does no harm.
            yield from ((key, identity) for identity in _numbers(value))
        elif isinstance(value, dict) and key != _ZOO:
            yield from _roles(value)


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _numbers(item)


def remapped(
    config: dict[str, Any], remap: Remap, sizes: Mapping[str, Remap]
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The configuration with new ids and sizes, and what changed in it: field -> [before, after].

    `remap` is of the vocabulary that is written; `sizes` names for each field of `SIZES` the one that it counts.
    A sequence that is banned or suppressed leaves with any of its tokens: it can no longer be written.
    """
    changes: dict[str, list[Any]] = {}
    return _walked(config, remap, sizes, changes, ""), changes


def _walked(
    config: dict[str, Any], remap: Remap, sizes: Mapping[str, Remap], changes: dict[str, list[Any]], path: str
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        new = value
        if key in sizes:
            new = sizes[key].size if value == sizes[key].old_size else value
        elif key == "forced_decoder_ids" and isinstance(value, list):
            new = [[place, _id(identity, remap)] for place, identity in value]
        elif key.endswith("_token_id") or key in SEQUENCES or key in LANGUAGES:
            new = _nested(value, remap)
        elif key in SUPPRESSED and isinstance(value, list):
            new = [_id(identity, remap) for identity in value if _stays(identity, remap)]
        elif key == BANNED and isinstance(value, list):
            new = [_nested(words, remap) for words in value if all(_stays(identity, remap) for identity in words)]
            new = new or None
        elif key == "sequence_bias" and value:
            pairs = value.items() if isinstance(value, dict) else value
            new = [[_nested(list(words), remap), bias] for words, bias in pairs if all(_stays(i, remap) for i in words)]
        elif isinstance(value, dict) and key != _ZOO:
            new = _walked(value, remap, sizes, changes, f"{path}{key}.")
            found[key] = new
            continue
        if new != value:
            changes[f"{path}{key}"] = [value, new]
        found[key] = new
    return found


def _stays(identity: int, remap: Remap) -> bool:
    return identity in remap.new_ids or not 0 <= identity < remap.old_size


def _id(identity: int, remap: Remap) -> int:
    return remap.new_ids[identity] if 0 <= identity < remap.old_size else identity


def _nested(value: Any, remap: Remap) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return _id(value, remap)
    if isinstance(value, dict):
        return {key: _nested(item, remap) for key, item in value.items()}
    return [_nested(item, remap) for item in value] if isinstance(value, list) else value
