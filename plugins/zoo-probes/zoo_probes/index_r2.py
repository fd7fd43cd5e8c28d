"""Whether the absolute index of a token can be read off its state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.probes.batches import ProbeBatch
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.probes.reading import encoder_of, encoder_states
from zoo_probes.options import IndexR2Options


class IndexR2(Probe):
    """R squared of a linear map from a token's encoder state to its index in the sentence.

    Fitted by ridge regression with an intercept on half of the sentences, scored on the other half:
    R2 = 1 - sum (y - Xw)^2 / sum (y - mean y)^2, in float64. 1 is a linear index, 0 none; held out, it may fall below
    0 by about (width / tokens). Special tokens are left out of fit and score. By default the tokens of each sentence
    are shuffled and index and states are taken relative to their sentence's mean (a fixed effect of each sentence):
    else first words, and an encoder that knows only how long the sentence is, would count as an index.
    The linear probe is that of Alain & Bengio 2016 (arXiv:1610.01644); Kazemnejad et al. 2023 (arXiv:2305.19466)
    ask the same of decoders without positions.
    """

    options: IndexR2Options

    def accept(self, model: Any) -> None:
        encoder_of(model, "index-r2")

    def measure(self, context: ProbeContext) -> ProbeResult:
        encoder = context.model.get_encoder()
        halves: list[Moments | None] = [None, None]  # fit, score
        seen = 0
        for batch in context.batches():
            kept = self._kept(context, batch)  # [B, S]
            if self.options.shuffle:
                batch = batch.with_source(shuffled(batch.input_ids, kept, context.generator))
            states = encoder_states(encoder, batch).double().cpu()  # [B, L, S, D]
            index = torch.arange(states.shape[2], dtype=torch.float64)  # [S]
            for row, places in enumerate(kept.cpu()):
                found = moments(states[row][:, places], index[places], centred=self.options.within_sentences)
                half = (seen + row) % 2
                before = halves[half]
                halves[half] = found if before is None else before + found
            seen += len(kept)
        fit, score = halves
        if fit is None or score is None or fit.tokens < 2 or score.tokens < 2:
            return ProbeResult()
        layers = r_squared(fit, score, self.options.ridge)
        series = Series(
            axis="encoder layer (0: embeddings)",
            unit="held-out R squared",
            x=tuple(range(len(layers))),
            lines={"index": layers},
        )
        return ProbeResult({"r2": layers[-1]} if layers[-1] is not None else {}, {"by_layer": series})

    def _kept(self, context: ProbeContext, batch: ProbeBatch) -> Tensor:
        special = torch.tensor(sorted(context.special_ids), device=batch.input_ids.device)
        # An unknown token is special to the tokenizer, but stands for a word.
        special = special[special != context.tokenizers.source.unk_token_id]
        return batch.attention_mask.ne(0) & ~torch.isin(batch.input_ids, special)  # [B, S]


class Moments:
    """Sums over tokens, for every layer, that fit and score need: ``[L, D + 1, D + 1]`` of states and intercept."""

    def __init__(self, gram: Tensor, cross: Tensor, square: Tensor, total: Tensor, tokens: int) -> None:
        self.gram = gram  # [L, D + 1, D + 1]
        self.cross = cross  # [L, D + 1]
        self.square = square  # []
        self.total = total  # []
        self.tokens = tokens

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.gram + other.gram,
            self.cross + other.cross,
            self.square + other.square,
            self.total + other.total,
            self.tokens + other.tokens,
        )


def moments(states: Tensor, index: Tensor, *, centred: bool) -> Moments:
    """Of one sentence: states ``[L, N, D]``, index ``[N]``, both float64; centred at the sentence's mean or not."""
    if centred and len(index):
        states, index = states - states.mean(dim=1, keepdim=True), index - index.mean()
    ones = states.new_ones(*states.shape[:2], 1)  # [L, N, 1]
    features = torch.cat((states, ones), dim=-1)  # [L, N, D + 1]
    return Moments(
        features.transpose(1, 2) @ features,  # [L, D + 1, D + 1]
        features.transpose(1, 2) @ index,  # [L, D + 1]
        index.square().sum(),
        index.sum(),
        len(index),
    )


def r_squared(fit: Moments, score: Moments, ridge: float) -> list[float | None]:
    """R2 of each layer on `score` with the weights of `fit`; None where the index does not vary."""
    width = fit.gram.shape[-1] - 1
    scale = fit.gram.diagonal(dim1=1, dim2=2)[:, :-1].mean(dim=1)  # [L], tokens x mean square of a feature
    penalty = torch.eye(width + 1, dtype=torch.float64)  # [D + 1, D + 1]
    penalty[-1, -1] = 0.0  # the intercept is free
    regular = fit.gram + ridge * scale[:, None, None] * penalty  # [L, D + 1, D + 1]
    weights = (torch.linalg.pinv(regular, hermitian=True) @ fit.cross[..., None])[..., 0]  # [L, D + 1]
    wrong = (
        score.square - 2 * (weights * score.cross).sum(-1) + torch.einsum("li,lij,lj->l", weights, score.gram, weights)
    )  # [L]
    whole = score.square - score.total.square() / score.tokens  # []
    if whole <= 0:
        return [None] * len(wrong)
    return [float(value) for value in 1 - wrong / whole]


def shuffled(tokens: Tensor, kept: Tensor, generator: torch.Generator) -> Tensor:
    """Token ids ``[B, S]`` with those at `kept` ``[B, S]`` in random order within each row; the others stay."""
    result = tokens.clone()
    for row in range(len(tokens)):
        places = kept[row].nonzero()[:, 0]  # [N]
        order = torch.randperm(len(places), generator=generator).to(places.device)  # [N]
        result[row, places] = tokens[row, places[order]]
    return result
