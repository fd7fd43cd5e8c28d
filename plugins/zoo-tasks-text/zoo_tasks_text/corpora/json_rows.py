"""Pairs from JSON lines: one object a line, its fields named by the options."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import InputError, visible
from zoo.tasks import Pair
from zoo_tasks_text.corpora.options import FilesOptions
from zoo_tasks_text.corpora.pair_fields import checked_order, checked_text
from zoo_tasks_text.corpora.text_files import lines

_NAMES_SHOWN = 12


class _FieldTwiceError(ValueError):
    pass


def jsonl_pairs(path: Path, options: FilesOptions) -> Iterator[Pair]:
    """Raises InputError with file and line where a line is no object with the texts in it."""
    for number, (where, line) in enumerate(lines(path)):
        yield _pair(_object(line, where), options, number, where)


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row: Any = json.loads(line, object_pairs_hook=_once_each)
    except _FieldTwiceError as error:
        raise InputError(f"field '{visible(str(error))}' stands twice in one object", where=where) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not a JSON object: {error}", where=where) from error
    if not isinstance(row, dict):
        raise InputError(f"expected a JSON object, found {type(row).__name__}", where=where)
    return row


def _once_each(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        names = [name for name, _ in items]
        raise _FieldTwiceError(next(name for name in names if names.count(name) > 1))
    return found


def _pair(row: Mapping[str, Any], options: FilesOptions, number: int, where: str) -> Pair:
    texts = {}
    for language, field in zip(options.languages, options.fields or options.languages, strict=True):
        if field not in row:
            names = [visible(name) for name in row]
            listed = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
            raise InputError(f"no field '{field}' (has {listed or 'none'})", where=where)
        texts[language] = _string(row[field], where, f"field '{field}'")
    document = row.get(options.document_field)
    if isinstance(document, int) and not isinstance(document, bool):
        document = str(document)
    if document is not None and not isinstance(document, str):
        raise InputError(f"field '{options.document_field}' is no document id: expected a string", where=where)
    return Pair(
        texts,
        document=None if document is None else checked_text(document, where, "the document id"),
        order=_order(row, options.order_field, number, where),
        domain=_optional(row, options.domain_field, where),
        licence=_optional(row, options.licence_field, where),
        contrasts=_contrasts(row, options, texts, where),
    )


def _string(value: Any, where: str, what: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{what} is {type(value).__name__}, expected a string", where=where)
    return checked_text(value, where, what)


def _optional(row: Mapping[str, Any], field: str, where: str) -> str | None:
    value = row.get(field)
    return None if value is None else _string(value, where, f"field '{field}'")


def _order(row: Mapping[str, Any], field: str, number: int, where: str) -> int:
    value = row.get(field)
    if value is None:
        return number
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"field '{field}' is {type(value).__name__}, expected a whole number from 0", where=where)
    return checked_order(value, where, f"field '{field}'")


def _contrasts(
    row: Mapping[str, Any], options: FilesOptions, texts: Mapping[str, str], where: str
) -> dict[str, tuple[str, ...]]:
    """Wrong texts by language; a plain list is of the second language."""
    field = options.contrast_field
    value = row.get(field)
    if value is None:
        return {}
    given = value if isinstance(value, dict) else {options.languages[1]: value}
    found = {}
    for language, wrong in given.items():
        if language not in texts:
            raise InputError(
                f"field '{field}' has the language '{visible(language)}', expected {' or '.join(texts)}", where=where
            )
        if not isinstance(wrong, list):
            raise InputError(
                f"field '{field}' is {type(wrong).__name__}, expected a list of wrong texts, or such lists by language",
                where=where,
            )
        checked = tuple(_string(text, where, f"a text in field '{field}'") for text in wrong)
        if texts[language] in checked:
            raise InputError(f"field '{field}' lists the right {language} text among the wrong ones", where=where)
        if checked:
            found[language] = checked
    return found
