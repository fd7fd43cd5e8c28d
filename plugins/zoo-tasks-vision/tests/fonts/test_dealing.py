"""Which fonts a split has."""

from __future__ import annotations

from collections import Counter

import pytest
from zoo_tasks_vision.fonts.dealing import deal, groups_of
from zoo_tasks_vision.fonts.faces import faces_of
from zoo_tasks_vision.fonts.options import FontOptions
from zoo_tasks_vision.fonts.sources import found_faces

from zoo.errors import InputError
from zoo.tasks import DataHome
from zoo.tasks.contracts import silent

TEXT = Counter("the text that is drawn")


def faces(folder, home, **options):
    chosen = FontOptions.model_validate({"packages": [], "folders": [str(folder)], **options})
    return chosen, found_faces(chosen, DataHome(home), silent).faces


def families(dealt):
    return {split: {face.family for face in found} for split, found in dealt.faces.items()}


def test_each_family_is_on_one_side_with_all_its_styles(fonts, tmp_path):
    options, found = faces(fonts, tmp_path)
    dealt = families(deal(found, TEXT, options))
    assert all(dealt.values())
    assert sum(len(side) for side in dealt.values()) == 3
    assert {face.name for face in found} == {
        "Middle Bars Bold",
        "Middle Bars Regular",
        "Thin Bars Regular",
        "Wide Bars Regular",
    }


def test_families_can_be_named_for_dev_and_test(fonts, tmp_path):
    options, found = faces(fonts, tmp_path, dev=["Thin Bars"], test=["Middle Bars"])
    assert families(deal(found, TEXT, options)) == {
        "train": {"Wide Bars"},
        "dev": {"Thin Bars"},
        "test": {"Middle Bars"},
    }


def test_without_held_out_fonts_every_split_has_all(fonts, tmp_path):
    options, found = faces(fonts, tmp_path, held_out=0.0)
    assert {len(side) for side in families(deal(found, TEXT, options)).values()} == {3}


def test_too_few_families_to_hold_any_out_are_refused(fonts, tmp_path):
    options, found = faces(fonts, tmp_path, exclude=["Thin Bars"])
    with pytest.raises(InputError, match=r"2 groups of families cover the text .* set held_out to 0"):
        deal(found, TEXT, options)


def test_fonts_without_the_characters_are_left_out_by_their_share_of_the_text(fonts, make_font, tmp_path):
    make_font(tmp_path / "own" / "vowels.ttf", "Vowels", characters=list("aeiou"))
    options, found = faces(fonts, tmp_path, folders=[str(fonts), str(tmp_path / "own")])
    dealt = deal(found, TEXT, options)
    assert dealt.left_out == ("Vowels Regular",)
    # 5 of the 18 letters are vowels: e, e, a, i, a.
    lenient = options.model_copy(update={"min_coverage": 5 / 18})
    assert deal(found, TEXT, lenient).left_out == ()
    with pytest.raises(InputError, match=r"none of 5 .* has 98% of the text's characters \(such as 語\)"):
        deal(found, Counter("語"), options)


def test_a_font_that_draws_capitals_only_is_left_out(fonts, make_font, tmp_path):
    make_font(tmp_path / "own" / "shout.ttf", "Shout", capitals_only=True)
    options, found = faces(fonts, tmp_path, folders=[str(fonts), str(tmp_path / "own")])
    assert deal(found, TEXT, options).left_out == ("Shout Regular",)


@pytest.mark.parametrize("outlines", ["TrueType", "CFF"])
def test_a_letter_whose_glyph_shows_nothing_is_none_that_can_be_drawn(make_font, tmp_path, outlines):
    """A subset may keep a letter's place without its picture. White space is blank as it should be."""
    font = make_font(
        tmp_path / "holes.otf", "Holes", characters=list("abet \u3000"), blank="e \u3000", outlines=outlines
    )
    (face,) = faces_of(font)
    assert face.characters == set("abt \u3000")


def test_one_design_under_two_names_is_one_group(make_font, tmp_path):
    """A variant with other Latin letters and the same ideographs, and another design."""
    latin, kanji = "abcdefghij", "日本語文字開発作業用"
    given = {"Gothic": {"bar": 90}, "P Gothic": {"bar": 90, "bars": dict.fromkeys(latin, 60)}, "Mincho": {"bar": 40}}
    found = []
    for family, options in given.items():
        found += faces_of(make_font(tmp_path / f"{family}.ttf", family, characters=list(latin + kanji), **options))
    groups = groups_of(found, Counter(latin + kanji))
    assert [[face.family for face in group] for group in groups] == [["Gothic", "P Gothic"], ["Mincho"]]


def test_families_in_one_file_belong_together(make_font, tmp_path):
    from fontTools.ttLib import TTCollection, TTFont

    collection = TTCollection()
    collection.fonts = [TTFont(make_font(tmp_path / f"{name}.ttf", name)) for name in ("East", "West")]
    collection.save(tmp_path / "both.ttc")
    both = list(faces_of(tmp_path / "both.ttc"))
    assert [(face.family, face.index) for face in both] == [("East", 0), ("West", 1)]
    alone = list(faces_of(make_font(tmp_path / "alone.ttf", "Alone", bar=40)))
    assert [[face.family for face in group] for group in groups_of([*both, *alone], TEXT)] == [
        ["East", "West"],
        ["Alone"],
    ]
