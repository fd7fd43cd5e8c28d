"""Options of rendered lines."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from zoo.spec.options import Chosen, Options, Slot
from zoo_tasks_vision.fonts.options import FontOptions

Background = Literal["plain", "gradient", "paper", "ruled", "grid", "dots", "waves", "checks"]
Share = Annotated[float, Field(ge=0, le=1)]
Height = Annotated[int, Field(ge=6, le=512)]


class DistortionOptions(Options):
    """What is done to a line: how often, and how much at the most. A line may meet several."""

    blur: Share = Field(default=0.3, description="Share of the lines that are blurred")
    blur_radius: float = Field(
        default=0.06, gt=0, le=0.5, description="Largest standard deviation of the blur, in font sizes"
    )
    noise: Share = Field(default=0.5, description="Share of the lines with Gaussian noise on each pixel")
    noise_level: float = Field(default=16.0, gt=0, le=128, description="Largest standard deviation of it, of 255")
    jpeg: Share = Field(default=0.3, description="Share of the lines that go through JPEG")
    jpeg_quality: int = Field(default=30, ge=1, le=95, description="Lowest quality of JPEG; the highest is 95")
    perspective: Share = Field(default=0.3, description="Share of the lines whose corners are moved")
    perspective_shift: float = Field(
        default=0.08, gt=0, le=0.4, description="How far a corner is moved at the most, in heights of the line"
    )


NO_DISTORTIONS = {"blur": 0.0, "noise": 0.0, "jpeg": 0.0, "perspective": 0.0}


class RenderedLinesOptions(Options):
    """Lines of text, rendered from a corpus."""

    corpus: Annotated[Chosen, Slot("corpus")] = Field(description="Corpus whose text is rendered, split by split")
    language: str = Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", description="The language that is rendered")
    fonts: FontOptions = Field(default=FontOptions(), description="Fonts, and which are held out")
    lines: int = Field(default=100_000, ge=1, le=10_000_000, description="Training lines")
    dev_lines: int = Field(default=2_000, ge=1, le=1_000_000, description="Dev lines")
    test_lines: int = Field(default=6_000, ge=1, le=1_000_000, description="Test lines that have text")
    blank: int = Field(
        default=0, ge=0, le=1_000_000, description="Test images of a background as in training, with no text on it"
    )
    unseen: int = Field(
        default=0, ge=0, le=1_000_000, description="Test images of a background that training has not, with no text"
    )
    heights: list[Height] = Field(
        default=[8, 16, 32, 64], min_length=1, max_length=32, description="Heights of the images in pixels, alike often"
    )
    aspects: list[float] = Field(
        default=[2.0, 5.0, 15.0, 40.0],
        min_length=2,
        max_length=16,
        description="Edges of the bands of width by height, alike often; within a band the logarithm is uniform",
    )
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of texts, fonts and distortions")
    colour: bool = Field(default=False, description="Ink and backgrounds have colours; else the images are grey")
    inverted: Share = Field(default=0.1, description="Share of the lines that are light on dark")
    backgrounds: list[Background] = Field(
        default=["plain", "gradient", "paper", "ruled", "grid"],
        min_length=1,
        description="What text stands on, alike often",
    )
    unseen_backgrounds: list[Background] = Field(
        default=["dots", "waves", "checks"], min_length=1, description="What the images of `unseen` show"
    )
    distortions: DistortionOptions = Field(default=DistortionOptions(), description="What is done to the lines")

    @field_validator("aspects")
    @classmethod
    def _edges_rise(cls, edges: list[float]) -> list[float]:
        if sorted(set(edges)) != edges or edges[0] < 0.5 or edges[-1] > 200:
            raise ValueError(f"aspects {edges}: expected rising edges from .5 to 200, such as [2, 5, 15, 40]")
        return edges

    @model_validator(mode="after")
    def _what_is_drawn_fits(self) -> RenderedLinesOptions:
        if both := set(self.backgrounds) & set(self.unseen_backgrounds):
            raise ValueError(f"background {sorted(both)[0]} is among those of training and among the unseen ones")
        traits = self.corpus.component.traits
        known = tuple(getattr(self.corpus.options, "languages", None) or traits.get("languages", ()))
        if known and self.language not in known:
            raise ValueError(f"language '{self.language}' is not in corpus {self.corpus.name} (has {', '.join(known)})")
        return self
