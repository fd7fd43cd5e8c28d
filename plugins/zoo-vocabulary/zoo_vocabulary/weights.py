"""The tensors of a model that have a row, or an entry, for each token."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.tasks.contracts import Side
from zoo_vocabulary.ids import SIZES
from zoo_vocabulary.remap import Remap

Role = Literal["input", "output", "bias"]
Fill = Callable[[str, Tensor], Tensor]
"""``fill(name, old rows [V, D])``: the rows ``[N, D]`` of the new tokens."""
_TABLE = "embed_tokens"
"""What transformers and zoo call an embedding table of tokens."""


@dataclass(frozen=True)
class VocabularyTensor:
    """One tensor, under every name that it has."""

    names: tuple[str, ...]
    role: Role
    tensor: Tensor
    """``[V, D]``; a bias is ``[V]`` or ``[1, V]``."""
    side: Side | None = None
    """Whose vocabulary its rows are; None where both sides share one."""

    @property
    def learned(self) -> bool:
        """Whether it is a parameter, and no buffer."""
        return isinstance(self.tensor, nn.Parameter)

    @property
    def rows(self) -> int:
        """The vocabulary's size: V."""
        return int(self.tensor.shape[-1 if self.role == "bias" else 0])


def vocabulary_sizes(model: nn.Module, where: str, *, apart: bool) -> dict[str, tuple[Side | None, int]]:
    """The fields of the configuration that count a vocabulary, each with whose it counts and its rows.

    `apart` says that the tokenizer numbers source and target each by itself. Raises InputError where the configuration
    or the matrices count otherwise.
    """
    embeddings = model.get_input_embeddings()  # type: ignore[operator]
    config: Any = model.config
    if not isinstance(embeddings, nn.Embedding):
        raise InputError("its input embeddings are no table of tokens", where=where)
    told = {name: getattr(config, name, None) for name in SIZES}
    given = {name: int(size) for name, size in told.items() if size is not None}
    rows = int(embeddings.weight.shape[0])
    if not apart:
        if any(size != rows for name, size in given.items() if name != "vocab_size"):
            raise InputError(
                "has separate vocabularies for source and target, its tokenizer has one for both", where=where
            )
        if given.get("vocab_size") != rows:
            raise InputError(
                f"its configuration says vocab_size {told['vocab_size']}, its input embeddings have {rows} rows",
                where=where,
            )
        return dict.fromkeys(given, (None, rows))
    # zoo counts what is read apart from what is written; Marian what is written apart from what is read.
    marked = "encoder_vocab_size" in given
    source, target = ("encoder_vocab_size", "vocab_size") if marked else ("vocab_size", "decoder_vocab_size")
    if not marked and getattr(config, "share_encoder_decoder_embeddings", True):
        raise InputError(
            "its tokenizer numbers source and target each by itself, its model has one vocabulary", where=where
        )
    if given.get(source) != rows or target not in given:
        raise InputError(
            f"its configuration says {source} {told[source]}, {target} {told[target]}; its input embeddings have "
            f"{rows} rows",
            where=where,
        )
    return {source: ("source", rows), target: ("target", given[target])}


def vocabulary_tensors(
    model: nn.Module, fields: Mapping[str, tuple[Side | None, int]], where: str
) -> list[VocabularyTensor]:
    """Every tensor over a vocabulary; `fields` are those of the configuration that count one, as of `vocabulary_sizes`.

    They are the tensors that a model of one token more would have larger. Known among them are the tables that models
    call their input embeddings (or `embed_tokens`), the output layer with its bias, and vectors of a model with an
    output layer itself, such as Marian's ``final_logits_bias``. Where the sides have vocabularies of their own the
    encoder's tables are the source's, and all else the target's. Raises InputError for any other: what its entries
    stand for is not clear.
    """
    sizes = dict(fields.values())
    following = _following(model, fields)
    roles: dict[int, Role] = {}
    for name, module in model.named_modules():
        table = _embeddings_of(module)
        if table is not None:
            roles[id(table.weight)] = "input"
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] == _TABLE:
            roles[id(module.weight)] = "input"
        head = _head_of(module)
        if head is None:
            continue
        if getattr(head, "weight", None) is not None:
            roles.setdefault(id(head.weight), "output")
        if getattr(head, "bias", None) is not None:
            roles[id(head.bias)] = "bias"
        for owned in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if owned.is_floating_point() and owned.numel() == owned.shape[-1]:  # [V] or [1, V]
                roles[id(owned)] = "bias"
    read = _read_by_the_encoder(model) if len(sizes) > 1 else set()
    found: dict[int, VocabularyTensor] = {}
    for name, tensor in _tensors(model):
        if name not in following:
            continue
        role = roles.get(id(tensor))
        if role is None:
            raise InputError(
                f"'{name}' is {list(tensor.shape)} and grows with the vocabulary: not clear what its entries are",
                where=where,
            )
        side: Side | None = None
        if None not in sizes:
            side = "source" if id(tensor) in read else "target"
        known = found.get(id(tensor))
        names = (*known.names, name) if known is not None else (name,)
        found[id(tensor)] = item = VocabularyTensor(names, role, tensor, side)
        if item.rows != sizes[side]:
            raise InputError(
                f"'{name}' has {item.rows} rows, the vocabulary {sizes[side]}; expected one row a token", where=where
            )
    return list(found.values())


def _following(model: nn.Module, fields: Mapping[str, Any]) -> set[str]:
    """The names of the tensors that are longer in the same model with one token more."""
    config = copy.deepcopy(model.config)
    for name in fields:
        setattr(config, name, getattr(config, name) + 1)
    try:
        with torch.device("meta"):
            larger = type(model)(config)
    except (RuntimeError, TypeError, ValueError):
        # A component may compute a table of its own while it is made, which takes tensors that hold something.
        larger = type(model)(config)
    shapes = {name: tensor.shape for name, tensor in _tensors(larger)}
    return {name for name, tensor in _tensors(model) if tensor.shape != shapes.get(name)}


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]


def _read_by_the_encoder(model: nn.Module) -> set[int]:
    encoder: nn.Module = model.get_encoder()  # type: ignore[operator]
    return {id(module.weight) for module in encoder.modules() if isinstance(module, nn.Embedding)}


@torch.no_grad()
def remap_model(
    model: nn.Module,
    tensors: list[VocabularyTensor],
    remaps: Mapping[Side | None, Remap],
    tokens: Mapping[Side | None, list[int]],
    fills: Mapping[Side | None, Fill | None],
) -> None:
    """Give every tensor the rows of its side's remap, in place; what is tied stays tied.

    Rows of old tokens are copied bit for bit. A fill gives those of new ones, from the old rows `tokens`, which leaves
    out the rows that no token has.
    """
    made: dict[int, tuple[Tensor, Remap]] = {}
    for item in tensors:
        remap, fill = remaps[item.side], fills[item.side]
        old = item.tensor.detach()
        matrix = old.reshape(-1, 1) if item.role == "bias" else old  # [V, D]
        new = matrix.new_empty((remap.size, matrix.shape[1]))  # [V', D]
        new[remap.places] = matrix[remap.kept]
        if remap.fresh:
            assert fill is not None
            new[remap.fresh] = fill(item.names[0], matrix[tokens[item.side]]).to(new)
        if item.role == "bias":
            new = new.reshape(*old.shape[:-1], remap.size)  # [V'] or [1, V']
        made[id(item.tensor)] = (nn.Parameter(new, item.tensor.requires_grad) if item.learned else new), remap
    for module in model.modules():
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if id(tensor) not in made:
                continue
            after, remap = made[id(tensor)]
            setattr(module, name, after)
            if isinstance(module, nn.Embedding):
                module.num_embeddings = remap.size
                if module.padding_idx is not None:
                    module.padding_idx = remap.new_ids.get(module.padding_idx)
            elif isinstance(module, nn.Linear):
                module.out_features = remap.size


def _embeddings_of(module: nn.Module) -> nn.Embedding | None:
    """The table that a model of transformers calls its input embeddings."""
    found = _asked(module, "get_input_embeddings")
    return found if isinstance(found, nn.Embedding) else None


def _head_of(module: nn.Module) -> Any:
    return _asked(module, "get_output_embeddings")


def _asked(module: nn.Module, name: str) -> Any:
    ask = getattr(module, name, None)
    if ask is None:
        return None
    try:
        return ask()
    except (NotImplementedError, AttributeError):
        return None  # a part that has none
