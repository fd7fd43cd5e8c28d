"""The kit fails resize policies and patch positions that break their contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.images.inputs import ImageInput, Placement
from zoo.models.contracts import Formula, Term
from zoo.models.vision.contracts import PatchPosition, rows_and_columns
from zoo.registry import use_registry
from zoo.spec.options import Options
from zoo.testing import ComponentSuite, ImageInputSuite, PatchPositionSuite
from zoo.testing.plain import with_plain_components

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]


class SoundPolicy(ImageInput):
    """As the image is, on whole patches: nothing wrong with it."""

    def place(self, height: int, width: int) -> Placement:
        rows, columns = -(-height // self.patch_height), -(-width // self.patch_width)
        return Placement(height, width, rows * self.patch_height, columns * self.patch_width)


class BreaksPatches(SoundPolicy):
    """Pads to sixteen whatever a patch is."""

    def place(self, height: int, width: int) -> Placement:
        return Placement(height, width, -(-height // 16) * 16, -(-width // 4) * 4)


class Crops(SoundPolicy):
    """Takes whole patches from the image and leaves the rest."""

    def place(self, height: int, width: int) -> Placement:
        placed = super().place(height, width)
        return Placement(height, width, max(16, placed.canvas_height - 16), placed.canvas_width)


class Vanishes(SoundPolicy):
    """Rounds a thin line to nothing."""

    def place(self, height: int, width: int) -> Placement:
        return Placement(height // 2, width, -(-height // 16) * 16, -(-width // 8) * 8)


class GrowsWithUse(SoundPolicy):
    """Pads to the largest image so far."""

    longest = 0

    def place(self, height: int, width: int) -> Placement:
        self.longest = max(self.longest, width)
        return Placement(height, width, -(-height // 16) * 16, -(-self.longest // 8) * 8)


POLICIES = [
    (BreaksPatches, "test_an_image_stands_on_a_canvas_of_whole_patches", "no whole patches"),
    (Crops, "test_an_image_stands_on_a_canvas_of_whole_patches", "outside of its canvas"),
    (Vanishes, "test_an_image_stands_on_a_canvas_of_whole_patches", "0"),
    (GrowsWithUse, "test_a_size_has_one_placement", "placed in two ways"),
]


@pytest.mark.parametrize(("policy", "test", "words"), POLICIES)
def test_an_unsound_policy_is_caught(
    installed: Installed, run: Run, policy: type[ImageInput], test: str, words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        run(installed(ImageInputSuite, policy), test)


@pytest.mark.parametrize("test", sorted({case[1] for case in POLICIES}))
def test_a_sound_policy_passes_what_catches_the_others(installed: Installed, run: Run, test: str) -> None:
    run(installed(ImageInputSuite, SoundPolicy), test)


class Sound(PatchPosition):
    """Adds a vector that turns with the row and the column: nothing wrong with it."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        rates = torch.arange(1, x.shape[-1] + 1, device=x.device) / x.shape[-1]
        return x + ((positions[..., :1] + 9 * positions[..., 1:2]) * rates).sin().to(x.dtype)


class CountsShapes(Sound):
    """Numbers the patches as they come."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        index = torch.arange(x.shape[1], device=x.device)[None, :, None].expand(len(x), -1, 4)
        return super().embed(x, index)


class MeasuresTheRow(Sound):
    """Takes the largest row that it sees for the height of the image: another image in its row is seen too."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return super().embed(x, positions * 7 / (1 + positions[..., :1].amax(1, keepdim=True)))


class MeasuresTheBatch(Sound):
    """Takes the largest grid of the batch for the grid of each image."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return super().embed(x, positions * 7 / positions[..., 3].max())


class PlacesRegisters(PatchPosition):
    """Counts a register as the first patch."""

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        def distance(parameters: tuple[Tensor, ...], i: Tensor, j: Tensor) -> Tensor:
            return -parameters[0] * (rows_and_columns(i)[1] - rows_and_columns(j)[1]).abs()

        return (Formula(torch.ones(self.context.heads, 1), distance),)


class EndsWithoutAWord(Sound):
    """Has a table and does not say where it ends."""

    def __init__(self, options: Options, context: Any) -> None:
        super().__init__(options, context)
        self.table = nn.Parameter(torch.randn(12, context.d_model))

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return super().embed(x, positions) + self.table[positions[..., 0]]


class RefusesNothing(Sound):
    """Claims an end that it has not been asked about: beyond it numbers are not finite."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return super().embed(x, positions) / (positions[..., :1] < 12).to(x.dtype)


class ClaimsToBeRelative(Sound):
    """Is absolute and says otherwise."""

    shift_invariant = True


class ReadsTheDevice(Sound):
    """Looks at a value on the host."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return super().embed(x, positions) if positions.max().item() >= 0 else x


POSITIONS = [
    (CountsShapes, "test_places_are_taken_from_the_argument_alone", "another order"),
    (MeasuresTheRow, "test_images_in_one_row_are_placed_as_if_alone", "packed against alone"),
    (MeasuresTheBatch, "test_each_example_of_a_batch_is_computed_as_if_alone", "alone and in a batch"),
    (MeasuresTheBatch, "test_in_a_model_each_image_of_a_batch_is_computed_as_if_alone", "alone and in a batch"),
    (MeasuresTheRow, "test_in_a_model_images_packed_in_one_row_are_computed_as_if_alone", "rows of their own"),
    (PlacesRegisters, "test_a_register_stands_nowhere", "between a register and patches"),
    (PlacesRegisters, "test_trait_where_says_what_the_scheme_does", "trait 'where' against embed"),
    (EndsWithoutAWord, "test_grids_larger_than_any_trained_on_are_finite_or_refused", "out of"),
    (RefusesNothing, "test_grids_larger_than_any_trained_on_are_finite_or_refused", "not finite"),
    (ClaimsToBeRelative, "test_shift_invariance_holds_where_claimed", "all patches moved"),
    (ReadsTheDevice, "test_no_value_is_read_off_the_device", "item"),
]


@pytest.mark.parametrize(("scheme", "test", "words"), POSITIONS)
def test_a_broken_patch_position_is_caught(
    installed: Installed, run: Run, scheme: type[PatchPosition], test: str, words: str
) -> None:
    suite = installed(PatchPositionSuite, scheme, traits={"where": "embedding"})
    with use_registry(with_plain_components()), pytest.raises((AssertionError, RuntimeError, IndexError), match=words):
        run(suite, test)


@pytest.mark.parametrize(
    "test", sorted({case[1] for case in POSITIONS} - {"test_shift_invariance_holds_where_claimed"})
)
def test_a_sound_patch_position_passes_what_catches_the_others(installed: Installed, run: Run, test: str) -> None:
    suite = installed(PatchPositionSuite, Sound, traits={"where": "embedding"})
    with use_registry(with_plain_components()):
        run(suite, test)
