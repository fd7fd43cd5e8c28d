"""From a resolved model section to a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from zoo.models.base import ZooModel
from zoo.models.configuration import ZooConfig
from zoo.models.seeding import own_randomness
from zoo.models.skeletons import SKELETONS
from zoo.registry import ModelContext, current_registry
from zoo.spec import ModelSection, Spec, distributions_of


def assemble(
    section: ModelSection,
    vocabulary_size: int,
    *,
    seed: int,
    source_vocabulary_size: int | None = None,
    spec: Spec | None = None,
    token_ids: Mapping[str, Any] | None = None,
) -> ZooModel:
    """Build the model that `section` describes, on the CPU, in float32.

    `source_vocabulary_size` is that of a vocabulary of the source's own; without it both sides share one, of
    `vocabulary_size`. The same section, sizes and seed give the same weights byte for byte, whatever was drawn from
    torch's generator before; its state is left as it was. `token_ids` are the special ids of another tokenizer than
    zoo's own, as `ZooConfig` takes them; of a detector, its ``categories`` and ``id2label``; of a
    generator, its ``image_size``. Plugins then hear
    `zoo_model_built` with the model and `spec`. Raises InputError where separate vocabularies are to share a matrix, or
    a language model to have them.
    """
    for name, size in (("vocabulary_size", vocabulary_size), ("source_vocabulary_size", source_vocabulary_size)):
        if size is not None and size < 1:
            raise ValueError(f"{name}: expected at least 1, found {size}")
    config = ZooConfig(
        model=section.model_dump(mode="json"),
        vocab_size=vocabulary_size,
        encoder_vocab_size=source_vocabulary_size,
        plugins=distributions_of(section),
        **(token_ids or {}),
    )
    with own_randomness(seed, "model"), torch.device("cpu"):
        model = SKELETONS[section.architecture](config)
        current_registry().hook.zoo_model_built(context=ModelContext(model=model, spec=spec))
    return model
