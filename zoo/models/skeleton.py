"""ZooForConditionalGeneration: encoder, decoder and output matrix as one transformers model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationConfig
from transformers.modeling_outputs import Seq2SeqLMOutput

from zoo.errors import InputError
from zoo.models._compat import CACHE, new_cache
from zoo.models.backends import backend_name
from zoo.models.base import ZooModel, default_flag, refuse_other_architecture, shift_right
from zoo.models.configuration import ZooConfig
from zoo.models.context import place_of
from zoo.models.contracts import Context, ContextEncoder, Initialization, OutputContext, OutputFusion
from zoo.models.decoder import Decoder
from zoo.models.encoder import Encoder, EncoderOutput
from zoo.models.initialization import initialise
from zoo.models.layers import DecoderLayer
from zoo.models.seeding import own_randomness
from zoo.models.stack import initialise_embedding
from zoo.models.visibility import memory_visibility

_TIES = {
    "all": {
        "decoder.embed_tokens.weight": "encoder.embed_tokens.weight",
        "lm_head.weight": "encoder.embed_tokens.weight",
    },
    "decoder": {"lm_head.weight": "decoder.embed_tokens.weight"},
    "inputs": {"decoder.embed_tokens.weight": "encoder.embed_tokens.weight"},
    "none": {},
}


class ZooForConditionalGeneration(ZooModel):
    """An encoder-decoder assembled from registered components.

    Initialisation: attention projections Xavier-uniform with zero biases, embeddings and an untied output matrix
    N(0, 1/D) (`embedding_std`), components as they initialise themselves. Every part draws from a generator of its
    own, seeded from torch's global generator and the part's place, so that two models built from one seed share all
    the weights of the parts they share.
    """

    arrangement = "pair"
    _no_split_modules = ["EncoderLayer", "DecoderLayer"]  # noqa: RUF012 - transformers' own habit

    def __init__(self, config: ZooConfig) -> None:
        section = config.section()
        refuse_other_architecture(config, section, ("encoder-decoder",), "AutoModelForSeq2SeqLM")
        if config.encoder_vocab_size is not None and section.tie_embeddings in {"all", "inputs"}:
            raise InputError(
                "separate vocabularies have no matrix in common: set model.tie_embeddings to 'decoder' or 'none'",
                where=config.name_or_path or None,
            )
        if config._attn_implementation is None:
            config._attn_implementation = backend_name(section.attention)
        super().__init__(config)
        seed = int(torch.randint(2**62, (), device="cpu"))
        assert section.fusion is not None  # the section has seen to it
        needs_all = section.fusion.load().needs_all_layers
        self.encoder = Encoder(config, section, keep_layers=needs_all, seed=seed)
        self.decoder = Decoder(config, section, seed=seed)
        self.output_fusion: OutputFusion | None = None
        if section.output_fusion is not None:
            with own_randomness(seed, "output_fusion"):
                self.output_fusion = section.output_fusion.create(OutputContext(section.d_model))
        if section.context_encoder is not None:
            with own_randomness(seed, "context_encoder"):
                component: ContextEncoder = section.context_encoder.create(place_of(section))
            if section.initialization is not None:
                top = section.stack(component.where).layers - 1
                start: Initialization = section.initialization.create()
                initialise(component, start, section, component.where, top, seed=seed, place="context_encoder")
            (self.encoder if component.where == "encoder" else self.decoder).context_encoder = component
            self.encoder.keep_context = component.where == "decoder"
        self.encoder.bare_first_state = self.decoder.fusion.embeddings_before_positions
        self.encoder.keep_embeddings = self.output_fusion is not None
        self.lm_head = nn.Linear(section.d_model, config.vocab_size, bias=False)
        with own_randomness(seed, "lm_head"):
            initialise_embedding(self.lm_head.weight, section)
        self.output_scale = section.d_model**-0.5 if section.scale_output else 1.0
        self.output_bias: Tensor | None
        self.register_buffer("output_bias", torch.zeros(config.vocab_size) if section.output_bias else None)  # [V]
        self.generation_config = GenerationConfig(
            pad_token_id=config.pad_token_id,
            eos_token_id=config.eos_token_id,
            bos_token_id=config.bos_token_id,
            decoder_start_token_id=config.decoder_start_token_id,
        )
        self._tied_weights_keys = dict(_TIES[section.tie_embeddings])
        for module in self.modules():
            module._is_hf_initialized = True  # each part has initialised itself; `_init_weights` must not again
        self.post_init()

    @property
    def reads_context(self) -> bool:
        """Whether the model has a context encoder, for ``context_input_ids`` and ``context_attention_mask``."""
        return self.encoder.context_reader is not None

    @property
    def log_probabilities(self) -> bool:
        """Whether `logits` of the output are log-probabilities to be taken as they are, not logits to be normalised."""
        return self.output_fusion is not None and self.output_fusion.log_probabilities

    @property
    def logit_bias(self) -> Tensor | None:
        return self.output_bias

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        return self.encoder

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.encoder.embed_tokens = value

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Module:
        """Resize source, target and output matrices to `new_num_tokens`; they stay tied as they were.

        With separate vocabularies this is the target's: `resize_source_embeddings` resizes the source's.
        """
        if self.config.encoder_vocab_size is not None:
            return self._resize_target(new_num_tokens, pad_to_multiple_of, mean_resizing)
        if new_num_tokens is None and pad_to_multiple_of is None:
            return self.encoder.embed_tokens
        tied = self.tied_names()
        source = self._get_resized_embeddings(
            self.encoder.embed_tokens, new_num_tokens, pad_to_multiple_of, mean_resizing
        )
        size = source.weight.shape[0]
        self.encoder.embed_tokens = source
        if "decoder.embed_tokens.weight" in tied:
            self.decoder.embed_tokens = nn.Embedding(size, source.embedding_dim, _weight=source.weight)
        else:
            self.decoder.embed_tokens = self._get_resized_embeddings(
                self.decoder.embed_tokens, size, mean_resizing=mean_resizing
            )
        self._resize_output(size, mean_resizing)
        return self.encoder.embed_tokens

    def resize_source_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Module:
        """Resize the source's matrix. Raises ValueError where both sides share a vocabulary."""
        if self.config.encoder_vocab_size is None:
            raise ValueError("source and target share a vocabulary: resize_token_embeddings resizes it")
        if new_num_tokens is not None or pad_to_multiple_of is not None:
            self.encoder.embed_tokens = self._get_resized_embeddings(
                self.encoder.embed_tokens, new_num_tokens, pad_to_multiple_of, mean_resizing
            )
            self.config.encoder_vocab_size = self.encoder.embed_tokens.weight.shape[0]
        return self.encoder.embed_tokens

    def _resize_target(self, size: int | None, multiple: int | None, mean_resizing: bool) -> nn.Module:
        if size is not None or multiple is not None:
            self.decoder.embed_tokens = self._get_resized_embeddings(
                self.decoder.embed_tokens, size, multiple, mean_resizing
            )
            self._resize_output(self.decoder.embed_tokens.weight.shape[0], mean_resizing)
        return self.decoder.embed_tokens

    def _resize_output(self, size: int, mean_resizing: bool) -> None:
        if "lm_head.weight" in self.tied_names():
            self.lm_head.out_features = size
        else:
            self.lm_head = self._get_resized_lm_head(self.lm_head, size, mean_resizing=mean_resizing)
        if self.output_bias is not None:
            self.output_bias = F.pad(self.output_bias, (0, size - self.output_bias.shape[0]))  # [V]
        self.config.vocab_size = size
        self.tie_weights()

    def source_limit(self, new_tokens: int) -> int:
        return int(self.config.max_position_embeddings)

    def output_limit(self, new_tokens: int) -> int:
        return min(new_tokens, int(self.config.max_position_embeddings))

    def prompts(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(encoded)

    def read_source(self, encoded: Mapping[str, Tensor]) -> dict[str, Any]:
        states = self.encoder(**encoded)
        return {"encoder_outputs": states, "attention_mask": encoded["attention_mask"]}

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
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        decoder_position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Tensor | None = None,
        cache: Any = None,
        segment_ids: Tensor | None = None,
        decoder_segment_ids: Tensor | None = None,
        context_input_ids: Tensor | None = None,
        context_attention_mask: Tensor | None = None,
    ) -> Seq2SeqLMOutput | tuple[Any, ...]:
        """Logits ``[B, T, V]`` for source ids ``[B, S]`` and target ids ``[B, T]``.

        `labels` ``[B, T]`` give the target shifted right, unless decoder inputs are given, and the loss: cross entropy
        (of `log_probabilities` the negative of what the label has),
        mean over labels other than -100 (or their sum over `num_items_in_batch`). `position_ids` and
        `decoder_position_ids` place the tokens; without them real tokens count from zero. `cache` is what transformers
        calls `past_key_values` from 5.24 on. `cache_position` is accepted from transformers 4 and not looked at: the
        cache knows its length. `segment_ids` ``[B, S]`` and
        `decoder_segment_ids` ``[B, T]`` say that rows are packed: tokens of segment 1, 2, ... see, and are placed by,
        their own segment only, and segment 0 is padding (no mask is given then). `context_input_ids` ``[B, C]`` and
        `context_attention_mask` ``[B, C]`` are the second source of a model with a context encoder.
        """
        past_key_values = past_key_values if cache is None else cache
        options = {
            "output_attentions": default_flag(output_attentions, self.config.output_attentions),
            "output_hidden_states": default_flag(output_hidden_states, self.config.output_hidden_states),
        }
        if encoder_outputs is None:
            encoder_outputs = self.encoder(
                input_ids,
                attention_mask,
                inputs_embeds,
                position_ids,
                segment_ids=segment_ids,
                context_input_ids=context_input_ids,
                context_attention_mask=context_attention_mask,
                **options,
            )
        elif not hasattr(encoder_outputs, "last_hidden_state"):
            encoder_outputs = EncoderOutput(*encoder_outputs)
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
            attention_mask,
            past_key_values,
            decoder_inputs_embeds,
            decoder_position_ids,
            segment_ids=decoder_segment_ids,
            encoder_segment_ids=segment_ids,
            context=self._context_of(encoder_outputs),
            encoder_positions=getattr(encoder_outputs, "positions", None),
            **options,
        )
        logits = self._logits(decoded.last_hidden_state)  # [B, T, V]
        if self.output_fusion is not None:
            visible = _visible_source(attention_mask, segment_ids, decoder_segment_ids)
            logits = self._fused(self.output_fusion, logits, decoded.last_hidden_state, encoder_outputs, visible)
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
        """The decoder's last states ``[B, T, D]`` -> ``[B, T, V]``."""
        scaled = states if self.output_scale == 1.0 else states * self.output_scale
        logits: Tensor = self.lm_head(scaled)  # [B, T, V]
        return logits if self.output_bias is None else logits + self.output_bias

    def states_for_fusion(self, encoder_outputs: Any) -> Tensor:
        """``[B, L, S, D]``, or ``[B, 1, S, D]`` where the fusion needs the top only."""
        if not self.encoder.keep_layers:
            return encoder_outputs.last_hidden_state[:, None]  # type: ignore[no-any-return]
        states = getattr(encoder_outputs, "layer_states", None)
        if states is None:
            raise ValueError("this model's fusion reads every encoder layer: pass what its own encoder returned")
        return states  # type: ignore[no-any-return]

    def _context_of(self, encoded: Any) -> Context | None:
        """The second source, where the decoder is to attend to it."""
        states = getattr(encoded, "context_states", None)
        if states is None:
            return None
        return Context(states, encoded.context_mask)

    def _fused(
        self, fusion: OutputFusion, logits: Tensor, states: Tensor, encoded: Any, visible: Tensor | None
    ) -> Tensor:
        """Scores ``[B, T, V]`` of an output fusion."""
        embeddings = getattr(encoded, "source_embeddings", None)
        if embeddings is None:
            raise ValueError(
                "this model's output fusion reads the source embeddings: pass what its own encoder returned"
            )
        last: DecoderLayer = self.decoder.layers[-1]  # type: ignore[assignment]
        return fusion.combine(
            logits,
            decoder_states=states,
            encoder_states=encoded.last_hidden_state,
            source_embeddings=embeddings,
            visible=visible,
            feedforward=last.feedforward,
            project=self._logits,
        )


def _visible_source(mask: Tensor | None, sources: Tensor | None, targets: Tensor | None) -> Tensor | None:
    """Which source tokens each target token may look at: ``[B, 1, S]``, ``[B, T, S]`` of packed rows, or None."""
    if sources is not None and targets is not None:
        return memory_visibility(targets, sources)[:, 0]  # [B, T, S]
    return None if mask is None else mask.bool()[:, None]  # [B, 1, S]
