"""ZooForCausalLM: one stack and an output matrix as one transformers model; causal-lm and prefix-lm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessorList
from transformers.modeling_outputs import CausalLMOutputWithPast

from zoo.errors import InputError
from zoo.models._compat import CACHE, new_self_attention_cache
from zoo.models.backends import backend_name
from zoo.models.base import IGNORED, ZooModel, default_flag, refuse_other_architecture
from zoo.models.configuration import ZooConfig
from zoo.models.language_stack import LanguageStack
from zoo.models.prefix import prefix_of
from zoo.models.repetition import of_output
from zoo.models.seeding import own_randomness
from zoo.models.stack import initialise_embedding


class ZooForCausalLM(ZooModel):
    """A language model assembled from registered components.

    It reads the source, a separator (the bos token), then writes the target and eos. In a ``causal-lm`` every token
    sees what stands before it; in a ``prefix-lm`` the source's tokens also see each other. Initialisation as in
    `ZooForConditionalGeneration`, whose decoder shares with this one the initial weights of the parts they both have.
    """

    arrangement = "sequence"
    _no_split_modules = ["LanguageLayer"]  # noqa: RUF012 - transformers' own habit

    def __init__(self, config: ZooConfig) -> None:
        section = config.section()
        refuse_other_architecture(config, section, ("causal-lm", "prefix-lm"), "AutoModelForCausalLM")
        if config.encoder_vocab_size is not None:
            raise InputError(
                f"a {section.architecture} reads and writes with one vocabulary, not with one of the source's own",
                where=config.name_or_path or None,
            )
        if config._attn_implementation is None:
            config._attn_implementation = backend_name(section.attention)
        super().__init__(config)
        seed = int(torch.randint(2**62, (), device="cpu"))
        self.reads_prefix = section.architecture == "prefix-lm"
        """Whether the tokens before the separator see each other in both directions."""
        self.decoder = LanguageStack(config, section, seed=seed)
        self.lm_head = nn.Linear(section.d_model, config.vocab_size, bias=False)
        with own_randomness(seed, "lm_head"):
            initialise_embedding(self.lm_head.weight, section)
        self.generation_config = GenerationConfig(
            pad_token_id=config.pad_token_id, eos_token_id=config.eos_token_id, bos_token_id=config.bos_token_id
        )
        tied = section.tie_embeddings != "none"
        self._tied_weights_keys = {"lm_head.weight": "decoder.embed_tokens.weight"} if tied else {}
        for module in self.modules():
            module._is_hf_initialized = True  # each part has initialised itself; `_init_weights` must not again
        self.post_init()

    @property
    def separator(self) -> int:
        """The token between source and target."""
        return int(self.config.bos_token_id)

    def get_input_embeddings(self) -> nn.Module:
        return self.decoder.embed_tokens

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.decoder.embed_tokens = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        cache_position: Tensor | None = None,
        cache: Any = None,
        logits_to_keep: int | Tensor = 0,
        segment_ids: Tensor | None = None,
        prefix_mask: Tensor | None = None,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Logits ``[B, L, V]`` for token ids ``[B, L]`` after those that the cache holds.

        `labels` ``[B, L]`` are the ids themselves, -100 where no loss is wanted, and give the loss: cross entropy of
        each token under its left neighbour's logits, mean over labels (or their sum over `num_items_in_batch`).
        `logits_to_keep`: of the last so many tokens alone, or of those at the given places; 0 is all. `position_ids`
        place the tokens; without them real tokens count from zero. `cache` is what transformers calls `past_key_values`
        from 5.24 on; `cache_position` is accepted from transformers 4 and not looked at. `segment_ids` ``[B, L]`` say
        that rows are packed: tokens of segment 1, 2, ... see, and are placed by, their own segment only, and segment 0
        is padding (no mask is given then). `prefix_mask` ``[B, L]`` says which tokens of a prefix-lm are prefix:
        without it, those before the first separator. A prefix is read whole, with an empty cache.
        """
        past_key_values = past_key_values if cache is None else cache
        if labels is not None:
            use_cache = False
        if past_key_values is None and (use_cache if use_cache is not None else not self.training):
            past_key_values = new_self_attention_cache()
        decoded = self.decoder(
            input_ids,
            attention_mask,
            past_key_values,
            inputs_embeds,
            position_ids,
            output_attentions=default_flag(output_attentions, self.config.output_attentions),
            output_hidden_states=default_flag(output_hidden_states, self.config.output_hidden_states),
            segment_ids=segment_ids,
            prefix_mask=self._prefix(input_ids, segment_ids, prefix_mask, past_key_values),
        )
        hidden = decoded.last_hidden_state  # [B, L, D]
        if not isinstance(logits_to_keep, int):
            hidden = hidden[:, logits_to_keep]
        elif logits_to_keep:
            hidden = hidden[:, -logits_to_keep:]  # [B, kept, D]
        logits = self.lm_head(hidden)  # [B, kept, V]
        output = CausalLMOutputWithPast(
            loss=None if labels is None else self._loss(logits[:, :-1], labels[:, 1:], num_items_in_batch),
            logits=logits,
            **{CACHE: past_key_values},
            hidden_states=decoded.hidden_states,
            attentions=decoded.attentions,
        )
        return output if default_flag(return_dict, self.config.return_dict) else output.to_tuple()

    def _prefix(
        self, tokens: Tensor | None, segments: Tensor | None, given: Tensor | None, cache: Any
    ) -> Tensor | None:
        """The prefix tokens ``[B, L]`` of this pass; None where no token sees a later one."""
        if not self.reads_prefix:
            if given is not None:
                raise ValueError("prefix_mask: a causal-lm has no prefix")
            return None
        if given is not None:
            return given
        going_on = cache is not None and cache.get_seq_length() > 0
        # A lone token sees itself in any case; vectors do not say which of them is the separator.
        if going_on or tokens is None or tokens.shape[1] == 1:
            return None
        return prefix_of(tokens, self.separator, segments)

    def prompts(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sources ``[B, S]`` as `generate` continues them: ended by the separator, and padded on the left."""
        input_ids = encoded["input_ids"]  # [B, S]
        length = input_ids.shape[1]
        lengths = encoded["attention_mask"].sum(dim=-1, keepdim=True)  # [B, 1]
        closed = input_ids.scatter(1, lengths - 1, self.separator)  # [B, S]
        places = torch.arange(length, device=input_ids.device) - (length - lengths)  # [B, S], negative: padding
        mask = places >= 0
        moved = closed.gather(1, places.clamp_min(0)).masked_fill(~mask, self.config.pad_token_id)  # [B, S]
        return {"input_ids": moved, "attention_mask": mask.long()}

    def read_source(self, encoded: Mapping[str, Tensor]) -> dict[str, Any]:
        prompt: dict[str, Any] = self.prompts(encoded)
        source, mask = prompt["input_ids"][:, :-1], prompt["attention_mask"][:, :-1]  # [B, S - 1]
        if not source.shape[1]:
            return prompt
        cache = new_self_attention_cache()
        self.decoder(source, mask, cache, prefix_mask=mask if self.reads_prefix else None)
        return {**prompt, CACHE: cache}

    def written(self, sequences: Tensor, inputs: dict[str, Any]) -> Tensor:
        return sequences[:, inputs["input_ids"].shape[1] - 1 :]  # [B, 1 + T]

    def target_logits(self, encoded: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        prompt = self.prompts(encoded)
        before = labels[:, :-1]  # [B, T - 1]
        real = before != IGNORED
        tokens = torch.cat((prompt["input_ids"], before.masked_fill(~real, self.config.pad_token_id)), dim=1)
        mask = torch.cat((prompt["attention_mask"], real.long()), dim=1)  # [B, S + T - 1]
        logits: Tensor = self(tokens, mask, use_cache=False, logits_to_keep=labels.shape[1]).logits  # [B, T, V]
        return logits

    def source_limit(self, new_tokens: int) -> int:
        # Source and target share the positions; a target that might take all leaves the source one half.
        positions = int(self.config.max_position_embeddings)
        return positions - min(new_tokens, positions // 2)

    def output_limit(self, new_tokens: int) -> int:
        return min(new_tokens, self.source_limit(new_tokens))

    def prepare_inputs_for_generation(self, input_ids: Tensor, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """As transformers'; a prefix mask that was given is for the pass that reads the prompt."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, *args, **kwargs)
        prefix = inputs.get("prefix_mask")
        if prefix is not None:
            cache, missing = inputs.get(CACHE), input_ids.shape[1] - prefix.shape[1]
            going_on = cache is not None and cache.get_seq_length() > 0
            inputs["prefix_mask"] = None if going_on else nn.functional.pad(prefix, (0, missing))
        return inputs

    def _get_logits_processor(
        self, generation_config: GenerationConfig, input_ids_seq_length: int | None = None, **kwargs: Any
    ) -> LogitsProcessorList:
        """As transformers', but repetition is looked for in the output alone, as in an encoder-decoder: what the source
        says may be said again. The last token of the prompt, the separator, begins the output."""
        found = super()._get_logits_processor(generation_config, input_ids_seq_length, **kwargs)
        given = kwargs.get("logits_processor") or ()
        start = max(0, (input_ids_seq_length or 0) - 1)
        return LogitsProcessorList(item if item in given else of_output(item, start) for item in found)

    def _expand_inputs_for_generation(
        self, expand_size: int = 1, is_encoder_decoder: bool = False, input_ids: Tensor | None = None, **kwargs: Any
    ) -> Any:
        # transformers repeats tensors for the beams, but not what `read_source` has put into a cache.
        cache = kwargs.get(CACHE)
        if expand_size > 1 and cache is not None and cache.get_seq_length() > 0:
            cache.batch_repeat_interleave(expand_size)
        return super()._expand_inputs_for_generation(
            expand_size=expand_size, is_encoder_decoder=is_encoder_decoder, input_ids=input_ids, **kwargs
        )
