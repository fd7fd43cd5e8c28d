"""Plain components that fill the slots of the kit's models beside the one that is tested.

They come with the kit and not from a plugin, so that a stranger's component is tested in the same model wherever the
kit runs, and needs no other plugin for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from zoo.images.inputs import ImageInput, Placement
from zoo.models import ZooForCausalLM, ZooForConditionalGeneration, assemble
from zoo.models.base import ZooModel
from zoo.models.contracts import (
    Activation,
    Block,
    BlockContext,
    Feedforward,
    Fusion,
    Memory,
    Normalization,
    Position,
    Sublayer,
)
from zoo.models.vision.contracts import PatchPosition
from zoo.registry import Component, Registry, current_registry, use_registry
from zoo.spec import resolve_model
from zoo.spec.options import Chosen, Options, Slot

DISTRIBUTION = "zoo-testing"
WIDTH, HEADS, VOCABULARY, LONGEST = 16, 2, 23, 32
SECTION: Mapping[str, Any] = {
    "d_model": WIDTH,
    "heads": HEADS,
    "encoder": {"layers": 2},
    "decoder": {"layers": 2},
    "position": f"{DISTRIBUTION}/plain-position",
    "block": f"{DISTRIBUTION}/plain-block",
    "normalization": f"{DISTRIBUTION}/plain-normalization",
    "feedforward": f"{DISTRIBUTION}/plain-feedforward",
    "fusion": f"{DISTRIBUTION}/plain-fusion",
    "dropout": 0.0,
    "max_positions": LONGEST,
}
"""A small model section that only plain components fill."""
IMAGE: Mapping[str, Any] = {
    "input": f"{DISTRIBUTION}/plain-image-input",
    "patch": {"height": 8, "width": 4},
    "patch_position": f"{DISTRIBUTION}/plain-patch-position",
}
"""The image section of a small recogniser that only plain components fill."""


class PlainPosition(Position):
    """Adds sines and cosines of the position (Vaswani et al. 2017, section 3.5)."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        pairs = torch.arange(self.context.d_model // 2, device=x.device)
        angle = positions[..., None] * torch.pow(1e-4, 2 * pairs / self.context.d_model)  # [B or 1, L, D/2]
        return x + torch.cat((angle.sin(), angle.cos()), dim=-1).to(x.dtype)  # [B, L, D]


class PlainBlock(Block):
    """``norm(x + dropout(f(x)))``."""

    def __init__(self, options: Options, context: BlockContext) -> None:
        super().__init__(options, context)
        self.norms = nn.ModuleList(context.make_norm() for _ in range(context.sublayers))
        self.dropout = nn.Dropout(context.dropout)

    def forward(self, x: Tensor, sublayers: tuple[Sublayer, ...]) -> Tensor:
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = norm(x + self.dropout(sublayer(x)))
        return x


class PlainNormalization(Normalization):
    """torch's layer normalisation."""

    def __init__(self, options: Options, width: int) -> None:
        super().__init__(options, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.norm(x)
        return output


class PlainActivation(Activation):
    """``tanh(x)``."""

    def forward(self, x: Tensor) -> Tensor:
        return F.tanh(x)


class PlainFeedforwardOptions(Options):
    """Options of `plain-feedforward`."""

    activation: Annotated[Chosen, Slot("activation")] = Field(
        default=f"{DISTRIBUTION}/plain-activation",  # type: ignore[assignment]  # the slot makes it a component
        description="Non-linearity between the two projections",
    )


class PlainFeedforward(Feedforward):
    """``W2 act(W1 x)``, twice as wide inside."""

    def __init__(self, options: PlainFeedforwardOptions, width: int) -> None:
        super().__init__(options, width)
        self.up = nn.Linear(width, 2 * width)
        self.activation = options.activation.create()
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.down(self.activation(self.up(x)))  # [B, L, D]
        return output


class PlainFusion(Fusion):
    """Every decoder layer reads the encoder's output."""

    needs_all_layers = False
    shared_by_layers = True

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        top = layer_states[:, -1]  # [B, S, D]
        return Memory(top, top, mask)


class PlainImageInput(ImageInput):
    """The image as it is, padded to whole patches."""

    def place(self, height: int, width: int) -> Placement:
        rows, columns = -(-height // self.patch_height), -(-width // self.patch_width)
        return Placement(height, width, rows * self.patch_height, columns * self.patch_width)


class PlainPatchPosition(PatchPosition):
    """Adds sines of the row and cosines of the column."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        rates = torch.pow(1e-2, torch.arange(x.shape[-1], device=x.device) / x.shape[-1])  # [D]
        row, column = positions[..., :1] * rates, positions[..., 1:2] * rates  # [B, N, D] each
        return x + (row.sin() + column.cos()).to(x.dtype)


COMPONENTS = tuple(
    Component(
        kind=kind,
        name=f"plain-{kind}",
        target=f"{__name__}:Plain{kind.title().replace('-', '')}",
        options=f"{__name__}:PlainFeedforwardOptions" if kind == "feedforward" else None,
        summary=f"The {kind} that the conformance kit's models have unless they test another",
        traits={"where": "embedding"} if kind.endswith("position") else {},
    )
    for kind in (
        "position",
        "block",
        "normalization",
        "activation",
        "feedforward",
        "fusion",
        "image-input",
        "patch-position",
    )
)


def with_plain_components(registry: Registry | None = None) -> Registry:
    """`registry` (the current one where absent) and the plain components, named ``zoo-testing/plain-KIND``."""
    return (registry or current_registry()).plus(DISTRIBUTION, "0", __name__, COMPONENTS)


def plain_model(*, vocabulary: int = VOCABULARY, seed: int = 5, **changes: Any) -> ZooForConditionalGeneration:
    """A small untrained model of plain components, but for `changes` of `SECTION`; in training mode, as assembled."""
    with use_registry(with_plain_components()):
        return assemble(resolve_model({**SECTION, **changes}), vocabulary, seed=seed)


def plain_language_model(architecture: str, **changes: Any) -> ZooForCausalLM:
    """The same as a language model: of `SECTION` and `changes` what its one stack has."""
    section = {name: item for name, item in {**SECTION, **changes}.items() if name not in {"encoder", "fusion"}}
    with use_registry(with_plain_components()):
        return assemble(resolve_model({**section, "architecture": architecture}), VOCABULARY, seed=5)


def plain_image_model(architecture: str = "image-to-text", *, seed: int = 5, **image: Any) -> ZooModel:
    """The same as a recogniser, an untrained one; `image` are changes of `IMAGE`."""
    lacks = {"decoder", "position", "fusion"} if architecture == "image-ctc" else set()
    section = {name: item for name, item in SECTION.items() if name not in lacks}
    made = {**section, "architecture": architecture, "image": {**IMAGE, **image}}
    with use_registry(with_plain_components()):
        return assemble(resolve_model(made), VOCABULARY, seed=seed)
