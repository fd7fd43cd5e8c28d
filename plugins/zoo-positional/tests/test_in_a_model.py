"""What only a whole model shows: saving and loading, the end of a table, ALiBi's blindness to direction."""

import copy
from pathlib import Path

import pytest
import torch

from zoo.errors import InputError
from zoo.models import ZooForConditionalGeneration, assemble
from zoo.spec import resolve_model

SCHEMES = ("none", "sinusoidal", "learned", "rotary", "alibi")
TOKENS = torch.tensor([[5, 9, 4, 7, 11, 6], [8, 4, 4, 10, 5, 9]])


def _model(position: object, **changes: object) -> ZooForConditionalGeneration:
    section = {
        "d_model": 24,
        "heads": 6,
        "encoder": {"layers": 2},
        "decoder": {"layers": 1},
        "position": position,
        "block": "zoo-blocks/post-norm",
        "normalization": "zoo-blocks/layer-norm",
        "feedforward": {"use": "zoo-blocks/mlp", "width": 32},
        "fusion": "zoo-fusion/top",
        "max_positions": 32,
        **changes,
    }
    return assemble(resolve_model(section), 16, seed=3).eval()


def _states(model: ZooForConditionalGeneration, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        states: torch.Tensor = model.get_encoder()(tokens).last_hidden_state
    return states


@pytest.mark.parametrize("name", SCHEMES)
def test_a_loaded_model_computes_what_the_saved_one_did(name: str, tmp_path: Path) -> None:
    """Loading makes the model on the meta device first: constants outside the state dict would be garbage."""
    model = _model(f"zoo-positional/{name}")
    with torch.no_grad():
        expected = model(input_ids=TOKENS, decoder_input_ids=TOKENS).logits
        model.save_pretrained(tmp_path)
        loaded = ZooForConditionalGeneration.from_pretrained(tmp_path).eval()
        assert torch.equal(loaded(input_ids=TOKENS, decoder_input_ids=TOKENS).logits, expected)


@pytest.mark.parametrize("name", SCHEMES)
def test_running_a_model_leaves_its_weights_alone_and_it_can_be_copied(name: str) -> None:
    model = _model(f"zoo-positional/{name}")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    expected = _states(model, TOKENS)
    assert torch.equal(_states(copy.deepcopy(model), TOKENS), expected)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize("name", ["rotary", "alibi", "none"])
def test_a_relative_encoder_does_not_see_a_shift(name: str) -> None:
    model = _model(f"zoo-positional/{name}")
    positions = torch.arange(6)[None]
    with torch.no_grad():
        near = model.get_encoder()(TOKENS, position_ids=positions).last_hidden_state
        far = model.get_encoder()(TOKENS, position_ids=positions + 20).last_hidden_state
    torch.testing.assert_close(near, far, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["sinusoidal", "learned"])
def test_an_absolute_encoder_sees_a_shift(name: str) -> None:
    model = _model(f"zoo-positional/{name}")
    positions = torch.arange(6)[None]
    with torch.no_grad():
        near = model.get_encoder()(TOKENS, position_ids=positions).last_hidden_state
        far = model.get_encoder()(TOKENS, position_ids=positions + 20).last_hidden_state
    assert (near - far).abs().max() > 1e-3


def test_a_symmetric_alibi_encoder_takes_a_sentence_and_its_reverse_alike() -> None:
    model = _model("zoo-positional/alibi")
    forwards, backwards = _states(model, TOKENS), _states(model, TOKENS.flip(1)).flip(1)
    torch.testing.assert_close(forwards, backwards, rtol=0, atol=2e-6)


def test_a_rotary_encoder_tells_a_sentence_from_its_reverse() -> None:
    model = _model("zoo-positional/rotary")
    forwards, backwards = _states(model, TOKENS), _states(model, TOKENS.flip(1)).flip(1)
    assert (forwards - backwards).abs().max() > 1e-3


def test_an_encoder_without_positions_takes_any_order_alike() -> None:
    model = _model("zoo-positional/none")
    order = torch.tensor([2, 5, 0, 1, 4, 3])
    torch.testing.assert_close(_states(model, TOKENS[:, order]), _states(model, TOKENS)[:, order], rtol=0, atol=2e-6)


def test_a_sentence_longer_than_the_learned_table_is_an_error_of_the_user() -> None:
    model = _model("zoo-positional/learned", max_positions=5)
    with pytest.raises(InputError, match=r"5 positions.* needs 6.*max_positions"):
        _states(model, TOKENS)
