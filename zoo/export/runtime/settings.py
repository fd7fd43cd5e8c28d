"""How an export is decoded: what its model's spec says, and what a call changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from zoo.errors import InputError, did_you_mean
from zoo.export.folder import SequencePart

_ALWAYS = frozenset({"no_repeat_ngram", "repetition_penalty", "min_new_tokens"})
_OPTIONS: Mapping[str, frozenset[str]] = {
    "greedy": _ALWAYS,
    "beam": _ALWAYS | {"width", "length_penalty", "early_stopping", "renormalize"},
}
"""The strategies that this runtime has, with their options, each of which is a field of `Search`."""


@dataclass(frozen=True)
class Search:
    """A search for likely outputs, with the meaning that transformers' `generate` gives to these words."""

    start: int
    end: int
    max_new_tokens: int
    width: int = 1
    """Hypotheses that grow together; 1 is greedy."""
    length_penalty: float = 1.0
    early_stopping: bool = False
    renormalize: bool = False
    """Whether scores are log-probabilities again once they have been constrained."""
    no_repeat_ngram: int = 0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0
    forced_first: int | None = None
    """Token that every output begins with."""
    forced_last: int | None = None
    """Token that an output of the greatest length ends with."""
    banned: tuple[int, ...] = ()
    """Tokens that are never written."""
    banned_runs: tuple[tuple[int, ...], ...] = ()
    """Runs of two or more tokens that are never written: what would end one is not chosen behind the rest of it."""
    log_probabilities: bool = False
    """Whether the model's scores are log-probabilities to be taken as they are."""

    @property
    def constrained(self) -> bool:
        """Whether scores are changed before a token is chosen."""
        return bool(
            self.no_repeat_ngram
            or self.repetition_penalty != 1.0
            or self.min_new_tokens
            or self.banned
            or self.banned_runs
            or self.forced_first is not None
            or self.forced_last is not None
        )

    def changed(
        self,
        *,
        limit: int | None,
        max_new_tokens: int | None = None,
        width: int | None = None,
        length_penalty: float | None = None,
    ) -> Search:
        """The search with what a call asks for; no output is longer than `limit`, the last place of the model's.

        Raises InputError where a value makes no search.
        """
        for name, value in (("max_new_tokens", max_new_tokens), ("width", width)):
            if value is not None and value < 1:
                raise InputError(f"{name}: expected at least 1, found {value}")
        longest = max_new_tokens or self.max_new_tokens
        longest = longest if limit is None else min(longest, limit)
        return replace(
            self,
            max_new_tokens=longest,
            min_new_tokens=min(self.min_new_tokens, longest),
            width=self.width if width is None else width,
            length_penalty=self.length_penalty if length_penalty is None else length_penalty,
        )


def search_of(sequence: SequencePart, where: str) -> Search:
    """What the spec of the exported model asks for. Raises InputError naming what this runtime does not have."""
    decoding, special = sequence.decoding, sequence.special
    strategy = decoding.strategy.rpartition("/")[2]
    if strategy not in _OPTIONS:
        raise InputError(
            f"decoding.strategy '{decoding.strategy}' is not among those that run without torch: "
            f"{did_you_mean(strategy, _OPTIONS)}",
            where=where,
        )
    known = _OPTIONS[strategy]
    for name in decoding.options:
        if name not in known:
            raise InputError(
                f"decoding.strategy: the option '{name}' of {strategy} is not among those that run without torch: "
                f"{did_you_mean(name, known)}",
                where=where,
            )
    return Search(
        start=special.start,
        end=special.end,
        max_new_tokens=decoding.max_new_tokens,
        forced_first=special.forced_bos,
        forced_last=special.forced_eos,
        banned=tuple(tokens[0] for tokens in special.banned if len(tokens) == 1 and tokens[0] != special.end),
        banned_runs=tuple(tuple(tokens) for tokens in special.banned if len(tokens) > 1),
        log_probabilities=sequence.log_probabilities,
        **decoding.options,
    )
