"""What each type of pretrained model is made of, written as a model section.

A checkpoint names its parts by the type of its model, a section by the names of components: this is the table between
the two, and like any spec it needs the plugins that it names. A model that zoo wrote carries its section itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zoo.errors import InputError, did_you_mean
from zoo.registry import Registry, current_registry
from zoo.spec.pretrained.checkpoint import Checkpoint
from zoo.spec.pretrained.fields import Fields
from zoo.spec.pretrained.zoo_folder import ZOO, zoo_section

Plain = dict[str, Any]

_GELU = {"use": "zoo-blocks/gelu", "form": "exact"}
_GELU_TANH = {"use": "zoo-blocks/gelu", "form": "tanh"}
_SILU = {"use": "zoo-blocks/silu"}
_ACTIVATIONS: Mapping[str, Plain] = {
    "relu": {"use": "zoo-blocks/relu"},
    "gelu": _GELU,
    "gelu_new": _GELU_TANH,
    "gelu_pytorch_tanh": _GELU_TANH,
    "silu": _SILU,
    "swish": _SILU,
}


def own_scheme(checkpoint: Checkpoint, registry: Registry | None = None) -> Plain:
    """The model section of the checkpoint as it is, in plain data, without its ``pretrained.path`` and ``revision``.

    Raises InputError for a type of model that is not known, and for one of its kind that this skeleton cannot be.
    """
    config = checkpoint.config()
    kind = config.text("model_type")
    if kind != ZOO and kind not in TYPES:
        known = [*TYPES, ZOO]
        raise InputError(f"model_type '{kind}' cannot be read: {did_you_mean(kind, known)}", where=config.where)
    section = zoo_section(checkpoint, registry or current_registry()) if kind == ZOO else TYPES[kind](config)
    section["pretrained"] = {"type": kind, **section["pretrained"], **_generation(checkpoint.generation())}
    return section


def _marian(config: Fields) -> Plain:
    section = _of_bart_kind(config, activation="gelu")
    section["position"] = {"use": "zoo-positional/sinusoidal", "layout": "halves"}
    shared = config.boolean("share_encoder_decoder_embeddings", True)
    tied = config.boolean("tie_word_embeddings", True)
    section["tie_embeddings"] = {(True, True): "all", (True, False): "inputs", (False, True): "decoder"}.get(
        (shared, tied), "none"
    )
    if not shared:
        section["pretrained"]["decoder_vocab_size"] = config.integer("decoder_vocab_size", config.integer("vocab_size"))
    return section


def _bart(config: Fields) -> Plain:
    section = _of_bart_kind(config, activation="gelu")
    section["position"] = {"use": "zoo-positional/learned", "std": config.number("init_std", 0.02)}
    section["embedding_norm"] = True
    section["tie_embeddings"] = "all" if config.boolean("tie_word_embeddings", True) else "inputs"
    return section


def _mbart(config: Fields) -> Plain:
    return {**_bart(config), "block": {"use": "zoo-blocks/pre-norm"}}


def _of_bart_kind(config: Fields, activation: str) -> Plain:
    """What Marian, BART and mBART have in common."""
    heads = _alike(config, "encoder_attention_heads", "decoder_attention_heads", 16)
    width = _alike(config, "encoder_ffn_dim", "decoder_ffn_dim", 4096)
    pad, eos = _needed(config, "pad_token_id"), _needed(config, "eos_token_id")
    start = config.token("decoder_start_token_id")
    return {
        "architecture": "encoder-decoder",
        "d_model": config.integer("d_model", 1024),
        "heads": heads,
        "encoder": {"layers": config.integer("encoder_layers", 12)},
        "decoder": {"layers": config.integer("decoder_layers", 12)},
        "block": {"use": "zoo-blocks/post-norm"},
        "normalization": {"use": "zoo-blocks/layer-norm", "eps": 1e-5, "bias": True},
        "feedforward": {
            "use": "zoo-blocks/mlp",
            "width": width,
            "activation": _activation(config, "activation_function", config.text("activation_function", activation)),
            "dropout": config.number("activation_dropout", 0.0),
            "bias": True,
        },
        "fusion": {"use": "zoo-fusion/top"},
        "dropout": config.number("dropout", 0.1),
        "attention_dropout": config.number("attention_dropout", 0.0),
        "bias": True,
        "scale_embeddings": config.boolean("scale_embedding", False),
        "max_positions": config.integer("max_position_embeddings", 1024),
        "embedding_std": config.number("init_std", 0.02),
        "output_bias": True,
        "pretrained": {
            "vocab_size": config.integer("vocab_size"),
            "pad": pad,
            "eos": eos,
            "bos": config.token("bos_token_id"),
            "decoder_start": eos if start is None else start,
        },
    }


def _t5(config: Fields) -> Plain:
    usual = "relu" if config.text("model_type") == "t5" else "gated-gelu"
    projection = config.text("feed_forward_proj", usual)
    gate, _, name = projection.rpartition("-")
    if gate not in {"", "gated"}:
        raise InputError(f"'feed_forward_proj': expected relu or gated-gelu, found '{projection}'", where=config.where)
    activation = _activation(config, "feed_forward_proj", "gelu_new" if projection == "gated-gelu" else name)
    first = _is_first_t5(config)
    heads, d_model = config.integer("num_heads"), config.integer("d_model")
    head_dim = config.integer("d_kv", 64)
    dropout = config.number("dropout_rate", 0.1)
    pad = config.token("pad_token_id") or 0
    start = config.token("decoder_start_token_id")
    eos = config.token("eos_token_id")
    return {
        "architecture": "encoder-decoder",
        "d_model": d_model,
        "heads": heads,
        "head_dim": None if heads * head_dim == d_model else head_dim,
        "encoder": {"layers": config.integer("num_layers")},
        "decoder": {"layers": config.integer("num_decoder_layers", config.integer("num_layers"))},
        "position": {
            "use": "zoo-positional/t5",
            "buckets": config.integer("relative_attention_num_buckets", 32),
            "max_distance": config.integer("relative_attention_max_distance", 128),
        },
        "block": {"use": "zoo-blocks/pre-norm"},
        "normalization": {"use": "zoo-blocks/rms-norm", "eps": config.number("layer_norm_epsilon", 1e-6)},
        "feedforward": _t5_feedforward(config, gated=gate == "gated", activation=activation, dropout=dropout),
        "fusion": {"use": "zoo-fusion/top"},
        "dropout": dropout,
        "attention_dropout": dropout,
        "bias": False,
        "scale_embeddings": False,
        "scale_output": first,
        "tie_embeddings": "all" if first else "inputs",
        "max_positions": config.integer("n_positions", 512),
        "embedding_std": config.number("initializer_factor", 1.0),
        "pretrained": {
            "vocab_size": config.integer("vocab_size"),
            "pad": pad,
            "eos": 1 if eos is None else eos,
            "bos": config.token("bos_token_id"),
            "decoder_start": pad if start is None else start,
        },
    }


def _is_first_t5(config: Fields) -> bool:
    """Whether this is T5 1.0, whose output matrix is the embeddings' and reads scaled states.

    transformers 4 says both by ``tie_word_embeddings``, 5 the scaling by a key of its own. mT5 is never of this kind.
    """
    if config.text("model_type") != "t5":
        return False
    return config.boolean("scale_decoder_outputs", config.boolean("tie_word_embeddings", True))


def _t5_feedforward(config: Fields, *, gated: bool, activation: Plain, dropout: float) -> Plain:
    options = {"width": config.integer("d_ff"), "activation": activation, "dropout": dropout, "bias": False}
    return {"use": "zoo-blocks/glu" if gated else "zoo-blocks/mlp", **options}


def _activation(config: Fields, key: str, name: str) -> Plain:
    if name not in _ACTIVATIONS:
        raise InputError(
            f"'{key}': no activation '{name}' here: {did_you_mean(name, _ACTIVATIONS)}", where=config.where
        )
    return _ACTIVATIONS[name]


def _alike(config: Fields, encoder: str, decoder: str, default: int) -> int:
    """A size that both stacks must have in common."""
    first, second = config.integer(encoder, default), config.integer(decoder, default)
    if first != second:
        raise InputError(
            f"'{encoder}' {first} and '{decoder}' {second} differ: zoo's stacks have one", where=config.where
        )
    return first


def _needed(config: Fields, key: str) -> int:
    found = config.token(key)
    if found is None:
        raise InputError(f"'{key}' is missing", where=config.where)
    return found


def _generation(fields: Fields) -> Plain:
    """What belongs to the model, of how it generates. How it searches is the spec's to say (`decoding`)."""
    banned = fields.plain.get("bad_words_ids")
    return {
        "forced_bos": fields.token("forced_bos_token_id"),
        "forced_eos": fields.token("forced_eos_token_id"),
        "banned": banned if isinstance(banned, list) else [],
    }


TYPES: Mapping[str, Callable[[Fields], Plain]] = {
    "marian": _marian,
    "bart": _bart,
    "mbart": _mbart,
    "t5": _t5,
    "mt5": _t5,
}
"""What can be read beside zoo's own models, by the ``model_type`` of its config.json."""
