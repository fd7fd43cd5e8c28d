"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_generative.options"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="task",
        name="stacked-digits",
        target="zoo_generative.digits.task:StackedDigits",
        options=f"{_OPTIONS}:StackedDigitsOptions",
        summary="Make images of three rendered digits, one in each colour: 1000 modes, equally frequent",
        references=("arXiv:1611.02163", "arXiv:1712.04086"),
        traits={
            "inputs": "image",
            "outputs": "images",
            "example": {"classes": 3, "size": 16, "variants": 100, "train": 40, "dev": 20, "test": 30},
        },
    )
    yield Component(
        kind="metric",
        name="modes-covered",
        target="zoo_generative.digits.metrics:ModesCovered",
        options=f"{_OPTIONS}:ModesOptions",
        summary="How many modes of stacked-digits the generated images show, as a classifier reads them",
        references=("arXiv:1611.02163",),
        traits={"outputs": "images"},
    )
    yield Component(
        kind="metric",
        name="mode-kl",
        target="zoo_generative.digits.metrics:ModeKl",
        options=f"{_OPTIONS}:ModesOptions",
        summary="KL divergence of the generated modes from the data's, which are equally frequent",
        references=("arXiv:1611.02163", "arXiv:1712.04086"),
        traits={"outputs": "images"},
    )
    yield Component(
        kind="generator",
        name="nsgan",
        target="zoo_generative.gan:Nsgan",
        options=f"{_OPTIONS}:NsganOptions",
        summary="Two players with the non-saturating loss",
        references=("arXiv:1406.2661",),
        traits={"example": {"width": 8, "latent": 8}},
    )
    yield Component(
        kind="generator",
        name="r3gan",
        target="zoo_generative.gan:R3gan",
        options=f"{_OPTIONS}:R3ganOptions",
        summary="Two players with the relativistic pairing loss and both zero-centred gradient penalties",
        references=("arXiv:2501.05441", "arXiv:1807.00734", "arXiv:1801.04406"),
        traits={"example": {"width": 8, "latent": 8}},
    )
    yield Component(
        kind="generator",
        name="ddpm",
        target="zoo_generative.ddpm:Ddpm",
        options=f"{_OPTIONS}:DdpmOptions",
        summary="Diffusion that predicts the noise; ancestral or deterministic sampling, in any number of steps",
        references=("arXiv:2006.11239", "arXiv:2010.02502", "arXiv:2102.09672"),
        traits={"example": {"width": 8, "steps": 20}},
    )
    yield Component(
        kind="generator",
        name="consistency",
        target="zoo_generative.consistency:Consistency",
        options=f"{_OPTIONS}:ConsistencyOptions",
        summary="Consistency distillation from a denoiser trained in the same run: images in one evaluation",
        references=("arXiv:2303.01469", "arXiv:2206.00364"),
        traits={"example": {"width": 8, "teacher_steps": 20}},
    )
