"""ZooForImageToText: an encoder of images, a decoder and an output matrix as one transformers model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig
from transformers.modeling_outputs import Seq2SeqLMOutput

from zoo.models._compat import CACHE, new_cache
from zoo.models.backends import backend_name
from zoo.models.base import ZooModel, default_flag, refuse_other_architecture, shift_right
from zoo.models.configuration import ZooConfig
from zoo.models.decoder import Decoder
from zoo.models.seeding import own_randomness
from zoo.models.stack import initialise_embedding
from zoo.models.vision.encoder import ImageEncoder, ImageEncoderOutput
from zoo.models.vision.processor import ZooImageProcessor


class ZooForImageToText(ZooModel):
    """A recogniser assembled from registered components: it reads an image and writes a text.

    Its decoder is that of `ZooForConditionalGeneration` and starts with the same weights where the parts are the same.
    The mask of the patches holds in the encoder and in cross-attention. `save_pretrained` writes the image processor
    beside the model.
    """

    arrangement = "image"
    output_fusion = None
    main_input_name = "pixel_values"
    _no_split_modules = ["EncoderLayer", "DecoderLayer"]  # noqa: RUF012 - transformers' own habit

    def __init__(self, config: ZooConfig) -> None:
        section = config.section()
        refuse_other_architecture(config, section, ("image-to-text",), "AutoModelForImageTextToText")
        if config._attn_implementation is None:
            config._attn_implementation = backend_name(section.attention)
        super().__init__(config)
        seed = int(torch.randint(2**62, (), device="cpu"))
        assert section.fusion is not None  # the section has seen to it
        self.encoder = ImageEncoder(config, section, keep_layers=section.fusion.load().needs_all_layers, seed=seed)
        self.decoder = Decoder(config, section, seed=seed)
        self.encoder.bare_first_state = self.decoder.fusion.embeddings_before_positions
        self.lm_head = nn.Linear(section.d_model, config.vocab_size, bias=False)
        with own_randomness(seed, "lm_head"):
            initialise_embedding(self.lm_head.weight, section)
        self.generation_config = GenerationConfig(
            pad_token_id=config.pad_token_id,
            eos_token_id=config.eos_token_id,
            bos_token_id=config.bos_token_id,
            decoder_start_token_id=config.decoder_start_token_id,
        )
        tied = section.tie_embeddings != "none"
        self._tied_weights_keys = {"lm_head.weight": "decoder.embed_tokens.weight"} if tied else {}
        for module in self.modules():
            module._is_hf_initialized = True  # each part has initialised itself; `_init_weights` must not again
        self.post_init()

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
        return self.decoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.decoder.embed_tokens = value

    def source_limit(self, new_tokens: int) -> int:
        return sys.maxsize  # an image's patches are the business of its resize policy

    def output_limit(self, new_tokens: int) -> int:
        return min(new_tokens, int(self.config.max_position_embeddings))

    def source_of_length(self, tokens: int) -> dict[str, Tensor]:
        return self.encoder.image_of_length(tokens)

    def prompts(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(encoded)

    def read_source(self, encoded: Mapping[str, Tensor]) -> dict[str, Any]:
        return {"encoder_outputs": self.encoder(**encoded)}

    def written(self, sequences: Tensor, inputs: dict[str, Any]) -> Tensor:
        return sequences

    def target_logits(self, encoded: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        before = self.prepare_decoder_input_ids_from_labels(labels)  # [B, T]
        logits: Tensor = self(**encoded, decoder_input_ids=before, use_cache=False).logits  # [B, T, V]
        return logits

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Decoder inputs ``[B, T]`` that teach `labels` ``[B, T]``."""
        return shift_right(labels, self.config.decoder_start_token_id, self.config.pad_token_id)

    def forward(
        self,
        pixel_values: Tensor | None = None,
        patch_mask: Tensor | None = None,
        patch_positions: Tensor | None = None,
        patch_grid: Tensor | None = None,
        segments: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        decoder_inputs_embeds: Tensor | None = None,
        decoder_position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Tensor | None = None,
        cache: Any = None,
    ) -> Seq2SeqLMOutput | tuple[Any, ...]:
        """Logits ``[M, T, V]`` for images, as `ZooImageProcessor` gives them, and target ids ``[M, T]``.

        `pixel_values` ``[B, N, C*Ph*Pw]``, `patch_mask` ``[B, N]`` (True = the patch has a real pixel; without it all
        have), `patch_positions` and `patch_grid` ``[B, N, 2]``. Of packed rows `segments` ``[B, N]`` number the images
        from 1, with 0 for padding; then there are M images, row by row, and targets have a row for each; else M = B.
        `labels` ``[M, T]`` give the target shifted right, unless decoder inputs are given, and the loss: cross entropy,
        mean over labels other than -100 (or their sum over `num_items_in_batch`). `cache` is what transformers calls
        `past_key_values` from 5.24 on; `cache_position` is accepted from transformers 4 and not looked at.
        """
        past_key_values = past_key_values if cache is None else cache
        options = {
            "output_attentions": default_flag(output_attentions, self.config.output_attentions),
            "output_hidden_states": default_flag(output_hidden_states, self.config.output_hidden_states),
        }
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                pixel_values, patch_mask, patch_positions, patch_grid, segments, **options
            )  # [M, S, D] inside
        elif not isinstance(encoder_outputs, ImageEncoderOutput):
            raise ValueError("encoder_outputs: pass what this model's own encoder returned")
        if labels is not None:
            use_cache = False
            if decoder_input_ids is None and decoder_inputs_embeds is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        if past_key_values is None and (use_cache if use_cache is not None else not self.training):
            past_key_values = new_cache()
        decoded = self.decoder(
            decoder_input_ids,
            decoder_attention_mask,
            self.states_for_fusion(encoder_outputs),
            encoder_outputs.memory_mask,
            past_key_values,
            decoder_inputs_embeds,
            decoder_position_ids,
            **options,
        )
        logits = self._logits(decoded.last_hidden_state)  # [M, T, V]
        output = Seq2SeqLMOutput(
            loss=None if labels is None else self._loss(logits, labels, num_items_in_batch),
            logits=logits,
            **{CACHE: past_key_values},
            decoder_hidden_states=decoded.hidden_states,
            decoder_attentions=decoded.attentions,
            cross_attentions=decoded.cross_attentions,
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
        )
        return output if default_flag(return_dict, self.config.return_dict) else output.to_tuple()

    def _logits(self, states: Tensor) -> Tensor:
        """``[M, T, D]`` -> ``[M, T, V]``."""
        logits: Tensor = self.lm_head(states)
        return logits

    def states_for_fusion(self, encoder_outputs: ImageEncoderOutput) -> Tensor:
        """``[M, L, S, D]``, or ``[M, 1, S, D]`` where the fusion needs the top only."""
        if self.encoder.keep_layers:
            assert encoder_outputs.layer_states is not None
            return encoder_outputs.layer_states
        assert encoder_outputs.last_hidden_state is not None
        return encoder_outputs.last_hidden_state[:, None]
