"""What every skeleton has in common: safetensors only, errors that name the weight, and initial token matrices."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from transformers import LogitsProcessorList

from zoo.errors import InputError, ZooError
from zoo.models._compat import CompatibleModel, GenerationMixin
from zoo.models.attention import CrossAttention, SelfAttention
from zoo.models.configuration import ZooConfig
from zoo.models.scores import AsTheyAre, negative_log_likelihood
from zoo.models.seeding import own_randomness
from zoo.models.stack import initialise_embedding
from zoo.spec.model_section import Architecture, ModelSection
from zoo.tasks.contracts import Input

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


AUTO_CLASSES: dict[Architecture, str] = {
    "encoder-decoder": "AutoModelForSeq2SeqLM",
    "causal-lm": "AutoModelForCausalLM",
    "prefix-lm": "AutoModelForCausalLM",
    "image-to-text": "AutoModelForImageTextToText",
    "image-ctc": "AutoModelForCTC",
    "detector": "AutoModelForObjectDetection",
    "generator": "zoo.models.ZooForImageGeneration",
}
"""The class of transformers that loads the models of an architecture; ours where transformers has none."""

IGNORED = -100
"""The label of what is not to be predicted, by transformers' habit."""


class ZooModel(CompatibleModel, GenerationMixin):  # type: ignore[misc]
    """A transformers model assembled from registered components.

    Beside transformers' interface each skeleton answers what training and measuring ask of any: how examples are laid
    out (`arrangement`), and, of encoded sources, what `generate` continues, what it has written, and how likely a
    target is. Encoded sources are what tokenizers give: ``input_ids`` and ``attention_mask`` ``[B, S]``, padded on the
    right, each ending in eos; or what `ZooImageProcessor` gives of images (`zoo.models.vision.processor`).
    """

    arrangement: ClassVar[Literal["pair", "sequence", "image", "detections", "pictures"]]
    """What a training example is: a source and a target apart, or both in one sequence; or an image and a target, or
    an image and boxes, or an image alone, to be learned."""
    own_loss: ClassVar[bool] = False
    """Whether the loss is the model's own business: no logits of one token each that a token loss could be made of."""
    config_class = ZooConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    @property
    def reads(self) -> Input:
        """What a source is; of a generator, an example."""
        return "image" if self.arrangement in {"image", "detections", "pictures"} else "text"

    @property
    def makes_images(self) -> bool:
        """Whether it is a generator: it reads nothing."""
        return self.arrangement == "pictures"

    @property
    def writes_text(self) -> bool:
        """Whether it writes texts, and has tokenizers."""
        return not (self.finds_boxes or self.makes_images)

    @property
    def finds_boxes(self) -> bool:
        """Whether it is a detector: it writes no text, and has no tokenizers."""
        return self.arrangement == "detections"

    @cached_property
    def image_processor(self) -> Any:
        """The one `processor` of a model that reads images."""
        return self.processor()

    def processor(self) -> Any:
        """What makes patches of the images that the model reads (`zoo.models.vision.processor`)."""
        raise NotImplementedError

    def after_step(self, step: int) -> None:
        """Optimizer step `step`, counted from 1, is done."""

    @property
    def reads_context(self) -> bool:
        """Whether the forward pass takes a second input, ``context_input_ids`` and ``context_attention_mask``."""
        return False

    @property
    def log_probabilities(self) -> bool:
        """Whether `logits` of the output are log-probabilities to be taken as they are, not logits to be normalised."""
        return False

    @property
    def logit_bias(self) -> Tensor | None:
        """``[V]``: what is added to the products of the output matrix, and is not trained; None where nothing is."""
        return None

    def source_limit(self, new_tokens: int) -> int:
        """The longest source, in tokens, behind which `new_tokens` can be written."""
        raise NotImplementedError

    def output_limit(self, new_tokens: int) -> int:
        """How many of `new_tokens` can be written behind a source of `source_limit(new_tokens)` tokens."""
        raise NotImplementedError

    def source_of_length(self, tokens: int) -> dict[str, Tensor]:
        """An encoded source of so many tokens that holds nothing: to count and to warm up with."""
        ids = torch.full((1, tokens), int(self.config.eos_token_id), device=self.device)  # [1, S]
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def prompts(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `generate` takes for sources."""
        raise NotImplementedError

    def read_source(self, encoded: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read sources, once; `generate` goes on from what is returned."""
        raise NotImplementedError

    def written(self, sequences: Tensor, inputs: dict[str, Any]) -> Tensor:
        """Of what `generate` returned for `inputs`: the start token and what stands behind it, ``[B, 1 + T]``."""
        raise NotImplementedError

    def target_logits(self, encoded: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """The logits ``[B, T, V]`` that predict targets ``[B, T]`` (-100 = padding, on the right) of sources."""
        raise NotImplementedError

    def refuse_search(self, settings: Mapping[str, Any]) -> None:
        """Raise InputError where `generate` cannot search as these fields of transformers' GenerationConfig say."""

    def get_decoder(self) -> nn.Module:
        return self.decoder  # type: ignore[no-any-return]

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.lm_head = value

    def _loss(self, scores: Tensor, labels: Tensor, items: Tensor | int | None) -> Tensor:
        """Of scores ``[B, T, V]``: mean over labels ``[B, T]`` other than -100, or their sum over `items`."""
        flat, targets = scores.flatten(0, 1), labels.flatten()  # [B*T, V], [B*T]
        taken = self.log_probabilities
        if items is None:
            return negative_log_likelihood(flat, targets, log_probabilities=taken, reduction="mean")
        total = negative_log_likelihood(flat, targets, log_probabilities=taken, reduction="sum")
        return total / (items.to(total.device) if isinstance(items, Tensor) else items)

    def _beam_search(self, input_ids: Tensor, logits_processor: Any, *args: Any, **kwargs: Any) -> Any:
        """transformers', where `log_probabilities` add up as they are."""
        if not self.log_probabilities:
            return super()._beam_search(input_ids, logits_processor, *args, **kwargs)
        first = AsTheyAre()
        with first.reading(self):
            return super()._beam_search(input_ids, LogitsProcessorList([first, *logits_processor]), *args, **kwargs)

    def _init_weights(self, module: nn.Module) -> None:
        """Initialise what transformers makes itself: the matrices of a resized vocabulary."""
        if isinstance(module, (nn.Embedding, nn.Linear)):
            initialise_embedding(module.weight, self.section)

    @property
    def section(self) -> ModelSection:
        """The resolved model section."""
        return self.config.section()  # type: ignore[no-any-return]

    @property
    def attention_backend(self) -> str | None:
        """The attention backends that ran in the last pass, such as ``sdpa`` or ``flex+sdpa``; None before it."""
        attentions = (module for module in self.modules() if isinstance(module, (SelfAttention, CrossAttention)))
        ran = {module.ran.removeprefix("zoo_") for module in attentions if module.ran}
        return "+".join(sorted(ran)) or None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As transformers', from safetensors only and leaving torch's generator alone.

        Raises InputError for a folder whose weights are pickles and for a plugin that is not installed; ZooError for
        weights that do not fit the configuration.
        """
        _refuse_pickles(pretrained_model_name_or_path, kwargs.pop("use_safetensors", None))
        wants_info = kwargs.pop("output_loading_info", False)
        tolerant = kwargs.pop("ignore_mismatched_sizes", False)
        with own_randomness(0):
            model, info = super().from_pretrained(
                pretrained_model_name_or_path,
                *args,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # its own refusal names no weight; ours below does
                **kwargs,
            )
        if not tolerant:
            _refuse_misfit(pretrained_model_name_or_path, info)
        return (model, info) if wants_info else model

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> Any:
        """As transformers', to safetensors only. Raises InputError for ``safe_serialization=False``."""
        if kwargs.pop("safe_serialization", True) is False:
            raise InputError("zoo models are saved as safetensors only: leave out safe_serialization=False")
        return super().save_pretrained(save_directory, **kwargs)


def refuse_other_architecture(
    config: ZooConfig, section: ModelSection, architectures: tuple[str, ...], auto_class: str
) -> None:
    """Raise InputError unless the section is of one of a skeleton's `architectures`."""
    if section.architecture not in architectures:
        other = AUTO_CLASSES[section.architecture]
        raise InputError(
            f"the model is of the architecture {section.architecture}: expected {' or '.join(architectures)} "
            f"in {auto_class}; load it with {other}",
            where=config.name_or_path or None,
        )


def shift_right(labels: Tensor, start: int, pad: int) -> Tensor:
    """Decoder inputs for labels ``[B, T]``: `start` first, the last label dropped, ignored labels (-100) as `pad`."""
    shifted = torch.cat((torch.full_like(labels[:, :1], start), labels[:, :-1]), dim=1)  # [B, T]
    return shifted.masked_fill_(shifted == IGNORED, pad)


def default_flag(value: bool | None, fallback: Any) -> bool:
    """`value`, or `fallback` where nobody gave one."""
    return bool(fallback) if value is None else value


def _refuse_pickles(where: Any, use_safetensors: bool | None) -> None:
    if use_safetensors is False:
        raise InputError("zoo models load safetensors only: leave out use_safetensors=False")
    folder = Path(where) if isinstance(where, (str, os.PathLike)) else None
    if folder is None or not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
    found = f"found the pickle {pickles[0]}, which could run code when loaded" if pickles else "found none"
    raise InputError(f"expected weights in model.safetensors, {found}", where=str(folder))


def _refuse_misfit(where: Any, info: dict[str, Any]) -> None:
    for key, what in (("missing_keys", "lack"), ("unexpected_keys", "hold the unknown"), ("mismatched_keys", "misfit")):
        names = sorted(str(item[0] if isinstance(item, tuple) else item) for item in info.get(key) or ())
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ZooError(f"{where}: the weights {what} {names[0]}{more}: they are not of this configuration")
