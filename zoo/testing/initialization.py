"""What is asked of initialisations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from zoo.models.contracts import Initialization, InitializationContext, Matrix, Side
from zoo.models.seeding import own_randomness
from zoo.spec.options import Chosen
from zoo.testing.in_a_language_model import InALanguageModel
from zoo.testing.module import WIDTH, random_tensor
from zoo.testing.surroundings import untouched_surroundings


def _matrices(start: Tensor | None = None) -> Iterator[Matrix]:
    """Matrices as a decoder layer has them, parts of fused ones included; `start` is what they hold."""
    plan: tuple[tuple[str, str, str | None, tuple[int, int], int], ...] = (
        ("self_attention.query", "query", "self", (WIDTH, WIDTH), 0),
        ("self_attention.key", "key", "self", (WIDTH, WIDTH), 1),
        ("self_attention.value", "value", "self", (WIDTH, WIDTH), 2),
        ("self_attention.out", "attention-output", "self", (WIDTH, WIDTH), 0),
        ("cross_attention.query", "query", "cross", (WIDTH, WIDTH), 0),
        ("cross_attention.key", "key", "cross", (WIDTH, WIDTH), 1),
        ("cross_attention.value", "value", "cross", (WIDTH, WIDTH), 2),
        ("cross_attention.out", "attention-output", "cross", (WIDTH, WIDTH), 0),
        ("feedforward.up", "feedforward", None, (40, WIDTH), 0),
        ("feedforward.down", "feedforward", None, (WIDTH, 40), 0),
    )
    for name, role, attention, (rows, columns), part in plan:
        whole = random_tensor(3 * rows, columns) if start is None else start.expand(3 * rows, columns).clone()
        yield Matrix(name, role, attention, whole.narrow(0, part * rows, rows))  # type: ignore[arg-type]


def _context(side: Side = "decoder", layer: int = 1, depths: tuple[int, int] = (3, 2)) -> InitializationContext:
    return InitializationContext(
        side=side, layer=layer, encoder_layers=depths[0], decoder_layers=depths[1], d_model=WIDTH
    )


class InitializationSuite(InALanguageModel):
    """Initialisations: see `zoo.models.contracts.Initialization`."""

    kind: ClassVar[str] = "initialization"
    # A graph is the same whatever the weights in it.
    test_in_a_model_torch_compile_changes_nothing = None  # type: ignore[assignment]

    def create(self, chosen: Chosen) -> Initialization:
        """The initialisation, as the host builds it."""
        initialization: Initialization = chosen.create()
        assert isinstance(initialization, Initialization)
        return initialization

    def initialised(self, chosen: Chosen, context: InitializationContext, seed: int = 0) -> dict[str, Tensor]:
        """A layer's matrices by name after the initialisation, each seeded by its name, as the host does it."""
        initialization, done = self.create(chosen), {}
        for matrix in _matrices():
            with own_randomness(seed, matrix.name):
                initialization.initialize(matrix, context)
            done[matrix.name] = matrix.weight
        return done

    def test_every_matrix_of_every_kind_of_model_is_finite(self, chosen: Chosen) -> None:
        """A model of one stack has 0 layers in the other."""
        models: tuple[tuple[Side, tuple[int, int]], ...] = (
            ("encoder", (6, 0)),
            ("decoder", (0, 6)),
            ("encoder", (6, 2)),
            ("decoder", (2, 6)),
        )
        for side, depths in models:
            for layer in (0, 5):
                for name, weight in self.initialised(chosen, _context(side, layer, depths)).items():
                    assert torch.isfinite(weight).all(), f"{side} of depths {depths}, layer {layer}: {name}"

    def test_something_is_set(self, chosen: Chosen) -> None:
        untouched = {matrix.name: matrix.weight for matrix in _matrices()}
        done = self.initialised(chosen, _context())
        assert any(not torch.equal(done[name], untouched[name]) for name in done), "every matrix is as it was"

    def test_only_the_matrix_itself_is_written(self, chosen: Chosen) -> None:
        """The other parts of a fused matrix are other matrices."""
        initialization = self.create(chosen)
        for matrix in _matrices():
            whole = matrix.weight._base
            assert whole is not None
            rows = matrix.weight.shape[0]
            first = matrix.weight.storage_offset() // matrix.weight.shape[1]
            before, shape = whole.clone(), matrix.weight.shape
            initialization.initialize(matrix, _context())
            assert matrix.weight.shape == shape
            outside = torch.ones(len(whole), dtype=torch.bool)
            outside[first : first + rows] = False
            assert torch.equal(whole[outside], before[outside]), f"{matrix.name}: its neighbours were written to"

    def test_draws_come_from_torchs_generator_alone(self, chosen: Chosen) -> None:
        with untouched_surroundings():
            first, again = (self.initialised(chosen, _context(), seed=3) for _ in range(2))
        for name, weight in first.items():
            assert torch.equal(weight, again[name]), f"{name} has another source of randomness"

    def test_a_matrix_does_not_depend_on_those_before_it(self, chosen: Chosen) -> None:
        """Models of one seed are paired: exchanging one part leaves the others' weights."""
        together, initialization = self.initialised(chosen, _context()), self.create(chosen)
        for matrix in reversed(list(_matrices())):
            with own_randomness(0, matrix.name):
                initialization.initialize(matrix, _context())
            assert torch.equal(matrix.weight, together[matrix.name]), f"{matrix.name} depends on the order"

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
    def test_other_types_of_numbers_are_set_in_place(self, chosen: Chosen, dtype: torch.dtype) -> None:
        """A model that is loaded in half precision is built in it."""
        initialization = self.create(chosen)
        for matrix in _matrices(torch.ones((), dtype=dtype)):
            initialization.initialize(matrix, _context())
            assert matrix.weight.dtype == dtype
            assert torch.isfinite(matrix.weight).all(), matrix.name

    def test_matrices_on_the_meta_device_can_be_set(self, chosen: Chosen) -> None:
        initialization = self.create(chosen)
        for matrix in _matrices():
            weight = matrix.weight.to("meta")
            initialization.initialize(Matrix(matrix.name, matrix.role, matrix.attention, weight), _context())
