"""A board's grids as tables of settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.site.conftest import quality
from zoo.bench.standings import metric_order, standings
from zoo.site import build_site
from zoo.site.sweeps import coordinates, sweeps

POSITIONS, BLOCKS, RATES = ("none", "rotary", "sinusoidal"), ("post", "pre"), ("0.001", "0.01")


def tables(records, ranking="first"):
    found = standings(records)
    return sweeps(found, metric_order(found)[0] if ranking == "first" else ranking)


def score(position, block, rate, seed):
    return 10 * POSITIONS.index(position) + 5 * BLOCKS.index(block) + (rate == "0.01") + seed / 10


@pytest.fixture
def grid(make_record):
    def make(seeds=(1, 2), without=(), failed=(), direction="higher"):
        records = []
        for position in POSITIONS:
            for block in BLOCKS:
                for rate in RATES:
                    for seed in seeds:
                        if (position, block, rate) in without:
                            continue
                        name = f"toy+position={position}+block={block}+lr={rate}"
                        state = (
                            {"status": "collapsed", "error": "one output"}
                            if (position, block, rate, seed) in failed
                            else {}
                        )
                        value = score(position, block, rate, seed)
                        records.append(
                            make_record(name=name, seed=seed, quality=[quality(value, direction=direction)], **state)
                        )
        return records

    return make


def test_a_grid_is_a_table_of_its_settings_with_the_best_row_first(grid):
    (table,) = tables(grid())
    assert (table.name, table.row_setting, table.column_setting) == ("toy", "position", "lr")
    assert table.columns == RATES
    assert table.groups == ("block=post", "block=pre")
    assert [row for row, _ in table.rows] == ["sinusoidal", "rotary", "none"]
    assert table.seeds == 2
    for position, cells in table.rows:
        assert [cell.text for cell in cells] == [
            f"{(score(position, block, rate, 1) + score(position, block, rate, 2)) / 2:.1f}"
            for block in BLOCKS
            for rate in RATES
        ]
    assert table.rows[0][1][0].detail == "20.1 to 20.2"


def test_the_best_of_each_group_is_marked_by_the_metrics_direction(grid):
    (higher,), (lower,) = tables(grid()), tables(grid(direction="lower"))
    assert all([cell.best for cell in cells] == [False, True, False, True] for _, cells in higher.rows)
    assert all([cell.best for cell in cells] == [True, False, True, False] for _, cells in lower.rows)
    assert [row for row, _ in lower.rows] == ["none", "rotary", "sinusoidal"]


def test_failed_seeds_are_counted_and_are_in_no_mean(grid):
    failed = {("none", "pre", "0.01", 1), ("rotary", "pre", "0.01", 1), ("rotary", "pre", "0.01", 2)}
    (table,) = tables(grid(failed=failed))
    rows = dict(table.rows)
    assert (rows["none"][3].text, rows["none"][3].detail) == ("6.2", "n=1, 1 collapsed")
    assert (rows["rotary"][3].text, rows["rotary"][3].detail, rows["rotary"][3].best) == ("–", "2 collapsed", False)


def test_a_point_that_was_not_run_is_an_empty_cell(grid):
    (table,) = tables(grid(without={("none", "post", "0.001")}))
    assert dict(table.rows)["none"][0] is None


def test_a_setting_that_does_not_differ_is_no_part_of_the_table(make_record):
    records = [
        make_record(name=f"m+a={a}+b=1+c={c}", quality=[quality(a + c)], seed=1) for a in (1, 2, 10) for c in (3, 4)
    ]
    (table,) = tables(records)
    assert (table.row_setting, table.column_setting, table.groups) == ("a", "c", ("",))
    assert [row for row, _ in table.rows] == ["10", "2", "1"]


def test_names_that_are_no_grid_make_no_table(make_record):
    scored = {"quality": [quality(1.0)]}
    assert tables([make_record(name=name, **scored) for name in ("a", "b+x=1", "c+x=1+y=2")]) == ()
    line = [make_record(name=f"m+x={x}+y=1", **scored) for x in range(5)]
    assert tables(line) == ()
    diagonal = [make_record(name=f"m+x={x}+y={x}", **scored) for x in range(5)]
    assert tables(diagonal) == ()
    wide = [make_record(name=f"m+x={x}+y={y}", **scored) for x in range(25) for y in range(25)]
    assert tables(wide) == ()


def test_nothing_to_rank_by_makes_no_table(grid):
    assert tables(grid(), ranking=None) == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", ("plain", ())),
        ("a+x=1e+3+y=2", ("a", (("x", "1e+3"), ("y", "2")))),
        ("a+b+x=1", ("a+b", (("x", "1"),))),
        ("m+position=shaw-values=True", ("m", (("position", "shaw-values=True"),))),
    ],
)
def test_coordinates(name, expected):
    assert coordinates(name) == expected


@given(st.text(alphabet="ab+=", max_size=30))
def test_coordinates_lose_nothing(name):
    first, pairs = coordinates(name)
    assert "+".join([first, *(f"{setting}={value}" for setting, value in pairs)]) == name


def test_the_boards_page_has_the_table_with_links_to_the_models(grid, tmp_path):
    build_site(grid(), tmp_path / "site")
    (page,) = (tmp_path / "site" / "boards").glob("*.html")
    text = page.read_text(encoding="utf-8")
    assert "By setting: <bdi>toy</bdi>" in text
    table = text[text.index('class="plain swept"') :]
    table = table[: table.index("</table>")]
    assert table.count('<a href="../models/toy-position-') == 12
    assert table.count("<strong>") == 6
    assert table.count('scope="colgroup"') == 2
