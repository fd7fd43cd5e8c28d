"""Beam search: several hypotheses of a sentence grow together, and the best finished one is its output.

Every rule is that of transformers 5's `generate`: what counts as finished, when a sentence is done, how scores are
normalised, in float32 throughout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zoo.export.runtime.constraints import constrain
from zoo.export.runtime.ranking import Continuations, along, best, log_normaliser
from zoo.export.runtime.settings import Search
from zoo.export.runtime.steps import Steps, worth_dropping

LOST = np.float32(-1e9)
"""The score of a hypothesis that is not there."""


class _Finished:
    """The best finished hypotheses of a sentence, at most as many as the beam is wide."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._found: list[tuple[float, list[int]]] = []
        self.worst: float = float(LOST)
        """The score that another must exceed; that of no hypothesis while there is room."""

    def add(self, score: float, tokens: list[int]) -> None:
        self._found.append((score, tokens))
        self._found.sort(key=lambda item: -item[0])
        del self._found[self._width :]
        if len(self._found) == self._width:
            self.worst = self._found[-1][0]

    @property
    def full(self) -> bool:
        return len(self._found) == self._width

    @property
    def best(self) -> list[int]:
        return self._found[0][1]


def beam(steps: Steps, search: Search) -> list[list[int]]:
    """The best hypothesis of each row's source, its end token included where it has one.

    `steps` has one row a source, and `search.width` from the second step on; the rows of sentences that are done leave.
    """
    width, longest = search.width, search.max_new_tokens
    first = steps.logits()  # [B, V]
    sentences = len(first)
    finished = [_Finished(width) for _ in range(sentences)]
    places = np.arange(sentences)  # [N]: whose rows the batch has
    done = np.zeros(sentences, np.bool_)  # [N]
    logits = np.repeat(first, width, axis=0)  # [N * K, V]
    steps.keep(np.repeat(places, width))
    running = np.full((sentences, width), LOST, np.float32)  # [N, K]
    running[:, 0] = 0.0  # all hypotheses of a sentence are alike as yet: one of them counts
    written = np.full((sentences, width, 1 + longest), search.start, np.int64)  # [N, K, 1 + T]
    scratch = np.empty(first.shape[1], np.float32)  # [V]
    for step in range(longest):
        scores, beams, tokens = _candidates(logits, running, written[:, :, : step + 1], search, scratch)  # [N, 2K]
        ends = tokens == search.end if step + 1 < longest else np.ones_like(tokens, np.bool_)
        lengthened = np.float32(float(step + 1) ** search.length_penalty)
        for sentence, place in np.argwhere(ends[:, :width] & ~done[:, None]):
            history = written[sentence, beams[sentence, place], 1 : step + 1].tolist()
            score = scores[sentence, place] / lengthened
            finished[places[sentence]].add(float(score), [*history, int(tokens[sentence, place])])
        if step + 1 == longest:
            break
        going = np.argsort(ends, axis=1, kind="stable")[:, :width]  # the best that have not ended
        running, beams, tokens = along(scores, going), along(beams, going), along(tokens, going)  # [N, K]
        written = along(written, beams)
        written[:, :, step + 1] = tokens
        hopes = running[:, 0] / lengthened  # [N]
        for sentence in np.flatnonzero(~done):
            mine = finished[places[sentence]]
            done[sentence] = hopes[sentence] <= mine.worst or (search.early_stopping and mine.full)
        if done.all():
            break
        rows = beams + np.arange(len(places))[:, None] * width  # [N, K]
        if worth_dropping(done):
            kept = np.flatnonzero(~done)
            places, done, running, written = places[kept], done[kept], running[kept], written[kept]
            tokens = tokens[kept]
            steps.keep(rows[kept].ravel())
        else:
            steps.reorder(rows.ravel())
        logits = steps.advance(tokens.ravel())
    return [mine.best for mine in finished]


def _candidates(
    logits: NDArray[np.float32],
    running: NDArray[np.float32],
    written: NDArray[np.int64],
    search: Search,
    scratch: NDArray[np.float32],
) -> Continuations:
    """The best continuations of each sentence, twice as many as the beam is wide, best first: their log-probabilities,
    the hypothesis that each continues, and its token, all ``[N, 2K]``.

    Of logits ``[N * K, V]``, log-probabilities ``[N, K]`` and tokens ``[N, K, 1 + T]`` so far. So many that `width` are
    left where each hypothesis could end.
    """
    width = running.shape[1]
    taken = search.log_probabilities
    normaliser = np.zeros(len(logits), np.float32) if taken else log_normaliser(logits, scratch)  # [N * K]
    if search.constrained:
        logits -= normaliser[:, None]  # constraints are laid on log-probabilities
        normaliser[:] = 0.0
        constrain(logits, written.reshape(len(logits), -1), search)
        if search.renormalize:
            normaliser = log_normaliser(logits, scratch)
    return best(logits, normaliser, running, 2 * width)
