"""``python -m zoo.measure.memory_probe DIR``: sentences on standard input, one a line; peak memory as JSON on output.

A process of its own, because a peak never falls: whatever the caller's process did before would be counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import AutoTokenizer

from zoo.measure.device import device_kind, synchronize
from zoo.measure.generation import generate_outputs
from zoo.measure.memory import MemoryReading, peak_resident_bytes, resident_bytes
from zoo.models import ZooForConditionalGeneration
from zoo.spec.sections import DecodingSection


def main(arguments: list[str] | None = None) -> None:
    """Load the model at DIR, generate for every sentence, print a MemoryReading."""
    parser = argparse.ArgumentParser(prog="python -m zoo.measure.memory_probe", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder of 'zoo build' or 'zoo train'")
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--length-penalty", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sentences = [line for line in sys.stdin.read().split("\n") if line.strip()]
    if not sentences:
        parser.error("no sentence on standard input")
    torch.set_num_threads(options.threads)
    decoding = DecodingSection(
        beams=options.beams,
        max_new_tokens=options.max_new_tokens,
        length_penalty=options.length_penalty,
        batch_size=options.batch_size,
    )
    print(json.dumps(asdict(probe(options.directory, sentences, decoding, options.device))))


def probe(directory: Path, sentences: list[str], decoding: DecodingSection, device: torch.device) -> MemoryReading:
    """Count this process while it loads and generates; true only in a process that did nothing before."""
    cuda = device_kind(device) == "cuda"
    before = torch.cuda.memory_allocated(device) if cuda else resident_bytes()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = ZooForConditionalGeneration.from_pretrained(directory).to(device)
    synchronize(device)
    loaded = torch.cuda.memory_allocated(device) if cuda else resident_bytes()
    if cuda:
        # A load may hold weights twice; what is asked for is the peak of generation, in which they are live once.
        torch.cuda.reset_peak_memory_stats(device)
    generate_outputs(model, tokenizer, sentences, decoding, max_source_tokens=model.config.max_position_embeddings)
    synchronize(device)
    if cuda:
        return MemoryReading(
            kind="cuda-allocated",
            peak=torch.cuda.max_memory_allocated(device),
            before_load=before,
            after_load=loaded,
            reserved=torch.cuda.max_memory_reserved(device),
        )
    return MemoryReading(kind="rss", peak=peak_resident_bytes(), before_load=before, after_load=loaded)


if __name__ == "__main__":
    main()
