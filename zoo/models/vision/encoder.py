"""The encoder of images: patches and registers through layers, and what a head or a decoder gets of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.models.attention import kernel_dtype
from zoo.models.configuration import ZooConfig
from zoo.models.encoder import EncoderOutput
from zoo.models.encoding import through_layers
from zoo.models.layers import EncoderLayer
from zoo.models.seeding import own_randomness
from zoo.models.stack import LayerStack
from zoo.models.visibility import Padding, same_segment
from zoo.models.vision.contracts import REGISTER, PatchContext, PatchPosition, place_of
from zoo.models.vision.packing import unpacking
from zoo.spec.model_section import ModelSection

REGISTER_STD = 0.02


@dataclass
class ImageEncoderOutput(EncoderOutput):
    """What the image encoder gives: one row for each image, without its registers unless the decoder sees them.

    `last_hidden_state` ``[M, S, D]`` and `layer_states` ``[M, layers + 1, S, D]`` of M images (the B of the batch, or
    more of packed rows); `memory_mask` ``[M, S]`` says what may be attended to, None where all may. `hidden_states`
    and `attentions` are of the tokens as the layers have them, packed and with registers. `patch_positions`
    ``[M, S, 2]``, `patch_real` and `patch_there` ``[M, S]`` (the patch has a real pixel; is one of the image's grid)
    are there where a head asks for them.
    """

    memory_mask: Tensor | None = None
    patch_positions: Tensor | None = None
    patch_real: Tensor | None = None
    patch_there: Tensor | None = None


class ImageEncoder(LayerStack):
    """Reads patches; every patch sees every patch of its image that the mask leaves, and the image's registers.

    Patches are projected by one matrix (Xavier-uniform, zero bias), which is a convolution with the patch's size and
    stride (Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1). They are not scaled by sqrt(D). Registers (Darcet
    et al. 2024, arXiv:2309.16588) are trained tokens N(0, 0.02^2) without position; each image of a packed row has its
    own copy of them.
    """

    side = "encoder"
    main_input_name = "pixel_values"
    position: PatchPosition

    def __init__(self, config: ZooConfig, section: ModelSection, *, keep_layers: bool, seed: int) -> None:
        super().__init__(config, section)
        image = section.image
        assert image is not None  # the section has seen to it
        self.keep_layers = keep_layers
        self.bare_first_state = False
        """Whether ``layer_states[:, 0]`` is taken before positions are added: the fusion says so."""
        self.keep_places = False
        """Whether the output says which patch stands where: a head reads it."""
        self.mask = image.mask
        self.register_count = image.registers
        self.registers_in_memory = image.registers_in_memory
        with own_randomness(seed, "encoder.patch_projection"):
            pixels = image.channels * image.patch.height * image.patch.width
            self.patch_projection = nn.Linear(pixels, section.d_model)
            nn.init.xavier_uniform_(self.patch_projection.weight)
            nn.init.zeros_(self.patch_projection.bias)
        with own_randomness(seed, "encoder.registers"):
            self.registers = nn.Parameter(torch.empty(image.registers, section.d_model)) if image.registers else None
            if self.registers is not None:
                nn.init.normal_(self.registers, std=REGISTER_STD)
        with own_randomness(seed, "encoder.position"):
            self.position = image.patch_position.create(
                PatchContext(
                    side="encoder",
                    layers=section.encoder_layers,
                    d_model=section.d_model,
                    heads=section.heads,
                    max_positions=section.max_positions,
                    head_width=section.head_dim,
                    registers=image.registers,
                )
            )
        self.embedding_norm = self.make_embedding_norm(section, seed)
        self.make_layers(section, EncoderLayer, seed)

    def forward(
        self,
        pixel_values: Tensor | None = None,
        patch_mask: Tensor | None = None,
        patch_positions: Tensor | None = None,
        patch_grid: Tensor | None = None,
        segments: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> ImageEncoderOutput | tuple[Any, ...]:
        """Patches as `ZooImageProcessor` gives them, and `segments` ``[B, N]`` where rows are packed (`pack`).

        Raises InputError for a grid that leaves the position scheme's table, ValueError for patches without places.
        """
        if pixel_values is None or patch_positions is None or patch_grid is None:
            raise ValueError("the encoder reads images: pixel_values, patch_positions and patch_grid are needed")
        self._check_grid(patch_grid)
        bare = self.patch_projection(pixel_values.to(self.patch_projection.weight.dtype))  # [B, N, D]
        x = self.position.embed(bare, torch.cat((patch_positions, patch_grid), dim=-1))  # [B, N, D]
        belongs, count = segments, 0
        places = place_of(patch_positions)  # [B, N]
        if self.registers is not None:
            images = 1 if segments is None else int(segments.max())
            count = images * self.register_count
            rows = self.registers.to(x.dtype).repeat(images, 1).expand(x.shape[0], -1, -1)  # [B, K*R, D]
            x, bare = torch.cat((rows, x), dim=1), torch.cat((rows, bare), dim=1)  # [B, L, D]
            places = F.pad(places, (count, 0), value=REGISTER)  # [B, L]
            if segments is not None:
                belongs = torch.cat((self._segments_of_registers(segments, images), segments), dim=1)  # [B, L]
        x = F.dropout(self.embedding_norm(x), self.dropout, self.training)  # [B, L, D]
        real = None if patch_mask is None else patch_mask.bool()  # [B, N]
        shown = self._shown(real, pixel_values)  # [B, N] or None
        seen = self._visible(x, shown, belongs, count)
        states: list[Tensor] | None = [x] if self.keep_layers or output_hidden_states else None
        weights: list[Tensor] | None = [] if output_attentions else None
        x = through_layers(self, x, places, seen, states=states, weights=weights)  # [B, L, D]
        drop = 0 if self.registers_in_memory else count
        if shown is not None and count > drop:
            shown = F.pad(shown, (count - drop, 0), value=True)  # registers are there to be seen
        kept = belongs if belongs is None else belongs[:, drop:]  # [B, S]
        index, exists = (None, None) if kept is None else unpacking(kept)  # [M, S] each

        def of_images(tokens: Tensor) -> Tensor:
            """``[B, L, ...]`` -> ``[M, S, ...]``."""
            return _gathered(tokens[:, drop:], index)

        layer_states = None
        if self.keep_layers and states is not None:
            first = bare if self.bare_first_state else states[0]
            layer_states = torch.stack([of_images(item) for item in (first, *states[1:])], dim=1)  # [M, L, S, D]
        output = ImageEncoderOutput(
            last_hidden_state=of_images(x),  # [M, S, D]
            hidden_states=tuple(states or ()) if output_hidden_states else None,
            attentions=None if weights is None else tuple(weights),
            layer_states=layer_states,
            memory_mask=self._memory_mask(shown, index, exists),
        )
        if self.keep_places:
            there = torch.arange(patch_grid.shape[1], device=patch_grid.device) < patch_grid.prod(-1)  # [B, N]
            if exists is not None:
                there = exists
            output.patch_there = there
            output.patch_positions = _gathered(patch_positions, index)  # [M, S, 2]
            output.patch_real = there if real is None else there & _gathered(real, index)  # [M, S]
        return output if return_dict is not False else output.to_tuple()

    def image_of_length(self, tokens: int) -> dict[str, Tensor]:
        """An image of `tokens` patches without pixels, in a grid about as high as it is wide, or as a scheme's table
        lets it be."""
        columns = math.isqrt(tokens - 1) + 1
        limit = self.position.grid_limit
        if limit is not None:
            columns = max(min(columns, limit[1]), -(-tokens // limit[0]))
        rows = -(-tokens // columns)
        weight = self.patch_projection.weight
        index = torch.arange(tokens, device=weight.device)
        return {
            "pixel_values": weight.new_zeros(1, tokens, weight.shape[1]),
            "patch_mask": torch.ones(1, tokens, dtype=torch.bool, device=weight.device),
            "patch_positions": torch.stack((index // columns, index % columns), dim=-1)[None],  # [1, N, 2]
            "patch_grid": torch.tensor([rows, columns], device=weight.device).expand(1, tokens, -1),
        }

    def _check_grid(self, grid: Tensor) -> None:
        """Refuse, with InputError, grids that leave the scheme's table. Reads the device where there is one."""
        limit = self.position.grid_limit
        if limit is None or torch.compiler.is_compiling() or grid.device.type == "meta":
            return
        rows, columns = grid.flatten(0, 1).amax(0).tolist()
        if rows > limit[0] or columns > limit[1]:
            raise InputError(
                f"the patch positions end at a grid of {limit[0]} x {limit[1]} patches, an image has {rows} x "
                f"{columns}: make images smaller (image.input), or the table larger (image.patch_position)"
            )

    def _segments_of_registers(self, segments: Tensor, images: int) -> Tensor:
        """``[B, K*R]``: R registers for each of the K images of the fullest row, 0 where a row has no such image."""
        numbers = torch.arange(1, images + 1, device=segments.device).expand(len(segments), -1)  # [B, K]
        own = numbers * (numbers <= segments.amax(-1, keepdim=True))  # [B, K]
        return own.repeat_interleave(self.register_count, dim=1)

    def _shown(self, real: Tensor | None, like: Tensor) -> Tensor | None:
        """Which patches the mask leaves, ``[B, N]``; None where nothing is hidden."""
        if self.mask == "none":
            return None
        if self.mask == "inverted":
            return torch.zeros(like.shape[:2], dtype=torch.bool, device=like.device) if real is None else ~real
        return Padding.of(real).mask

    def _visible(self, x: Tensor, shown: Tensor | None, belongs: Tensor | None, registers: int) -> Tensor | None:
        """What each of the tokens x ``[B, L, D]`` sees, as attention takes it: ``[B, 1, 1 or L, L]``, or None.

        Where an inverted mask leaves nothing, attention is even over all, as with the lowest number on every logit.
        """
        keys = None if shown is None else F.pad(shown, (registers, 0), value=True)  # [B, L]
        own = None if belongs is None else same_segment(belongs, belongs)  # [B, 1, L, L]
        if keys is None:
            return own
        if self.mask == "inverted":
            dtype = kernel_dtype(x)
            low = torch.finfo(dtype).min
            hidden = torch.zeros(keys.shape, dtype=dtype, device=x.device).masked_fill_(~keys, low / 2)[:, None, None]
            return hidden if own is None else hidden.masked_fill(~own, low)
        if belongs is None:
            keys = keys | ~keys.any(-1, keepdim=True)  # a softmax over nothing would be NaN
            return keys[:, None, None]  # [B, 1, 1, L]
        assert own is not None
        return own & (keys | (belongs == 0))[:, None, None]  # padding sees padding: its output is never used

    def _memory_mask(self, shown: Tensor | None, index: Tensor | None, exists: Tensor | None) -> Tensor | None:
        """``[M, S]``, or None where all of the memory is seen. Where an inverted mask leaves nothing of an image, that
        is all of it."""
        mask = None if shown is None else _gathered(shown, index)
        if exists is not None:
            mask = exists if mask is None else mask & exists
        if mask is None:
            return None
        nothing = ~mask.any(-1, keepdim=True)  # [M, 1]
        return mask | (nothing if exists is None else nothing & exists)  # no `where`: onnxruntime has none of booleans


def _gathered(tokens: Tensor, index: Tensor | None) -> Tensor:
    """``[B, L, ...]`` by indices ``[M, S]`` into the flattened tokens -> ``[M, S, ...]``; as they are without."""
    return tokens if index is None else tokens.flatten(0, 1)[index]
