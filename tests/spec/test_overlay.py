"""`extends`, `--set` and `grid`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zoo.errors import InputError
from zoo.spec.overlay import apply_sets, expand_grid, merge, read_extended
from zoo.spec.reader import read_text


def over(base: str, top: str) -> Any:
    return merge(read_text(base, "base"), read_text(top, "top")).plain()


def test_mappings_merge_deeply_and_everything_else_is_replaced() -> None:
    assert over("a: {b: 1, c: [1, 2]}", "a: {c: [3], d: 4}") == {"a": {"b": 1, "c": [3], "d": 4}}


def test_changing_use_drops_the_old_options() -> None:
    assert over("p: {use: rotary, base: 5}", "p: {use: alibi}") == {"p": {"use": "alibi"}}
    assert over("p: {use: rotary, base: 5}", "p: alibi") == {"p": "alibi"}


def test_keeping_use_keeps_the_options_also_when_it_is_qualified() -> None:
    assert over("p: {use: rotary, base: 5}", "p: {use: rotary, layout: x}")["p"] == {
        "use": "rotary",
        "base": 5,
        "layout": "x",
    }
    assert over("p: {use: rotary, base: 5}", "p: {use: zoo-positional/rotary}")["p"]["base"] == 5


def test_options_alone_refine_a_bare_name() -> None:
    assert over("p: rotary", "p: {base: 5}") == {"p": {"use": "rotary", "base": 5}}


def test_the_last_layer_wins_and_places_follow_values(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1\ny: 1\nz: 1\n")
    (tmp_path / "b.yaml").write_text("y: 2\nz: 2\n")
    (tmp_path / "c.yaml").write_text("extends: [a.yaml, b.yaml]\nz: 3\n")
    node = read_extended(tmp_path / "c.yaml")
    assert node.plain() == {"x": 1, "y": 2, "z": 3}
    assert [str(node.find((key,))).rpartition("/")[2] for key in "xyz"] == ["a.yaml:1:4", "b.yaml:1:4", "c.yaml:2:4"]


def test_extends_is_relative_to_the_file_that_says_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "root.yaml").write_text("x: 1\n")
    (tmp_path / "deep" / "mid.yaml").write_text("extends: ../root.yaml\ny: 2\n")
    (tmp_path / "top.yaml").write_text("extends: deep/mid.yaml\n")
    assert read_extended(tmp_path / "top.yaml").plain() == {"x": 1, "y": 2}


def test_a_circle_of_extends_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(InputError, match="'a.yaml' extends itself"):
        read_extended(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("m.h=8", {"m": {"h": 8, "p": "rotary"}, "l": [1, 2]}),
        ("m.p.base=5", {"m": {"h": 4, "p": {"use": "rotary", "base": 5}}, "l": [1, 2]}),
        ("m.p.use=alibi", {"m": {"h": 4, "p": {"use": "alibi"}}, "l": [1, 2]}),
        ("l.1=7", {"m": {"h": 4, "p": "rotary"}, "l": [1, 7]}),
        ("l=[3]", {"m": {"h": 4, "p": "rotary"}, "l": [3]}),
        ("new.deep=1", {"m": {"h": 4, "p": "rotary"}, "l": [1, 2], "new": {"deep": 1}}),
        ("m.h=", {"m": {"h": None, "p": "rotary"}, "l": [1, 2]}),
    ],
)
def test_set_lays_one_value_at_a_path(assignment: str, expected: object) -> None:
    root = read_text("m: {h: 4, p: rotary}\nl: [1, 2]", "s")
    assert apply_sets(root, [assignment]).plain() == expected


@pytest.mark.parametrize("assignment", ["m.h", "=3", "a b=3", "m..h=3", "l.9=1", "l.x=1"])
def test_a_wrong_set_names_the_option(assignment: str) -> None:
    with pytest.raises(InputError, match="^--set "):
        apply_sets(read_text("m: {h: 4}\nl: [1, 2]", "s"), [assignment])


def test_a_grid_is_the_product_of_its_axes_with_coordinates_in_the_names() -> None:
    root = read_text("name: n\nm: {p: x}\ngrid: {m.p: [rotary, {use: alibi, s: true}], seed: [1, 2]}", "s")
    cells = expand_grid(root)
    assert [cell.label for cell in cells] == [
        "p=rotary+seed=1",
        "p=rotary+seed=2",
        "p=alibi-s=True+seed=1",
        "p=alibi-s=True+seed=2",
    ]
    assert cells[0].node.plain() == {"name": "n+p=rotary", "m": {"p": "rotary"}, "seed": 1}


def test_values_with_labels_are_named_by_them_and_laid_over_the_section() -> None:
    root = read_text("name: n\nm: {d: 1, e: {l: 2}}\ngrid: {m: {wide: {d: 8}, deep: {e: {l: 9}}}, s: [1]}", "s")
    cells = expand_grid(root)
    assert [cell.label for cell in cells] == ["m=wide+s=1", "m=deep+s=1"]
    assert [cell.node.plain() for cell in cells] == [
        {"name": "n+m=wide+s=1", "m": {"d": 8, "e": {"l": 2}}, "s": 1},
        {"name": "n+m=deep+s=1", "m": {"d": 1, "e": {"l": 9}}, "s": 1},
    ]


def test_points_of_a_grid_may_differ_in_several_sections() -> None:
    root = read_text(
        "name: n\nm: {use: x, d: 1}\nt: {s: 1}\ngrid: {spec: {a: {m: {use: y}, t: {s: 2}}, b: {t: {l: 3}}}}", "s"
    )
    cells = expand_grid(root)
    assert [cell.label for cell in cells] == ["spec=a", "spec=b"]
    assert [cell.node.plain() for cell in cells] == [
        {"name": "n+spec=a", "m": {"use": "y"}, "t": {"s": 2}},
        {"name": "n+spec=b", "m": {"use": "x", "d": 1}, "t": {"s": 1, "l": 3}},
    ]


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ("[1]", "s:1:24: 'grid': expected a mapping of labels to parts of a spec"),
        ("{a: 1}", "s:1:28: 'grid': expected a mapping of labels to parts of a spec"),
        ("{a: {t: {}}, b: {name: m}}", "s:1:41: 'grid': 'name' cannot be varied"),
    ],
)
def test_parts_of_a_spec_in_a_grid_are_labelled_sections(axis: str, said: str) -> None:
    with pytest.raises(InputError) as found:
        expand_grid(read_text(f"{{name: n, grid: {{spec: {axis}}}}}", "s"))
    assert str(found.value).startswith(said)


def test_seeds_of_a_grid_share_their_models_name() -> None:
    root = read_text("name: n\ngrid: {seed: [1, 2]}", "s")
    assert [(cell.label, cell.node.plain()) for cell in expand_grid(root)] == [
        ("seed=1", {"name": "n", "seed": 1}),
        ("seed=2", {"name": "n", "seed": 2}),
    ]


def test_a_cells_name_is_never_cut_to_another_cells() -> None:
    root = read_text(f"name: {'n' * 96}\ngrid: {{m.p: [1, 2]}}", "s")
    with pytest.raises(InputError, match=r"has 102 characters, at most 100"):
        expand_grid(read_text(f"name: {'n' * 98}\ngrid: {{m.p: [1, 2]}}", "s"))
    assert [cell.node.plain()["name"][-4:] for cell in expand_grid(root)] == ["+p=1", "+p=2"]


def test_a_spec_without_a_grid_is_one_cell_without_a_label() -> None:
    cells = expand_grid(read_text("name: n", "s"))
    assert [(cell.label, cell.node.plain()) for cell in cells] == [("", {"name": "n"})]
