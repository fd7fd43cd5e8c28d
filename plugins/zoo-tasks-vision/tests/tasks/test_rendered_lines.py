"""Lines rendered from a corpus."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from zoo_tasks_vision.rendering.options import NO_DISTORTIONS, RenderedLinesOptions
from zoo_tasks_vision.tasks.rendered_lines import RenderedLines

from zoo.errors import InputError, ZooError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS
from zoo.testing import TaskSuite

CORPUS = {"use": "generated", "pairs": 300, "dev_pairs": 40, "test_pairs": 40}
SMALL = {"corpus": CORPUS, "language": "qaa", "lines": 60, "dev_lines": 20, "test_lines": 40}


def options(fonts: Path, **changes):
    given = {**SMALL, "fonts": {"packages": [], "folders": [str(fonts)]}, **changes}
    return RenderedLinesOptions.model_validate(given)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def lines(fonts, home):
    return RenderedLines(options(fonts, blank=6, unseen=9)).prepare(home)


class TestConformance(TaskSuite):
    component = "zoo-tasks-vision/rendered-lines"
    options = ({},)  # they hold a folder that is made for the session: `given` has them

    def pytest_generate_tests(self, metafunc):
        """One case."""

    @pytest.fixture
    def given(self, fonts):
        return options(fonts, lines=20, dev_lines=5, test_lines=5).plain()

    @pytest.fixture
    def first_chosen(self, given):
        return self._choose(given)


def test_images_have_the_sizes_and_bands_that_they_say(lines):
    heights, bands = Counter(), Counter()
    for split in SPLITS:
        for example in lines.examples(split):
            pixels = example.image.load()
            height, width = example.image.size
            assert pixels.shape == (height, width, 3)
            assert pixels.dtype == np.uint8
            low, high = map(float, example.strata["aspect"].split("-"))
            assert low <= width / height < high
            assert example.strata["height"] == str(height)
            heights[height] += 1
            bands[example.strata["aspect"]] += 1
    # 135 images: each of four heights and three bands within five standard deviations of its share.
    assert set(heights) == {8, 16, 32, 64}
    assert all(abs(count - 135 / 4) < 5 * (135 * 3 / 16) ** 0.5 for count in heights.values())
    assert set(bands) == {"2-5", "5-15", "15-40"}
    assert all(abs(count - 135 / 3) < 5 * (135 * 2 / 9) ** 0.5 for count in bands.values())


def test_the_text_is_that_of_the_split_and_fonts_are_held_out(lines, home):
    corpus = options(Path(".")).corpus.create().prepare(home)
    words = {split: {w for pair in corpus.pairs(split) for w in pair.texts["qaa"].split()} for split in SPLITS}
    fonts = {split: {example.source.split(" Bars")[0] for example in lines.examples(split)[:40]} for split in SPLITS}
    assert not fonts["train"] & fonts["test"]
    assert not fonts["train"] & fonts["dev"]
    assert not fonts["dev"] & fonts["test"]
    for split in SPLITS:
        for example in lines.examples(split):
            assert example.target == " ".join(example.target.split())
            # The last word may be cut where no space stands in reach.
            assert set(example.target.split()[:-1]) <= words[split]


def test_the_ink_is_the_text_where_nothing_is_done_to_it(fonts, home):
    """In the uppermost row of ink every letter of the made-up fonts has one bar at the same place."""
    changes = {"heights": [64], "backgrounds": ["plain"], "inverted": 0.0, "lines": 12, "dev_lines": 1, "test_lines": 1}
    clean = RenderedLines(options(fonts, distortions=NO_DISTORTIONS, **changes)).prepare(home)
    for example in clean.examples("train"):
        grey = example.image.load()[:, :, 0].astype(int)
        ink = grey < grey[0, 0] - 60  # [H, W]
        row = ink[np.flatnonzero(ink.any(axis=1))[0] + 3]  # [W]
        starts = np.flatnonzero(row[1:] & ~row[:-1])
        letters = [place for place, letter in enumerate(example.target) if letter != " "]
        assert len(starts) == len(letters)
        if len(letters) > 1:
            advance = (starts[-1] - starts[0]) / (letters[-1] - letters[0])
            assert list(np.rint((starts - starts[0]) / advance)) == letters


def test_empty_images_are_in_test_alone_and_marked(lines):
    contents = [example.strata["content"] for example in lines.examples("test")]
    assert contents == ["text"] * 40 + ["blank"] * 6 + ["unseen"] * 9
    assert all(example.target == "" for example in lines.examples("test")[40:])
    for split in ("train", "dev"):
        assert {example.strata["content"] for example in lines.examples(split)} == {"text"}
    backgrounds = {example.source.split(", ")[1] for example in lines.examples("test")[46:]}
    assert backgrounds <= {"dots", "waves", "checks"}


def test_the_same_options_give_the_same_bytes_elsewhere_and_another_seed_others(fonts, lines, tmp_path):
    again = RenderedLines(options(fonts, blank=6, unseen=9)).prepare(DataHome(tmp_path))
    assert again.revision == lines.revision
    for split in SPLITS:
        assert (again.directory / f"{split}.pixels").read_bytes() == (lines.directory / f"{split}.pixels").read_bytes()
    other = RenderedLines(options(fonts, seed=2)).prepare(DataHome(tmp_path))
    assert other.revision != lines.revision


def test_more_lines_keep_those_there_are(fonts, lines, tmp_path):
    """Of one text set: each line is drawn by its number alone."""
    more = RenderedLines(options(fonts, lines=60, dev_lines=40, blank=6, unseen=9)).prepare(DataHome(tmp_path))
    for split in ("train", "test"):
        assert (more.directory / f"{split}.pixels").read_bytes() == (lines.directory / f"{split}.pixels").read_bytes()


def test_what_is_damaged_is_rendered_again(fonts, tmp_path):
    home = DataHome(tmp_path)
    first = RenderedLines(options(fonts)).prepare(home)
    (first.directory / "dev.pixels").write_bytes(b"short")
    again = RenderedLines(options(fonts)).prepare(home)
    assert again.revision == first.revision
    assert (again.directory / "dev.pixels").stat().st_size == again.facts["bytes"]["dev.pixels"]


def test_an_image_survives_pickling_and_says_what_it_lacks(lines, tmp_path):
    from dataclasses import replace

    image = lines.examples("dev")[0].image
    assert np.array_equal(pickle.loads(pickle.dumps(image)).load(), image.load())
    with pytest.raises(ZooError, match="cannot be read"):
        replace(image, path=tmp_path / "gone").load()
    with pytest.raises(ZooError, match="ends before the image"):
        replace(image, offset=10**9).load()


def test_colour_has_three_channels(fonts, home):
    found = RenderedLines(options(fonts, colour=True, lines=8, dev_lines=2, test_lines=2)).prepare(home)
    pixels = found.examples("train")[0].image.load().astype(int)
    assert np.abs(pixels[:, :, 0] - pixels[:, :, 2]).mean() > 1


@pytest.mark.parametrize("name", ["blur", "noise", "jpeg", "perspective"])
def test_each_distortion_changes_the_lines_and_no_label(fonts, home, name):
    small = {"lines": 6, "dev_lines": 1, "test_lines": 1}
    clean = RenderedLines(options(fonts, distortions=NO_DISTORTIONS, **small)).prepare(home)
    bent = RenderedLines(options(fonts, distortions={**NO_DISTORTIONS, name: 1.0}, **small)).prepare(home)
    changed = 0
    for one, other in zip(clean.examples("train"), bent.examples("train"), strict=True):
        assert (one.target, one.strata, one.image.size) == (other.target, other.strata, other.image.size)
        changed += not np.array_equal(one.image.load(), other.image.load())
    assert changed >= 4  # a small one may leave a small line as it is


def test_refusals_are_one_line(fonts, tmp_path):
    with pytest.raises(ValidationError, match="background dots is among those of training and among the unseen ones"):
        options(fonts, backgrounds=["dots"])
    with pytest.raises(ValidationError, match="expected rising edges"):
        options(fonts, aspects=[5.0, 2.0])
    with pytest.raises(ValidationError, match="language 'zh' is not in corpus generated"):
        options(fonts, language="zh")
    with pytest.raises(InputError, match=r"fonts: no folder"):
        RenderedLines(options(Path("none"))).prepare(DataHome(tmp_path))


def test_a_face_of_a_collection_draws_its_own_glyphs(make_font, home, tmp_path):
    """As fonts of Chinese and Japanese come: several designs in one file."""
    from fontTools.ttLib import TTCollection, TTFont

    alone = {
        name: make_font(tmp_path / name / "font.ttf", name, bar=bar) for name, bar in (("East", 40), ("West", 110))
    }
    collection = TTCollection()
    collection.fonts = [TTFont(path) for path in alone.values()]
    (tmp_path / "both").mkdir()
    collection.save(tmp_path / "both" / "font.ttc")

    def drawn(folder, family):
        fonts = {"packages": [], "folders": [str(tmp_path / folder)], "families": [family], "held_out": 0.0}
        given = {**SMALL, "fonts": fonts, "lines": 3, "dev_lines": 1, "test_lines": 1}
        task = RenderedLines(RenderedLinesOptions.model_validate(given))
        return [example.image.load() for example in task.prepare(home).examples("train")]

    east, west = (drawn("both", family) for family in alone)
    for family, found in (("East", east), ("West", west)):
        assert all(np.array_equal(one, other) for one, other in zip(found, drawn(family, family), strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(east, west, strict=True))
