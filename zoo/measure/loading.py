"""The model of a request, in the probe's process. Imports all that a model needs, so that loading is loading alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from zoo.measure.probe import ProbeRequest
from zoo.models import load_model
from zoo.models.tokenizers import NO_TOKENIZERS, Tokenizers, load_tokenizers
from zoo.spec.outputs import Outputs
from zoo.spec.sections import DecodingSection


@dataclass(frozen=True)
class Loaded:
    """The model of a request, ready to generate on its device."""

    model: Any
    tokenizers: Tokenizers
    device: torch.device

    def max_source_tokens(self, outputs: Outputs) -> int:
        """The longest source behind which as many tokens can be written; where none are, any."""
        new_tokens = outputs.max_new_tokens if isinstance(outputs, DecodingSection) else 0
        return int(self.model.source_limit(new_tokens))

    def facts(self) -> dict[str, Any]:
        """What every answer says of the model that was measured; complete once it has generated."""
        return {
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "attention": self.model.attention_backend or "none",
        }


def load(request: ProbeRequest) -> Loaded:
    """Tokenizers and model of the request, the model on its device."""
    device = torch.device(request.device)
    model = load_model(request.directory).to(device).eval()
    tokenizers = load_tokenizers(request.directory) if model.writes_text else NO_TOKENIZERS
    return Loaded(model, tokenizers, device)
