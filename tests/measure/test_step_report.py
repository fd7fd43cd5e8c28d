"""The cost of a step, model by model."""

from __future__ import annotations

import pytest
import torch

from zoo.errors import InputError
from zoo.measure.step_report import Shape, step_costs
from zoo.models import assemble
from zoo.spec.model_section import ModelSection

CPU = torch.device("cpu")


def build(**changes):
    section = {
        "d_model": 16,
        "heads": 2,
        "encoder": {"layers": 2},
        "decoder": {"layers": 1},
        "position": "zoo-positional/sinusoidal",
        "block": "zoo-blocks/pre-norm",
        "normalization": "zoo-blocks/layer-norm",
        "feedforward": {"use": "zoo-blocks/mlp", "width": 24},
        "fusion": "zoo-fusion/top",
        **changes,
    }
    return lambda: assemble(ModelSection.model_validate(section), 40, seed=1)


def test_costs_of_each_model_in_turn():
    calls = []
    fused, eager, wide = step_costs(
        [("fused", build()), ("eager", build(attention="eager")), ("wide", build(d_model=64))],
        Shape(3, 9, 7),
        rounds=4,
        device=CPU,
        layers=[3, 3, 3],
        progress=lambda *call: calls.append(call),
    )
    assert fused.label == "fused"
    assert fused.fused
    assert fused.kernels == ("sdpa flash",)
    assert fused.scores_written == 0
    assert not eager.fused
    assert eager.kernels == ("written out",)
    assert eager.scores_written >= 2
    assert len(fused.seconds) == 4
    assert fused.ratio(fused)[0] == 1
    assert eager.peak_bytes > fused.peak_bytes
    assert wide.peak_bytes > 3 * fused.peak_bytes  # the gradients of a matrix are sixteen times as large
    assert calls[-1] == ("time", 12, 12)


def test_attention_to_the_source_counts_as_well():
    """Shaw's value vectors between target and source are written out, whatever self-attention runs."""
    cross = {"layers": 1, "cross_position": "zoo-positional/shaw"}
    (found,) = step_costs([("cross", build(decoder=cross))], Shape(3, 9, 9), rounds=1, device=CPU, layers=[3])
    assert found.kernels == ("sdpa flash", "written out")
    assert not found.fused
    assert found.scores_written > 0


@pytest.mark.parametrize("architecture", ["causal-lm", "prefix-lm"])
def test_a_language_model_reads_source_and_target_in_one_row(architecture):
    lm = build(
        architecture=architecture, encoder=None, fusion=None, decoder={"layers": 2}, position="zoo-positional/alibi"
    )
    (found,) = step_costs([("lm", lm)], Shape(3, 9, 6), rounds=2, device=CPU, layers=[2])
    assert found.fused
    # Of two layers: the bias; once more with what each row's prefix sees.
    assert found.scores_written == (1 / 2 if architecture == "causal-lm" else 1)
    assert found.peak_bytes > 0


def test_a_length_that_is_a_width_is_refused():
    with pytest.raises(InputError, match="^24 tokens: plain has a width of 24.*another --source or --target"):
        step_costs([("plain", build())], Shape(3, 9, 24), rounds=1, device=CPU, layers=[3])
