"""YAML to nodes: YAML 1.2 scalars, places, and bounded time on hostile input."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import InputError
from zoo.spec.reader import MAX_BYTES, read_file, read_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 5e-4),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-3", -3),
        ("+3", 3),
        ("0x1F", 31),
        ("0o17", 15),
        ("007", 7),
        ("no", "no"),
        ("on", "on"),
        ("NO", "NO"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("2026-11-23", "2026-11-23"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = read_text(text, "x").value
    assert found == value
    assert type(found) is type(value)


def test_every_value_knows_its_place() -> None:
    node = read_text("a: 1\nb:\n  - c: 2\n  - d\n", "f.yaml")
    assert str(node.find(("b", 0, "c"))) == "f.yaml:3:8"
    assert str(node.find(("b", 0, "c"), at_key=True)) == "f.yaml:3:5"
    assert str(node.find(("b", 1))) == "f.yaml:4:5"


def test_the_place_of_a_slot_name_is_the_bare_name() -> None:
    node = read_text("position: rotary", "f.yaml")
    assert str(node.find(("position", "use"))) == "f.yaml:1:11"


def test_python_and_c_parsers_give_the_same_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: 'x'\nb: [1, 2.5, {c: ~}]\nd: &anchor {e: no}\nf: *anchor\ng: |\n  7\n"
    fast = read_text(text, "f").plain()
    monkeypatch.setattr("zoo.spec.reader._Loader", yaml.SafeLoader)
    assert read_text(text, "f").plain() == fast
    assert fast["g"] == "7\n"


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    began = time.perf_counter()
    with pytest.raises(InputError, match="aliases expanded"):
        read_text("\n".join(lines), "bomb.yaml")
    assert time.perf_counter() - began < 5


def test_deep_nesting_is_refused_at_once() -> None:
    for text in ("[" * 50_000, "{a: " * 50_000, "- " * 20_000):
        with pytest.raises(InputError, match="nested deeper"):
            read_text(text, "deep.yaml")


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"a: 1\n" * (MAX_BYTES // 4))
    with pytest.raises(InputError, match="KiB"):
        read_file(path)


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(InputError, match="KiB"):
        read_file(Path("/dev/zero"))


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        read_text(text, "f.yaml")
    except InputError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("f.yaml")


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "f.yaml"
    path.write_bytes(data)
    try:
        read_file(path)
    except InputError as error:
        assert "\n" not in str(error)
