"""Numbers with bounds, as several sections of a spec have them."""

from typing import Annotated

from pydantic import Field

Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
