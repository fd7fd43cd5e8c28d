"""Feed-forward layers against Llama's, x-transformers' and the paper's formula."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP
from x_transformers.x_transformers import FeedForward
from zoo_blocks.feedforward import Glu, Mlp, Swiglu
from zoo_blocks.options import GluOptions, MlpOptions, SwigluOptions

WIDTH, HIDDEN = 12, 20


def _x() -> torch.Tensor:
    return torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(0))


def test_swiglu_is_that_of_llama() -> None:
    ours = Swiglu(SwigluOptions(width=HIDDEN), WIDTH)
    theirs = LlamaMLP(LlamaConfig(hidden_size=WIDTH, num_attention_heads=2, intermediate_size=HIDDEN))
    names = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}
    theirs.load_state_dict({f"{names[key.split('.')[0]]}.weight": value for key, value in ours.state_dict().items()})
    torch.testing.assert_close(ours(_x()), theirs(_x()), rtol=0, atol=1e-6)


def test_mlp_is_the_formula_of_the_paper() -> None:
    ours = Mlp(MlpOptions(width=HIDDEN), WIDTH).eval()
    weights = {name: value.detach() for name, value in ours.named_parameters()}
    with torch.no_grad():
        ours.up.bias.normal_(generator=torch.Generator().manual_seed(1))
    hidden = (torch.einsum("blw,hw->blh", _x(), weights["up.weight"]) + weights["up.bias"]).clamp_min(0)
    expected = torch.einsum("blh,wh->blw", hidden, weights["down.weight"]) + weights["down.bias"]
    torch.testing.assert_close(ours(_x()), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "theirs"),
    [("sigmoid", nn.Sigmoid()), ("identity", nn.Identity()), ("relu", nn.ReLU()), ("gelu", nn.GELU())],
)
def test_glu_is_that_of_x_transformers(activation: str, theirs: nn.Module) -> None:
    ours = Glu(GluOptions.model_validate({"width": HIDDEN, "activation": activation, "bias": True}), WIDTH)
    oracle = FeedForward(WIDTH, mult=HIDDEN / WIDTH, glu=True, custom_activation=theirs)
    with torch.no_grad():
        for bias in (ours.gate.bias, ours.up.bias, ours.down.bias):
            bias.normal_(generator=torch.Generator().manual_seed(1))
        projection = oracle.ff[0].proj  # what passes comes first, its gate second
        projection.weight.copy_(torch.cat((ours.up.weight, ours.gate.weight)))
        projection.bias.copy_(torch.cat((ours.up.bias, ours.gate.bias)))
        oracle.ff[-1].load_state_dict(ours.down.state_dict())
        torch.testing.assert_close(ours(_x()), oracle(_x()), rtol=0, atol=1e-6)


def test_glu_with_silu_is_swiglu() -> None:
    glu = Glu(GluOptions.model_validate({"width": HIDDEN, "activation": "silu"}), WIDTH)
    swiglu = Swiglu(SwigluOptions(width=HIDDEN), WIDTH)
    swiglu.load_state_dict(glu.state_dict())
    assert torch.equal(glu(_x()), swiglu(_x()))


def test_default_widths_have_nearly_the_same_number_of_weights() -> None:
    """Shazeer 2020, section 3: the gated layer's width is 2/3 of the other's."""

    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    plain = count(Mlp(MlpOptions(bias=False), 48))
    assert count(Swiglu(SwigluOptions(), 48)) == count(Glu(GluOptions(), 48)) == plain == 8 * 48 * 48


@pytest.mark.parametrize(
    "module", [Mlp(MlpOptions(width=HIDDEN, dropout=0.5), WIDTH), Glu(GluOptions(width=HIDDEN, dropout=0.5), WIDTH)]
)
def test_dropout_of_the_hidden_features_acts_in_training_only(module: nn.Module) -> None:
    kept = module.eval()(_x())
    torch.manual_seed(0)
    assert not torch.equal(module.train()(_x()), kept)
    assert torch.equal(module.eval()(_x()), kept)


def test_the_chosen_activation_is_used() -> None:
    options = MlpOptions.model_validate({"width": HIDDEN, "activation": {"use": "leaky_relu", "slope": 1.0}})
    module = Mlp(options, WIDTH).eval()
    # With slope 1 the layer is linear: f(-x) = -f(x) without biases, which start at 0.
    torch.testing.assert_close(module(-_x()), -module(_x()), rtol=0, atol=1e-6)
