"""Tables of positions against torch's and timm's interpolation, and by hand."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

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


@pytest.fixture(scope="module")
def timm_resized() -> Iterator[Callable[..., torch.Tensor]]:
    """timm's own function, of the folder ZOO_ORACLES, which make's environment has; all of timm wants torchvision."""
    folder = Path(os.environ.get("ZOO_ORACLES", "")) / "timm"
    if not folder.is_dir():
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("no timm: pip install --no-deps --target DIR timm, and ZOO_ORACLES=DIR")
    with pytest.MonkeyPatch.context() as patch:
        for name, place in (("timm", folder), ("timm.layers", folder / "layers")):
            package = ModuleType(name)
            package.__path__ = [str(place)]
            patch.setitem(sys.modules, name, package)
        yield importlib.import_module("timm.layers.pos_embed").resample_abs_pos_embed
        for name in [name for name in sys.modules if name.startswith("timm.layers.")]:
            patch.delitem(sys.modules, name)


@pytest.mark.parametrize("registers", [0, 2])
@pytest.mark.parametrize("grid", [(6, 10), (2, 3), (12, 1)])
def test_a_table_is_resized_as_timm_does_it(
    scheme: Scheme, added: Added, timm_resized: Callable[..., torch.Tensor], grid: tuple[int, int], registers: int
) -> None:
    """Registers are timm's prefix tokens: they are not resized with the rest."""
    position = scheme("absolute-interpolated", rows=3, columns=5, std=1.0)
    table = position.table.detach()  # [R, C, D]
    prefix = torch.randn(1, registers, table.shape[2])
    given = torch.cat([prefix, table.reshape(1, 15, -1)], dim=1)
    expected = timm_resized(given, list(grid), old_size=[3, 5], num_prefix_tokens=registers)
    assert torch.equal(expected[:, :registers], prefix)
    torch.testing.assert_close(added(position, *grid), expected[0, registers:].reshape(*grid, -1), rtol=0, atol=2e-6)


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
