"""The parts of a pair, checked as they come from somebody's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoo.errors import InputError
from zoo.tasks import Pair

_LARGEST_ORDER = 2**63 - 1


def checked_text(value: str, where: str, what: str) -> str:
    """`value` without white space at its ends. Raises InputError where nothing is left, or what cannot be stored."""
    text = value.strip()
    if not text:
        raise InputError(f"{what} is empty", where=where)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"{what} holds half of a surrogate pair, which is not a character", where=where)
    if "\0" in text:
        raise InputError(f"{what} holds a NUL, which no text has: remove it", where=where)
    return text


def checked_order(value: int, where: str, what: str) -> int:
    """Raises InputError where `value` is no place within a document."""
    if not 0 <= value <= _LARGEST_ORDER:
        raise InputError(f"{what} is {value}, expected a whole number from 0", where=where)
    return value


def pair_from_strings(row: Mapping[str, str], languages: Sequence[str], order: int, where: str) -> Pair:
    """A pair from columns named by language, ``document``, ``order``, ``domain`` and ``licence``.

    Columns besides the languages' may be empty; `order` is what a row without that column has.
    """
    document, domain, licence = (
        checked_text(row[name], where, f"the {name} column") if row.get(name, "").strip() else None
        for name in ("document", "domain", "licence")
    )
    place = row.get("order", "").strip()
    if place:
        if not (place.isascii() and place.isdigit() and len(place) < 20):
            raise InputError(f"the order column is '{place[:30]}', expected a whole number from 0", where=where)
        order = checked_order(int(place), where, "the order column")
    texts = {language: checked_text(row[language], where, f"the {language} column") for language in languages}
    return Pair(texts, document, order, domain, licence)
