"""Losses that change another loss, against their papers' formulas in plain Python or float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from zoo_objectives.ent import Ent, error_norms
from zoo_objectives.options import EntOptions, RDropOptions, UnlikelihoodOptions, ZLossOptions
from zoo_objectives.r_drop import RDrop
from zoo_objectives.unlikelihood import Unlikelihood, log_of_the_rest
from zoo_objectives.z_loss import ZLoss

from zoo.errors import InputError
from zoo.testing import TokenLossSuite
from zoo.training.contracts import LossContext

SMOOTHED = {"use": "label-smoothing", "epsilon": 0.2}


class TestEntOfOthersAndByFraction(TokenLossSuite):
    component = "zoo-objectives/ent"
    options = ({"fraction": 0.3}, {"threshold": 1.1, "of": {"use": "z-loss", "weight": 0.1}})


class TestRDropOfSmoothing(TokenLossSuite):
    component = "zoo-objectives/r-drop"
    options = ({"of": SMOOTHED, "alpha": 2.0},)


class TestUnlikelihoodOfRDrop(TokenLossSuite):
    component = "zoo-objectives/unlikelihood"
    options = ({"of": {"use": "r-drop", "of": SMOOTHED}},)


class TestZLossOfRDrop(TokenLossSuite):
    component = "zoo-objectives/z-loss"
    options = ({"of": "r-drop", "weight": 0.1},)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def context(examples: list[int] | None = None, **changes: Any) -> LossContext:
    given = None if examples is None else torch.tensor(examples)
    return LossContext(**{"step": 5, "total_steps": 10, "examples": given, **changes})


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), logits)[0]


# z-loss


def test_z_loss_adds_the_weighted_square_of_log_z_and_its_gradient() -> None:
    logits, targets = (drawn(4, 7) * 2).requires_grad_(), torch.tensor([0, 3, 6, 3])
    loss = ZLoss(ZLossOptions(weight=0.25))(logits, targets, context())
    log_z = logits.detach().double().exp().sum(-1).log()
    torch.testing.assert_close(
        loss.double(), F.cross_entropy(logits.double(), targets, reduction="none") + log_z**2 / 4
    )
    softmax = logits.detach().double().softmax(-1)
    expected = softmax - F.one_hot(targets, 7) + 0.5 * log_z[:, None] * softmax
    torch.testing.assert_close(gradient(loss, logits).double(), expected, rtol=1e-5, atol=1e-6)


def test_z_loss_alone_sees_a_constant_that_is_added_to_all_logits() -> None:
    logits, targets = drawn(4, 7), torch.tensor([0, 3, 6, 3])
    normalised = logits.log_softmax(-1)
    loss = ZLoss(ZLossOptions(weight=1.0))
    torch.testing.assert_close(
        loss(normalised + 3, targets, context()) - loss(normalised, targets, context()), torch.full((4,), 9.0)
    )


# Error norm truncation


def test_the_error_norm_tells_apart_what_the_loss_does_not() -> None:
    """Three tokens of probability .1: among ten alike, beside one of .9, and beside two of .45."""
    p = torch.tensor([[0.1] * 10, [0.1, 0.9] + [0.0] * 8, [0.1, 0.45, 0.45] + [0.0] * 7])
    norms = error_norms(p.log(), torch.tensor([0, 0, 0]), log_probabilities=False)
    expected = [math.sqrt(0.81 + 9 * 0.01), math.sqrt(0.81 + 0.81), math.sqrt(0.81 + 2 * 0.2025)]
    torch.testing.assert_close(norms, torch.tensor(expected))


def test_error_norms_run_from_zero_to_the_root_of_two() -> None:
    logits = torch.tensor([[100.0, 0.0, 0.0], [0.0, 100.0, 0.0]])
    norms = error_norms(logits, torch.tensor([0, 0]), log_probabilities=False)
    torch.testing.assert_close(norms, torch.tensor([0.0, math.sqrt(2)]))


def test_log_probabilities_are_not_normalised_before_the_norm() -> None:
    scores = torch.tensor([[0.5, 0.2]]).log()
    norms = error_norms(scores, torch.tensor([1]), log_probabilities=True)
    torch.testing.assert_close(norms, torch.tensor([math.sqrt(0.25 + 0.64)]))


def test_tokens_above_the_threshold_give_neither_loss_nor_gradient_and_the_others_theirs() -> None:
    logits, targets = torch.tensor([[0.0, 5.0, 0.0], [0.0, 1.0, 0.0], [5.0, 0.0, 0.0]]), torch.tensor([0, 0, 0])
    logits.requires_grad_()
    norms = error_norms(logits, targets, log_probabilities=False)
    assert norms[0] > 1.2 > norms[1] > norms[2]
    loss = Ent(EntOptions(threshold=1.2))(logits, targets, context())
    plain = F.cross_entropy(logits, targets, reduction="none")
    kept = torch.tensor([0.0, 1.0, 1.0])
    torch.testing.assert_close(loss, plain * kept)
    torch.testing.assert_close(gradient(loss, logits), gradient(plain * kept, logits))


@pytest.mark.parametrize(("tokens", "fraction", "dropped"), [(100, 0.29, 29), (100, 0.5, 50), (7, 0.3, 2), (7, 0.1, 0)])
def test_the_fraction_of_largest_norm_is_dropped_to_the_token(tokens: int, fraction: float, dropped: int) -> None:
    logits, targets = drawn(tokens, 11) * 3, torch.arange(tokens) % 11
    loss = Ent(EntOptions(fraction=fraction))(logits, targets, context())
    norms = error_norms(logits, targets, log_probabilities=False)
    largest = norms.argsort(descending=True)[:dropped]
    assert set(torch.nonzero(loss == 0).flatten().tolist()) == set(largest.tolist())


def test_tokens_that_tie_are_kept() -> None:
    loss = Ent(EntOptions(fraction=0.5))(torch.zeros(6, 4), torch.zeros(6, dtype=torch.int64), context())
    torch.testing.assert_close(loss, torch.full((6,), math.log(4)))


def test_nothing_is_dropped_before_the_start() -> None:
    logits, targets = drawn(20, 11) * 3, torch.arange(20) % 11
    loss = Ent(EntOptions(fraction=0.5, start=5))
    assert (loss(logits, targets, context(step=4)) != 0).all()
    assert (loss(logits, targets, context(step=5)) == 0).sum() == 10


@pytest.mark.parametrize("options", [{}, {"threshold": 1.0, "fraction": 0.1}])
def test_ent_takes_one_of_its_two_forms(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected either 'threshold' or 'fraction'"):
        EntOptions(**options)


# R-Drop


def test_r_drop_is_half_of_the_papers_equation_4_with_its_gradient() -> None:
    logits, targets = drawn(2, 5, 7).requires_grad_(), torch.tensor([0, 3, 6, 3, 1])
    loss = RDrop(RDropOptions(alpha=3.0))(logits, targets, context())
    p, q = (one.log_softmax(-1) for one in logits.double())
    likelihoods = F.nll_loss(p, targets, reduction="none") + F.nll_loss(q, targets, reduction="none")
    divergences = [F.kl_div(a, b, log_target=True, reduction="none").sum(-1) for a, b in ((p, q), (q, p))]
    expected = (likelihoods + 3.0 * 0.5 * (divergences[0] + divergences[1])) / 2
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient(loss, logits), gradient(expected, logits), rtol=1e-4, atol=1e-6)


def test_equal_passes_give_the_loss_of_one() -> None:
    logits, targets = drawn(5, 7), torch.tensor([0, 3, 6, 3, 1])
    loss = RDrop(RDropOptions(alpha=3.0))(torch.stack((logits, logits)), targets, context())
    torch.testing.assert_close(loss, F.cross_entropy(logits, targets, reduction="none"))


def test_classes_that_both_passes_mask_are_not_there() -> None:
    logits, targets = drawn(2, 5, 7), torch.tensor([0, 3, 2, 3, 1])
    masked = F.pad(logits, (0, 2), value=-math.inf).requires_grad_()
    loss = RDrop(RDropOptions(alpha=3.0))
    found = loss(masked, targets, context())
    torch.testing.assert_close(found, loss(logits, targets, context()))
    assert (gradient(found, masked)[..., 7:] == 0).all()


def test_r_drop_refuses_a_loss_that_compares_passes_itself() -> None:
    with pytest.raises(InputError, match=r"'zoo-objectives/z-loss' compares 2 passes itself: 'r-drop' takes .* one"):
        RDrop(RDropOptions.model_validate({"of": {"use": "z-loss", "of": "r-drop"}}))


# Unlikelihood


def by_hand(logits: Tensor, targets: list[int], texts: list[int], alpha: float) -> Tensor:
    """The paper's token-level objective in float64, token by token."""
    log_p = logits.double().log_softmax(-1)
    losses = []
    for t, (target, text) in enumerate(zip(targets, texts, strict=True)):
        earlier = {targets[s] for s in range(t) if texts[s] == text} - {target}
        unlikely = [torch.log1p(-log_p[t, token].exp()) for token in sorted(earlier)]
        losses.append(-log_p[t, target] - alpha * sum(unlikely, torch.zeros((), dtype=torch.float64)))
    return torch.stack(losses)


def test_unlikelihood_is_the_papers_formula_within_each_text() -> None:
    targets, texts = [3, 1, 3, 3, 0, 1, 3, 5, 5, 2], [0, 0, 0, 0, 0, 4, 4, 2, 2, 2]
    logits = (drawn(10, 7) * 2).requires_grad_()
    loss = Unlikelihood(UnlikelihoodOptions(alpha=0.5))(logits, torch.tensor(targets), context(texts))
    expected = by_hand(logits, targets, texts, 0.5)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient(loss, logits), gradient(expected, logits), rtol=1e-4, atol=1e-6)


def test_the_same_tokens_as_one_text_cost_more_than_as_many() -> None:
    targets, logits = torch.tensor([0, 1, 2, 3]), torch.zeros(4, 5)
    loss = Unlikelihood(UnlikelihoodOptions())
    apart = loss(logits, targets, context([0, 1, 2, 3]))
    torch.testing.assert_close(apart, torch.full((4,), math.log(5)))
    together = loss(logits, targets, context([0, 0, 0, 0]))
    torch.testing.assert_close(together - apart, -math.log(0.8) * torch.arange(4.0))


def test_a_token_that_is_certain_is_penalised_by_its_margin_and_pushed_down() -> None:
    """Of two classes with margin d, -log(1 - p) is softplus(d), d for a large one; its slope is p, about 1."""
    logits = torch.tensor([[60.0, 0.0], [-60.0, 0.0]], requires_grad=True)
    found = -log_of_the_rest(logits, torch.tensor([[0], [0]]))[:, 0]
    torch.testing.assert_close(found, torch.tensor([60.0, 0.0]))
    torch.testing.assert_close(gradient(found, logits), torch.tensor([[1.0, -1.0], [0.0, 0.0]]))


def test_unlikelihood_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match=r"context\.examples"):
        Unlikelihood(UnlikelihoodOptions())(torch.zeros(1, 3), torch.tensor([0]), context())
