"""Reading a second source, and the controls that show what it is good for (Li et al. 2020, arXiv:2005.03393)."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models.attention import CrossAttention
from zoo.models.configuration import ZooConfig
from zoo.models.contracts import Context, ContextPlace
from zoo.models.encoding import through_layers
from zoo.models.layers import EncoderLayer, make_attention, make_block, norm_maker
from zoo.models.stack import Stack
from zoo.models.visibility import Padding
from zoo.spec.context import ContextOptions
from zoo.spec.model_section import ModelSection

_NOISE_SEED = 20200503


class ContextStack(Stack):
    """Layers of the context's own, over the encoder's token embeddings."""

    side = "encoder"

    def __init__(self, config: ZooConfig, section: ModelSection, options: ContextOptions, seed: int) -> None:
        layers = options.layers or section.encoder_layers
        encoder = section.stack("encoder").model_copy(update={"layers": layers})
        # Another seed: the places of a stack name no encoder, and two stacks would begin with the same weights.
        super().__init__(config, section.model_copy(update={"encoder": encoder}), EncoderLayer, seed + 1)
        del self.embed_tokens  # the encoder's are used


def has_own_stack(options: ContextOptions) -> bool:
    """Whether the context is read by layers of its own. Of noise nothing is read."""
    return options.share == "embeddings" and options.context != "gaussian"


def place_of(section: ModelSection) -> ContextPlace:
    """The place a context encoder is built for."""
    return ContextPlace(
        d_model=section.d_model,
        heads=section.heads,
        decoder_layers=section.decoder_layers,
        bias=section.bias,
        dropout=section.dropout,
        attention_dropout=section.attention_dropout,
        make_norm=norm_maker(section),
        make_attention=lambda layer: make_attention(CrossAttention, section, layer),
        make_feedforward=lambda: section.feedforward.create(section.d_model),
        # On top of the encoder: made as its last layer is.
        make_block=lambda sublayers: make_block(section, "encoder", section.encoder_layers - 1, sublayers),
    )


class ContextReader:
    """Reads context ids with the encoder `owner`'s embeddings, as the options of the spec's context encoder say.

    It has no weights: these are the owner's, and those of `owner.context_stack`.
    """

    def __init__(self, options: ContextOptions, width: int, max_positions: int) -> None:
        self.options = options
        self.width = width
        self.max_positions = max_positions

    def read(
        self, owner: Stack, own: Stack, ids: Tensor | None, mask: Tensor | None, *, training: bool
    ) -> Context | None:
        """Context ids ``[B, C]`` with their mask ``[B, C]`` (nonzero = real) -> states of the stack `own`.

        None where nothing is read: no ids, or a control that has none to give.
        """
        control = self.options.context
        if ids is None or (control == "ignored" and not training):
            return None
        padding = Padding.of(mask)
        real = padding.mask
        if control == "gaussian":
            states = self._noise(owner.embed_tokens.weight, ids, fresh=training)  # [B, C, D]
        else:
            positions = own.placed(ids.shape[1], None, None)
            if positions is None:
                positions = padding.positions(ids.shape[1], ids.device)
            seen = None if real is None else (real | ~real.any(-1, keepdim=True))[:, None, None]  # [B, 1, 1, C]
            x = own.place(owner.scaled(owner.embed_tokens(ids)), positions)  # [B, C, D]
            states = through_layers(own, x, positions, seen, consecutive=not padding.gaps)  # [B, C, D]
        if control == "shuffled":
            if len(ids) == 1:
                return None  # a batch of one holds no other context
            shift = int(torch.randint(1, len(ids), ())) if training else 1
            states = states.roll(shift, 0)  # [B, C, D]
            real = None if real is None else real.roll(shift, 0)  # [B, C]
        return Context(states, real)

    def _noise(self, like: Tensor, ids: Tensor, *, fresh: bool) -> Tensor:
        """Noise ``[B, C, D]``: in training drawn anew, afterwards one draw by position, the same for every example."""
        batch, length = ids.shape
        if fresh:
            return torch.randn(batch, length, self.width, device=like.device, dtype=like.dtype) * self.options.noise
        rows = -(-max(length, self.max_positions) // 16) * 16  # so many that a longer draw begins like a shorter one
        table = torch.randn(rows, self.width, generator=torch.Generator().manual_seed(_NOISE_SEED))  # [N, D]
        return table[:length].to(like).mul(self.options.noise).expand(batch, -1, -1)  # [B, C, D]
