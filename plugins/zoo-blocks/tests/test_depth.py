"""DeepNorm's constants against the equations that the paper solves for them, which bound a model's update."""

import pytest
from zoo_blocks.depth import deep_norm_alpha, deep_norm_beta

from zoo.models.contracts import LayerContext

DEPTHS = (1, 2, 6, 18, 100, 1000)


def _constants(side: str, encoder: int, decoder: int) -> tuple[float, float]:
    context = LayerContext(side=side, layer=0, encoder_layers=encoder, decoder_layers=decoder)
    return deep_norm_alpha(context), deep_norm_beta(context)


def _bound(sublayers: int, alpha: float, beta: float) -> float:
    """``sum_i (v_i^2 + w_i^2) / alpha^2`` with every v = w = beta (Wang et al. 2022, theorem 4.2)."""
    return sublayers * 2 * beta**2 / alpha**2


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_the_update_of_a_single_stack_is_bounded_by_one(side: str, depth: int) -> None:
    """It has two sublayers a layer."""
    depths = (depth, 0) if side == "encoder" else (0, depth)
    assert _bound(2 * depth, *_constants(side, *depths)) == pytest.approx(1.0)


@pytest.mark.parametrize("encoder", DEPTHS)
@pytest.mark.parametrize("decoder", DEPTHS)
def test_the_update_of_an_encoder_decoder_is_bounded_by_one_from_either_side(encoder: int, decoder: int) -> None:
    """Theorem 4.3: the decoder's own update, and what reaches it of the encoder's through M cross-attentions."""
    alpha, beta = _constants("decoder", encoder, decoder)
    assert _bound(3 * decoder, alpha, beta) == pytest.approx(1.0)
    through = decoder * beta * beta / alpha
    # The paper prints 0.81 and 0.87 with two digits.
    assert through * _bound(2 * encoder, *_constants("encoder", encoder, decoder)) == pytest.approx(1.0, abs=0.02)


def test_the_constants_are_those_that_the_paper_prints() -> None:
    """Figure 2, at depths whose roots are whole."""
    assert _constants("encoder", 8, 0) == pytest.approx((2.0, 64**-0.25))
    assert _constants("decoder", 0, 2) == pytest.approx((4**0.25, 0.5))
    assert _constants("encoder", 16, 16**4) == pytest.approx((0.81 * 4, 0.87 / 4))
    assert _constants("decoder", 5, 27) == pytest.approx((3.0, 324**-0.25))
