"""The standard memory."""

import torch
from zoo_fusion.top import Top

from zoo.models.contracts import FusionContext
from zoo.spec.options import NoOptions


def test_every_decoder_layer_reads_the_last_encoder_layer() -> None:
    fusion = Top(NoOptions(), FusionContext(encoder_layers=3, decoder_layers=2, d_model=8))
    states = torch.randn(2, 4, 5, 8)
    mask = torch.ones(2, 5, dtype=torch.bool)
    for layer in range(2):
        memory = fusion.memory(states, mask, layer)
        assert torch.equal(memory.key_source, states[:, 3])
        assert torch.equal(memory.value_source, states[:, 3])
        assert memory.mask is mask


def test_it_asks_for_the_top_only_and_once() -> None:
    assert not Top.needs_all_layers
    assert Top.shared_by_layers


def test_it_has_no_weights() -> None:
    fusion = Top(NoOptions(), FusionContext(encoder_layers=3, decoder_layers=2, d_model=8))
    assert not list(fusion.parameters())
