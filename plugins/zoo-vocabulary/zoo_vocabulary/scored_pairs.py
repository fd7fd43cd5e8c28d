"""SentencePiece's own form of byte pairs: no list of merges, but a score for each piece."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping

from zoo_vocabulary.segmentation import Segmenter

_Splits = dict[str, tuple[str, str]]


class ScoredPairs(Segmenter):
    """Neighbours merge wherever what they spell together is a piece: of the greatest score first, then leftmost.

    As sentencepiece's `bpe_model.cc` has it. Pieces marked as unused merge like others, and are taken apart again when
    nothing merges any more. New tokens and what leads to them score below all that was there: they merge only once a
    text is cut as it was before, so that a text without a new token stays as it was. What leads to a new token is
    marked as unused: it needs no id, and never comes out.
    """

    def __init__(
        self, scores: Mapping[str, float], *, unused: Collection[str] = (), whole: Collection[str] = ()
    ) -> None:
        self.scores = dict(scores)
        self.unused = set(unused)
        self.whole = frozenset(whole)
        """Pieces that are cut out before anything merges, and merge with nothing (user-defined symbols)."""
        self.helpers: dict[str, str] = {}
        """New pieces that are only led through, each with the token that it was made for."""
        self._old = frozenset(self.scores)
        self._lowest = min(self.scores.values(), default=0.0)

    def segment(self, word: str) -> list[str]:
        left, splits = self.merged(word)
        found: list[str] = []
        open_ = left[::-1]
        while open_:
            piece = open_.pop()
            if piece in self.unused and piece in splits:
                open_ += reversed(splits[piece])
            else:
                found.append(piece)
        return found

    def merged(self, word: str) -> tuple[list[str], _Splits]:
        """What is left once nothing merges, unused pieces as well, and how these are taken apart."""
        symbols: list[str] = self._symbols(word)
        splits: _Splits = {}
        after = [*range(1, len(symbols)), -1]
        before = list(range(-1, len(symbols) - 1))
        agenda: list[tuple[float, int, int, str]] = []

        def offer(left: int, right: int) -> None:
            if left < 0 or right < 0 or symbols[left] in self.whole or symbols[right] in self.whole:
                return
            both = symbols[left] + symbols[right]
            if both in self.scores:
                heapq.heappush(agenda, (-self.scores[both], left, right, both))
                if both in self.unused:
                    splits[both] = symbols[left], symbols[right]

        for place in range(1, len(symbols)):
            offer(place - 1, place)
        while agenda:
            _, left, right, both = heapq.heappop(agenda)
            if not symbols[left] or not symbols[right] or symbols[left] + symbols[right] != both:
                continue  # one of them merged otherwise in the meantime
            symbols[left], symbols[right] = both, ""
            after[left] = after[right]
            if after[right] >= 0:
                before[after[right]] = left
            offer(before[left], left)
            offer(left, after[left])
        return [symbol for symbol in symbols if symbol], splits

    def add(self, token: str) -> list[str]:
        """From the pieces p1 ... pn that `token` is now, the chain p1p2, p1p2p3, ... up to it becomes pieces."""
        if token in self.scores and token not in self.unused:
            return []
        pieces, _ = self.merged(token)
        for end in range(2, len(pieces)):
            part = "".join(pieces[:end])
            if part not in self.scores:
                self._append(part)
                self.unused.add(part)
                self.helpers[part] = token
        if token not in self.scores:
            self._append(token)
        self.unused.discard(token)
        self.helpers.pop(token, None)
        return [token]

    def disturbed(self, old: Segmenter) -> dict[str, list[str]]:
        """Old pieces that have no new token in them and are cut otherwise than `old` cuts them, each with the new
        tokens that did it.

        This can only be where an old piece came out of no text, and helpers now lead to it.
        """
        fresh = self.scores.keys() - self._old
        found: dict[str, list[str]] = {}
        for piece in self._old:
            edges = [part for place in range(1, len(piece)) for part in (piece[:place], piece[place:])]
            touched = [self.helpers[edge] for edge in edges if edge in self.helpers]
            if not touched or any(token in piece for token in fresh - self.helpers.keys()):
                continue
            if self.segment(piece) != old.segment(piece):
                found[piece] = touched
        return found

    def _append(self, piece: str) -> None:
        # SentencePiece keeps scores in single precision: a step that is lost there would be none.
        self._lowest -= max(1.0, abs(self._lowest) * 1e-6)
        self.scores[piece] = self._lowest

    def _symbols(self, word: str) -> list[str]:
        if not self.whole:
            return list(word)
        found: list[str] = []
        place = 0
        while place < len(word):
            here = max(_starting(word, place, self.whole), key=len, default=word[place])
            found.append(here)
            place += len(here)
        return found


def _starting(word: str, place: int, pieces: Iterable[str]) -> list[str]:
    return [piece for piece in pieces if word.startswith(piece, place)]
