"""Options of this distribution's components. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from zoo.spec.options import Objection, Options
from zoo.spec.training_section import TrainingSection

Width = Annotated[
    int,
    Field(ge=4, le=1024, description="Channels at full size; twice as many at half of it, four times at less"),
]
Depth = Annotated[int, Field(ge=1, le=16, description="Residual blocks at each size, in each network")]
Latent = Annotated[int, Field(ge=1, le=4096, description="Numbers of noise that an image is made from")]
Penalty = Annotated[float, Field(ge=0.0, le=1e6)]


class StackedDigitsOptions(Options):
    """Three rendered digits in the three colours of an image."""

    classes: int = Field(default=10, ge=2, le=10, description="Digits from 0: there are classes^3 modes")
    size: int = Field(default=32, ge=16, le=128, multiple_of=4, description="Height and width of an image, in pixels")
    variants: int = Field(
        default=500, ge=20, le=20_000, description="Renderings of each digit that training images are made from"
    )
    train: int = Field(default=50_000, ge=1, le=10_000_000, description="Images to learn from")
    dev: int = Field(default=1_000, ge=1, le=1_000_000, description="Images of the development split")
    test: int = Field(
        default=25_600, ge=1, le=1_000_000, description="Images of the test split: as many are generated and scored"
    )
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of the images")


class ModesOptions(Options):
    """Which modes there are."""

    classes: int = Field(default=10, ge=2, le=10, description="Digits of the task: there are classes^3 modes")


class GanOptions(Options):
    """Sizes of two players."""

    width: Width = 32
    depth: Depth = 1
    latent: Latent = 64


class NsganOptions(GanOptions):
    """The non-saturating game."""

    r1: Penalty = Field(
        default=0.0, description="Weight gamma of the squared gradient at real images, halved; 0 is the plain game"
    )
    r2: Penalty = Field(default=0.0, description="The same at generated images")


class R3ganOptions(GanOptions):
    """The relativistic game with both penalties."""

    r1: Penalty = Field(default=1.0, description="Weight gamma of the squared gradient at real images, halved")
    r2: Penalty = Field(default=1.0, description="The same at generated images")


class DdpmOptions(Options):
    """Denoising diffusion in discrete steps of noise."""

    width: Width = 32
    depth: Depth = 1
    steps: int = Field(default=1000, ge=2, le=100_000, description="Noise levels T that the network is trained on")
    betas: Literal["linear", "cosine"] = Field(
        default="linear",
        description="Variances of the steps: 1e-4 to 0.02, times 1000 / T (Ho et al. 2020); or such that the signal "
        "falls as a cosine (Nichol & Dhariwal 2021, section 3.2)",
    )
    sampling_steps: int | None = Field(
        default=None, ge=1, le=100_000, description="Levels that an image is made through, spread evenly; all if absent"
    )
    eta: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="Share of fresh noise in a step: 1 is ancestral sampling (DDPM), 0 none at all (DDIM)",
    )
    clip: bool = Field(default=True, description="Cut what each step takes for the image to -1..1")

    @model_validator(mode="after")
    def _no_more_levels_than_there_are(self) -> DdpmOptions:
        if self.sampling_steps is not None and self.sampling_steps > self.steps:
            raise ValueError(f"sampling_steps {self.sampling_steps} is more than the {self.steps} steps there are")
        return self


class ConsistencyOptions(Options):
    """Consistency distillation, from a teacher that is trained first, in the same run."""

    width: Width = 32
    depth: Depth = 1
    teacher_steps: int = Field(
        ge=1, description="Optimizer steps that the teacher is trained for; the others are the student's"
    )
    levels: int = Field(default=18, ge=2, le=1000, description="Noise levels N between which the student is consistent")
    sigma_min: float = Field(default=0.002, gt=0.0, description="Lowest noise level, at which an image is itself")
    sigma_max: float = Field(default=80.0, gt=0.0, description="Highest noise level, that images are made from")
    sigma_data: float = Field(default=0.5, gt=0.0, description="Standard deviation that pixels are taken to have")
    rho: float = Field(default=7.0, gt=0.0, description="How much closer the levels lie where they are low")
    solver: Literal["heun", "euler"] = Field(
        default="heun", description="How the teacher goes from a level to the next: two evaluations of it, or one"
    )
    distance: Literal["l2", "l1"] = Field(default="l2", description="How far two answers of the student are apart")
    target_decay: float = Field(
        default=0.95, ge=0.0, lt=1.0, description="Decay of the average of the student that it is compared to"
    )
    sampling_steps: int = Field(
        default=1, ge=1, le=1000, description="Evaluations of the student that an image is made with"
    )

    @model_validator(mode="after")
    def _levels_rise(self) -> ConsistencyOptions:
        if self.sigma_max <= self.sigma_min:
            raise ValueError(f"sigma_max {self.sigma_max} is not above sigma_min {self.sigma_min}")
        if self.sampling_steps > self.levels:
            raise ValueError(f"sampling_steps {self.sampling_steps} is more than the {self.levels} levels there are")
        return self

    def objection(self, section: Options) -> Objection | None:
        """Against a training section whose steps are all the teacher's."""
        if not isinstance(section, TrainingSection) or section.steps > self.teacher_steps:
            return None
        message = f"the student would never be trained: there are {section.steps} steps in all"
        return Objection(message, "teacher_steps")
