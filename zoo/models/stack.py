"""What encoder and decoder have in common: token embeddings, a position scheme, layers, a last normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.models._compat import GradientCheckpointingLayer
from zoo.models.configuration import ZooConfig
from zoo.models.contracts import Initialization, Position, Side, StackContext
from zoo.models.initialization import initialise
from zoo.models.layers import norm_maker
from zoo.models.seeding import own_randomness
from zoo.models.visibility import segment_positions
from zoo.spec.model_section import ModelSection


class LayerStack(nn.Module):
    """Layers of one width with a position scheme in front of them, whatever is embedded.

    Components initialise themselves; then section.initialization, where there is one, has the matrices of the layers.
    """

    side: Side
    position: Position
    layers: nn.ModuleList
    final_norm: nn.Module

    def __init__(self, config: ZooConfig, section: ModelSection) -> None:
        super().__init__()
        self.config = config
        self.dropout = section.dropout
        self._attention_dropout = section.attention_dropout

    def make_embedding_norm(self, section: ModelSection, seed: int) -> nn.Module:
        """What normalises embeddings with their positions, where the section asks for it."""
        with own_randomness(seed, f"{self.side}.embedding_norm"):
            return norm_maker(section)() if section.embedding_norm else nn.Identity()

    def make_layers(
        self, section: ModelSection, make_layer: Callable[[ModelSection, int], GradientCheckpointingLayer], seed: int
    ) -> None:
        """Make the layers and the last normalisation, each drawn from a generator of its own."""
        self.layers = nn.ModuleList()
        for index in range(section.stack(self.side).layers):
            with own_randomness(seed, f"{self.side}.layers.{index}"):
                self.layers.append(make_layer(section, index))
        self._initialise(section, seed)
        with own_randomness(seed, f"{self.side}.final_norm"):
            normalise = section.block.load().final_norm
            self.final_norm = norm_maker(section)() if normalise else nn.Identity()

    def _initialise(self, section: ModelSection, seed: int) -> None:
        if section.initialization is None:
            return
        initialization: Initialization = section.initialization.create()
        for index, layer in enumerate(self.layers):
            place = f"{self.side}.layers.{index}"
            initialise(layer, initialization, section, self.side, index, seed=seed, place=place)

    @property
    def attention_dropout(self) -> float:
        """Dropout on attention weights in this pass."""
        return self._attention_dropout if self.training else 0.0

    @property
    def checkpointing(self) -> bool:
        """Whether layers are recomputed in the backward pass."""
        return self.training and any(layer.gradient_checkpointing for layer in self.layers)

    def schemes(self) -> list[Position]:
        """The position scheme as each layer uses it."""
        return [self.position.layer(index) for index in range(len(self.layers))]


class Stack(LayerStack):
    """One stack of layers over embedded tokens.

    Token embeddings start as N(0, std), std = section.embedding_std or D^-0.5.
    """

    def __init__(
        self,
        config: ZooConfig,
        section: ModelSection,
        make_layer: Callable[[ModelSection, int], GradientCheckpointingLayer],
        seed: int,
    ) -> None:
        super().__init__(config, section)
        self.width = section.d_model
        self.scale = math.sqrt(section.d_model) if section.scale_embeddings else 1.0
        self.word_dropout = section.word_dropout
        with own_randomness(seed, f"{self.side}.embed_tokens"):
            rows = config.source_vocab_size if self.side == "encoder" else config.vocab_size
            self.embed_tokens = nn.Embedding(rows, section.d_model)
            initialise_embedding(self.embed_tokens.weight, section)
        with own_randomness(seed, f"{self.side}.position"):
            self.position = section.position_of(self.side).create(
                StackContext(
                    side=self.side,
                    layers=section.stack(self.side).layers,
                    d_model=section.d_model,
                    heads=section.heads,
                    max_positions=section.max_positions,
                    head_width=section.head_dim,
                    prefix=section.architecture == "prefix-lm",
                )
            )
        self.embedding_norm = self.make_embedding_norm(section, seed)
        self.make_layers(section, make_layer, seed)

    def embed(self, tokens: Tensor | None, embedded: Tensor | None, positions: Tensor) -> Tensor:
        """Scaled, placed and dropped-out embeddings ``[B, L, D]`` of token ids ``[B, L]`` or of vectors given as such.

        Raises ValueError unless exactly one of the two is given.
        """
        if (tokens is None) == (embedded is None):
            raise ValueError(f"the {self.side} takes either token ids or embeddings")
        return self.place(self.scaled(self.embed_tokens(tokens) if embedded is None else embedded), positions)

    def scaled(self, embedded: Tensor) -> Tensor:
        """Token embeddings ``[B, L, D]`` as they meet the position scheme."""
        return embedded if self.scale == 1.0 else embedded * self.scale

    def place(self, x: Tensor, positions: Tensor) -> Tensor:
        """Scaled embeddings ``[B, L, D]`` with their positions, dropped out: what enters the first layer.

        Word dropout leaves out a token's whole embedding and not its position (Sennrich et al. 2016, arXiv:1606.02891).
        """
        if self.training and self.word_dropout:
            x = F.dropout1d(x, self.word_dropout)  # [B, L, D]
        placed = self.embedding_norm(self.position.embed(x, positions))  # [B, L, D]
        return F.dropout(placed, self.dropout, self.training)

    def check_positions(self, length: int, given: Tensor | None) -> None:
        """Refuse, with InputError, `length` tokens (or given positions) that leave the scheme's table."""
        limit = self.position.position_limit
        if limit is None:
            return
        # Positions that a caller chose are looked at; those the model counts stay below the length.
        needed = length if given is None else max(length, int(given.max()) + 1)
        if needed > limit:
            raise InputError(
                f"the {self.side}'s position scheme ends at {limit} positions, the sequence needs {needed}: "
                "shorten it, or train with a larger model.max_positions"
            )

    def placed(self, length: int, given: Tensor | None, segments: Tensor | None) -> Tensor | None:
        """Positions that are not just counted: those `given`, or those of packed rows by their `segments` ``[B, L]``.

        Raises InputError for `length` tokens, or for these positions, where they leave the scheme's table.
        """
        if segments is None:
            self.check_positions(length, given)
            return given
        positions = segment_positions(segments) if given is None else given
        self.check_positions(1, positions)  # a row may be longer than the table: its segments may not
        return positions


def initialise_embedding(weight: Tensor, section: ModelSection) -> None:
    """Draw rows of an embedding or output matrix ``[V, D]``."""
    nn.init.normal_(weight, std=section.embedding_std or section.d_model**-0.5)
