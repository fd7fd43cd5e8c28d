"""An exported model run by onnxruntime against the same model in torch: tokens a second, and time to a first sentence.

With ``--benchmark`` the two are timed in turn, so that a busy moment of the machine falls on both, and the ratio must
keep its promise. Without it a tiny model is exported and run once, so that the benchmark cannot rot.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.export.folder import Decoding, Export, Special, write_export
from zoo.export.runtime import Translator, load
from zoo.models import assemble
from zoo.models.decoding import run_generate
from zoo.models.tokenizers import save_tokenizers
from zoo.registry import current_registry
from zoo.spec import resolve_model
from zoo.spec.options import Chosen
from zoo.testing.tiny_model import tiny_tokenizers

ROUNDS = 7
LONGEST = 25
"""Tokens of every output: the model never ends one."""
SOURCE = 25
SPEEDUP = 1.2
"""At least so many times torch's tokens a second."""
SHARE_OF_START = 1 / 3
"""At most so much of the time that importing torch and transformers and loading the model take."""
CASES = {"1 greedy": (1, 1), "16 greedy": (16, 1), "1 beam 4": (1, 4), "16 beam 4": (16, 4)}
"""Sentences at once, and hypotheses of each."""

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("one_thread")]  # a model is exported


@dataclass(frozen=True)
class Twins:
    """A model in torch and its export, and the folders of both."""

    model: Any
    translator: Translator
    torch: Path
    export: Path


def _section(width: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "d_model": width,
        "heads": heads,
        "encoder": {"layers": layers},
        "decoder": {"layers": layers},
        "position": "sinusoidal",
        "block": "post-norm",
        "normalization": "layer-norm",
        "feedforward": {"use": "mlp", "width": 4 * width, "activation": "relu"},
        "fusion": "top",
        "tie_embeddings": "none",
        "max_positions": 512,
    }


@pytest.fixture(scope="module")
def measuring(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--benchmark", False))


@pytest.fixture(scope="module")
def twins(measuring: bool, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """Of Marian's size where it is measured."""
    width, layers, heads, vocabulary = (512, 6, 8, 32_000) if measuring else (16, 1, 2, 300)
    model = assemble(resolve_model(_section(width, layers, heads)), vocabulary, seed=1).eval()
    config = model.config
    with torch.no_grad():
        model.lm_head.weight[config.eos_token_id] = 0.0
    folder, out = tmp_path_factory.mktemp("torch"), tmp_path_factory.mktemp("export")
    model.save_pretrained(folder)
    component = current_registry().get("exporter", "onnx")
    written = Chosen(component, component.load_options()()).create().write(model, out)
    for place in (folder, out):
        save_tokenizers(tiny_tokenizers(), place)
    export = Export(
        name="random",
        architecture="encoder-decoder",
        layers=layers,
        heads=heads,
        head_width=width // heads,
        vocabulary=vocabulary,
        special=Special(start=config.decoder_start_token_id, end=config.eos_token_id, padding=config.pad_token_id),
        max_source_tokens=512,
        max_target_tokens=512,
        decoding=Decoding(strategy="greedy", max_new_tokens=LONGEST, batch_size=16),
        opset=written.opset,
        sizes=written.sizes,
        made_with=written.versions,
    )
    write_export(export, out)
    return Twins(model, load(out, threads=1), folder, out)


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _in_turn(
    first: Callable[[], Any], second: Callable[[], Any], rounds: int = ROUNDS
) -> tuple[list[float], list[float]]:
    """Seconds of each, round by round, after one that warms up."""
    pairs = [(_seconds(first), _seconds(second)) for _ in range(1 + rounds)][1:]
    ours, theirs = zip(*pairs, strict=True)
    return list(ours), list(theirs)


@pytest.mark.parametrize("case", CASES)
def test_the_runtime_writes_more_tokens_a_second_than_generate(
    twins: Twins, case: str, measuring: bool, say: Callable[[str], None]
) -> None:
    sentences, beams = CASES[case]
    draw = torch.Generator().manual_seed(2)
    ids = torch.randint(4, twins.model.config.vocab_size, (sentences, SOURCE), generator=draw)  # [B, S]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    rows = ids.tolist()

    def ours() -> Sequence[Sequence[int]]:
        return twins.translator.generate(rows, width=beams, batch_size=sentences)

    def theirs() -> torch.Tensor:
        with torch.no_grad():
            return run_generate(twins.model, inputs, {"num_beams": beams}, max_new_tokens=LONGEST)

    assert theirs()[:, 1:].tolist() == ours()
    if not measuring:
        return
    mine, torchs = _in_turn(ours, theirs)
    ratio = statistics.median(b / a for a, b in zip(mine, torchs, strict=True))
    tokens = sentences * LONGEST / statistics.median(mine)
    say(f"{case}: {tokens:.0f} tokens/s, {ratio:.2f} times generate's")
    assert ratio >= SPEEDUP


def test_a_first_sentence_is_there_in_a_third_of_the_time_that_torch_and_a_model_take_to_load(
    twins: Twins, measuring: bool, say: Callable[[str], None]
) -> None:
    source = "open the file"
    program = (
        "import torch, transformers, zoo.models\n"
        f"transformers.AutoModelForSeq2SeqLM.from_pretrained({str(twins.torch)!r})\n"
        f"transformers.AutoTokenizer.from_pretrained({str(twins.torch)!r})\n"
    )

    def ours() -> None:
        # As the console script does it, without the search of PATH.
        command = [sys.executable, "-c", "from zoo.cli.main import run; run()", "translate", str(twins.export)]
        done = subprocess.run(
            [*command, "--threads", "1"], input=f"{source}\n", check=True, capture_output=True, text=True
        )
        assert done.stdout.count("\n") == 1  # its words are no tokens of the small tokenizer

    def theirs() -> None:
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

    if not measuring:
        ours()
        return
    mine, torchs = _in_turn(ours, theirs)
    ratio = statistics.median(a / b for a, b in zip(mine, torchs, strict=True))
    say(f"first sentence: {statistics.median(mine):.2f} s, {ratio:.2f} of loading in torch")
    assert ratio <= SHARE_OF_START
