"""What only a whole model shows: saving and loading, the end of a table, ALiBi's blindness to direction."""

import copy
from pathlib import Path

import pytest
import torch

from zoo.errors import InputError
from zoo.models import ZooForConditionalGeneration, assemble
from zoo.spec import resolve_model

SCHEMES: dict[str, dict[str, object]] = {
    "none": {},
    "sinusoidal": {},
    "shape": {"evaluation_offset": 500},
    "learned": {},
    "shaw": {"clip": 2},
    "t5": {"buckets": 8, "max_distance": 5},
    "rotary": {},
    "alibi": {},
    "p-transformer": {"clip": 2},
    "deberta": {"clip": 3},
    "transformer-xl": {"clip": 3},
    "sum": {"of": ["sinusoidal", {"use": "shaw", "clip": 2}]},
}
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


def _named(name: str) -> dict[str, object]:
    return {"use": f"zoo-positional/{name}", **SCHEMES[name]}


def _states(model: ZooForConditionalGeneration, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        states: torch.Tensor = model.get_encoder()(tokens).last_hidden_state
    return states


@pytest.mark.parametrize("name", SCHEMES)
def test_a_loaded_model_computes_what_the_saved_one_did(name: str, tmp_path: Path) -> None:
    """Loading makes the model on the meta device first: constants outside the state dict would be garbage."""
    model = _model(_named(name))
    with torch.no_grad():
        expected = model(input_ids=TOKENS, decoder_input_ids=TOKENS).logits
        model.save_pretrained(tmp_path)
        loaded = ZooForConditionalGeneration.from_pretrained(tmp_path).eval()
        assert torch.equal(loaded(input_ids=TOKENS, decoder_input_ids=TOKENS).logits, expected)


@pytest.mark.parametrize("name", SCHEMES)
def test_running_a_model_leaves_its_weights_alone_and_it_can_be_copied(name: str) -> None:
    model = _model(_named(name))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    expected = _states(model, TOKENS)
    assert torch.equal(_states(copy.deepcopy(model), TOKENS), expected)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize("name", ["rotary", "alibi", "none", "shaw", "t5", "deberta", "transformer-xl"])
def test_a_relative_encoder_does_not_see_a_shift(name: str) -> None:
    model = _model(_named(name))
    positions = torch.arange(6)[None]
    with torch.no_grad():
        near = model.get_encoder()(TOKENS, position_ids=positions).last_hidden_state
        far = model.get_encoder()(TOKENS, position_ids=positions + 20).last_hidden_state
    torch.testing.assert_close(near, far, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["sinusoidal", "shape", "learned", "p-transformer", "sum"])
def test_an_absolute_encoder_sees_a_shift(name: str) -> None:
    model = _model(_named(name))
    positions = torch.arange(6)[None]
    with torch.no_grad():
        near = model.get_encoder()(TOKENS, position_ids=positions).last_hidden_state
        far = model.get_encoder()(TOKENS, position_ids=positions + 20).last_hidden_state
    assert (near - far).abs().max() > 1e-3


def test_a_symmetric_alibi_encoder_takes_a_sentence_and_its_reverse_alike() -> None:
    model = _model("zoo-positional/alibi")
    forwards, backwards = _states(model, TOKENS), _states(model, TOKENS.flip(1)).flip(1)
    torch.testing.assert_close(forwards, backwards, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "position",
    ["zoo-positional/rotary", {"use": "zoo-positional/alibi", "shape": "asymmetric"}, *map(_named, ("shaw", "t5"))],
    ids=["rotary", "asymmetric-alibi", "shaw", "t5"],
)
def test_an_encoder_that_knows_direction_tells_a_sentence_from_its_reverse(position: object) -> None:
    model = _model(position)
    forwards, backwards = _states(model, TOKENS), _states(model, TOKENS.flip(1)).flip(1)
    assert (forwards - backwards).abs().max() > 1e-3


def test_repeated_tokens_are_told_apart_by_value_vectors_alone() -> None:
    """All values are alike, so no attention weights can tell; Shaw's vectors on the side of the values can."""
    same = torch.full((1, 6), 7)
    spread = {}
    for values in (False, True):
        states = _states(_model({"use": "zoo-positional/shaw", "clip": 2, "values": values}), same)
        spread[values] = (states - states[:, :1]).abs().max().item()
    assert spread[False] < 1e-5
    assert spread[True] > 1e-2


def test_shape_moves_source_and_target_independently_in_training() -> None:
    model, seen = _model({"use": "zoo-positional/shape", "evaluation_offset": 0}).train(), []
    for stack in (model.encoder, model.decoder):
        original = stack.position.encode
        stack.position.encode = lambda places, original=original: (seen.append(places[:, 0]), original(places))[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model(input_ids=TOKENS, decoder_input_ids=TOKENS)
    source, target = seen
    assert len({*source.tolist(), *target.tolist()}) == 4


def test_an_encoder_without_positions_takes_any_order_alike() -> None:
    model = _model("zoo-positional/none")
    order = torch.tensor([2, 5, 0, 1, 4, 3])
    torch.testing.assert_close(_states(model, TOKENS[:, order]), _states(model, TOKENS)[:, order], rtol=0, atol=2e-6)


def test_a_sentence_longer_than_the_learned_table_is_an_error_of_the_user() -> None:
    model = _model("zoo-positional/learned", max_positions=5)
    with pytest.raises(InputError, match=r"5 positions.* needs 6.*max_positions"):
        _states(model, TOKENS)
