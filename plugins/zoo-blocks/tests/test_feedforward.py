"""Feed-forward layers against Llama's and the paper's formula."""

import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP
from zoo_blocks.feedforward import Mlp, Swiglu
from zoo_blocks.options import MlpOptions, SwigluOptions

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


def test_default_widths_have_nearly_the_same_number_of_weights() -> None:
    """Shazeer 2020, section 3: the gated layer's width is 2/3 of the other's."""

    def count(module: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    plain = count(Mlp(MlpOptions(bias=False), 48))
    assert count(Swiglu(SwigluOptions(), 48)) == plain == 8 * 48 * 48


def test_dropout_of_the_hidden_features_acts_in_training_only() -> None:
    module = Mlp(MlpOptions(width=HIDDEN, dropout=0.5), WIDTH)
    kept = module.eval()(_x())
    torch.manual_seed(0)
    assert not torch.equal(module.train()(_x()), kept)
    assert torch.equal(module.eval()(_x()), kept)


def test_the_chosen_activation_is_used() -> None:
    options = MlpOptions.model_validate({"width": HIDDEN, "activation": {"use": "leaky_relu", "slope": 1.0}})
    module = Mlp(options, WIDTH).eval()
    # With slope 1 the layer is linear: f(-x) = -f(x) without biases, which start at 0.
    torch.testing.assert_close(module(-_x()), -module(_x()), rtol=0, atol=1e-6)
