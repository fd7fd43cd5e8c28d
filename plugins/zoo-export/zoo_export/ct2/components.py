"""Which of a model's components CTranslate2 has, in its words; the rest is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import InputError
from zoo.spec.options import Chosen

ARCHITECTURE = "encoder-decoder"

_BLOCKS = ("zoo-blocks/pre-norm", "zoo-blocks/post-norm", "zoo-blocks/sandwich", "zoo-blocks/deep-norm")
_NORMS = ("zoo-blocks/layer-norm", "zoo-blocks/rms-norm")
_FEEDFORWARDS = ("zoo-blocks/mlp", "zoo-blocks/glu", "zoo-blocks/swiglu")
_ACTIVATIONS: Mapping[str, str] = {
    "zoo-blocks/relu": "RELU",
    "zoo-blocks/silu": "SWISH",
    "zoo-blocks/sigmoid": "Sigmoid",
}
_GELU = {"exact": "GELU", "tanh": "GELUTanh"}


@dataclass(frozen=True)
class Components:
    """The components of a model that CTranslate2 has, as far as they are not its positions."""

    pre_norm: bool
    sandwich: bool
    deep_norm: bool
    rms_norm: bool
    epsilon: float
    gated: bool
    activation: str
    """A name of CTranslate2's."""


def components_of(model: Any) -> Components:
    """What the model is made of. Raises InputError, naming the component, for what CTranslate2 does not have."""
    section = model.section
    if section.architecture != ARCHITECTURE:
        raise InputError(
            f"a model of the architecture '{section.architecture}' cannot be exported to CTranslate2 by zoo: expected "
            f"'{ARCHITECTURE}'"
        )
    for slot in ("output_fusion", "context_encoder"):
        chosen = getattr(section, slot)
        if chosen is not None:
            raise InputError(f"model.{slot}: CTranslate2 has nothing like '{chosen.id}'")
    if section.cross_position is not None:
        raise InputError(
            "model.decoder.cross_position: in CTranslate2 attention to the source knows no positions, found "
            f"'{section.cross_position.id}'"
        )
    _known("model.fusion", section.fusion, ("zoo-fusion/top",))
    block = _known("model.block", section.block, _BLOCKS)
    norm = _known("model.normalization", section.normalization, _NORMS)
    _known("model.feedforward", section.feedforward, _FEEDFORWARDS)
    sandwich = block == "zoo-blocks/sandwich"
    return Components(
        pre_norm=sandwich or block == "zoo-blocks/pre-norm",
        sandwich=sandwich,
        deep_norm=block == "zoo-blocks/deep-norm",
        rms_norm=norm == "zoo-blocks/rms-norm",
        epsilon=section.normalization.options.eps,
        gated=section.feedforward.id != "zoo-blocks/mlp",
        activation=_activation(section.feedforward),
    )


def _known(where: str, chosen: Chosen, ids: tuple[str, ...]) -> str:
    if chosen.id not in ids:
        names = ", ".join(item.partition("/")[2] for item in ids)
        raise InputError(f"{where}: CTranslate2 has nothing like '{chosen.id}': expected one of {names}")
    return chosen.id


def _activation(feedforward: Chosen) -> str:
    if feedforward.id == "zoo-blocks/swiglu":
        return "SWISH"
    chosen: Chosen = feedforward.options.activation  # type: ignore[attr-defined]
    if chosen.id == "zoo-blocks/gelu":
        return _GELU[chosen.options.form]  # type: ignore[attr-defined]
    if chosen.id not in _ACTIVATIONS:
        raise InputError(f"model.feedforward.activation: CTranslate2 has nothing like '{chosen.id}'")
    return _ACTIVATIONS[chosen.id]
