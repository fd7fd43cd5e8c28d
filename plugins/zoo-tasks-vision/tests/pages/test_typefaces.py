"""The fonts of lines."""

from __future__ import annotations

import pytest
from zoo_tasks_vision.pages.typefaces import family_of, font_of, main_fonts, seen_in, share_seen, told_by

# A page 400 points high in quarters of a point; its tags of style are not nested, as pdftohtml writes them at times.
TOLD = b"""<pdf2xml producer="poppler" version="22.12.0">
<page number="1" position="absolute" top="0" left="0" height="1600" width="800">
	<fontspec id="0" size="40" family="ABCDEF+Serif-Bold" color="#000000"/>
	<fontspec id="1" size="40" family="Sans &amp; Co" color="#000000"/>
<text top="300" left="400" width="60" height="40" font="1"><i>word</i></text>
<text top="100" left="40" width="100" height="40" font="0"><b>A <i>line</b></i> &lt;text top="0"</text>
<text top="104" left="150" width="80" height="40" font="1">and more</text>
</page>
<page number="2" position="absolute" top="0" left="0" height="1600" width="800">
<text top="100" left="40" width="100" height="40" font="1">a font of the page before</text>
</page>
</pdf2xml>"""


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("DQMPNC+LiberationSerif-BoldItalic", "LiberationSerif"),
        ("FreeSansBoldOblique", "FreeSans"),
        ("TimesNewRomanPS-BoldMT", "TimesNewRoman"),
        ("TimesNewRomanPSMT", "TimesNewRoman"),
        ("Arial,Bold", "Arial"),
        ("NimbusRomNo9L-Regu-Slant_167", "NimbusRomNo9L"),
        ("Ryumin-Light-Identity-H", "Ryumin"),
        ("ABCDEF+CMBX12", "ComputerModern"),
        ("SFRM1000", "ComputerModern"),
        ("LMRoman10-Regular", "ComputerModern"),
        ("CMSY9", "ComputerModernSymbols"),
        ("Bold", "Bold"),
    ],
)
def test_a_family_is_what_is_left_without_subset_style_and_size(name, family):
    assert family_of(name) == family


def test_a_lines_font_is_that_of_most_of_its_width():
    told = told_by(TOLD)
    assert font_of((10, 25, 60, 35), 400.0, told[1]) == "Serif"  # 25 points of 45
    assert font_of((30, 25, 60, 35), 400.0, told[1]) == "Sans & Co"  # 5 points of the first are in it
    assert font_of((10, 75, 300, 90), 400.0, told[1]) == "Sans & Co"
    assert font_of((10, 125, 60, 135), 400.0, told[1]) == ""
    assert font_of((10, 25, 60, 35), 400.0, told[2]) == "Sans & Co"
    assert font_of((10, 25, 60, 35), 400.0, told.get(3)) == ""


def test_a_page_is_seen_where_half_of_its_lines_are():
    assert seen_in({"A"}, ["A"]) == "seen"
    assert seen_in({"A"}, ["A", "B", ""]) == "seen"
    assert seen_in({"A"}, ["A", "B", "B"]) == "unseen"
    assert seen_in({"A"}, ["", ""]) == "unknown"
    assert share_seen({"A": 1, "B": 2, "": 5}, {"A"}) == pytest.approx(1 / 3, abs=1e-4)
    assert share_seen({"": 5}, {"A"}) is None


def test_fonts_of_few_lines_and_symbols_make_no_look():
    assert main_fonts(["A"] * 19 + ["B"], 0.05) == {"A", "B"}
    assert main_fonts(["A"] * 20 + ["B"], 0.05) == {"A"}
    assert main_fonts(["A"] * 5 + ["ComputerModernSymbols"] * 5, 0.05) == {"A"}
