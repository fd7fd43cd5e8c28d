"""Seconds that optimum's ORTModelForSeq2SeqLM takes, asked for call by call: the peer of `test_translation_speed`.

Run it with the Python of an environment that has optimum-onnx (that file starts it). A random Marian of the size that
is told is exported by optimum itself, as it is and quantized as its guide says. Each line on standard input,
``VARIANT SENTENCES BEAMS``, is answered by a line with the seconds of one call; the first line out is a JSON object
with the versions.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from optimum.onnxruntime import ORTModelForSeq2SeqLM, ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig
from transformers import MarianConfig, MarianMTModel

NEW_TOKENS = SOURCE = 25


def marian(width: int, layers: int, heads: int, vocabulary: int) -> Any:
    torch.manual_seed(1)
    config = MarianConfig(
        vocab_size=vocabulary,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
        forced_eos_token_id=None,
        max_position_embeddings=512,
    )
    return MarianMTModel(config).eval()


def main() -> None:
    width, layers, heads, vocabulary, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as place:
        folder, int8 = Path(place, "torch"), Path(place, "int8")
        marian(width, layers, heads, vocabulary).save_pretrained(folder)
        exported = ORTModelForSeq2SeqLM.from_pretrained(folder, export=True, session_options=options)
        exported.save_pretrained(Path(place, "onnx"))
        for name in sorted(path.name for path in Path(place, "onnx").glob("*.onnx")):
            quantizer = ORTQuantizer.from_pretrained(Path(place, "onnx"), file_name=name)
            quantizer.quantize(
                save_dir=int8,
                quantization_config=AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True),
                file_suffix=None,
            )
        quantized = ORTModelForSeq2SeqLM.from_pretrained(int8, session_options=options)
        serve({"float32": exported, "int8": quantized})


def serve(models: dict[str, Any]) -> None:
    names = ("optimum", "optimum-onnx", "onnxruntime", "transformers")
    answer(json.dumps({name: metadata.version(name) for name in names}))
    for line in sys.stdin:
        variant, sentences, beams = line.split()
        draw = torch.Generator().manual_seed(2)
        ids = torch.randint(4, models[variant].config.vocab_size, (int(sentences), SOURCE), generator=draw)  # [B, S]
        start = time.perf_counter()
        written = models[variant].generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            num_beams=int(beams),
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            do_sample=False,
        )
        seconds = time.perf_counter() - start
        assert written.shape == (int(sentences), 1 + NEW_TOKENS)
        answer(repr(seconds))


def answer(line: str) -> None:
    ANSWERS.write(f"{line}\n")
    ANSWERS.flush()


if __name__ == "__main__":
    ANSWERS = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    main()
