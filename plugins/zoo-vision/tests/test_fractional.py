"""Positions as fractions of an image's sides."""

from collections.abc import Callable

import pytest
import torch

Scheme = Callable[..., torch.nn.Module]
Added = Callable[..., torch.Tensor]


def test_a_curve_is_its_vectors_at_their_places_and_linear_between(scheme: Scheme, added: Added) -> None:
    position = scheme("fractional-learned", entries=4)
    rows, columns = position.rows.detach(), position.columns.detach()
    same = added(position, 4, 4)  # patch i of 4 stands where vector i of 4 does
    torch.testing.assert_close(same, rows[:, None] + columns, rtol=0, atol=1e-7)
    finer = added(position, 4, 8)[:, 3]  # (3 + 1/2) / 8 of the width: 1.25 of the way from the first vector
    torch.testing.assert_close(finer, rows + columns[1] + 0.25 * (columns[2] - columns[1]), rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["fractional-learned", "fractional-fourier"])
def test_the_middle_of_an_image_is_the_same_place_at_every_size(scheme: Scheme, added: Added, name: str) -> None:
    position = scheme(name)
    torch.testing.assert_close(added(position, 3, 5)[1, 2], added(position, 33, 7)[16, 3], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("bandwidth", "rank"), [(4, 8), (7, 14), (12, 15)])
def test_below_half_the_patches_frequencies_cannot_tell_neighbours_apart(
    scheme: Scheme, bandwidth: int, rank: int
) -> None:
    """Of b whole frequencies there are 2 b independent features: too few for more patches than that. The 16th feature
    that 16 patches have room for is a constant, which is none of them."""
    position = scheme("fractional-fourier", bandwidth=float(bandwidth), frequencies=bandwidth)
    columns = torch.eye(4 * bandwidth)
    position.projection.weight = torch.nn.Parameter(columns)  # what is added is the features themselves
    places = torch.stack((torch.zeros(16), torch.arange(16), torch.ones(16), torch.full((16,), 16.0)), -1).long()
    with torch.no_grad():
        features = position.embed(torch.zeros(1, 16, 4 * bandwidth), places[None])[0, :, 2 * bandwidth :]
    assert int(torch.linalg.matrix_rank(features, atol=1e-3)) == rank


def test_fourier_vectors_start_with_the_given_deviation(scheme: Scheme, added: Added) -> None:
    spread = added(scheme("fractional-fourier", frequencies=64, std=0.5), 40, 40).std().item()
    assert spread == pytest.approx(0.5, rel=0.25)
