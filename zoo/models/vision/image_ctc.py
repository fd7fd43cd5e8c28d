"""ZooForImageCTC: an encoder of images and a CTC head (Graves et al. 2006) as one transformers model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationConfig
from transformers.modeling_outputs import CausalLMOutput

from zoo.errors import InputError
from zoo.images.frames import best_path
from zoo.models.backends import backend_name
from zoo.models.base import IGNORED, ZooModel, default_flag, refuse_other_architecture
from zoo.models.configuration import ZooConfig
from zoo.models.seeding import own_randomness
from zoo.models.stack import initialise_embedding
from zoo.models.vision.encoder import ImageEncoder, ImageEncoderOutput
from zoo.models.vision.processor import ZooImageProcessor

_PLAIN_SEARCH: Mapping[str, Any] = {
    "num_beams": 1,
    "num_return_sequences": 1,
    "do_sample": False,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "min_new_tokens": 0,
}
"""What asks for nothing, of a decoder's settings that change what is written."""


@dataclass
class CTCOutput(CausalLMOutput):  # type: ignore[misc]
    """`logits` ``[M, F, V]`` of frames from left to right, of which each image has `frames` ``[M]``."""

    frames: Tensor | None = None


class ZooForImageCTC(ZooModel):
    """A recogniser without a decoder: each column of patches writes frames, whose repeats and blanks are then dropped.

    A column's state is the mean over its patches that hold a pixel of the image (where the image section hides nothing
    of a canvas, over all of the canvas); it makes ``image.frames`` frames. The padding token is the blank. An end token
    is not learnt: where a text ends, the frames end. `save_pretrained` writes the image processor beside the model.
    """

    arrangement = "image"
    own_loss = True
    main_input_name = "pixel_values"
    _no_split_modules = ["EncoderLayer"]  # noqa: RUF012 - transformers' own habit

    def __init__(self, config: ZooConfig) -> None:
        section = config.section()
        refuse_other_architecture(config, section, ("image-ctc",), "AutoModelForCTC")
        if config._attn_implementation is None:
            config._attn_implementation = backend_name(section.attention)
        super().__init__(config)
        seed = int(torch.randint(2**62, (), device="cpu"))
        assert section.image is not None  # the section has seen to it
        self.encoder = ImageEncoder(config, section, keep_layers=False, seed=seed)
        self.encoder.keep_places = True
        self.frames = section.image.frames
        self.lm_head = nn.Linear(section.d_model, self.frames * config.vocab_size)
        with own_randomness(seed, "lm_head"):
            initialise_embedding(self.lm_head.weight, section)
            nn.init.zeros_(self.lm_head.bias)
        self.generation_config = GenerationConfig(
            pad_token_id=config.pad_token_id, eos_token_id=config.eos_token_id, bos_token_id=config.bos_token_id
        )
        self._tied_weights_keys: dict[str, str] = {}
        for module in self.modules():
            module._is_hf_initialized = True  # each part has initialised itself; `_init_weights` must not again
        self.post_init()

    @property
    def blank(self) -> int:
        """The token of a frame that writes nothing."""
        return int(self.config.pad_token_id)

    def processor(self) -> ZooImageProcessor:
        """What makes patches of images for this model."""
        image = self.section.image
        assert image is not None
        return ZooImageProcessor.of(image)

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> Any:
        """As `ZooModel`'s, with the image processor beside the model."""
        saved = super().save_pretrained(save_directory, **kwargs)
        self.processor().save_pretrained(save_directory)
        return saved

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        return self.encoder

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.patch_projection

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Raises InputError: there are no embeddings of tokens."""
        raise InputError("an image-ctc has no token embeddings: make it anew for another vocabulary")

    def source_limit(self, new_tokens: int) -> int:
        return sys.maxsize  # an image's patches are the business of its resize policy

    def output_limit(self, new_tokens: int) -> int:
        return new_tokens

    def source_of_length(self, tokens: int) -> dict[str, Tensor]:
        return self.encoder.image_of_length(tokens)

    def prompts(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(encoded)

    def read_source(self, encoded: Mapping[str, Tensor]) -> dict[str, Any]:
        return {"encoder_outputs": self.encoder(**encoded)}

    def written(self, sequences: Tensor, inputs: dict[str, Any]) -> Tensor:
        return sequences

    def target_logits(self, encoded: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Raises InputError: frames are not aligned with targets."""
        raise InputError(
            "an image-ctc gives no logits for each token of a target: its frames are summed over alignments"
        )

    def forward(
        self,
        pixel_values: Tensor | None = None,
        patch_mask: Tensor | None = None,
        patch_positions: Tensor | None = None,
        patch_grid: Tensor | None = None,
        segments: Tensor | None = None,
        encoder_outputs: Any = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        use_cache: bool | None = None,
    ) -> CTCOutput | tuple[Any, ...]:
        """Logits of frames for images, as `ZooForImageToText.forward` takes them; of packed rows for M images.

        `labels` ``[M, T]`` (-100 = padding; end tokens are left out) give the loss: minus log-likelihood of each text
        by CTC, added up over the batch and divided by the tokens left (or by `num_items_in_batch`). A text that needs
        more frames than its image has adds nothing. `use_cache` is accepted and not looked at.
        """
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                pixel_values,
                patch_mask,
                patch_positions,
                patch_grid,
                segments,
                output_attentions=default_flag(output_attentions, self.config.output_attentions),
                output_hidden_states=default_flag(output_hidden_states, self.config.output_hidden_states),
            )
        columns, counts = self._columns(encoder_outputs)  # [M, W, D], [M]
        logits = self.lm_head(columns)  # [M, W, frames * V]
        logits = logits.view(logits.shape[0], -1, self.config.vocab_size)  # [M, F, V]
        counts = counts * self.frames
        output = CTCOutput(
            loss=None if labels is None else self._alignment_loss(logits, counts, labels, num_items_in_batch),
            logits=logits,
            hidden_states=encoder_outputs.hidden_states,
            attentions=encoder_outputs.attentions,
            frames=counts,
        )
        return output if default_flag(return_dict, self.config.return_dict) else output.to_tuple()

    def _columns(self, encoded: ImageEncoderOutput) -> tuple[Tensor, Tensor]:
        """The mean state of each column that has patches, ``[M, W, D]``, and how many an image has ``[M]``."""
        states, positions = encoded.last_hidden_state, encoded.patch_positions
        assert states is not None
        assert positions is not None
        counted = encoded.patch_real if self.encoder.mask == "real" else encoded.patch_there  # [M, S]
        assert counted is not None
        column = positions[..., 1]  # [M, S]
        last = column.masked_fill(~counted, -1).amax(-1, keepdim=True)  # [M, 1]
        first = torch.minimum(column.masked_fill(~counted, sys.maxsize).amin(-1, keepdim=True), last)  # [M, 1]
        widths = (last - first + 1).squeeze(-1)  # [M]
        at = (column - first).clamp_min(0).masked_fill(~counted, 0)  # [M, S]
        weight = counted.to(states.dtype)[..., None]  # [M, S, 1]
        most: Any = widths.max().item()  # not made an `int`, which a graph could not follow
        columns = states.new_zeros(states.shape[0], most, states.shape[-1])  # [M, W, D]
        sums = columns.scatter_add(1, at[..., None].expand_as(states), states * weight)  # [M, W, D]
        patches = torch.zeros_like(columns[..., :1]).scatter_add(1, at[..., None], weight)  # [M, W, 1]
        return sums / patches.clamp_min(1), widths

    def _alignment_loss(self, logits: Tensor, frames: Tensor, labels: Tensor, items: Tensor | int | None) -> Tensor:
        kept = (labels != IGNORED) & (labels != self.config.eos_token_id)  # [M, T]
        lengths = kept.sum(-1)  # [M]
        losses = F.ctc_loss(
            logits.float().log_softmax(-1).transpose(0, 1),  # [F, M, V]
            labels[kept],
            frames,
            lengths,
            blank=self.blank,
            reduction="sum",
            zero_infinity=True,
        )
        count = lengths.sum().clamp_min(1) if items is None else items
        return losses / (count.to(losses.device) if isinstance(count, Tensor) else count)

    def refuse_search(self, settings: Mapping[str, Any]) -> None:
        for name, plain in _PLAIN_SEARCH.items():
            if settings.get(name) not in (None, plain):
                raise InputError(f"an image-ctc is decoded greedily: {name} {settings[name]} is of models that decode")

    @torch.no_grad()
    def generate(
        self,
        pixel_values: Tensor | None = None,
        *,
        patch_mask: Tensor | None = None,
        patch_positions: Tensor | None = None,
        patch_grid: Tensor | None = None,
        segments: Tensor | None = None,
        encoder_outputs: Any = None,
        max_new_tokens: int | None = None,
        **settings: Any,
    ) -> Tensor:
        """The best frame by frame, repeats merged and blanks dropped: token ids ``[M, 1 + T]``.

        As `generate` of a decoder gives them: the start token first, each row ended by eos and padded. At most
        `max_new_tokens` with the end token; a longer text is cut and has none. Other `settings` of a decoder's search
        are accepted where they ask for nothing. Raises InputError for beams, sampling and constraints on tokens.
        """
        self.refuse_search(settings)
        output = self(
            pixel_values,
            patch_mask,
            patch_positions,
            patch_grid,
            segments,
            encoder_outputs=encoder_outputs,
            return_dict=True,
        )
        best = output.logits.argmax(-1)  # [M, F]
        rows = best_path(
            best.cpu().numpy(),
            output.frames.cpu().numpy(),
            blank=self.blank,
            end=int(self.config.eos_token_id),
            longest=max_new_tokens,
        )
        start, padding = int(self.config.decoder_start_token_id), int(self.config.pad_token_id)
        longest = max(map(len, rows))
        padded = [[start, *row, *[padding] * (longest - len(row))] for row in rows]
        return torch.tensor(padded, device=best.device)  # [M, 1 + T]
