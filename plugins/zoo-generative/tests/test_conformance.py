"""The conformance kit over options and data of their own."""

from __future__ import annotations

from zoo.testing import GeneratorSuite, MetricData, MetricSuite


class _OfModes(MetricSuite):
    def data(self) -> MetricData:
        modes = [f"{index % 10}{index % 3}{index // 3}" for index in range(12)]
        return MetricData(["digits"] * 12, [""] * 12, right=modes, wrong=["407"] * 12, empty="")


class TestModesCovered(_OfModes):
    component = "zoo-generative/modes-covered"


class TestModeKl(_OfModes):
    component = "zoo-generative/mode-kl"


class TestNsgan(GeneratorSuite):
    component = "zoo-generative/nsgan"
    options = ({"width": 8, "latent": 8}, {"width": 4, "latent": 4, "r1": 0.5})


class TestDdpm(GeneratorSuite):
    component = "zoo-generative/ddpm"
    options = ({"width": 8, "steps": 20}, {"width": 4, "betas": "cosine", "sampling_steps": 3, "eta": 0.0})


class TestConsistency(GeneratorSuite):
    component = "zoo-generative/consistency"
    # Saved while the teacher is trained, and with a student.
    options = (
        {"width": 4, "teacher_steps": 20},
        {"width": 4, "teacher_steps": 1, "sampling_steps": 2, "solver": "euler", "distance": "l1", "levels": 4},
    )
