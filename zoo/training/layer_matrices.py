"""Which rows of which parameters are the matrices of a model's attention and feed-forward layers."""

from __future__ import annotations

from torch import nn

from zoo.models.attention import CrossAttention, SelfAttention
from zoo.models.initialization import matrices_of
from zoo.training.contracts import LayerMatrix, NamedParameters


def layer_matrices(model: nn.Module, parameters: NamedParameters) -> tuple[LayerMatrix, ...]:
    """Those that stand in `parameters`, by parameter and row.

    Told from where they lie in memory, not from names: a fused projection is several matrices, and a parameter that
    layers share appears once. A matrix that is no run of a parameter's rows is left out.
    """
    homes = {parameter.untyped_storage().data_ptr(): (name, parameter) for name, parameter in parameters}
    heads = _head_dims(model)
    found: dict[tuple[str, int, int], LayerMatrix] = {}
    for matrix in matrices_of(model):
        name, home = homes.get(matrix.weight.untyped_storage().data_ptr(), ("", None))
        if home is None or matrix.weight.ndim != 2 or home.ndim != 2 or matrix.weight.shape[1] != home.shape[1]:
            continue
        start = (matrix.weight.storage_offset() - home.storage_offset()) // home.shape[1]
        stop = start + matrix.weight.shape[0]
        head_dim = heads.get(name) if matrix.role in {"query", "key", "value"} else None
        found[name, start, stop] = LayerMatrix(name, start, stop, matrix.role, head_dim)
    return tuple(found[key] for key in sorted(found))


def _head_dims(model: nn.Module) -> dict[str, int]:
    """Rows of one head in each projection of an attention, by the projection's name in `model`."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, (SelfAttention, CrossAttention)):
            names = (inner for inner, part in module.named_parameters(prefix=name) if part.ndim == 2)
            found.update(dict.fromkeys(names, module.head_dim))
    return found
