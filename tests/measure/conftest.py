"""A tiny untrained model with its tokenizer and data, as the instruments get them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.models import assemble
from zoo.models.tokenizers import Tokenizers
from zoo.spec import Spec, load_spec
from zoo.tasks import DataHome, Example

SPEC = Path(__file__).parents[2] / "benchmarks" / "specs" / "smoke.yaml"


@dataclass(frozen=True)
class Tiny:
    spec: Spec
    model: Any
    tokenizer: Any
    examples: Sequence[Example]

    @property
    def tokenizers(self) -> Tokenizers:
        return Tokenizers(self.tokenizer, self.tokenizer)

    @property
    def sources(self) -> list[str]:
        return [example.source for example in self.examples]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    torch.set_num_threads(1)
    spec = load_spec(SPEC, ["decoding.max_new_tokens=12", "model.d_model=32"])
    task = spec.task.create().prepare(DataHome(tmp_path_factory.mktemp("home")))
    tokenizer = spec.tokenizer.create().train(task.tokenizer_texts())
    # In double precision no two logits tie, so that batched and single decoding must agree word for word.
    model = assemble(spec.model, len(tokenizer), seed=3, spec=spec).double()
    return Tiny(spec, model, tokenizer, task.examples("test")[:25])
