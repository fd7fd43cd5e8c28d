"""Tables of positions against torch's own interpolation, and by hand."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from zoo.errors import InputError
from zoo.models import assemble
from zoo.registry import use_registry
from zoo.spec import resolve_model
from zoo.testing.patch_position import grid_positions
from zoo.testing.plain import SECTION, with_plain_components

Scheme = Callable[..., torch.nn.Module]
Added = Callable[..., torch.Tensor]


@pytest.mark.parametrize("grid", [(3, 5), (6, 10), (7, 11), (2, 3), (12, 1), (40, 2)])
def test_a_table_is_resized_as_torch_does_it(scheme: Scheme, added: Added, grid: tuple[int, int]) -> None:
    """Bicubic, antialiased, corners not aligned: what timm asks of torch. Larger, smaller, and one of each."""
    position = scheme("absolute-interpolated", rows=3, columns=5, std=1.0)
    table = position.table.detach().permute(2, 1, 0)[None]  # [1, D, C, R]: torch 2.13 errs where one column is left
    turned = (grid[1], grid[0])
    expected = F.interpolate(table.contiguous(), size=turned, mode="bicubic", align_corners=False, antialias=True)
    torch.testing.assert_close(added(position, *grid), expected[0].permute(2, 1, 0), rtol=0, atol=2e-6)


def test_a_grid_of_the_tables_size_gets_the_table_itself(scheme: Scheme, added: Added) -> None:
    position = scheme("absolute-interpolated", rows=3, columns=5)
    assert torch.equal(added(position, 3, 5), position.table.detach())


@pytest.mark.parametrize(("anchor", "at"), [("top-left", (0, 0)), ("centre", (1, 2))])
def test_a_cropped_table_gives_a_part_of_itself(scheme: Scheme, added: Added, anchor: str, at: tuple[int, int]) -> None:
    position = scheme("absolute-cropped", rows=4, columns=7, anchor=anchor)
    expected = position.table.detach()[at[0] : at[0] + 2, at[1] : at[1] + 3]
    assert torch.equal(added(position, 2, 3), expected)


def test_factors_are_added_up(scheme: Scheme, added: Added) -> None:
    position = scheme("factorized", rows=4, columns=7)
    expected = position.rows.detach()[:2, None] + position.columns.detach()[:3]
    assert torch.equal(added(position, 2, 3), expected)


@pytest.mark.parametrize("name", ["absolute-interpolated", "absolute-cropped", "factorized", "fractional-learned"])
def test_vectors_start_at_a_fiftieth(scheme: Scheme, name: str) -> None:
    """Not at one, which drowns the patches."""
    position = scheme(name, **({"entries": 4000} if name == "fractional-learned" else {"rows": 60, "columns": 60}))
    for parameter in position.parameters():
        assert abs(parameter.std().item() / 0.02 - 1) < 0.15


@pytest.mark.parametrize("name", ["absolute-cropped", "factorized"])
@pytest.mark.parametrize("grid", [(5, 2), (2, 8)])
def test_a_grid_larger_than_the_table_is_an_error_of_the_user(name: str, grid: tuple[int, int]) -> None:
    image = {
        "input": "zoo-vision/native",
        "patch": {"height": 4, "width": 4},
        "patch_position": {"use": f"zoo-vision/{name}", "rows": 4, "columns": 7},
    }
    section = {key: item for key, item in SECTION.items() if key not in {"decoder", "position", "fusion"}}
    with use_registry(with_plain_components()):
        model = assemble(resolve_model({**section, "architecture": "image-ctc", "image": image}), 9, seed=1).eval()
    positions = grid_positions(*grid)
    pixels = torch.zeros(1, positions.shape[1], 48)
    with pytest.raises(InputError, match=rf"4 x 7 patches, an image has {grid[0]} x {grid[1]}"):
        model(pixels, patch_positions=positions[..., :2], patch_grid=positions[..., 2:])
