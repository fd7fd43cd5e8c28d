"""What an export's options are where nobody says: by a preset and the machine that it will run on, each with a reason.

Torch-free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from zoo.errors import InputError, did_you_mean
from zoo.export.folder import Decision
from zoo.export.hardware import QUANTIZATION, THIS_MACHINE, Machine, target
from zoo.spec.options import Chosen

AUTO, SAFE = "auto", "safe"
ASKED_FOR = "--to"
"""The source of a decision that is the user's own."""
FLOAT16 = "https://onnxruntime.ai/docs/performance/model-optimizations/float16.html"
THREADS = "https://onnxruntime.ai/docs/performance/tune-performance/threading.html"
BINDING = "https://onnxruntime.ai/docs/performance/tune-performance/iobinding.html"
COMPATIBILITY = "https://onnxruntime.ai/docs/reference/compatibility.html"
KRISHNAMOORTHI = "Krishnamoorthi 2018, arXiv:1806.08342, on granularity"
K_BIT = "Dettmers and Zettlemoyer 2023, arXiv:2212.09720, on block sizes"


@dataclass(frozen=True)
class Preset:
    """What is asked of an export."""

    name: str
    summary: str
    weights: str
    reason: str
    """Why its weights are so."""
    source: str
    anywhere: bool = False
    """Whether it must be right on any machine, not only on the target."""
    threads: int | None = None
    """Of each call; None: one a core of the process."""
    device: str = "cpu"
    """What it is to run on."""


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            SAFE,
            "float32: the model's own outputs",
            "float32",
            "outputs are the model's own, which is compared to the last digit",
            "the comparison in this folder's export.json",
        ),
        Preset(
            "cpu-fast",
            "8 bits: the fastest on processors",
            "int8",
            "products of 8 bits read a quarter of the memory and are the fastest that processors have",
            QUANTIZATION,
        ),
        Preset(
            "cpu-small",
            "4 bits: the smallest files",
            "int4",
            "the smallest that onnxruntime has; tables of tokens have 8 bits",
            QUANTIZATION,
        ),
        Preset(
            "gpu",
            "float16: for GPUs",
            "float16",
            "half the size, and faster on GPUs that have units for it; processors only store it",
            FLOAT16,
            device="cuda",
        ),
        Preset(
            "edge",
            "8 bits that are right on every processor, on one thread",
            "int8",
            "a quarter of the size of float32, in operators that every build of onnxruntime has",
            QUANTIZATION,
            anywhere=True,
            threads=1,
        ),
    )
}


def settled(
    chosen: Chosen, preset: str | None = None, machine: str | None = None
) -> tuple[Chosen, int | None, list[Decision]]:
    """The exporter with the options that it runs with, the threads of a call (None: one a core), and what was decided.

    What `chosen` says itself stays. Without a preset it is 'safe', or with a machine the one that fits it. Raises
    InputError for an unknown preset or machine.
    """
    plan = _Plan(chosen, preset, machine)
    plan.weights()
    plan.of_weights()
    plan.opset()
    plan.device()
    plan.threads()
    return replace(chosen, options=plan.options()), plan.preset.threads, plan.decisions


class _Plan:
    """Decisions as they are made."""

    def __init__(self, chosen: Chosen, preset: str | None, machine: str | None) -> None:
        self.chosen = chosen
        self.given = {name: getattr(chosen.options, name) for name in chosen.options.model_fields_set}
        self.decisions: list[Decision] = []
        self._machine_name = machine or THIS_MACHINE
        self._machine: Machine | None = target(machine) if machine else None
        self.set: dict[str, Any] = {}
        if preset is None:
            preset = SAFE if machine is None else AUTO
        if preset == AUTO:
            preset = self._fitting()
        elif preset not in PRESETS:
            raise InputError(f"--preset {preset}: expected {did_you_mean(preset, [AUTO, *PRESETS])}")
        self.preset = PRESETS[preset]

    @property
    def machine(self) -> Machine:
        """Tried once it is asked for: what is decided without it takes no time."""
        if self._machine is None:
            self._machine = target(self._machine_name)
        return self._machine

    def _fitting(self) -> str:
        """The preset that fits the machine."""
        machine = self.machine
        if machine.gpu:
            name, reason = "gpu", machine.gpu
        elif machine.known:
            name, reason = "cpu-fast", machine.why
        else:
            name, reason = SAFE, f"{machine.why}: not known to have fast products of 8 bits"
        if machine.idle_gpu:
            reason += f"; {machine.idle_gpu}"
        self._add("preset", name, reason, machine.source)
        return name

    def weights(self) -> None:
        if "weights" not in type(self.chosen.options).model_fields:
            return
        preset = self.preset
        if "weights" in self.given:
            self._asked_for("weights", preset.weights)
        elif self._takes(weights=preset.weights):
            self._decide("weights", preset.weights, preset.reason, preset.source)
        else:
            self._decide(
                "weights",
                "int8",
                f"{self.chosen.id} has no {preset.weights}: of what it has, this is the closest",
                f"zoo show exporter/{self.chosen.name}",
            )

    def of_weights(self) -> None:
        """What goes with the weights: nothing with float32."""
        weights = {**self.given, **self.set}.get("weights")
        if weights == "int8":
            self._option("per_channel", True, lambda: ("outputs of a layer differ in scale", KRISHNAMOORTHI))
            self._option("reduced_range", True if self.preset.anywhere else None, self._of_range)
        elif weights == "int4":
            reason = "4 bits need a scale for every few weights: so many are the default of onnxruntime, too"
            self._option("block_size", 128, lambda: (reason, K_BIT))

    def _of_range(self) -> tuple[str, str]:
        if self.preset.anywhere:
            return "weights of 7 bits are right on processors that cut sums, too", QUANTIZATION
        return self.machine.why, self.machine.source

    def opset(self) -> None:
        if "opset" in type(self.chosen.options).model_fields:
            reason = "what torch's exporter writes without a conversion; onnxruntime has it from 1.14"
            default = type(self.chosen.options).model_fields["opset"].default
            self._option("opset", default, lambda: (reason, COMPATIBILITY))

    def device(self) -> None:
        """Told where it is not the processor."""
        if self.preset.device != "cpu" or "device" in self.given:
            reason = "keys and values stay in the GPU's memory from step to step; scores alone come back"
            self._option("device", self.preset.device, lambda: (reason, BINDING))

    def threads(self) -> None:
        count = self.preset.threads
        reason = (
            "leaves the other cores of a small device alone" if count else "two threads of one core share its units"
        )
        self._add("threads", count or "one a core of the process that runs it", reason, THREADS)

    def options(self) -> Any:
        """All of them, validated."""
        return self._made(**self.set)

    def _option(self, name: str, value: Any, why: Callable[[], tuple[str, str]]) -> None:
        """Decide an option; a value of None is what the machine needs."""
        if name not in type(self.chosen.options).model_fields:
            return
        if name in self.given:
            self._asked_for(name, value)
            return
        self._decide(name, self.machine.saturates if value is None else value, *why())

    def _asked_for(self, name: str, otherwise: Any) -> None:
        value = self.given[name]
        differs = otherwise is not None and value != otherwise
        told = f"asked for; the preset '{self.preset.name}' would have {otherwise}" if differs else "asked for"
        self._add(name, value, told, ASKED_FOR)

    def _decide(self, name: str, value: Any, reason: str, source: str) -> None:
        self.set[name] = value
        self._add(name, value, reason, source)

    def _add(self, what: str, value: Any, reason: str, source: str) -> None:
        self.decisions.append(Decision(what=what, value=value, reason=reason, source=source))

    def _takes(self, **options: Any) -> bool:
        try:
            self._made(**options)
        except ValidationError:
            return False
        return True

    def _made(self, **options: Any) -> Any:
        return type(self.chosen.options).model_validate({**self.given, **options})


def told(decisions: Sequence[Decision]) -> list[str]:
    """A line for each."""
    return [f"{item.what}: {item.value} ({item.reason}; {item.source})" for item in decisions]
