"""`zoo show SPEC`: what the model of a spec holds and computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.output import print_json, print_table
from zoo.errors import InputError, did_you_mean
from zoo.spec import Chosen, Spec, load_cells
from zoo.spec.peer_spec import refuse_peer
from zoo.tasks import TokenizerSource, TokenizerTrainer

if TYPE_CHECKING:
    from zoo.models.flops import ForwardFlops, ParameterCounts


@dataclass(frozen=True)
class Sizes:
    """What a model is counted with; a vocabulary of None is what the spec's tokenizer is asked to make."""

    source_tokens: int
    target_tokens: int
    context_tokens: int
    vocabulary: int | None
    source_vocabulary: int | None


@dataclass(frozen=True)
class Counted:
    """The model of one cell, counted."""

    spec: Spec
    vocabulary: int
    source_vocabulary: int | None
    """Of a vocabulary of the source's own."""
    estimated: bool
    """Whether a vocabulary is what a tokenizer is asked to make, not one that was made."""
    parameters: ParameterCounts
    flops: ForwardFlops

    def plain(self) -> dict[str, Any]:
        parameters, flops = self.parameters, self.flops
        return {
            "name": self.spec.name,
            "architecture": self.spec.model.architecture,
            "vocabulary": self.vocabulary,
            "source_vocabulary": self.source_vocabulary,
            "vocabulary_estimated": self.estimated,
            "parameters": {
                "total": parameters.total,
                "embedding": parameters.embedding,
                "non_embedding": parameters.non_embedding,
                "parts": parameters.parts,
            },
            "flops": {
                "source_tokens": flops.source_tokens,
                "target_tokens": flops.target_tokens,
                "context_tokens": flops.context_tokens,
                "forward": flops.total,
                "forward_per_token": flops.per_token,
                "training": flops.training,
                "parts": flops.parts,
            },
        }


def show_model(path: Path, sets: Sequence[str], cell: str | None, sizes: Sizes, *, as_json: bool) -> None:
    """Print parameters and operations of every cell of a spec, or of one. Builds each model; trains no tokenizer."""
    cells = load_cells(path, sets)
    chosen = [item.spec for item in cells if cell is None or item.label == cell]
    if not chosen:
        labels = [item.label for item in cells if item.label]
        known = did_you_mean(str(cell), labels) if labels else "the spec has no grid, and one cell: leave --cell out"
        raise InputError(f"--cell '{cell}': {known}", where=str(path))
    counted = [count(spec, sizes) for spec in chosen]
    if as_json:
        print_json([item.plain() for item in counted])
    elif len(counted) == 1:
        _print_parts(counted[0])
    else:
        _print_rows(counted)


def count(spec: Spec, sizes: Sizes) -> Counted:
    """Assemble the model of a spec and count."""
    refuse_peer(spec)
    if spec.model.finds_boxes:
        raise InputError(
            "what a detector computes depends on its images, and is not counted here: 'zoo build' says its parameters",
            where=spec.name,
        )
    if spec.model.makes_images:
        raise InputError(
            "what a generator computes depends on the size of its task's images, and is not counted here: 'zoo bench' "
            "records its parameters and how often an image takes its network",
            where=spec.name,
        )
    from zoo.models import assemble
    from zoo.models.flops import forward_flops, parameter_counts

    target, source, estimated = _vocabularies(spec, sizes)
    model = assemble(spec.model, target, source_vocabulary_size=source, seed=spec.seed, spec=spec)
    lengths = (sizes.source_tokens, sizes.target_tokens, sizes.context_tokens)
    flops = forward_flops(model, *lengths, source_loss=spec.training.source_loss)
    return Counted(spec, target, source, estimated, parameter_counts(model), flops)


def _vocabularies(spec: Spec, sizes: Sizes) -> tuple[int, int | None, bool]:
    """Tokens of the target (or of both sides), of a source with a vocabulary of its own, and whether one is a guess."""
    from zoo.training.preparation import takes_pretrained_tokenizer

    pretrained = spec.model.pretrained if takes_pretrained_tokenizer(spec) else None
    apart = spec.target_tokenizer is not None if pretrained is None else pretrained.decoder_vocab_size is not None
    target, source = sizes.vocabulary, sizes.source_vocabulary
    if source is not None and not apart:
        raise InputError("--source-vocabulary: source and target of this spec share a vocabulary", where="zoo show")
    if pretrained is not None:
        target = target or pretrained.decoder_vocab_size or pretrained.vocab_size
        return target, (source or pretrained.vocab_size) if apart else None, False
    estimated = target is None or (apart and source is None)
    if target is None:
        target = _asked_for(spec.target_tokenizer or spec.tokenizer, "--vocabulary")
    if apart and source is None:
        source = _asked_for(spec.tokenizer, "--source-vocabulary")
    return target, source, estimated


def _asked_for(tokenizer: Chosen, option: str) -> int:
    """Tokens that a tokenizer is to make. Raises InputError where its options do not say."""
    source: TokenizerSource = tokenizer.create()
    size = source.asked_for if isinstance(source, TokenizerTrainer) else None
    if size is None:
        raise InputError(
            f"tokenizer '{tokenizer.id}' does not say how many tokens it makes: give {option} N", where="zoo show"
        )
    return size


def _print_parts(item: Counted) -> None:
    parameters, flops = item.parameters, item.flops
    click.echo(f"{item.spec.name} ({item.spec.model.architecture})")
    click.echo(_vocabulary(item))
    click.echo("")
    rows = [("parameters", f"{parameters.total:,}")]
    rows += [("  token matrices", f"{parameters.embedding:,}"), ("  all else", f"{parameters.non_embedding:,}")]
    rows += [(f"FLOPs of {_lengths(flops)} tokens", f"{flops.total:,}")]
    rows += [("  a token", f"{flops.per_token:,.0f}"), ("  training, 3 x", f"{flops.training:,}")]
    for name, number in rows:
        click.echo(f"{name:<30}{number:>20}")
    click.echo("")
    parts = list(dict.fromkeys([*parameters.parts, *flops.parts]))
    lines = [(part, _number(parameters.parts, part), _number(flops.parts, part)) for part in parts]
    print_table(lines, ("PART", "PARAMETERS", "FLOPS"))
    click.echo("")
    click.echo(_CONVENTIONS)


def _print_rows(counted: Sequence[Counted]) -> None:
    rows = [
        (
            item.spec.name,
            item.spec.model.architecture,
            f"{item.parameters.total:,}",
            f"{item.parameters.non_embedding:,}",
            f"{item.flops.total:,}",
        )
        for item in counted
    ]
    longest = max((item.flops for item in counted), key=lambda flops: flops.context_tokens)
    flops = f"FLOPS ({_lengths(longest)} TOKENS)"
    print_table(rows, ("NAME", "ARCHITECTURE", "PARAMETERS", "WITHOUT TOKEN MATRICES", flops))
    click.echo("")
    for line in dict.fromkeys(_vocabulary(item) for item in counted):
        click.echo(line)
    click.echo(_CONVENTIONS)


_CONVENTIONS = (
    "FLOPs are those of the matrix products of a forward pass over one example; a multiplication and an addition are\n"
    "two, and the end tokens of both sides count. Training counts as three forward passes."
)


def _lengths(flops: ForwardFlops) -> str:
    context = f" + {flops.context_tokens} context" if flops.context_tokens else ""
    return f"{flops.source_tokens} + {flops.target_tokens}{context}"


def _vocabulary(item: Counted) -> str:
    sizes = f"{item.vocabulary:,} tokens"
    if item.source_vocabulary is not None:
        sizes = f"{item.source_vocabulary:,} tokens of the source, {item.vocabulary:,} of the target"
    if not item.estimated:
        return f"vocabulary: {sizes}"
    return f"vocabulary: {sizes}, as the tokenizer is asked for: a trained one may have fewer, and a task adds its own"


def _number(parts: Mapping[str, int], part: str) -> str:
    return f"{parts[part]:,}" if part in parts else "-"
