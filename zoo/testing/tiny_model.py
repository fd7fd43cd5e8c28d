"""A tiny encoder-decoder with tokenizer and examples, made of the kit's own components: no plugin is needed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from zoo.models import assemble
from zoo.models.contracts import Block, BlockContext, Feedforward, Fusion, Memory, Normalization, Position, Sublayer
from zoo.models.tokenizers import Tokenizers
from zoo.registry import Component, RegisteredComponent, Registry, use_registry
from zoo.registry.discovery import PluginReport, discover
from zoo.spec.model_section import ModelSection
from zoo.spec.options import Options
from zoo.tasks import Example
from zoo.testing.plain import COMPONENTS

DISTRIBUTION = "zoo-testing"
WORDS = ("the", "a", "cat", "dog", "sees", "hears", "red", "old", "house", "tree", ".", ",", '"', "«", "»")
TAG, OTHER_TAG = "<2formal>", "<2plain>"


class Sines(Position):
    """Adds a vector that turns with the position."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        rate = torch.arange(1, self.context.d_model + 1, device=positions.device) / self.context.d_model  # [D]
        return (x + (positions[..., None] * rate).sin()).to(x.dtype)  # [B, L, D]


class LayerNorm(Normalization):
    """torch's."""

    def __init__(self, options: Options, width: int) -> None:
        super().__init__(options, width)
        self.inner = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)  # type: ignore[no-any-return]


class TwoMatrices(Feedforward):
    """Two matrices with a ReLU between."""

    def __init__(self, options: Options, width: int) -> None:
        super().__init__(options, width)
        self.inner = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)  # type: ignore[no-any-return]


class PostNorm(Block):
    """A normalisation behind each residual sum."""

    def __init__(self, options: Options, context: BlockContext) -> None:
        super().__init__(options, context)
        self.norms = nn.ModuleList(context.make_norm() for _ in range(context.sublayers))

    def forward(self, x: Tensor, sublayers: tuple[Sublayer, ...]) -> Tensor:
        for norm, sublayer in zip(self.norms, sublayers, strict=True):
            x = norm(x + sublayer(x))
        return x


class TopLayer(Fusion):
    """The top layer's states."""

    needs_all_layers = False
    shared_by_layers = True

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        top = self.contributions(layer_states, decoder_layer)[-1]  # [B, S, D]
        return Memory(top, top, mask)

    def contributions(self, layer_states: Tensor, decoder_layer: int) -> Tensor:
        top = layer_states[:, -1:].transpose(0, 1)  # [1, B, S, D]
        return torch.zeros_like(top) if self.context.encoder_layers in self.omitted else top


_PARTS = {"position": Sines, "normalization": LayerNorm, "feedforward": TwoMatrices, "block": PostNorm}


def kit_registry() -> Registry:
    """What is installed, and the kit's own components, the plain ones of `zoo.testing.plain` too."""
    found = discover()
    found.reports.append(PluginReport(DISTRIBUTION, "0", "testing", __name__, status="ok"))
    for kind, part in {**_PARTS, "fusion": TopLayer}.items():
        declared = Component(
            kind=kind, name="kit", target=f"{__name__}:{part.__name__}", summary="Of the conformance kit"
        )
        found.components.append(RegisteredComponent(declared, DISTRIBUTION, "0"))
    kinds = Registry(found)
    for declared in COMPONENTS:
        base = kinds.kind(declared.kind).options_base
        found.components.append(RegisteredComponent(declared, DISTRIBUTION, "0", base))
    return Registry(found)


def tiny_model(
    seed: int = 3, architecture: str = "encoder-decoder", components: Mapping[str, str] | None = None
) -> Any:
    """Two layers each side, width 16, over the vocabulary of `tiny_tokenizers`; in evaluation mode.

    `components` are other ones than the kit's, by their slots.
    """
    registry = kit_registry()
    component = f"{DISTRIBUTION}/kit"
    made_of = {**dict.fromkeys((*_PARTS, "fusion"), component), **(components or {})}
    fusion = made_of.pop("fusion")
    of_two_stacks = {"encoder": {"layers": 2}, "fusion": fusion}
    section = ModelSection.model_validate(
        {
            "architecture": architecture,
            "d_model": 16,
            "heads": 2,
            "decoder": {"layers": 2},
            "dropout": 0.1,
            "max_positions": 64,
            **(of_two_stacks if architecture == "encoder-decoder" else {}),
            **made_of,
        },
        context={"registry": registry},
    )
    with use_registry(registry):
        return assemble(section, len(tiny_tokenizers().source), seed=seed).eval()


def tiny_tokenizers() -> Tokenizers:
    """Words between spaces, with the special tokens that every zoo tokenizer has, and two tags."""
    vocabulary = {token: place for place, token in enumerate(("<pad>", "</s>", "<s>", "<unk>", *WORDS))}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in (TAG, OTHER_TAG)])
    return Tokenizers(tokenizer, tokenizer)


def tiny_examples(count: int = 12) -> tuple[Example, ...]:
    """Sentences of four to eleven words, with quotes and punctuation: a third with a tag, a third with a domain."""
    draw = torch.Generator().manual_seed(7)
    made = []
    for number in range(count):
        source, target = (_sentence(draw, 4 + number % 8) for _ in range(2))
        example = Example(id=f"{number}", source=source, target=target)
        if number % 3 == 0:
            example = replace(example, source=f"{TAG} {source}", sentence=source, tag=TAG, domain=TAG.strip("<>"))
        elif number % 3 == 1:
            example = replace(example, domain=OTHER_TAG.strip("<>"))
        made.append(example)
    return tuple(made)


def _sentence(draw: torch.Generator, length: int) -> str:
    return " ".join(WORDS[int(place)] for place in torch.randint(len(WORDS), (length,), generator=draw))
