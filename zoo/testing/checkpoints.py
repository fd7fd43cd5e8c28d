"""Tiny models with tokenizers, as transformers saves them: random weights in which every row shows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    M2M100Config,
    M2M100ForConditionalGeneration,
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
from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

from zoo.models._compat import save_tokenizer
from zoo.training.quiet import errors_only, quiet

WIDTH, HEADS = 16, 2
SIZES: dict[str, Any] = {
    "d_model": WIDTH,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 64,
}
T5_SIZES: dict[str, Any] = {"d_model": WIDTH, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": HEADS}
LLAMA_SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 64,
}
LETTERS = "abdegiklmnoprstuvz"
NLLB_CODES = ["eng_Latn", "zho_Hans", "deu_Latn"]
PAD_OF_BOTH = 40


def texts(seed: int = 3, count: int = 200) -> list[str]:
    """Sentences of invented words."""
    draw = random.Random(3)
    words = ["".join(draw.choices(LETTERS, k=draw.randrange(2, 6))) for _ in range(40)]
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=draw.randrange(2, 7))) for _ in range(count)]


@quiet()
def write_checkpoint(kind: str, folder: Path) -> Path:
    """A model of that kind under `folder`, its vocabulary that of its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    CHECKPOINTS[kind](folder)
    return folder


@quiet()
@errors_only()
def outputs_of(folder: Path, lines: list[str], **settings: Any) -> list[str]:
    """What transformers itself writes for `lines` with the seq2seq model in `folder`."""
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(lines, padding=True, return_tensors="pt")
    with torch.no_grad():
        ids = model.generate(encoded["input_ids"], attention_mask=encoded["attention_mask"], **settings)
    found: list[str] = tokenizer.batch_decode(ids, skip_special_tokens=True)
    return found


def _drawn(model: Any) -> Any:
    """Weights large enough to show in the logits; the bias on logits as well."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in sorted([*model.named_parameters(), *model.named_buffers()]):
            if tensor.requires_grad or name == "final_logits_bias":
                if "embed_positions" in name and not tensor.requires_grad:
                    continue
                tensor.normal_(mean=1.0 if "norm" in name and name.endswith("weight") else 0.0, std=0.3, generator=draw)
    return model


def _spm(lines: list[str], path: Path, size: int, kind: str = "unigram") -> list[str]:
    with path.open("wb") as stream:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=stream,
            vocab_size=size,
            model_type=kind,
            hard_vocab_limit=False,
            minloglevel=9,
        )
    processor = sentencepiece.SentencePieceProcessor(str(path))
    return [processor.id_to_piece(index) for index in range(3, processor.get_piece_size())]


def _marian(folder: Path) -> None:
    """source.spm and target.spm of other pieces, vocab.json of both, pad last, as OPUS-MT has them."""
    lines = texts()
    pieces = _spm(lines[:100], folder / "source.spm", 60) + _spm(lines[100:], folder / "target.spm", 70)
    tokens = list(dict.fromkeys(["</s>", "<unk>", ">>deu<<", *pieces, "<pad>"]))
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    config = {"source_lang": "xx", "target_lang": "yy", "tokenizer_class": "MarianTokenizer", "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    pad = len(tokens) - 1
    configuration = MarianConfig(
        **SIZES,
        vocab_size=len(tokens),
        decoder_vocab_size=len(tokens),
        pad_token_id=pad,
        decoder_start_token_id=pad,
        eos_token_id=0,
        bos_token_id=0,
        forced_eos_token_id=0,
        activation_function="swish",
    )
    model = _drawn(MarianMTModel(configuration))
    model.generation_config.bad_words_ids = [[pad], [5], [6, 7]]
    model.save_pretrained(folder)


def _marian_apart(folder: Path) -> None:
    """A vocab.json for source.spm, a longer target_vocab.json for target.spm, and a matrix for each."""
    lines = texts()
    sides = {
        "source": _spm(lines[:100], folder / "source.spm", 60),
        "target": _spm(lines[100:], folder / "target.spm", 70),
    }
    vocabularies = {}
    for side, pieces in sides.items():
        # One <pad> has one id for both sides, as a configuration has one pad_token_id.
        tokens = ["</s>", "<unk>", *pieces[: PAD_OF_BOTH - 2], "<pad>", *pieces[PAD_OF_BOTH - 2 :]]
        vocabularies[side] = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabularies["source"]))
    (folder / "target_vocab.json").write_text(json.dumps(vocabularies["target"]))
    config = {"source_lang": "xx", "target_lang": "yy", "tokenizer_class": "MarianTokenizer", "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "separate_vocabs": True}))
    configuration = MarianConfig(
        **SIZES,
        vocab_size=len(vocabularies["source"]),
        decoder_vocab_size=len(vocabularies["target"]),
        share_encoder_decoder_embeddings=False,
        pad_token_id=PAD_OF_BOTH,
        decoder_start_token_id=PAD_OF_BOTH,
        eos_token_id=0,
        bos_token_id=0,
        forced_eos_token_id=0,
        activation_function="swish",
    )
    model = _drawn(MarianMTModel(configuration))
    model.generation_config.bad_words_ids = [[PAD_OF_BOTH]]
    model.save_pretrained(folder)


def _m2m100(folder: Path, kind: str = "unigram") -> None:
    """One SentencePiece model, and language codes behind the vocabulary, then rows without a token."""
    pieces = _spm(texts(), folder / "sentencepiece.bpe.model", 80, kind)
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    config = {
        "tokenizer_class": "M2M100Tokenizer",
        "language_codes": "wmt21",
        "src_lang": "en",
        "tgt_lang": "de",
        "model_max_length": 64,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    size = len(tokens) + 8 + 8  # 8 languages, 8 rows made up
    german = len(tokens) + 7
    model = _drawn(M2M100ForConditionalGeneration(M2M100Config(**SIZES, vocab_size=size, decoder_start_token_id=2)))
    model.generation_config.forced_bos_token_id = german
    model.save_pretrained(folder)


def _fast(folder: Path, tokenizer: Tokenizer, **tokens: str) -> None:
    save_tokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens), folder)


def _bytes(special: list[str], size: int = 340) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(iter(texts()), trainer)
    return tokenizer


def _bart(folder: Path) -> None:
    tokenizer = _bytes(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    roles = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    _fast(folder, tokenizer, **roles, mask_token="<mask>")
    configuration = BartConfig(**SIZES, vocab_size=tokenizer.get_vocab_size() + 3)
    _drawn(BartForConditionalGeneration(configuration)).save_pretrained(folder)


def _unigram(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=80, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(iter(texts()), trainer)
    return tokenizer


def _t5(folder: Path, config: Any = T5Config, model: Any = T5ForConditionalGeneration, **changes: Any) -> None:
    """Unigram pieces, then three sentinels behind them, then rows without a token."""
    tokenizer = _unigram(["<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens([f"<extra_id_{number}>" for number in range(3)])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    _fast(folder, tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    size = tokenizer.get_vocab_size() + 5
    configuration = config(**T5_SIZES, vocab_size=size, decoder_start_token_id=0, **changes)
    _drawn(model(configuration)).save_pretrained(folder)
    if changes:
        _untie(folder)


def _untie(folder: Path) -> None:
    """Give mT5 an output matrix of its own, which transformers 5 ties as long as the file holds none."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    draw = torch.Generator().manual_seed(1)
    tensors["lm_head.weight"] = torch.empty_like(tensors["shared.weight"]).normal_(std=0.3, generator=draw)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _gpt2(folder: Path) -> None:
    tokenizer = _bytes(["<|endoftext|>"])
    end = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    _fast(folder, tokenizer, **end)
    configuration = GPT2Config(
        n_embd=WIDTH,
        n_layer=1,
        n_head=HEADS,
        n_positions=64,
        vocab_size=tokenizer.get_vocab_size(),
        bos_token_id=0,
        eos_token_id=0,
    )
    _drawn(GPT2LMHeadModel(configuration)).save_pretrained(folder)


def _llama(folder: Path) -> None:
    """Untied; the special tokens behind the vocabulary, as in Llama 3 and Qwen."""
    tokenizer = _bytes([])
    tokenizer.add_special_tokens(["<|begin|>", "<|end|>"])
    begin, end = tokenizer.token_to_id("<|begin|>"), tokenizer.token_to_id("<|end|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", begin)]
    )
    _fast(folder, tokenizer, bos_token="<|begin|>", eos_token="<|end|>", pad_token="<|end|>")
    configuration = LlamaConfig(
        **LLAMA_SIZES,
        vocab_size=tokenizer.get_vocab_size(),
        tie_word_embeddings=False,
        bos_token_id=begin,
        eos_token_id=[end, begin],
        pad_token_id=end,
    )
    _drawn(LlamaForCausalLM(configuration)).save_pretrained(folder)


def _nllb(folder: Path) -> None:
    """Byte pairs over characters, and language codes as added tokens behind them, with transformers' own class."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trained.train_from_iterator(
        iter(texts()), trainers.BpeTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    )
    model = json.loads(trained.to_str())["model"]
    trained.add_special_tokens([*NLLB_CODES, "<mask>"])
    trained.decoder = decoders.Metaspace()
    english = trained.token_to_id("eng_Latn")
    trained.post_processor = processors.TemplateProcessing(
        single="eng_Latn $A </s>", special_tokens=[("eng_Latn", english), ("</s>", 2)]
    )
    assert model["type"] == "BPE"
    tokenizer = _of_languages(folder, trained, "NllbTokenizer", NLLB_CODES, "eng_Latn", "deu_Latn")
    configuration = M2M100Config(**SIZES, vocab_size=len(tokenizer), decoder_start_token_id=2)
    built = _drawn(M2M100ForConditionalGeneration(configuration))
    built.generation_config.forced_bos_token_id = tokenizer.convert_tokens_to_ids("deu_Latn")
    built.save_pretrained(folder)


def _mbart(folder: Path, *, fifty: bool = False) -> None:
    """Unigram pieces, language codes behind them, of which a source ends with one; outputs begin with another, and so
    does their decoder. Of mBART-50 sources begin with it, and the decoder with the end token."""
    tokenizer = _unigram(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens([*FAIRSEQ_LANGUAGE_CODES, "<mask>"])
    english = tokenizer.token_to_id("en_XX")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="en_XX $A </s>" if fifty else "$A </s> en_XX", special_tokens=[("en_XX", english), ("</s>", 2)]
    )
    name = "MBart50Tokenizer" if fifty else "MBartTokenizer"
    loaded = _of_languages(folder, tokenizer, name, FAIRSEQ_LANGUAGE_CODES, "en_XX", "de_DE")
    german = loaded.convert_tokens_to_ids("de_DE")
    start = 2 if fifty else german
    configuration = MBartConfig(**SIZES, vocab_size=len(loaded), decoder_start_token_id=start, forced_eos_token_id=2)
    built = _drawn(MBartForConditionalGeneration(configuration))
    built.generation_config.forced_bos_token_id = german
    built.save_pretrained(folder)


def _of_languages(folder: Path, made: Tokenizer, name: str, codes: list[str], source: str, target: str) -> Any:
    """A tokenizer of that class of transformers, over a tokenizer.json: on 4.57 that of the fast one."""
    from transformers import AutoTokenizer

    made.save(str(folder / "tokenizer.json"))
    roles = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "cls_token": "<s>"}
    config = {
        "tokenizer_class": name,
        **roles,
        "sep_token": "</s>",
        "mask_token": "<mask>",
        "src_lang": source,
        "tgt_lang": target,
        "additional_special_tokens": codes,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return tokenizer


CHECKPOINTS: dict[str, Callable[[Path], None]] = {
    "marian": _marian,
    "marian-apart": _marian_apart,
    "m2m100": _m2m100,
    "m2m100-bpe": partial(_m2m100, kind="bpe"),
    "nllb": _nllb,
    "bart": _bart,
    "mbart": _mbart,
    "mbart50": partial(_mbart, fifty=True),
    "t5": _t5,
    "mt5": partial(_t5, config=MT5Config, model=MT5ForConditionalGeneration, tie_word_embeddings=False),
    "gpt2": _gpt2,
    "llama": _llama,
}
TIED = {"mt5": False, "llama": False}
