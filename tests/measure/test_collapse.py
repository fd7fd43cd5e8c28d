from __future__ import annotations

import pytest

from zoo.measure.collapse import (
    collapse_probes,
    collapsed,
    distinct_output_ratio,
    top_four_gram_share,
    top_output_share,
)

# Twenty sentences that share no word.
DIFFERENT = [" ".join(f"w{number}{place}" for place in range(6)) for number in range(20)]


def test_ratios_of_hand_made_outputs() -> None:
    outputs = ["a", "a ", "b", "c"]
    assert distinct_output_ratio(outputs) == 3 / 4
    assert top_output_share(outputs) == 2 / 4
    # Two 4-grams "x x x x" in the first, two different ones in the second.
    assert top_four_gram_share(["x x x x x", "a b c d e"]) == 2 / 4
    assert top_four_gram_share(["one two three"]) == 0.0


def test_chinese_and_japanese_count_by_the_character() -> None:
    assert top_four_gram_share(["我我我我我"]) == 1.0
    assert top_four_gram_share(["これはペンで"]) == 1 / 3


def test_one_output_whatever_the_input_is_collapse() -> None:
    assert "distinct" in str(collapsed(["the file"] * 20, DIFFERENT))


def test_nothing_said_at_all_is_collapse() -> None:
    assert collapsed([""] * 20, DIFFERENT)


def test_one_output_for_most_inputs_is_collapse() -> None:
    outputs = ["the file"] * 12 + DIFFERENT[:8]
    assert "60.0%" in str(collapsed(outputs, DIFFERENT))


def test_loops_of_different_lengths_are_collapse() -> None:
    outputs = ["the " * (5 + number) for number in range(20)]
    assert "4-gram" in str(collapsed(outputs, DIFFERENT))


def test_a_few_loops_among_short_outputs_are_no_collapse() -> None:
    short = [f"w{number} w{number} end" for number in range(18)]
    assert top_four_gram_share([*short, "ha ha ha ha ha", "ho ho ho ho ho"]) == 0.5
    assert collapsed([*short, "ha ha ha ha ha", "ho ho ho ho ho"], DIFFERENT) is None


def test_right_answers_are_no_collapse() -> None:
    assert collapsed(DIFFERENT, DIFFERENT) is None


def test_a_test_set_with_few_distinct_references_collapses_no_perfect_model() -> None:
    references = ["yes"] * 30 + ["no"] * 10
    assert collapsed(references, references) is None
    loops = ["ha ha ha ha ha ha ha"] * 20
    assert collapsed(loops, loops) is None


def test_always_the_majority_answer_is_not_told_from_collapse_by_frequency_alone() -> None:
    # 75% of the references are "yes": saying only "yes" is bad, but quality shows it, not this rule.
    assert collapsed(["yes"] * 40, ["yes"] * 30 + ["no"] * 10) is None


def test_a_few_outputs_are_not_judged() -> None:
    assert collapsed(["same"] * 9, DIFFERENT[:9]) is None
    assert collapsed(["same"] * 10, DIFFERENT[:10]) is not None


def test_probes_hold_both_sides() -> None:
    probes = collapse_probes(["a"] * 4, ["a", "b", "c", "d"])
    assert probes["distinct_output_ratio"] == 0.25
    assert probes["top_output_share"] == 1.0
    assert probes["reference_distinct_ratio"] == 1.0
    assert probes["reference_top_share"] == 0.25


def test_nothing_to_judge_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        distinct_output_ratio([])
    with pytest.raises(ValueError, match="2 outputs for 1 references"):
        collapsed(["a", "b"], ["a"])
