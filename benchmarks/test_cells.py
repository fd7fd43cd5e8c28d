"""The cells of specs/, of language models and of images: smoke tests, or benchmarks with ``pytest --benchmark``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.models import assemble, count_parameters
from zoo.spec import load_cells, load_spec

SPECS = Path(__file__).parent / "specs"


@pytest.mark.zoo_cells(
    "specs/*.yaml", "specs/language-models/*.yaml", "specs/vision/image-*.yaml", "specs/vision/smoke.yaml"
)
def test_cell(zoo_cell: Callable[[], object]) -> None:
    zoo_cell()


def test_language_models_have_the_parameters_of_the_encoder_decoder_beside_them() -> None:
    counts = {}
    for name in ("smoke", "language-models/causal-lm", "language-models/prefix-lm"):
        spec = load_spec(SPECS / f"{name}.yaml")
        model = assemble(spec.model, spec.tokenizer.options.vocab_size, seed=1)
        counts[spec.model.architecture] = count_parameters(model)
    assert len(counts) == 3
    assert counts["causal-lm"] == counts["prefix-lm"]
    assert counts["causal-lm"] == pytest.approx(counts["encoder-decoder"], rel=0.005)


LONG = sorted((SPECS / "toy").glob("*.yaml"))
LONG += [
    SPECS / "vision" / f"{name}.yaml"
    for name in (
        "patch-positions",
        "resize-policies",
        "resize-policies-ctc",
        "typeset-lines",
        "exports-lines",
        "exports-pages",
        "label-smoothing",
        "model-or-image-size",
    )
]


@pytest.mark.parametrize("path", LONG, ids=lambda path: path.stem)
def test_a_question_that_is_too_long_for_a_smoke_test_still_loads(path: Path) -> None:
    cells = load_cells(path)
    assert len(cells) == len({cell.spec.name for cell in cells}) > 1
