"""Token losses against torch, and where torch's own value is not finite, against the definition."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings

import pytest
import torch
from torch.nn import functional as F
from zoo_objectives.cross_entropy import CrossEntropy
from zoo_objectives.label_smoothing import LabelSmoothing
from zoo_objectives.options import LabelSmoothingOptions

from zoo.registry import current_registry
from zoo.spec.options import NoOptions
from zoo.training.contracts import LossContext, TokenLoss

CONTEXT = LossContext(step=0, total_steps=1)


def smoothing(epsilon: float) -> LabelSmoothing:
    return LabelSmoothing(LabelSmoothingOptions(epsilon=epsilon))


def example(tokens: int = 6, classes: int = 11) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(tokens, classes, generator=generator) * 3
    return logits.requires_grad_(), torch.randint(classes, (tokens,), generator=generator)


def test_cross_entropy_is_torchs_with_its_gradient() -> None:
    logits, targets = example()
    loss = CrossEntropy(NoOptions())(logits, targets, CONTEXT)
    expected = F.nll_loss(logits.log_softmax(-1), targets, reduction="none")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), logits), torch.autograd.grad(expected.sum(), logits))


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.6])
def test_label_smoothing_is_torchs_per_token_with_its_gradient(epsilon: float) -> None:
    logits, targets = example()
    loss = smoothing(epsilon)(logits, targets, CONTEXT)
    expected = F.cross_entropy(logits, targets, label_smoothing=epsilon, reduction="none")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), logits), torch.autograd.grad(expected.sum(), logits))


@pytest.mark.filterwarnings("ignore:label-smoothing")
@pytest.mark.parametrize("loss", [CrossEntropy(NoOptions()), smoothing(0.1)])
def test_float16_logits_over_a_large_vocabulary_give_the_float64_loss(loss: CrossEntropy | LabelSmoothing) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = (torch.randn(3, 50_265, generator=generator) * 4).half().requires_grad_()
    targets = torch.tensor([0, 7, 50_264])
    epsilon = 0.1 if isinstance(loss, LabelSmoothing) else 0.0
    got = loss(logits, targets, CONTEXT)
    expected = F.cross_entropy(logits.double(), targets, label_smoothing=epsilon, reduction="none")
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected.float(), rtol=1e-5, atol=1e-5)
    got.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore:label-smoothing")
def test_masked_classes_take_no_smoothing_mass() -> None:
    """With k classes masked the loss is that of the smaller vocabulary without them."""
    logits, targets = example(classes=11)
    targets = targets.clamp_max(7)
    masked = logits.detach().clone()
    masked[:, 8:] = -math.inf
    masked.requires_grad_()
    kept = logits.detach()[:, :8].clone().requires_grad_()
    loss = smoothing(0.1)(masked, targets, CONTEXT)
    expected = F.cross_entropy(kept, targets, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss.sum(), masked)
    torch.testing.assert_close(gradient[:, :8], torch.autograd.grad(expected.sum(), kept)[0])
    assert (gradient[:, 8:] == 0).all()


def test_a_masked_class_is_told_of_once() -> None:
    logits, targets = example()
    masked = logits.detach().clone()
    masked[:, 10] = -math.inf
    loss = smoothing(0.1)
    with pytest.warns(UserWarning, match=r"masked class \(logit -inf\) .* is infinite"):
        loss(masked, targets.clamp_max(9), CONTEXT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(masked, targets.clamp_max(9), CONTEXT)


def test_a_sum_that_float16_cannot_hold_is_told_of() -> None:
    """50,265 times about -log(1 / 50,265) are 544,000, float16 ends at 65,504; 100 times -log(1 / 100) are 460."""
    textbook = -torch.zeros(1, 50_265).half().log_softmax(-1).sum(-1, dtype=torch.float16)
    assert torch.isinf(textbook).all()
    with pytest.warns(UserWarning, match="in float16 over 50265 classes"):
        smoothing(0.1)(torch.zeros(1, 50_265).half(), torch.tensor([3]), CONTEXT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        smoothing(0.1)(torch.zeros(1, 100).half(), torch.tensor([3]), CONTEXT)
        smoothing(0.0)(torch.zeros(1, 50_265).half(), torch.tensor([3]), CONTEXT)


def test_nothing_is_told_where_the_textbook_is_finite() -> None:
    logits, targets = example()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        smoothing(0.1)(logits, targets, CONTEXT)
        smoothing(0.1)(logits.log_softmax(-1), targets, LossContext(0, 1, log_probabilities=True))


@pytest.mark.filterwarnings("ignore:label-smoothing")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cross-entropy", {}),
        ("label-smoothing", {"epsilon": 0.1}),
        ("ent", {"threshold": 1.3, "of": "label-smoothing"}),
        ("r-drop", {"of": "label-smoothing"}),
        ("unlikelihood", {"of": "label-smoothing"}),
        ("z-loss", {"of": "label-smoothing"}),
    ],
)
def test_float16_a_large_vocabulary_and_a_masked_logit_give_a_finite_loss_and_gradient(
    name: str, options: dict[str, object]
) -> None:
    component = current_registry().get("token-loss", f"zoo-objectives/{name}")
    loss: TokenLoss = component.load()(component.load_options().model_validate(options))
    shape = (3, 50_265) if loss.passes == 1 else (loss.passes, 3, 50_265)
    logits = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 4).half()
    logits[..., 50_000] = -math.inf
    logits.requires_grad_()
    found = loss(logits, torch.tensor([0, 7, 50_264]), LossContext(0, 1, examples=torch.zeros(3, dtype=torch.int64)))
    found.sum().backward()
    assert found.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad[..., 50_000] == 0).all()
    assert (logits.grad != 0).any()


@pytest.mark.parametrize("name", ["cross-entropy", "label-smoothing"])
def test_loss_is_found_with_described_options_and_defaults(name: str) -> None:
    component = current_registry().get("token-loss", f"zoo-objectives/{name}")
    options = component.load_options()
    assert all(field.description for field in options.model_fields.values())
    logits, targets = example()
    assert component.load()(options())(logits, targets, CONTEXT).shape == targets.shape


def test_declaring_components_and_reading_options_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, zoo_objectives.plugin, zoo_objectives.options; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
