"""Options of the decoding strategies. Torch-free."""

from __future__ import annotations

from pydantic import Field

from zoo.spec.options import Objection, Options
from zoo.spec.sections import DecodingSection


class ConstraintOptions(Options):
    """What every strategy may be told about its outputs."""

    no_repeat_ngram: int = Field(
        default=0, ge=0, le=100, description="No n-gram of this length stands twice in an output; 0 allows all"
    )
    repetition_penalty: float = Field(
        default=1.0,
        gt=0,
        description="Logits of tokens already written are divided by it where positive, multiplied where negative "
        "(Keskar et al. 2019, section 4.1); 1 changes nothing",
    )
    min_new_tokens: int = Field(default=0, ge=0, description="Tokens before the end token may come")

    def objection(self, section: Options) -> Objection | None:
        """Against a decoding section whose longest output is shorter than the shortest."""
        if not isinstance(section, DecodingSection) or self.min_new_tokens <= section.max_new_tokens:
            return None
        return Objection(f"min_new_tokens {self.min_new_tokens} is more than max_new_tokens {section.max_new_tokens}")


class GreedyOptions(ConstraintOptions):
    """Options of `greedy`."""


class BeamOptions(ConstraintOptions):
    """Options of `beam`."""

    width: int = Field(default=4, ge=2, le=64, description="Hypotheses that are kept at each step")
    length_penalty: float = Field(
        default=1.0, description="Exponent p of the length in a hypothesis's score, log-probability / length^p"
    )
    early_stopping: bool = Field(
        default=False,
        description="End as soon as `width` hypotheses are finished, rather than when none could still become better",
    )


class SamplingOptions(ConstraintOptions):
    """Options of `sampling`."""

    temperature: float = Field(default=1.0, gt=0, description="Divisor of the logits; below 1 sharpens")
    top_k: int = Field(default=0, ge=0, description="Draw from the k likeliest tokens only; 0 draws from all")
    top_p: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Draw from the fewest tokens that hold this probability together (Holtzman et al. 2020); 1 is all",
    )
    min_p: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Draw from tokens with at least this share of the likeliest one's probability "
        "(Nguyen et al. 2024); 0 is all",
    )
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of the draws")
