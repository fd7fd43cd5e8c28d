"""How the models inside tokenizers cut a word, one word at a time, and what a new token changes about that.

A word is written as the model sees it: normalised, cut out by the pre-tokenizer, spaces marked.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

Rank = Callable[[str, str], float | None]
"""The rank of merging two neighbours, the lowest first; None where they do not merge."""


class Segmenter(ABC):
    """One model: cuts words, and takes new tokens."""

    @abstractmethod
    def segment(self, word: str) -> list[str]:
        """The tokens of `word`; the unknown token stands for what has none. Empty where nothing can stand for it."""

    @abstractmethod
    def add(self, token: str) -> list[str]:
        """Have `token`, as a word of its own, be one token. Returns what is new in the vocabulary for it, in order.

        Empty where it is a token already.
        """

    def needed(self, token: str) -> int:
        """How many new tokens `add` takes for it at the most."""
        return 1

    def add_pair(self, left: str, right: str) -> list[str]:
        """Have the neighbours `left` and `right` be one token, wherever they are neighbours. Returns as `add`."""
        return self.add(self.joined(left, right))

    def joined(self, left: str, right: str) -> str:
        """The token that stands for both."""
        return left + right


class BytePairs(Segmenter):
    """Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909): merges in the order in which they were learned."""

    def __init__(
        self,
        vocabulary: set[str],
        merges: Sequence[tuple[str, str]],
        *,
        prefix: str = "",
        suffix: str = "",
        unknown: str | None = None,
        byte_fallback: bool = False,
        whole_words: bool = False,
    ) -> None:
        self.vocabulary = vocabulary
        self.merges = list(merges)
        self.prefix, self.suffix, self.unknown, self.byte_fallback = prefix, suffix, unknown, byte_fallback
        self.whole_words = whole_words
        """Whether a word that is a token is not cut at all, whatever the merges (`ignore_merges`)."""
        self._ranks: dict[tuple[str, str], float] = {}
        for rank, pair in enumerate(self.merges):
            self._ranks[pair] = rank  # of a pair that is there twice the last one counts, as in `tokenizers`

    def joined(self, left: str, right: str) -> str:
        return left + (right.removeprefix(self.prefix) if self.prefix else right)

    def symbols(self, word: str) -> list[str]:
        """What merging begins with: characters, with the marks of the inside and of the end of a word."""
        body, inside = word, bool(self.prefix) and word.startswith(self.prefix) and word != self.prefix
        if inside:
            body = body.removeprefix(self.prefix)
        ends = bool(self.suffix) and body.endswith(self.suffix) and body != self.suffix
        if ends:
            body = body.removesuffix(self.suffix)
        found = [char if place == 0 and not inside else self.prefix + char for place, char in enumerate(body)]
        if ends:
            found[-1] += self.suffix
        return found

    def segment(self, word: str) -> list[str]:
        if self.whole_words and word in self.vocabulary:
            return [word]
        return self.merge(self._known(self.symbols(word)))[0]

    def steps(self, token: str) -> list[str] | None:
        """Every token that stands between the characters and `token` while it is merged, itself included.

        They are the same in every word in which `token` comes out: no merge crosses the edge of what stays a token,
        so that merges inside it do not depend on what stands around it. None where merging does not give `token`.
        """
        symbols = self.symbols(token)
        if any(symbol not in self.vocabulary for symbol in symbols):
            symbols = self._known(symbols)
        done, made = self.merge(symbols)
        return [*dict.fromkeys([*symbols, *made])] if done == [token] else None

    def merge(self, symbols: Sequence[str]) -> tuple[list[str], list[str]]:
        """What is left of `symbols` once nothing merges, and the tokens that were made on the way."""
        return merge(symbols, lambda left, right: self._ranks.get((left, right)), self.joined)

    def needed(self, token: str) -> int:
        return 1 if self.whole_words else max(1, len(self.segment(token)) - 1)

    def add(self, token: str) -> list[str]:
        added: list[str] = []
        if self.whole_words:
            if token not in self.vocabulary:
                self.vocabulary.add(token)
                added.append(token)
            return added
        pieces = self.segment(token)
        while len(pieces) > 1:
            added += self.add_pair(pieces[0], pieces[1])
            pieces = self.segment(token)
        return added

    def add_pair(self, left: str, right: str) -> list[str]:
        whole = self.joined(left, right)
        self._ranks[left, right] = len(self.merges)
        self.merges.append((left, right))
        if whole in self.vocabulary:
            return []
        self.vocabulary.add(whole)
        return [whole]

    def _known(self, symbols: Sequence[str]) -> list[str]:
        found: list[str] = []
        for symbol in symbols:
            spelled = [f"<0x{byte:02X}>" for byte in symbol.encode("utf-8", "surrogatepass")]
            if symbol in self.vocabulary:
                found.append(symbol)
            elif self.byte_fallback and all(byte in self.vocabulary for byte in spelled):
                found += spelled
            elif self.unknown is not None:
                found.append(self.unknown)
        return found


class Pieces(Segmenter):
    """A unigram language model (Kudo 2018, arXiv:1804.10959): the cut with the greatest sum of scores."""

    UNKNOWN_PENALTY = 10.0
    """How far below the lowest score an unknown character lies, in `tokenizers` and in SentencePiece."""
    MARGIN = 1e-3
    """By how much a new token is better than the pieces that it was."""

    def __init__(self, scores: Mapping[str, float], *, unknown: str, lowest: float | None = None) -> None:
        self.scores = dict(scores)
        self.unknown = unknown
        self.lowest = min(scores.values(), default=0.0) if lowest is None else lowest
        self._longest = max(map(len, scores), default=1)

    def segment(self, word: str) -> list[str]:
        return self.best(word)[0]

    def best(self, word: str) -> tuple[list[str], float]:
        """The best cut and its score (Viterbi)."""
        totals = [0.0, *[-math.inf] * len(word)]
        cuts: list[tuple[int, str]] = [(0, "")] * (len(word) + 1)
        for start in range(len(word)):
            single = False
            for end in range(start + 1, min(len(word), start + self._longest) + 1):
                piece = word[start:end]
                score = self.scores.get(piece)
                if score is None:
                    continue
                single = single or end == start + 1
                if totals[start] + score > totals[end]:
                    totals[end], cuts[end] = totals[start] + score, (start, piece)
            unknown = totals[start] + self.lowest - self.UNKNOWN_PENALTY
            if not single and unknown > totals[start + 1]:
                totals[start + 1], cuts[start + 1] = unknown, (start, self.unknown)
        found: list[str] = []
        end = len(word)
        while end > 0:
            end, piece = cuts[end]
            found.append(piece)
        return found[::-1], totals[len(word)]

    def add(self, token: str) -> list[str]:
        """Its score is a little more than that of its best cut, and not below the lowest one, on which the score of
        unknown characters depends: texts without it are cut as before."""
        pieces, score = self.best(token)
        if token in self.scores and pieces == [token]:
            return []
        new = token not in self.scores
        self.scores[token] = max(score + self.MARGIN, self.lowest)
        self._longest = max(self._longest, len(token))
        return [token] if new else []


class Words(Segmenter):
    """A token for each word, the unknown one for the rest."""

    def __init__(self, vocabulary: set[str], *, unknown: str | None) -> None:
        self.vocabulary = vocabulary
        self.unknown = unknown

    def segment(self, word: str) -> list[str]:
        if word in self.vocabulary:
            return [word]
        return [] if self.unknown is None else [self.unknown]

    def add(self, token: str) -> list[str]:
        if token in self.vocabulary:
            return []
        self.vocabulary.add(token)
        return [token]


class LongestFirst(Words):
    """WordPiece as BERT cuts words: the longest token from the left, those inside a word with a prefix."""

    def __init__(self, vocabulary: set[str], *, unknown: str, prefix: str = "##", longest_word: int = 100) -> None:
        super().__init__(vocabulary, unknown=unknown)
        self.prefix, self.longest_word = prefix, longest_word

    def joined(self, left: str, right: str) -> str:
        return left + right.removeprefix(self.prefix)

    def segment(self, word: str) -> list[str]:
        unknown = [str(self.unknown)]
        if len(word) > self.longest_word:
            return unknown
        inside = word.startswith(self.prefix) and word != self.prefix
        body = word.removeprefix(self.prefix) if inside else word
        found: list[str] = []
        start = 0
        while start < len(body):
            for end in range(len(body), start, -1):
                piece = (self.prefix if start or inside else "") + body[start:end]
                if piece in self.vocabulary:
                    break
            else:
                return unknown
            found.append(piece)
            start = end
        return found


def merge(symbols: Sequence[str], rank: Rank, joined: Callable[[str, str], str]) -> tuple[list[str], list[str]]:
    """Merge neighbours, the lowest rank first and of one rank the leftmost, until nothing merges.

    Returns what is left, and every token that was made, in order.
    """
    left = list(symbols)
    made: list[str] = []
    while True:
        best: tuple[float, int] | None = None
        for place in range(len(left) - 1):
            found = rank(left[place], left[place + 1])
            if found is not None and (best is None or found < best[0]):
                best = (found, place)
        if best is None:
            return left, made
        place = best[1]
        left[place : place + 2] = [joined(left[place], left[place + 1])]
        made.append(left[place])


def pairs_of(pieces: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Neighbours."""
    yield from pairwise(pieces)
