"""The tensors of a model that have a row, or an entry, for each token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo.errors import InputError
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

    @property
    def learned(self) -> bool:
        """Whether it is a parameter, and no buffer."""
        return isinstance(self.tensor, nn.Parameter)


def vocabulary_size(model: nn.Module, where: str) -> int:
    """Rows of the input embeddings. Raises InputError where the configuration counts otherwise, or two vocabularies."""
    embeddings = model.get_input_embeddings()  # type: ignore[operator]
    config: Any = model.config
    if not isinstance(embeddings, nn.Embedding):
        raise InputError("its input embeddings are no table of tokens", where=where)
    rows = embeddings.weight.shape[0]
    sizes = {name: getattr(config, name, None) for name in ("vocab_size", "decoder_vocab_size", "encoder_vocab_size")}
    if getattr(config, "encoder_vocab_size", None) is not None or sizes["decoder_vocab_size"] not in {None, rows}:
        raise InputError("has separate vocabularies for source and target; expected one that both share", where=where)
    if sizes["vocab_size"] != rows:
        raise InputError(
            f"its configuration says vocab_size {sizes['vocab_size']}, its input embeddings have {rows} rows",
            where=where,
        )
    return int(rows)


def vocabulary_tensors(model: nn.Module, rows: int, where: str) -> list[VocabularyTensor]:
    """Every tensor over the vocabulary, found by walking the model.

    Known are the tables that models call their input embeddings (or `embed_tokens`), the output layer with its bias,
    and vectors of a model with an output layer itself, such as Marian's ``final_logits_bias``. Raises InputError for
    any other tensor that has `rows` entries along some dimension: what its entries stand for is not clear.
    """
    roles: dict[int, Role] = {}
    for name, module in model.named_modules():
        table = _embeddings_of(module)
        if table is not None and table.weight.shape[0] == rows:
            roles[id(table.weight)] = "input"
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] == _TABLE and len(module.weight) == rows:
            roles[id(module.weight)] = "input"
        head = _head_of(module)
        if head is None:
            continue
        if getattr(head, "weight", None) is not None:
            roles.setdefault(id(head.weight), "output")
        if getattr(head, "bias", None) is not None:
            roles[id(head.bias)] = "bias"
        for owned in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if owned.is_floating_point() and tuple(owned.shape) in {(rows,), (1, rows)}:
                roles[id(owned)] = "bias"
    found: dict[int, VocabularyTensor] = {}
    everything = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for name, tensor in everything:
        role = roles.get(id(tensor))
        if role is None:
            if tensor.is_floating_point() and rows in tensor.shape:
                raise InputError(
                    f"'{name}' is {list(tensor.shape)}, as long as the vocabulary of {rows}: not clear whether its "
                    "entries are tokens",
                    where=where,
                )
            continue
        if tensor.shape[-1 if role == "bias" else 0] != rows:
            raise InputError(
                f"'{name}' has {tensor.shape[0]} rows, the vocabulary {rows}; expected one row a token", where=where
            )
        known = found.get(id(tensor))
        names = (*known.names, name) if known is not None else (name,)
        found[id(tensor)] = VocabularyTensor(names, role, tensor)
    return list(found.values())


@torch.no_grad()
def remap_model(model: nn.Module, tensors: list[VocabularyTensor], remap: Remap, tokens: list[int], fill: Fill) -> None:
    """Give every tensor the rows of `remap`, in place; what is tied stays tied.

    Rows of old tokens are copied bit for bit. `fill` gives those of new ones, from the old rows `tokens`, which leaves
    out the rows that no token has.
    """
    made: dict[int, Tensor] = {}
    for item in tensors:
        old = item.tensor.detach()
        matrix = old.reshape(-1, 1) if item.role == "bias" else old  # [V, D]
        new = matrix.new_empty((remap.size, matrix.shape[1]))  # [V', D]
        new[remap.places] = matrix[remap.kept]
        if remap.fresh:
            new[remap.fresh] = fill(item.names[0], matrix[tokens]).to(new)
        if item.role == "bias":
            new = new.reshape(*old.shape[:-1], remap.size)  # [V'] or [1, V']
        made[id(item.tensor)] = nn.Parameter(new, item.tensor.requires_grad) if item.learned else new
    for module in model.modules():
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if id(tensor) not in made:
                continue
            setattr(module, name, made[id(tensor)])
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
