"""A model of zoo's as CTranslate2's specification of a Transformer: the same computation, weight by weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ctranslate2.specs import common_spec, transformer_spec
from torch import Tensor, nn

from zoo_export.ct2.components import Components, components_of
from zoo_export.ct2.positions import Places, places_of

Activations = common_spec.Activation


def specification_of(model: Any) -> Any:
    """The specification of an encoder-decoder, with its weights and without vocabularies.

    Raises InputError, naming the component, for what CTranslate2 cannot say.
    """
    parts = components_of(model)
    places = {side: places_of(model, side) for side in ("encoder", "decoder")}
    section = model.section
    shared: dict[str, Any] = {
        "pre_norm": parts.pre_norm,
        "activation": Activations[parts.activation],
        "ffn_glu": parts.gated,
        "rms_norm": parts.rms_norm,
        "layernorm_embedding": section.embedding_norm,
        "pre_post_layer_norm": parts.sandwich,
        "head_dim": section.head_dim,
    }
    encoder = transformer_spec.TransformerEncoderSpec(
        section.encoder_layers, section.heads, **shared, **_of_positions(places["encoder"])
    )
    decoder = transformer_spec.TransformerDecoderSpec(
        section.decoder_layers,
        section.heads,
        **shared,
        **_of_positions(places["decoder"]),
        external_pre_post_encoder_layers=parts.sandwich,
    )
    spec = transformer_spec.TransformerSpec(encoder, decoder)
    spec.config.layer_norm_epsilon = parts.epsilon
    _Writer(parts, places["encoder"]).stack(encoder, model.encoder, encoder.embeddings[0])
    _Writer(parts, places["decoder"]).stack(decoder, model.decoder, decoder.embeddings)
    decoder.projection.weight = _array(model.lm_head.weight)
    if model.output_bias is not None:
        decoder.projection.bias = _array(model.output_bias)
    if model.output_scale != 1.0:
        decoder.scale_outputs = np.float32(model.output_scale)
    return spec


def _of_positions(places: Places) -> dict[str, Any]:
    found: dict[str, Any] = {
        "relative_position": bool(places.keys),
        "relative_attention_bias": bool(places.biases),
    }
    if places.rotary is not None:
        found |= {
            "rotary_dim": 0,  # all of a head
            "rotary_interleave": places.rotary.layout == "interleaved",
            "rotary_base": places.rotary.base,
        }
    return found


@dataclass(frozen=True)
class _Writer:
    """Writes the weights of one stack.

    DeepNorm has ``norm(alpha x + f(x))``, and CTranslate2 ``norm(x + f(x))``: there the stack carries alpha x. Whatever
    writes x is multiplied by alpha, but for the last normalisation; whatever reads it is divided.
    """

    parts: Components
    places: Places

    def stack(self, spec: Any, stack: Any, embeddings: Any) -> None:
        alpha = float(stack.layers[0].block.alpha) if self.parts.deep_norm else 1.0
        normed = not isinstance(stack.embedding_norm, nn.Identity)
        first = 1.0 if normed else alpha
        embeddings.weight = _array(stack.embed_tokens.weight)
        scale = stack.scale * first
        spec.scale_embeddings = False if scale == 1.0 else np.float32(scale)
        if not self.places.in_attention:
            assert self.places.table is not None
            spec.position_encodings.encodings = _array(self.places.table * first)
        elif hasattr(spec, "position_encodings"):
            del spec.position_encodings
        if normed:
            self.norm(spec.layernorm_embedding, stack.embedding_norm, alpha)
        for index, (layer_spec, layer) in enumerate(zip(spec.layer, stack.layers, strict=True)):
            self.layer(layer_spec, layer, index, alpha, last=index + 1 == len(stack.layers))
        if not isinstance(stack.final_norm, nn.Identity):
            self.norm(spec.layer_norm, stack.final_norm)

    def layer(self, spec: Any, layer: Any, index: int, alpha: float, *, last: bool) -> None:
        own = layer.self_attention
        cross = getattr(layer, "cross_attention", None)
        self.linear(spec.self_attention.linear[0], own.qkv, alpha)
        self.linear(spec.self_attention.linear[1], own.out)
        self.positions(spec.self_attention, index)
        if cross is not None:
            self.linear(spec.attention.linear[0], cross.query, alpha)
            self.linear(spec.attention.linear[1], cross.kv)
            self.linear(spec.attention.linear[2], cross.out)
        self.feedforward(spec.ffn, layer.feedforward, alpha)
        norms = self.norm_specs(spec, cross=cross is not None)
        for place, (norm_spec, norm) in enumerate(zip(norms[0], layer.block.norms, strict=True)):
            ends = last and place + 1 == len(norms[0])
            self.norm(norm_spec, norm, 1.0 if ends else alpha)
        if self.parts.sandwich:
            for norm_spec, norm in zip(norms[1], layer.block.branch_norms, strict=True):
                self.norm(norm_spec, norm)

    def norm_specs(self, spec: Any, *, cross: bool) -> tuple[list[Any], list[Any]]:
        """The normalisations of each sublayer, and those of what a sublayer adds."""
        if not self.parts.sandwich:
            attentions = [spec.self_attention, *([spec.attention] if cross else [])]
            return [part.layer_norm for part in (*attentions, spec.ffn)], []
        before, after = [spec.input_layer_norm], [spec.post_attention_layer_norm]
        if cross:
            before.append(spec.external_pre_encoder_attention_layer_norm)
            after.append(spec.external_post_encoder_attention_layer_norm)
        return [*before, spec.pre_feedforward_layer_norm], [*after, spec.post_feedforward_layer_norm]

    def feedforward(self, spec: Any, layer: Any, alpha: float) -> None:
        if self.parts.gated:
            self.linear(spec.linear_0, layer.gate, alpha)
            self.linear(spec.linear_0_noact, layer.up, alpha)
        else:
            self.linear(spec.linear_0, layer.up, alpha)
        self.linear(spec.linear_1, layer.down)

    def positions(self, spec: Any, index: int) -> None:
        bias = self.places.bias
        if bias is not None:
            spec.relative_attention_bias = _array(bias)
            spec.relative_attention_max_distance = np.int32(len(bias))
        if self.places.keys:
            keys = self.places.keys[index]
            spec.relative_position_keys = _array(keys)
            values = self.places.values[index] if self.places.values else None
            if values is None:
                del spec.relative_position_values
            else:
                spec.relative_position_values = _array(values)

    def linear(self, spec: Any, linear: nn.Linear, divisor: float = 1.0) -> None:
        spec.weight = _array(linear.weight / divisor)
        if linear.bias is not None:
            spec.bias = _array(linear.bias)

    def norm(self, spec: Any, norm: Any, factor: float = 1.0) -> None:
        spec.gamma = _array(norm.weight * factor)
        if not self.parts.rms_norm:  # CTranslate2 takes what has no shift for an RMSNorm
            shift = torch.zeros_like(norm.weight) if norm.bias is None else norm.bias
            spec.beta = _array(shift * factor)


def _array(tensor: Tensor) -> Any:
    """A copy in float32: CTranslate2 quantizes in place."""
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous().numpy()
