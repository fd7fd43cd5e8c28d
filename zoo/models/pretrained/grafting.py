"""The weights of a pretrained model laid into a zoo model, where the parts are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.pretrained import bart, by_name, marian, t5
from zoo.models.pretrained.pieces import Piece, Translation
from zoo.models.pretrained.reading import Weights, open_weights
from zoo.models.pretrained.replaced import Replacements
from zoo.models.pretrained.report import GraftReport, Kept
from zoo.spec import ModelSection, resolve_model
from zoo.spec.pretrained import ZOO, Checkpoint, PretrainedSection, find_checkpoint, own_scheme

PREFIX = "model."
"""Begins the names of BART-like models with an output layer; those saved without one lack it."""


@dataclass(frozen=True)
class _Format:
    """How one type of checkpoint of other libraries names its weights."""

    translation: Callable[[ModelSection], Translation]
    aliases: Callable[[ModelSection], Mapping[str, str]]
    unused: Mapping[str, str] = field(default_factory=dict)


_FORMATS = {
    "marian": _Format(marian.translation, marian.aliases, marian.UNUSED),
    "bart": _Format(bart.translation, marian.aliases),
    "mbart": _Format(bart.mbart_translation, marian.aliases),
    "t5": _Format(t5.translation, t5.aliases, t5.UNUSED),
    "mt5": _Format(t5.translation, t5.aliases, t5.UNUSED),
}


def graft_weights(model: Any, section: ModelSection, *, vocabulary_kept: bool = True) -> GraftReport:
    """Copy into `model` (assembled from `section`) what it has in common with the checkpoint of its section.

    A component that the section replaced keeps its initial weights, and with `vocabulary_kept` False so do embeddings,
    output matrix and bias. Raises InputError for a checkpoint that is not there, damaged, pickled, or not of the sizes
    that the section says.
    """
    pretrained = section.pretrained
    if pretrained is None:
        raise ValueError("the section names no pretrained model")
    checkpoint = find_checkpoint(pretrained.path)
    own = _own_section(checkpoint, section, pretrained)
    replacements = Replacements(own, section, vocabulary_kept)
    form = None if pretrained.type == ZOO else _FORMATS[pretrained.type]
    with ExitStack() as stack, torch.no_grad():
        weights = open_weights(checkpoint.weights(), pretrained.path, stack)
        aliases = model.tied_names() if form is None else form.aliases(own)  # no graft unties a model of zoo
        graft = _Graft(model, weights, aliases, replacements)
        for piece in by_name.translation(weights.names, aliases) if form is None else form.translation(own):
            graft.take(piece)
        if form is None:
            graft.refuse_incomplete()
        unused = {} if form is None else form.unused
        return graft.report(pretrained.path, pretrained.type, checkpoint.revision(), unused)


def _own_section(checkpoint: Checkpoint, section: ModelSection, pretrained: PretrainedSection) -> ModelSection:
    plain = own_scheme(checkpoint)
    found = plain["pretrained"]["type"]
    if found != pretrained.type:
        raise InputError(
            f"the spec was resolved from a checkpoint of the type {pretrained.type}, this one is {found}",
            where=pretrained.path,
        )
    plain["pretrained"] = {"path": pretrained.path, "revision": pretrained.revision, **plain["pretrained"]}
    own = resolve_model(plain)
    if own.architecture != section.architecture:
        raise InputError(
            f"the spec was resolved from a {section.architecture}, this one is a {own.architecture}",
            where=pretrained.path,
        )
    return own


class _Graft:
    """The copying, and what it came to."""

    def __init__(self, model: Any, weights: Weights, aliases: Mapping[str, str], replacements: Replacements) -> None:
        tied = model.tied_names()
        self.model = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
        self.weights = weights
        self.names = {name.removeprefix(PREFIX): name for name in weights.names}
        self.aliases = aliases
        self.replacements = replacements
        self.kept: dict[str, Kept] = {}
        self.dropped: dict[str, str] = {}

    def take(self, piece: Piece) -> None:
        """Lay one piece into the model, or leave it behind."""
        sources = self._sources(piece)
        if sources is None:
            return
        reason = self.replacements.reason(piece.target)
        target = self.model.get(piece.target)
        if reason is None and target is None:
            reason = self.replacements.changed(piece.target)
            if reason is None:
                raise InputError(f"the model has no place for {sources[0]}", where=self.weights.where)
        twins = self._twins(piece)
        if reason is not None or target is None:
            self._drop([*sources, *twins], str(reason))
            return
        value = piece.make(*(self._read(name, target) for name in sources))
        new_rows = self._new_rows(piece.target, target, value)
        if new_rows is None:
            reason = self.replacements.changed(piece.target)
            if reason is None:
                raise InputError(
                    f"{sources[0]}: expected the shape {list(target.shape)} for {piece.target}, found "
                    f"{list(value.shape)}: the checkpoint is not of the sizes that the spec was resolved with",
                    where=self.weights.where,
                )
            self._drop([*sources, *twins], reason)
            return
        self._refuse_others(sources[0], twins)
        (target[: value.shape[0]] if new_rows else target).copy_(value)
        self.kept[piece.target] = Kept(piece.target, (*sources, *twins), new_rows)

    def report(self, path: str, kind: str, revision: str, unused: Mapping[str, str]) -> GraftReport:
        """What was done, once every piece was taken."""
        dropped = dict(self.dropped)
        seen = {name for item in self.kept.values() for name in item.sources}
        for short, name in self.names.items():
            if name not in seen and name not in dropped:
                dropped[name] = unused.get(short, "not read by this model")
        new = {name: self._reason(name) or "not in the checkpoint" for name in self.model if name not in self.kept}
        numbers = {name: tensor.numel() for name, tensor in self.model.items()}
        fresh = sum(numbers[name] for name in new)
        grown = [(name, item.new_rows) for name, item in self.kept.items() if item.new_rows]
        fresh += sum(rows * numbers[name] // self.model[name].shape[0] for name, rows in grown)
        return GraftReport(
            path=path,
            type=kind,
            revision=revision,
            kept=[self.kept[name] for name in self.model if name in self.kept],
            new=new,
            dropped=dict(sorted(dropped.items())),
            parameters={"kept": sum(numbers.values()) - fresh, "new": fresh},
        )

    def refuse_incomplete(self) -> None:
        """Raise InputError where the file lacks a tensor of a component that nothing was changed of."""
        for name in self.model:
            if name not in self.kept and self._reason(name) is None:
                raise InputError(f"the checkpoint lacks the weights '{name}'", where=self.weights.where)

    def _reason(self, name: str) -> str | None:
        """Why a tensor of the model need not be the pretrained model's."""
        return self.replacements.reason(name) or self.replacements.changed(name)

    def _read(self, name: str, target: Tensor) -> Tensor:
        value = self.weights.read(name)
        if value.is_floating_point() != target.is_floating_point():
            kind = "floating-point weights" if target.is_floating_point() else "whole numbers"
            raise InputError(f"'{name}': expected {kind}, found {value.dtype}", where=self.weights.where)
        return value

    def _sources(self, piece: Piece) -> list[str] | None:
        """The names in the file; None for an optional piece that is not there."""
        for names in (piece.sources, piece.fallback):
            found = [self._stored(name) for name in names]
            if names and all(found):
                return [name for name in found if name]
        if piece.optional:
            return None
        missing = next(name for name in piece.sources if not self._stored(name))
        raise InputError(f"the checkpoint lacks the weights '{missing}'", where=self.weights.where)

    def _stored(self, name: str) -> str | None:
        """The full name of `name`, or of one that is tied to it: files hold a tied matrix under any of its names."""
        for candidate in (name, *(alias for alias, source in self.aliases.items() if source == name)):
            if candidate in self.names:
                return self.names[candidate]
        return None

    def _twins(self, piece: Piece) -> list[str]:
        """Further names under which the file holds the matrix that the piece is."""
        tied = [alias for alias, source in self.aliases.items() if source in piece.sources]
        found = [self.names[name] for name in (*piece.sources, *tied) if name in self.names]
        return found[1:] if tied else []

    def _refuse_others(self, name: str, twins: list[str]) -> None:
        """Raise InputError where a matrix is not the one that the checkpoint's configuration ties it to."""
        for twin in twins:
            if not torch.equal(self.weights.read(twin), self.weights.read(name)):
                raise InputError(
                    f"'{twin}' is not '{name}', to which its configuration ties it", where=self.weights.where
                )

    def _new_rows(self, name: str, target: Tensor, value: Tensor) -> int | None:
        """Rows of `target` behind those of `value`; None where it does not fit."""
        if target.shape == value.shape:
            return 0
        alike = target.ndim == value.ndim > 0 and target.shape[1:] == value.shape[1:]
        grows = alike and self.replacements.of_vocabulary(name) and self.replacements.frames == 1
        more = target.shape[0] - value.shape[0] if grows else 0
        return more if more > 0 else None

    def _drop(self, names: list[str], reason: str) -> None:
        self.dropped.update(dict.fromkeys(names, reason))
