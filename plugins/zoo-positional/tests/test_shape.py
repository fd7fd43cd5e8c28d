"""SHAPE's random offsets."""

import torch
from zoo_positional.options import ShapeOptions, SinusoidalOptions
from zoo_positional.shape import Shape
from zoo_positional.sinusoidal import Sinusoidal

from zoo.models.contracts import StackContext

CONTEXT = StackContext(side="encoder", layers=1, d_model=16, heads=2, max_positions=64)


def _offsets(scheme: Shape, positions: torch.Tensor, batch: int = 1) -> torch.Tensor:
    """The offset that each token got, ``[B, L]``, found by looking its vector up in the plain table."""
    embedded = scheme.embed(torch.zeros(batch, positions.shape[1], 16), positions)
    table = Sinusoidal(SinusoidalOptions(), CONTEXT).encode(torch.arange(600)[None])[0]  # [600, D]
    return torch.cdist(embedded, table.expand(batch, -1, -1)).argmin(-1) - positions


def test_each_sequence_of_a_batch_is_moved_by_one_offset_of_its_own() -> None:
    torch.manual_seed(0)
    offsets = _offsets(Shape(ShapeOptions(evaluation_offset=0), CONTEXT), torch.arange(12)[None], batch=64)
    assert torch.equal(offsets, offsets[:, :1].expand(-1, 12))
    assert offsets[:, 0].unique().numel() > 40


def test_offsets_are_drawn_evenly_from_zero_to_k_minus_one() -> None:
    torch.manual_seed(0)
    scheme = Shape(ShapeOptions(max_offset=4, evaluation_offset=0), CONTEXT)
    counts = _offsets(scheme, torch.arange(2)[None], batch=4000)[:, 0].bincount(minlength=5)
    assert counts.numel() == 5
    assert counts[4] == 0
    # 1000 expected of each, standard deviation 27.
    assert ((counts[:4] - 1000).abs() < 110).all()


def test_each_segment_of_a_packed_row_draws_its_own() -> None:
    torch.manual_seed(1)
    positions = torch.tensor([[0, 1, 2, 3, 0, 0, 1, 2, 0, 1]])
    offsets = _offsets(Shape(ShapeOptions(evaluation_offset=0), CONTEXT), positions)[0].tolist()
    segments = [offsets[:4], offsets[4:5], offsets[5:8], offsets[8:]]
    assert all(len(set(segment)) == 1 for segment in segments)
    assert len({segment[0] for segment in segments}) == 4


def test_a_left_padded_sequence_and_positions_that_start_elsewhere_are_one_segment() -> None:
    torch.manual_seed(2)
    scheme = Shape(ShapeOptions(evaluation_offset=0), CONTEXT)
    left_padded = _offsets(scheme, torch.tensor([[0, 0, 0, 1, 2, 3]]))[0, 2:]
    elsewhere = _offsets(scheme, torch.tensor([[7, 8, 9, 10]]))[0]
    assert left_padded.unique().numel() == elsewhere.unique().numel() == 1


def test_outside_training_the_offset_is_the_one_asked_for_and_nothing_is_drawn() -> None:
    scheme = Shape(ShapeOptions(evaluation_offset=37), CONTEXT).eval()
    before = torch.get_rng_state()
    assert (_offsets(scheme, torch.arange(12)[None]) == 37).all()
    assert torch.equal(torch.get_rng_state(), before)
