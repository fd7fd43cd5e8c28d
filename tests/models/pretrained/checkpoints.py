"""Tiny pretrained models with tokenizers, as transformers saves them: random weights in which every part shows."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    MT5Config,
    MT5ForConditionalGeneration,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from zoo.models._compat import save_tokenizer

SPEC: dict[str, Any] = {
    "name": "grafted",
    "task": {
        "use": "translation",
        "corpus": {"use": "generated", "pairs": 60, "dev_pairs": 5, "test_pairs": 5, "vocabulary": 30},
        "source": "qaa",
        "target": "qab",
    },
    "tokenizer": "pretrained",
    "training": {
        "steps": 2,
        "batch_tokens": 400,
        "objective": "cross-entropy",
        "optimizer": "adamw",
        "schedule": "constant",
        "clipping": "none",
    },
    "decoding": {"strategy": "greedy", "max_new_tokens": 8},
    "evaluation": {"metrics": ["bleu"]},
}

WIDTH, HIDDEN, HEADS = 32, 48, 4
SIZES: dict[str, Any] = {
    "d_model": WIDTH,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": HIDDEN,
    "decoder_ffn_dim": HIDDEN,
    "max_position_embeddings": 64,
}
T5_SIZES: dict[str, Any] = {
    "d_model": WIDTH,
    "d_kv": 6,  # 4 heads of 6 are no 32
    "d_ff": HIDDEN,
    "num_layers": 2,
    "num_decoder_layers": 2,  # transformers 5 makes caches for `num_layers`, whatever the decoder has
    "num_heads": HEADS,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "decoder_start_token_id": 0,
}
LETTERS = "abdegiklmnoprstuvz"
GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def texts() -> list[str]:
    """Sentences of invented words, in two languages of other letters."""
    draw = random.Random(3)
    words = ["".join(draw.choices(LETTERS, k=draw.randrange(2, 6))) for _ in range(40)]
    return [" ".join(draw.choices(words, k=draw.randrange(2, 7))) for _ in range(200)]


def write_checkpoint(kind: str, folder: Path, *, tokenizer: bool = True, **changes: Any) -> Path:
    """A model of the type `kind` (``t5-gated`` is T5 1.1) under `folder`, its vocabulary that of its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    size, ids = _TOKENIZERS[kind](folder) if tokenizer else (40, _IDS[kind])
    model = _model(kind, {"vocab_size": size, **ids, **changes})
    _draw(model)
    model.save_pretrained(folder)
    if kind == "t5-gated":
        _untie(folder)
    return folder


def saved_names(model: Any) -> list[str]:
    """Names of the tensors that a zoo model is saved as, sorted: a tied matrix has one."""
    return sorted(set(model.state_dict()) - set(model.tied_names()))


def _model(kind: str, options: dict[str, Any]) -> Any:
    if kind == "marian":
        extra = {"decoder_vocab_size": options["vocab_size"], "activation_function": "swish", "scale_embedding": True}
        return MarianMTModel(MarianConfig(**{**SIZES, **extra, **options}))
    if kind == "bart":
        return BartForConditionalGeneration(BartConfig(**{**SIZES, **options}))
    if kind == "mbart":
        return MBartForConditionalGeneration(MBartConfig(**{**SIZES, "scale_embedding": True, **options}))
    if kind == "mt5":
        return MT5ForConditionalGeneration(MT5Config(**{**T5_SIZES, **options}))
    return T5ForConditionalGeneration(T5Config(**{**T5_SIZES, **(GATED if kind == "t5-gated" else {}), **options}))


def _draw(model: Any) -> None:
    """Weights, biases and gains large enough to show in the logits, the same on every version of transformers."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in sorted([*model.named_parameters(), *model.named_buffers()]):
            if (tensor.is_floating_point() and "embed_positions" not in name) or tensor.requires_grad:
                tensor.normal_(mean=1.0 if "norm" in name and name.endswith("weight") else 0.0, std=0.3, generator=draw)


def _untie(folder: Path) -> None:
    """Give T5 1.1 an output matrix of its own, which transformers 5 ties as long as the file holds none."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    draw = torch.Generator().manual_seed(1)
    tensors["lm_head.weight"] = torch.empty_like(tensors["shared.weight"]).normal_(std=0.3, generator=draw)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _marian_tokenizer(folder: Path) -> tuple[int, dict[str, int]]:
    """source.spm and target.spm of other pieces, vocab.json of both: eos 0, unk 1, pad last, as OPUS-MT has them."""
    lines = texts()
    pieces: list[str] = []
    for side, part in (("source", lines[:100]), ("target", lines[100:])):
        _train_sentencepiece(part, folder / f"{side}.spm")
        processor = sentencepiece.SentencePieceProcessor(str(folder / f"{side}.spm"))
        pieces += [processor.id_to_piece(index) for index in range(3, processor.get_piece_size())]
    tokens = list(dict.fromkeys(["</s>", "<unk>", *pieces, "<pad>"]))
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    config = {"source_lang": "xx", "target_lang": "yy", "tokenizer_class": "MarianTokenizer", "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    pad = len(tokens) - 1
    return len(tokens), {
        "pad_token_id": pad,
        "decoder_start_token_id": pad,
        "eos_token_id": 0,
        "forced_eos_token_id": 0,
    }


def _train_sentencepiece(lines: Iterable[str], path: Path) -> None:
    with path.open("wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=stream, vocab_size=60, hard_vocab_limit=False, minloglevel=9
        )


def _bart_tokenizer(folder: Path) -> tuple[int, dict[str, int]]:
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(iter(texts()), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    _save(tokenizer, folder, bos_token="<s>", mask_token="<mask>")
    return tokenizer.get_vocab_size() + 3, _IDS["bart"]  # a few rows more than tokens, as many checkpoints have


def _t5_tokenizer(folder: Path) -> tuple[int, dict[str, int]]:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=80, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(iter(texts()), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    _save(tokenizer, folder)
    return tokenizer.get_vocab_size() + 3, _IDS["t5"]


def _save(tokenizer: Tokenizer, folder: Path, **tokens: str) -> None:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", **tokens
    )
    save_tokenizer(fast, folder)


_IDS = {
    "marian": {"pad_token_id": 39, "decoder_start_token_id": 39, "eos_token_id": 0, "forced_eos_token_id": 0},
    "bart": {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2},
    "t5": {"pad_token_id": 0, "eos_token_id": 1},
}
_IDS |= {"mbart": _IDS["bart"], "t5-gated": _IDS["t5"], "mt5": _IDS["t5"]}
_TOKENIZERS = {
    "marian": _marian_tokenizer,
    "bart": _bart_tokenizer,
    "mbart": _bart_tokenizer,
    "t5": _t5_tokenizer,
    "t5-gated": _t5_tokenizer,
    "mt5": _t5_tokenizer,
}
