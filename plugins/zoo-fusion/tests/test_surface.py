"""SurfaceFusion against its equations in float64, and the loss that its scores are trained with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from zoo_fusion.options import SurfaceHardOptions
from zoo_fusion.surface import SurfaceHard, SurfaceSoft

from zoo.errors import InputError
from zoo.models.contracts import OutputContext
from zoo.registry import current_registry
from zoo.spec.options import Chosen, NoOptions
from zoo.spec.training_section import TrainingSection
from zoo.training.components import Components
from zoo.training.contracts import LossContext
from zoo.training.data.collate import PairBatch
from zoo.training.losses.loss import objective_sum, real_logits

B, T, S, D, V = 2, 3, 5, 6, 7


@pytest.fixture
def inputs():
    draw = torch.Generator().manual_seed(4)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    visible = torch.tensor([[[True] * 5], [[True] * 2 + [False] * 3]])
    return {
        "decoder_states": random(B, T, D),
        "encoder_states": random(B, S, D),
        "source_embeddings": random(B, S, D),
        "visible": visible,
    }


def fused(fusion, inputs, output: nn.Linear, inner: nn.Module) -> torch.Tensor:
    return fusion.combine(output(inputs["decoder_states"]), **inputs, feedforward=inner, project=output)


@pytest.fixture(params=["hard", "soft"])
def fusion(request):
    torch.manual_seed(0)
    context = OutputContext(D)
    made = SurfaceHard(SurfaceHardOptions(), context) if request.param == "hard" else SurfaceSoft(NoOptions(), context)
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made.double()


@pytest.fixture
def head():
    torch.manual_seed(1)
    return nn.Linear(D, V, bias=False).double(), nn.Sequential(nn.Linear(D, 8), nn.ReLU(), nn.Linear(8, D)).double()


def numbers(tensor):
    return tensor.detach().numpy()


def log_softmax(x):
    x = x - x.max()
    return x - np.log(np.exp(x).sum())


def test_scores_are_those_of_the_equations(fusion, head, inputs):
    output, inner = head
    found = numbers(fused(fusion, inputs, output, inner))
    wq, bq, wk, bk = map(numbers, (fusion.query.weight, fusion.query.bias, fusion.key.weight, fusion.key.bias))
    e = numbers(output.weight)
    for b in range(B):
        seen = [s for s in range(S) if inputs["visible"][b, 0, s]]
        for t in range(T):
            state = inputs["decoder_states"][b, t].numpy()
            query = wq @ state + bq
            logits = np.array([query @ (wk @ inputs["encoder_states"][b, s].numpy() + bk) for s in seen]) / np.sqrt(D)
            attention = np.exp(log_softmax(logits))
            r = sum(a * inputs["source_embeddings"][b, s].numpy() for a, s in zip(attention, seen, strict=True))
            r = r + numbers(inner(torch.from_numpy(r)))
            r = (r - r.mean()) / np.sqrt(r.var() + fusion.norm.eps)
            source = log_softmax(e @ (numbers(fusion.norm.weight) * r + numbers(fusion.norm.bias)))
            if isinstance(fusion, SurfaceHard):
                expected = 0.8 * log_softmax(e @ state) + 0.2 * source
            else:
                expected = e @ state + source
            np.testing.assert_allclose(found[b, t], expected, atol=1e-12)


def test_the_attention_sends_no_gradient_into_the_stacks(fusion, head, inputs):
    output, inner = head
    states, encoded, embeddings = (
        inputs[name].requires_grad_() for name in ("decoder_states", "encoder_states", "source_embeddings")
    )
    logits = output(states)
    scores = fusion.combine(logits.detach(), **inputs, feedforward=inner, project=output)
    scores[..., 2].sum().backward()
    assert states.grad is None
    assert encoded.grad is None
    assert embeddings.grad.ne(0).any()
    assert fusion.query.weight.grad.ne(0).any()


def test_the_hard_loss_is_the_sum_of_two_losses(make_model, sentences):
    """``-log p = lambda CE_dec + (1 - lambda) CE_src``: no softmax over the mixed scores."""
    plain = make_model()
    hard = make_model(output_fusion={"use": "zoo-fusion/surface-hard", "decoder_share": 1.0})
    alone = make_model(output_fusion={"use": "zoo-fusion/surface-hard", "decoder_share": 0.0})
    mixed = make_model(output_fusion="zoo-fusion/surface-hard")
    labels = torch.randint(4, 53, (2, 5), generator=torch.Generator().manual_seed(0))
    losses = [model(**sentences, labels=labels).loss for model in (plain, hard, alone, mixed)]
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(losses[3], 0.8 * losses[1] + 0.2 * losses[2])


@torch.no_grad()
@pytest.mark.parametrize("fusion", ["surface-hard", "surface-soft"])
def test_beams_are_compared_by_the_sum_of_their_scores(make_model, sentences, fusion):
    """Hard scores add up as they are: at a share of 0.3 a step takes nats from one beam that it leaves another."""
    share = {"decoder_share": 0.3} if fusion == "surface-hard" else {}
    loud = {"tie_embeddings": "none", "embedding_std": 1.0}  # else nearly all tokens are equally likely
    model = make_model(output_fusion={"use": f"zoo-fusion/{fusion}", **share}, **loud)
    source = {name: sentences[name] for name in ("input_ids", "attention_mask")}
    found = model.generate(
        **source,
        num_beams=3,
        num_return_sequences=3,
        max_new_tokens=4,
        length_penalty=0.0,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )
    whole = {name: item.repeat_interleave(3, 0) for name, item in source.items()}
    scores = model(**whole, decoder_input_ids=found.sequences[:, :-1], use_cache=False).logits  # [6, T, V]
    normalised = scores.log_softmax(-1)
    scores = scores if fusion == "surface-hard" else normalised
    tokens = found.sequences[:, 1:, None]
    real = found.sequences[:, :-1].ne(model.config.eos_token_id).cumprod(-1)
    expected = (scores.gather(-1, tokens)[..., 0] * real).sum(-1)
    torch.testing.assert_close(found.sequences_scores, expected)
    if fusion == "surface-hard":
        assert ((normalised.gather(-1, tokens)[..., 0] * real).sum(-1) - expected).min() > 1
    assert not model._forward_hooks


@torch.no_grad()
def test_the_source_is_projected_as_the_decoder_is(make_model, sentences):
    """With the scale and the bias that the model's output has."""
    model = make_model(
        output_fusion={"use": "zoo-fusion/surface-hard", "decoder_share": 0.0}, output_bias=True, scale_output=True
    )
    model.output_fusion.norm.weight.mul_(4)  # the scale is 1/4
    model.output_bias[7] = 50.0
    scores = model(**sentences).logits
    assert scores[..., 7].min() > -1e-6
    plain = make_model(output_fusion={"use": "zoo-fusion/surface-hard", "decoder_share": 0.0})
    model.output_bias.zero_()
    model.output_fusion.norm.bias.mul_(4)
    torch.testing.assert_close(model(**sentences).logits, plain(**sentences).logits)


@pytest.mark.parametrize("objective", ["cross-entropy", "label-smoothing"])
def test_objectives_take_hard_scores_as_they_are(objective):
    chosen = Chosen(current_registry().get("token-loss", objective), NoOptions())
    chosen = Chosen(chosen.component, chosen.component.load_options()())
    loss = chosen.create()
    scores = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)).log_softmax(-1) - 1.5
    targets = torch.arange(6)
    found = objective_sum(loss, scores, targets, LossContext(0, 1, log_probabilities=True))
    epsilon = getattr(chosen.options, "epsilon", 0.0)
    rows = scores.double().numpy()
    expected = sum(-(1 - epsilon) * row[t] - epsilon * row.mean() for t, row in enumerate(rows))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_an_objective_that_would_normalise_them_is_refused(make_model, monkeypatch):
    section = TrainingSection.model_validate(
        {
            "steps": 1,
            "objective": "cross-entropy",
            "optimizer": "adamw",
            "schedule": "constant",
            "clipping": "none",
        }
    )
    hard, soft = (make_model(output_fusion=f"zoo-fusion/surface-{name}") for name in ("hard", "soft"))
    monkeypatch.setattr(section.objective.load(), "takes_log_probabilities", False)
    Components.build(section, soft)
    with pytest.raises(InputError, match=r"'zoo-objectives/cross-entropy' reads logits"):
        Components.build(section, hard)


@torch.no_grad()
@pytest.mark.parametrize("name", ["hard", "soft"])
def test_training_projects_real_tokens_alone_and_gets_their_scores(make_model, sentences, name):
    """In training neither matrix product over the vocabulary sees padding."""
    model = make_model(output_fusion=f"zoo-fusion/surface-{name}")
    places = torch.tensor([0, 1, 2, 3, 4, 5, 6])  # the second target ends after two tokens
    batch = PairBatch(
        input_ids=sentences["input_ids"],
        attention_mask=sentences["attention_mask"],
        decoder_input_ids=sentences["decoder_input_ids"],
        labels=sentences["decoder_input_ids"],
        real=places,
        target_tokens=7,
        source_tokens=10,
    )
    whole = model(**sentences).logits.flatten(0, 1)[places]
    torch.testing.assert_close(real_logits(model, batch, use_cache=False), whole)
