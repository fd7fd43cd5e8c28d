"""The same spec and seed give the same weights, whatever else the process does."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from zoo.models import assemble, weights_hash
from zoo.registry import Registry, hookimpl, use_registry
from zoo.registry.discovery import discover


def test_one_seed_gives_one_set_of_weights(make_section, position):
    section = make_section(position)
    first, second, other = (assemble(section, 20, seed=seed) for seed in (5, 5, 6))
    assert weights_hash(first) == weights_hash(second)
    assert weights_hash(first) != weights_hash(other)


def test_torchs_generator_is_neither_read_nor_moved(make_section, position):
    section = make_section(position)
    torch.manual_seed(1)
    first = weights_hash(assemble(section, 20, seed=5))
    state = torch.get_rng_state()
    torch.rand(17)
    torch.set_rng_state(state)
    expected = torch.rand(2)
    torch.manual_seed(999)
    before = torch.get_rng_state()
    assert weights_hash(assemble(section, 20, seed=5)) == first
    assert torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(state)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.slow
def test_another_process_gives_the_same_weights(make_section):
    section = make_section("zoo-positional/learned")
    program = (
        "import json, sys\n"
        "from zoo.models import assemble, weights_hash\n"
        "from zoo.spec.model_section import ModelSection\n"
        "section = ModelSection.model_validate(json.loads(sys.argv[1]))\n"
        "print(weights_hash(assemble(section, 20, seed=5)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, section.model_dump_json()], capture_output=True, text=True, check=True
    )
    assert output.stdout.split()[-1] == weights_hash(assemble(section, 20, seed=5))


def test_another_component_leaves_all_other_weights_alone(make_section):
    models = [assemble(make_section(name), 20, seed=5) for name in ("zoo-positional/learned", "zoo-positional/none")]
    states = [{n: t for n, t in model.state_dict().items() if ".position." not in n} for model in models]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_layers_do_not_start_alike(make_section):
    layers = assemble(make_section(), 20, seed=5).encoder.layers
    assert not torch.equal(layers[0].self_attention.qkv.weight, layers[1].self_attention.qkv.weight)
    assert not torch.equal(layers[0].feedforward.up.weight, layers[1].feedforward.up.weight)


def test_initial_scales_are_the_documented_ones(make_section):
    model = assemble(make_section(d_model=128, heads=4, tie_embeddings="none"), 4000, seed=1)
    assert model.encoder.embed_tokens.weight.detach().std() == pytest.approx(128**-0.5, rel=0.02)
    assert model.lm_head.weight.detach().std() == pytest.approx(128**-0.5, rel=0.02)
    bound = (6 / (128 + 128)) ** 0.5  # Glorot and Bengio 2010, equation 16, of one square matrix
    query = model.encoder.layers[0].self_attention.qkv.weight[:128].detach()
    assert query.abs().max() == pytest.approx(bound, rel=0.02)
    assert query.abs().max() <= bound
    assert not model.encoder.layers[0].self_attention.qkv.bias.any()
    narrow = assemble(make_section(embedding_std=0.02), 4000, seed=1)
    assert narrow.encoder.embed_tokens.weight.detach().std() == pytest.approx(0.02, rel=0.02)


def test_plugins_hear_of_the_model_once_with_its_spec(make_section):
    heard = []

    class Listener:
        @hookimpl
        def zoo_model_built(self, context):
            heard.append(context)

    found = discover()
    found.manager.register(Listener())
    with use_registry(Registry(found)):
        model = assemble(make_section(), 20, seed=5, spec="the spec")
    assert [(context.model, context.spec) for context in heard] == [(model, "the spec")]


def test_a_vocabulary_of_nothing_is_refused(make_section):
    with pytest.raises(ValueError, match="vocabulary_size: expected at least 1, found 0"):
        assemble(make_section(), 0, seed=1)
