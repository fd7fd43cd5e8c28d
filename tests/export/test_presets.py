"""What is chosen for an export where nobody says, and what is told of it."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field

from zoo.errors import InputError
from zoo.export import hardware, presets
from zoo.export.folder import Decision
from zoo.export.hardware import THIS_MACHINE, Machine
from zoo.export.presets import PRESETS, settled, told
from zoo.registry import Component, RegisteredComponent
from zoo.spec.options import Chosen, Options


class Onnx(Options):
    """Options as of an exporter that has them all."""

    opset: int = Field(default=18, description="x")
    weights: Literal["float32", "int8", "float16", "int4"] = Field(default="float32", description="x")
    per_channel: bool = Field(default=False, description="x")
    reduced_range: bool = Field(default=False, description="x")
    block_size: int = Field(default=64, description="x")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="x")


class Narrow(Options):
    """Options of one that has neither 4 bits nor a range."""

    weights: Literal["float32", "int8", "float16"] = Field(default="float32", description="x")


def chosen(model: type[Options] = Onnx, **options: Any) -> Chosen:
    record = Component(kind="exporter", name="onnx", target="x:X", summary="x", references=("https://x",))
    return Chosen(RegisteredComponent(record, "zoo-export", "0.1.0"), model.model_validate(options))


def by_name(decisions: list[Decision]) -> dict[str, Decision]:
    return {item.what: item for item in decisions}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    def pretend(**changes: Any) -> None:
        found = Machine(THIS_MACHINE, **{"known": True, "saturates": False, "why": "why", "source": "here", **changes})
        monkeypatch.setattr(hardware, "this_machine", lambda: found)

    return pretend


def test_without_a_word_the_export_is_what_it_was_and_no_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "target", None)
    found, threads, decisions = settled(chosen())
    assert found.options == Onnx()
    assert threads is None
    assert by_name(decisions)["weights"].value == "float32"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("avx2", {"weights": "int8", "reduced_range": True}),
        ("avx512-vnni", {"weights": "int8", "reduced_range": False}),
        ("arm", {"weights": "int8", "reduced_range": False}),
        ("cuda", {"weights": "float16", "reduced_range": False}),
    ],
)
def test_a_target_alone_takes_the_preset_that_fits_it(target: str, expected: dict[str, Any]) -> None:
    found, _, decisions = settled(chosen(), machine=target)
    assert {name: getattr(found.options, name) for name in expected} == expected
    assert decisions[0].what == "preset"


def test_the_preset_for_gpus_is_one_for_this_machine_where_exports_compute_on_its_gpu(machine: Any) -> None:
    machine(gpu="NVIDIA A10")
    found, _, decisions = settled(chosen(), machine=THIS_MACHINE)
    assert found.options == Onnx(weights="float16", device="cuda")
    assert (decisions[0].value, decisions[0].reason) == ("gpu", "NVIDIA A10")
    assert by_name(decisions)["device"].value == "cuda"
    machine(idle_gpu="NVIDIA A10 is there, of no use yet: install this")
    found, _, decisions = settled(chosen(), machine=THIS_MACHINE)
    assert found.options.plain()["weights"] == "int8"
    assert decisions[0].reason == "why; NVIDIA A10 is there, of no use yet: install this"
    assert "device" not in by_name(decisions)


def test_the_device_that_is_asked_for_wins_over_that_of_the_preset() -> None:
    found, _, decisions = settled(chosen(device="cpu"), "gpu")
    assert found.options == Onnx(weights="float16", device="cpu")
    assert by_name(decisions)["device"].reason == "asked for; the preset 'gpu' would have cuda"


def test_seven_bits_are_taken_where_this_machine_cuts_sums_and_the_reason_says_how_it_is_known(machine: Any) -> None:
    machine(saturates=True, why="sums are cut", source="tried here")
    found, _, decisions = settled(chosen(), "cpu-fast")
    assert found.options.plain()["reduced_range"] is True
    decision = by_name(decisions)["reduced_range"]
    assert (decision.reason, decision.source) == ("sums are cut", "tried here")


def test_what_is_to_run_anywhere_has_seven_bits_whatever_this_machine_does(machine: Any) -> None:
    machine(saturates=False)
    found, threads, _ = settled(chosen(), "edge")
    assert found.options.plain()["reduced_range"] is True
    assert threads == 1


def test_a_machine_of_which_nothing_is_known_gets_float32(machine: Any) -> None:
    machine(known=False, why="riscv64")
    found, _, decisions = settled(chosen(), "auto")
    assert found.options.plain()["weights"] == "float32"
    assert decisions[0].value == "safe"
    assert "riscv64" in decisions[0].reason


def test_what_is_asked_for_wins_over_the_preset_and_that_is_told(machine: Any) -> None:
    machine(saturates=True)
    found, _, decisions = settled(chosen(weights="int8", per_channel=False), "cpu-small")
    assert found.options == Onnx(weights="int8", per_channel=False, reduced_range=True)
    named = by_name(decisions)
    assert named["weights"].reason == "asked for; the preset 'cpu-small' would have int4"
    assert named["per_channel"].reason == "asked for; the preset 'cpu-small' would have True"
    assert named["per_channel"].source == "--to"
    assert "block_size" not in named  # of int4 alone


def test_an_exporter_without_what_the_preset_has_gets_the_closest_and_nothing_else() -> None:
    found, _, decisions = settled(chosen(Narrow), "cpu-small", "avx2")
    assert found.options == Narrow(weights="int8")
    assert "has no int4" in by_name(decisions)["weights"].reason
    assert set(by_name(decisions)) == {"weights", "threads"}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_decision_has_a_reason_and_a_source(preset: str) -> None:
    _, _, decisions = settled(chosen(), preset, "avx2")
    assert {item.what for item in decisions} >= {"weights", "opset", "threads"}
    for item, line in zip(decisions, told(decisions), strict=True):
        assert len(item.reason) > 10
        assert item.source
        assert line == f"{item.what}: {item.value} ({item.reason}; {item.source})"


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"preset": "cpu-fats"}, "did you mean 'cpu-fast'"), ({"machine": "avx512-vni"}, "did you mean 'avx512-vnni'")],
)
def test_an_unknown_name_is_refused_with_the_nearest(options: dict[str, str], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        settled(chosen(), **options)
