"""How much of what a decoder reads comes from the source, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.probes.batches import ProbeBatch, real
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.probes.reading import encoder_of, is_sequence, self_attention
from zoo_probes.options import SourceMassOptions

OWN = ("self_attention", "self_attn", "SelfAttention")
CROSS = ("cross_attention", "encoder_attn", "EncDecAttention")
"""What the modules are called here and in transformers' BART, Marian and T5."""


class SourceMass(Probe):
    """The share of the source in what a decoder's attention reads, by target step.

    In an encoder-decoder, for a target token and layer: ||c|| / (||c|| + ||s||), where c is the output of
    cross-attention and s that of self-attention, both after their output matrices. In a language model: the attention
    mass, mean over heads, on the tokens before the separator, where the token is predicted. Both are means over layers
    and target tokens, and do not compare with each other. Attention that degenerates with the length of the target
    shows as a falling line (Fu et al. 2023, arXiv:2304.04052). Norms and masses are a coarse reading: relevance that
    is conserved through the layers is Voita et al.'s (2021, arXiv:2010.10907).
    """

    options: SourceMassOptions

    def accept(self, model: Any) -> None:
        if not is_sequence(model):
            encoder_of(model, "source-mass")
        if not is_sequence(model) and not _pairs(model):
            raise InputError(f"the probe 'source-mass' does not know the attention modules of {type(model).__name__}")

    def measure(self, context: ProbeContext) -> ProbeResult:
        sums: Tensor | None = None  # [layers, T]
        counts: Tensor | None = None  # [T]
        for batch in context.batches():
            shown = real(batch.labels)  # [B, T]
            found = _masses(context.model, batch) if is_sequence(context.model) else _ratios(context.model, batch)
            shares = found.mul(shown).sum(dim=1).cpu()  # [layers, T]
            sums, counts = _added(sums, shares), _added(counts, shown.sum(dim=0).double().cpu()[None])
        if sums is None or counts is None or not counts.any():
            return ProbeResult()
        by_layer = (sums.sum(dim=1) / counts.sum()).tolist()
        steps = min(self.options.steps, int(counts[0].gt(0).sum()))
        by_step = (sums.mean(dim=0)[:steps] / counts[0, :steps]).tolist()
        unit = "share of the source"
        return ProbeResult(
            {"source_share": sum(by_layer) / len(by_layer)},
            {
                "by_step": Series("target step", unit, tuple(range(steps)), {"mean over layers": by_step}),
                "by_layer": Series(
                    "decoder layer", unit, tuple(range(1, len(by_layer) + 1)), {"mean over target tokens": by_layer}
                ),
            },
        )


def _masses(model: Any, batch: ProbeBatch) -> Tensor:
    """Of a language model: attention mass on the source where each target token is predicted, ``[layers, B, T]``."""
    tokens, of_source, asking = sequences(batch, model.config.pad_token_id)
    found = []
    for weights in self_attention(model, {"input_ids": tokens}):  # [B, H, L, L]
        mass = weights.double().mean(dim=1).mul(of_source[:, None]).sum(dim=-1)  # [B, L]
        found.append(mass.gather(1, asking))  # [B, T]
    return torch.stack(found)  # [layers, B, T]


def sequences(batch: ProbeBatch, pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Source without its end, separator and target as one sequence, padded on the right.

    Returns token ids ``[B, L]``, which of them are source ``[B, L]``, and where each label is predicted ``[B, T]``.
    """
    source = batch.attention_mask.sum(dim=1, keepdim=True) - 1  # [B, 1]
    target = batch.decoder_input_ids  # [B, T]
    places = torch.arange(int(source.max()) + target.shape[1], device=target.device)[None]  # [1, L]
    of_source = places < source  # [B, L]
    steps = places - source  # [B, L]
    before = batch.input_ids.gather(1, places.clamp_max(batch.input_ids.shape[1] - 1).expand_as(steps))  # [B, L]
    after = target.gather(1, steps.clamp(0, target.shape[1] - 1))  # [B, L]
    tokens = torch.where(of_source, before, after).masked_fill(steps >= target.shape[1], pad)  # [B, L]
    asking = source + torch.arange(target.shape[1], device=target.device)  # [B, T]
    return tokens, of_source, asking


def _ratios(model: Any, batch: ProbeBatch) -> Tensor:
    """Of an encoder-decoder: the share of cross-attention's norm for each target token, ``[layers, B, T]``."""
    with _norms(_pairs(model)) as norms:
        model(**batch.inputs(), use_cache=False)
    own, cross = (torch.stack(part) for part in norms)  # [layers, B, T] each
    return source_share(cross, own)


def source_share(cross: Tensor, own: Tensor) -> Tensor:
    """``cross / (cross + own)`` of norms, 0 where both are."""
    total = cross + own
    return torch.where(total > 0, cross / total, total)


def _added(sums: Tensor | None, more: Tensor) -> Tensor:
    """Sums over batches ``[*, T]`` whose targets differ in length."""
    if sums is None:
        return more
    length = max(sums.shape[1], more.shape[1])
    padded = [nn.functional.pad(part, (0, length - part.shape[1])) for part in (sums, more)]  # [*, T] each
    return padded[0] + padded[1]


def _pairs(model: Any) -> list[tuple[nn.Module, nn.Module]]:
    """Self- and cross-attention of each decoder layer."""
    named = [(name.rpartition(".")[2], module) for name, module in model.get_decoder().named_modules()]
    own = [module for name, module in named if name in OWN]
    cross = [module for name, module in named if name in CROSS]
    return list(zip(own, cross, strict=True)) if len(own) == len(cross) else []


@contextmanager
def _norms(pairs: list[tuple[nn.Module, nn.Module]]) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Inside the block each pass notes the norms ``[B, T]`` of both outputs of each layer, in float64."""
    own: list[Tensor] = []
    cross: list[Tensor] = []

    def note(into: list[Tensor]) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple) else output  # [B, T, D]
            into.append(torch.linalg.vector_norm(tensor.double(), dim=-1))  # [B, T]

        return hook

    with ExitStack() as stack:
        for first, second in pairs:
            for module, into in ((first, own), (second, cross)):
                stack.callback(module.register_forward_hook(note(into)).remove)
        yield own, cross
