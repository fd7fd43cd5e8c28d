"""Training generators: images alone, and a loss of the model's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome, Example, PixelImage
from zoo.training import build, load_run, train
from zoo.training.data.pictures import PictureCollator, encoded_pictures

MakeSpec = Callable[..., Spec]


def example(name: str, image: np.ndarray | None) -> Example:
    return Example(id=name, source=name, target="", image=None if image is None else PixelImage(image))


def test_a_batch_has_pixels_from_minus_one_to_one_channels_first() -> None:
    pixels = np.zeros((2, 4, 5, 3), np.uint8)
    pixels[1, 0, 4] = (255, 0, 51)
    batch = PictureCollator(encoded_pictures([example(str(i), pixels[i]) for i in range(2)], (4, 5)))(np.array([1, 0]))
    assert batch.pixel_values.shape == (2, 3, 4, 5)
    assert batch.pixel_values[0, :, 0, 4].tolist() == pytest.approx([1.0, -1.0, -0.6])
    assert (batch.pixel_values[1] == -1).all()
    assert (batch.target_tokens, batch.source_tokens) == (2, 2)


def test_images_of_several_sizes_and_examples_without_one_are_refused() -> None:
    small, large = np.zeros((4, 4, 3), np.uint8), np.zeros((8, 4, 3), np.uint8)
    with pytest.raises(InputError, match="the example 'b' is of 8 x 4 pixels, and the first of training is of 4 x 4"):
        encoded_pictures([example("a", small), example("b", large)], (4, 4))
    with pytest.raises(InputError, match="'c' has no image"):
        encoded_pictures([example("c", None)], (4, 4))


def test_a_built_folder_has_no_tokenizer_and_makes_the_same_images(
    digits_spec: MakeSpec, digits_home: DataHome, tmp_path: Path
) -> None:
    built = build(digits_spec(), tmp_path / "one", digits_home)
    assert not [file.name for file in (tmp_path / "one").iterdir() if "token" in file.name]
    assert set(built.content()) == {"data", "weights"}
    assert (built.model.shape.height, built.model.shape.width) == (16, 16)
    run = load_run(tmp_path / "one")
    assert torch.equal(run.model.eval().generate_images(2, 3), built.model.eval().generate_images(2, 3))


def test_a_run_that_was_interrupted_ends_with_the_same_weights(
    digits_spec: MakeSpec, digits_home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With networks that follow others, an average, evaluations in between, and a student that begins on the way."""
    spec = digits_spec(**{"training.save_every": 2, "training.evaluate_every": 3})
    outcome = train(spec, tmp_path / "whole", home=digits_home)
    assert outcome.status == "ok", outcome.error
    made, whole = [0], PictureCollator.__call__

    def until_the_fourth(self: PictureCollator, examples: Any) -> Any:
        made[0] += len(examples) == 8
        if made[0] > 4:
            raise KeyboardInterrupt
        return whole(self, examples)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PictureCollator, "__call__", until_the_fourth)
        train(spec, tmp_path / "parts", home=digits_home)
    assert train(spec, tmp_path / "parts", resume=True, home=digits_home).steps == spec.training.steps
    for file in ("model.safetensors", "last/model.safetensors"):
        one, other = (load_file(tmp_path / name / file) for name in ("whole", "parts"))
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert int(one["generator.steps_done"]) == 6

    # The same run: each loss is in the curve, first the teacher's and then the student's.
    assert [bool(point.losses["denoising"]) for point in outcome.curve] == [True] * 3 + [False] * 3
    assert [bool(point.losses["consistency"]) for point in outcome.curve] == [False] * 3 + [True] * 3
    assert all(point.loss == pytest.approx(sum(point.losses.values()), rel=1e-5) for point in outcome.curve)
    assert outcome.curve[-1].dev_loss is not None


def test_evaluations_change_nothing_of_a_run(digits_spec: MakeSpec, digits_home: DataHome, tmp_path: Path) -> None:
    """They draw noise, too."""
    for every in (None, 1):
        changes: dict[str, Any] = {"training.evaluate_every": every, "training.steps": 3}
        spec = digits_spec(**changes, **{"model.generator": {"use": "r3gan", "width": 4, "latent": 4}})
        assert train(spec, tmp_path / str(every), home=digits_home).status == "ok"
    one, other = (load_file(tmp_path / str(every) / "model.safetensors") for every in (None, 1))
    assert all(torch.equal(one[name], other[name]) for name in one)
