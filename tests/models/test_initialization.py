"""The host names every matrix of every layer to the initialisation of the spec, and disturbs nothing else."""

from __future__ import annotations

import pytest
import torch

from zoo.models import assemble, weights_hash
from zoo.models.contracts import Feedforward
from zoo.models.initialization import matrices_of

WIDTH = 32
QUERY, KEY, VALUE, OUTPUT, FEED = range(5)
SELF, CROSS, NEITHER = 0, 100, 200


def _marks(weight):
    """The values of a marked parameter, in blocks of the model's width."""
    blocks = weight.detach().split(WIDTH)
    assert all(block.unique().numel() == 1 for block in blocks)
    return [int(block[0, 0]) for block in blocks]


def test_every_matrix_is_named_by_its_place_role_and_attention(make_model):
    model = make_model(initialization="zoo-private/mark-matrices", decoder={"layers": 3})
    for side in ("encoder", "decoder"):
        for index, layer in enumerate(getattr(model, side).layers):
            start = 1000 * index
            own, feed = layer.self_attention, layer.feedforward
            assert _marks(own.qkv.weight) == [start + SELF + role for role in (QUERY, KEY, VALUE)]
            assert _marks(own.out.weight) == [start + SELF + OUTPUT]
            assert set(_marks(feed.up.weight) + _marks(feed.down.weight)) == {start + NEITHER + FEED}
            if side == "decoder":
                cross = layer.cross_attention
                assert _marks(cross.query.weight) == [start + CROSS + QUERY]
                assert _marks(cross.kv.weight) == [start + CROSS + role for role in (KEY, VALUE)]
                assert _marks(cross.out.weight) == [start + CROSS + OUTPUT]


def test_names_are_unique_within_a_layer_and_no_matrix_is_left_out(make_model):
    for layer in (make_model().encoder.layers[0], make_model().decoder.layers[0]):
        matrices = list(matrices_of(layer))
        assert len({matrix.name for matrix in matrices}) == len(matrices)
        there = sum(weight.numel() for weight in layer.parameters() if weight.ndim == 2)
        assert sum(matrix.weight.numel() for matrix in matrices) == there


@pytest.mark.parametrize("feedforward", ["mlp", "swiglu"])
def test_an_initialisation_that_does_nothing_is_none(make_section, feedforward):
    """The components' own weights do not depend on whether anyone was asked."""
    without = make_section(feedforward=feedforward)
    idle = make_section(feedforward=feedforward, initialization="zoo-private/leave-matrices")
    assert without.initialization is None
    assert weights_hash(assemble(idle, 20, seed=5)) == weights_hash(assemble(without, 20, seed=5))


def test_a_feed_forward_layer_shows_its_linear_matrices_and_may_show_others():
    class Stacked(Feedforward):
        def __init__(self):
            super().__init__(None, WIDTH)
            self.inner = torch.nn.Linear(WIDTH, 4)
            self.experts = torch.nn.Parameter(torch.zeros(2, 4, WIDTH))

        def matrices(self):
            return super().matrices() | {f"experts.{index}": part for index, part in enumerate(self.experts)}

    layer = torch.nn.Module()
    layer.feedforward = Stacked()
    found = {matrix.name: matrix for matrix in matrices_of(layer)}
    assert list(found) == ["feedforward.inner", "feedforward.experts.0", "feedforward.experts.1"]
    found["feedforward.experts.1"].weight.fill_(3.0)
    assert layer.feedforward.experts.detach().sum((1, 2)).tolist() == [0.0, 3.0 * 4 * WIDTH]
