"""ZooConfig: the configuration file of a saved model, carrying the resolved model section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.models._compat import PretrainedConfig
from zoo.registry import Registry, current_registry
from zoo.registry.needed import refuse_missing_plugins
from zoo.spec import ModelSection, resolve_model

PAD, EOS, BOS, UNK = 0, 1, 2, 3
"""The special ids of every tokenizer that zoo trains; pretrained models have their own. A decoder starts with PAD; BOS
stands between the source and the target of a language model."""


NO_TOKENS: dict[str, None] = dict.fromkeys(("pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id"))
"""The special ids of a model without a vocabulary."""


class ZooConfig(PretrainedConfig):  # type: ignore[misc]
    """What a saved model says about itself.

    `model` is the resolved model section as plain data (component ids and options); `plugins` the distributions that
    bring its components, with the versions it was built with. Widths and depths are read from `model`. `vocab_size` is
    what the model writes; `encoder_vocab_size` what it reads where the source has a vocabulary of its own, else None.
    """

    model_type = "zoo"
    has_no_defaults_at_init = True

    def __init__(
        self,
        model: Mapping[str, Any] | None = None,
        vocab_size: int = 0,
        plugins: Mapping[str, str] | None = None,
        encoder_vocab_size: int | None = None,
        pad_token_id: int | None = PAD,
        eos_token_id: int | None = EOS,
        bos_token_id: int | None = BOS,
        decoder_start_token_id: int | None = PAD,
        **kwargs: Any,
    ) -> None:
        self.model = dict(model or {})
        self.vocab_size = vocab_size
        self.encoder_vocab_size = encoder_vocab_size
        self.plugins = dict(plugins or {})
        of_two_stacks = {"encoder-decoder", "image-to-text"}
        kwargs["is_encoder_decoder"] = self.model.get("architecture", "encoder-decoder") in of_two_stacks
        one_matrix = self.model.get("tie_embeddings", "all") != "none"
        kwargs["tie_word_embeddings"] = one_matrix and self.model.get("architecture") not in {"detector", "generator"}
        super().__init__(
            pad_token_id=pad_token_id,
            eos_token_id=eos_token_id,
            bos_token_id=bos_token_id,
            decoder_start_token_id=decoder_start_token_id,
            **kwargs,
        )

    @property
    def source_vocab_size(self) -> int:
        """Rows of the encoder's embedding matrix."""
        return int(self.vocab_size if self.encoder_vocab_size is None else self.encoder_vocab_size)

    @property
    def hidden_size(self) -> int:
        return int(self.model["d_model"])

    @property
    def num_attention_heads(self) -> int:
        return int(self.model["heads"])

    @property
    def num_hidden_layers(self) -> int:
        """Decoder layers: caches are made for them. Encoder layers where there is no decoder."""
        return int((self.model["decoder"] or self.model["encoder"])["layers"])

    @property
    def max_position_embeddings(self) -> int:
        return int(self.model["max_positions"])

    def section(self, registry: Registry | None = None) -> ModelSection:
        """The model section with its components found in the installed plugins.

        Raises InputError naming each distribution that is not there, and what to install; and where the section is
        not one.
        """
        registry = registry or current_registry()
        refuse_missing_plugins(self.plugins, registry, self.name_or_path or None)
        return resolve_model(self.model, registry)
