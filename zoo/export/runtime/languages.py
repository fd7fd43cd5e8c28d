"""The languages of a call: what a pair of them changes for a model that has several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from zoo.errors import InputError, did_you_mean, nearest
from zoo.export.folder import LanguagesPart
from zoo.export.runtime.settings import Search

SOURCE, TARGET = "source language", "target language"


@dataclass(frozen=True)
class Pair:
    """What a pair of languages changes; nothing where a field is empty."""

    text: str = ""
    """What stands in front of each source."""
    source: int | None = None
    """The token of the source's language."""
    target: int | None = None
    """The token of the target's language."""


AS_SAVED = Pair()


def pair_of(languages: LanguagesPart | None, source: str | None, target: str | None) -> Pair:
    """The pair that is asked for by the names that the model's tokenizer has; None: as the model was saved.

    Raises InputError for a name that it has not, with the nearest that it has, and where the model has no choice.
    """
    if source is None and target is None:
        return AS_SAVED
    if languages is None:
        what, name = (SOURCE, source) if source is not None else (TARGET, target)
        raise InputError(f"{what} '{name}': this model names no languages: it translates as it was saved to")
    if languages.tokens:
        return Pair(
            source=None if source is None else _known(SOURCE, source, languages.tokens),
            target=None if target is None else _known(TARGET, target, languages.tokens),
        )
    return Pair(_text(languages, source, target))


def searching(search: Search, languages: LanguagesPart | None, pair: Pair) -> Search:
    """The search for outputs in the target's language."""
    if languages is None or pair.target is None:
        return search
    return replace(
        search,
        start=pair.target if languages.starts else search.start,
        forced_first=pair.target if languages.forces else search.forced_first,
    )


def in_language(rows: Sequence[list[int]], languages: LanguagesPart | None, pair: Pair) -> list[list[int]]:
    """Sources' ids with the token of the pair's language in the place of that of another."""
    if languages is None or pair.source is None:
        return list(rows)
    first = [place for place, token in enumerate(languages.before) if token is None]
    last = [place - len(languages.behind) for place, token in enumerate(languages.behind) if token is None]
    found = [list(row) for row in rows]
    for row in found:
        for place in (*first, *last):
            row[place] = pair.source
    return found


def _known(what: str, name: str, tokens: dict[str, int]) -> int:
    if name not in tokens:
        raise InputError(_unknown(what, name, tokens))
    return tokens[name]


def _text(languages: LanguagesPart, source: str | None, target: str | None) -> str:
    """Of a model that is told by text."""
    texts = languages.texts
    told = sorted({item.source for item in texts if item.source is not None})
    if source is not None and source not in told:
        if not told:
            raise InputError(f"{SOURCE} '{source}': this model is told the target's language alone")
        raise InputError(_unknown(SOURCE, source, told))
    fitting = [item for item in texts if source is None or item.source in (None, source)]
    targets = {item.target for item in fitting}
    if target is None:
        raise InputError(f"{TARGET}: expected one beside the {SOURCE} '{source}': {', '.join(sorted(targets))}")
    if target not in targets:
        raise InputError(_unknown(TARGET, target, targets))
    found = [item for item in fitting if item.target == target]
    if len(found) > 1:
        known = ", ".join(sorted(str(item.source) for item in found))
        raise InputError(f"{SOURCE}: expected one beside the {TARGET} '{target}': {known}")
    return found[0].text


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    """One line with the nearest name: also where one is the beginning of the other, as 'de' is of 'deu_Latn'."""
    names = sorted(known)
    alike = [item for item in names if item.lower().startswith(name.lower()) or name.lower().startswith(item.lower())]
    close = nearest(name, names) or (alike[0] if alike and name else name)
    return f"{what} '{name}': {did_you_mean(close, names)}"
