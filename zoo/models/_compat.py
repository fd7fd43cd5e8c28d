"""Every difference between transformers 4.57 and 5.x that this project meets, and no other file's business."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache
from transformers.masking_utils import AttentionMaskInterface, eager_mask, sdpa_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import Seq2SeqLMOutput
from transformers.modeling_utils import AttentionInterface

from zoo.errors import InputError

try:
    from transformers import PreTrainedConfig as PretrainedConfig
except ImportError:
    from transformers import PretrainedConfig

__all__ = [
    "CACHE",
    "V5",
    "AttentionInterface",
    "AttentionMaskInterface",
    "Cache",
    "CompatibleModel",
    "EncoderDecoderCache",
    "GenerationMixin",
    "GradientCheckpointingLayer",
    "PreTrainedModel",
    "PretrainedConfig",
    "cached_keys_and_values",
    "compute_layers_again",
    "eager_mask",
    "new_cache",
    "new_self_attention_cache",
    "reserve_layers",
    "save_tokenizer",
    "sdpa_mask",
    "t5_scales_output",
]

V5 = int(transformers.__version__.split(".")[0]) >= 5
CACHE = "cache" if "cache" in Seq2SeqLMOutput.__dataclass_fields__ else "past_key_values"
"""The field of model outputs, and the argument of `forward`, that holds keys and values: renamed in 5.24."""


def new_cache() -> Any:
    """An empty cache for a decoder with cross-attention."""
    return EncoderDecoderCache(DynamicCache(), DynamicCache())


def new_self_attention_cache() -> Any:
    """An empty cache for a stack without cross-attention."""
    return DynamicCache()


def compute_layers_again(model: Any) -> None:
    """Have each layer keep its input alone, and be computed again in the backward pass: renamed in 5.24.

    Raises InputError where the model has no layer that can be.
    """
    if not any(hasattr(module, "gradient_checkpointing") for module in model.modules()):
        raise InputError("training.gradient_checkpointing: no layer of this model can be computed again: leave it out")
    kwargs = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=kwargs)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=kwargs)


def cached_keys_and_values(cache: Any, layer: int) -> tuple[Tensor, Tensor]:
    """What one layer of a (self- or cross-attention) cache holds: keys and values ``[B, H, L, Dh]``."""
    entry = cache.layers[layer]
    return entry.keys, entry.values


def reserve_layers(cache: Any, count: int) -> None:
    """Let a cache hold `count` layers: `generate` makes it for as many as the configuration counts."""
    while len(cache.layers) < count:
        cache.layers.append(DynamicLayer())


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Save a tokenizer so that both sides load it: 5.x writes a class name that 4.57 does not know."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _tie(model: nn.Module, tied: Mapping[str, str]) -> None:
    for target, source in tied.items():
        parent, _, name = target.rpartition(".")
        setattr(model.get_submodule(parent), name, model.get_parameter(source))


class CompatibleModel(PreTrainedModel):  # type: ignore[misc]
    """PreTrainedModel whose tied weights and buffers behave alike on both sides.

    A subclass sets ``self._tied_weights_keys = {target: source}`` on the instance before `post_init`.
    """

    @classmethod
    def get_init_context(cls, *args: Any, **kwargs: Any) -> list[Any]:
        # 5.x builds the model on the meta device and then fills buffers that are not saved with uninitialised
        # memory. A plugin's tables live in such buffers, so the model is built where they are real.
        contexts = super().get_init_context(*args, **kwargs)
        return [item for item in contexts if not (isinstance(item, torch.device) and item.type == "meta")]

    def _move_missing_keys_from_meta_to_device(self, *args: Any, **kwargs: Any) -> None:
        kept = dict(self.named_non_persistent_buffers())
        super()._move_missing_keys_from_meta_to_device(*args, **kwargs)
        for name, buffer in kept.items():
            parent, _, leaf = name.rpartition(".")
            owner = self.get_submodule(parent)
            owner._buffers[leaf] = buffer.to(owner._buffers[leaf].device)

    def _prepare_position_ids_for_generation(self, inputs_tensor: Tensor, model_kwargs: Mapping[str, Any]) -> None:
        """No positions, where 5.x counts them before generation: the stacks count their own, one row for the batch
        where nothing is padded, and know of these that they are consecutive."""

    if not V5:

        def prepare_inputs_for_generation(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            """As transformers', without the positions that 4.57 counts here."""
            inputs: dict[str, Any] = super().prepare_inputs_for_generation(*args, **kwargs)
            for name in ("position_ids", "decoder_position_ids"):
                if kwargs.get(name) is None:
                    inputs.pop(name, None)
            return inputs

        def tie_weights(self) -> None:
            """Tie by the same ``{target: source}`` mapping that 5.x uses."""
            _tie(self, self._tied_weights_keys or {})

    def tied_names(self) -> dict[str, str]:
        """Names of parameters that are another one's alias: ``{alias: canonical}``."""
        return dict(self._tied_weights_keys or {})


def t5_scales_output(config: Any) -> bool:
    """Whether a T5 or mT5 of transformers multiplies by D^-0.5 what its output matrix reads."""
    return bool(getattr(config, "scale_decoder_outputs", False) if V5 else config.tie_word_embeddings)
