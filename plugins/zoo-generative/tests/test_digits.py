"""The digits, what reads them, and the metrics of what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zoo_generative.digits import reader, rendering
from zoo_generative.digits.task import PreparedDigits

from zoo.errors import InputError, ZooError
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.tasks import Example, Metric, PixelImage
from zoo.testing.surroundings import untouched_surroundings


def metric(name: str, classes: int) -> Metric:
    record = current_registry().get("metric", f"zoo-generative/{name}")
    created: Metric = Chosen(record, record.load_options().model_validate({"classes": classes})).create()
    return created


def score(name: str, outputs: list[str], classes: int = 10) -> float:
    return metric(name, classes).score(outputs, [""] * len(outputs), ["digits"] * len(outputs)).value


def test_a_seed_decides_the_digits_and_each_is_another() -> None:
    with untouched_surroundings():
        first = rendering.rendered(3, 4, 16, np.random.default_rng(1))
    assert np.array_equal(first, rendering.rendered(3, 4, 16, np.random.default_rng(1)))
    assert first.shape == (3, 4, 16, 16)
    assert len({item.tobytes() for item in first.reshape(12, -1)}) == 12
    assert (first.max(axis=(2, 3)) > 120).all(), "something is there"
    assert first[:, :, [0, -1]].max() < 60, "none is cut off at the top or the bottom"


def test_the_splits_share_no_rendering(digits: PreparedDigits) -> None:
    seen = {
        split: {example.image.load()[..., 0].tobytes() for example in digits.examples(split) if example.image}
        for split in ("train", "dev", "test")
    }
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["dev"]
    assert not seen["dev"] & seen["test"]


def test_modes_are_about_equally_frequent(digits: PreparedDigits) -> None:
    shown = np.array([[int(digit) for digit in example.source[-3:]] for example in digits.examples("train")])
    assert shown.shape == (40, 3)
    counts = np.stack([np.bincount(colour, minlength=3) for colour in shown.T])  # [colours, digits]
    # Chi-squared of 2 degrees of freedom is below 13.8 but once in a thousand times.
    assert ((counts - 40 / 3) ** 2 / (40 / 3)).sum(axis=1).max() < 13.8


def test_the_reader_reads_what_it_has_not_seen(digits: PreparedDigits) -> None:
    examples = digits.examples("test")
    assert digits.facts["reader_accuracy"] >= 0.995
    assert digits.facts["reader_tried_on"] == 600
    modes = metric("modes-covered", 3)
    words = modes.in_words([example.image.load() for example in examples if example.image], examples)
    assert words is not None
    assert np.mean([word == example.source[-3:] for word, example in zip(words, examples, strict=True)]) > 0.95
    beside = modes.beside([example.image.load() for example in examples if example.image], examples)
    assert beside["reader_accuracy"] == digits.facts["reader_accuracy"]
    assert beside["reader_rejected"] == digits.facts["reader_rejected"] >= 0.98
    assert beside["without_a_mode"] < 0.05


def test_colours_are_read_in_their_order(digits: PreparedDigits) -> None:
    example = digits.examples("test")[0]
    assert example.image is not None
    pixels = example.image.load()
    red, green, blue = metric("modes-covered", 3).in_words([pixels], [example])[0]  # type: ignore[index]
    turned = metric("modes-covered", 3).in_words([pixels[..., ::-1]], [example])
    assert turned == [blue + green + red]


def test_what_is_no_digit_covers_no_mode(digits: PreparedDigits) -> None:
    """Noise of any strength, as an untrained generator makes, and an image without anything."""
    examples, draw = digits.examples("test"), np.random.default_rng(5)
    pixels = [
        np.clip(draw.normal(128, spread, (16, 16, 3)), 0, 255).astype(np.uint8) for spread in (1, 20, 60, 127, 400) * 6
    ]
    pixels[7] = np.zeros((16, 16, 3), np.uint8)
    covered = metric("modes-covered", 3)
    assert covered.score_items(covered.example_items(pixels, examples)).value <= 1
    assert covered.beside(pixels, examples)["without_a_mode"] > 0.95


def test_a_reader_that_cannot_read_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    some = rendering.rendered(3, 20, 16, np.random.default_rng(1))
    monkeypatch.setattr(reader, "_PASSES", (1, 0))
    with pytest.raises(ZooError, match=r"99\.5% are needed"):
        reader.verified(some, some)


def test_a_file_that_is_no_readers_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "reader.safetensors").write_bytes(b"\x10" * 40)
    with pytest.raises(ZooError, match="is not a reader of digits") as found:
        reader.load(tmp_path / "reader.safetensors")
    assert "\n" not in str(found.value)


def test_modes_are_counted_once_each() -> None:
    assert score("modes-covered", ["407", "407", "408", "000"]) == 3
    assert score("modes-covered", ["012", "0", "", "abc", "019"], classes=9) == 1, "those of another task are none"


def test_kl_is_that_of_the_generated_from_the_even_distribution() -> None:
    """27 modes; shares of a half, a quarter and two eighths: ln 27 less their entropy."""
    outputs = ["000"] * 4 + ["111"] * 2 + ["222"] + ["012"]
    entropy = 0.5 * np.log(2) + 0.25 * np.log(4) + 2 * 0.125 * np.log(8)
    assert score("mode-kl", outputs, classes=3) == pytest.approx(np.log(27) - entropy)
    assert score("mode-kl", [*outputs, "?", ""], classes=3) == pytest.approx(np.log(27) - entropy)
    every = [f"{a}{b}{c}" for a in range(3) for b in range(3) for c in range(3)]
    assert score("mode-kl", every, classes=3) == pytest.approx(0.0, abs=1e-12)
    assert score("mode-kl", ["120"] * 5, classes=3) == pytest.approx(np.log(27))
    assert score("mode-kl", ["?"] * 5, classes=3) == pytest.approx(np.log(27))


def test_kl_of_data_is_as_large_as_chance_makes_it() -> None:
    """(modes - 1) / (2 N), as the metric's documentation says."""
    drawn = np.random.default_rng(3).integers(0, 1000, 25_600)
    assert score("mode-kl", [f"{mode:03d}" for mode in drawn]) == pytest.approx(999 / 51_200, rel=0.1)
    assert score("modes-covered", [f"{mode:03d}" for mode in drawn]) == 1000


@pytest.mark.parametrize("name", ["modes-covered", "mode-kl"])
def test_other_tasks_and_other_numbers_of_digits_are_refused(name: str, digits: PreparedDigits) -> None:
    with pytest.raises(InputError, match="set its option 'classes' to 3"):
        metric(name, 10).accept(digits.examples("test"))
    other: Any = Example(id="a", source="a", target="", image=PixelImage(np.zeros((4, 4, 3), np.uint8)))
    with pytest.raises(InputError, match="is about stacked-digits: 'a' is not one of them"):
        metric(name, 10).accept([other])
