"""DeepNorm's constants by depth (Wang et al. 2022, figure 2), for N encoder and M decoder layers.

============================  =====================  ======================
stack                         alpha                  beta
============================  =====================  ======================
encoder alone                 (2N)^(1/4)             (8N)^(-1/4)
decoder alone                 (2M)^(1/4)             (8M)^(-1/4)
encoder beside a decoder      0.81 (N^4 M)^(1/16)    0.87 (N^4 M)^(-1/16)
decoder beside an encoder     (3M)^(1/4)             (12M)^(-1/4)
============================  =====================  ======================
"""

from __future__ import annotations

from zoo.models.contracts import LayerContext


def deep_norm_alpha(context: LayerContext) -> float:
    """What the residual path is multiplied by in each layer of the stack."""
    encoder, decoder = context.encoder_layers, context.decoder_layers
    if not encoder or not decoder:
        return float((2 * context.layers) ** 0.25)
    if context.side == "encoder":
        return float(0.81 * (encoder**4 * decoder) ** 0.0625)
    return float((3 * decoder) ** 0.25)


def deep_norm_beta(context: LayerContext) -> float:
    """The gain of the value, output and feed-forward matrices in each layer of the stack."""
    encoder, decoder = context.encoder_layers, context.decoder_layers
    if not encoder or not decoder:
        return float((8 * context.layers) ** -0.25)
    if context.side == "encoder":
        return float(0.87 * (encoder**4 * decoder) ** -0.0625)
    return float((12 * decoder) ** -0.25)
