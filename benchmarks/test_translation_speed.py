"""Exports against what users would take instead: tokens a second, and time to a first sentence.

One model, random and of Marian's size, writes outputs of a fixed length: in torch, as ONNX by zoo's runtime, by
CTranslate2, and (a random Marian of the same size) by optimum. With ``--benchmark`` all are timed in turn, so that a
busy moment of the machine falls on each, as a table of tokens a second relative to generate's, and the promises must
hold. Without it a tiny model is exported and run once, so that the benchmark cannot rot.

What onnxruntime needs for the products with weights alone is timed too (``products``): no loop around it can be faster.
In float32 both runtimes are near it, and no promise of much more can hold: there the runtime must be ahead of optimum,
in 8 bits by half.

CTranslate2 is timed where it is installed; optimum where ZOO_PEER_PYTHON names the Python of an environment that has
optimum-onnx. THREADS of each are those of ``ZOO_PEER_THREADS`` (1).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from zoo_export.options import OnnxOptions
from zoo_export.precision import LAYER, reduced

from zoo.export.folder import Cache, Decoding, Export, SequencePart, Special, write_export
from zoo.export.runtime import Translator, load
from zoo.export.runtime.sessions import session_options
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
THREADS = int(os.environ.get("ZOO_PEER_THREADS", "1"))
SPEEDUP = 1.2
"""At least so many times the tokens a second of torch, and greedily of CTranslate2 in 8 bits."""
OVER_OPTIMUM = {"float32": 1.0, "int8": 1.5}
SHARE_OF_START = 1 / 3
"""At most so much of the time that importing torch and transformers and loading the model take."""
CASES = {"1 greedy": (1, 1), "16 greedy": (16, 1), "1 beam 4": (1, 4), "16 beam 4": (16, 4)}
"""Sentences at once, and hypotheses of each."""
SIZES = {"d=512, 6+6, V=32k": (512, 6, 8, 32_000), "d=256, 6+6, V=32k": (256, 6, 4, 32_000)}
TINY = (16, 1, 2, 300)
EXPORTS = {
    "onnx float32": ("onnx", {}),
    "onnx int8": ("onnx", {"weights": "int8"}),
    "ctranslate2 float32": ("ctranslate2", {}),
    "ctranslate2 int8": ("ctranslate2", {"weights": "int8"}),
}
SCRIPT = Path(__file__).parent / "peers" / "optimum_seconds.py"

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("one_thread")]  # models are exported


@dataclass
class Optimum:
    """The process that runs optimum."""

    process: subprocess.Popen[str]
    versions: dict[str, str] = field(default_factory=dict)

    def seconds(self, variant: str, sentences: int, beams: int) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{variant} {sentences} {beams}\n")
        self.process.stdin.flush()
        return float(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "optimum's process has ended"
        return line


@dataclass(frozen=True)
class Contestants:
    """One model in torch and its exports."""

    model: Any
    torch: Path
    exports: dict[str, Path]
    translators: dict[str, Translator]
    optimum: Optimum | None
    size: tuple[int, int, int, int]

    def products(self, weights: str, sentences: int, beams: int) -> Callable[[], None]:
        """All products with weights that writing takes, and nothing else."""
        width, layers, _, vocabulary = self.size
        read = sentences * SOURCE
        block = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
        step = [*block, (width, width), (width, width)]  # of the attention to the source
        reading = _products([*block * layers, *[(width, 2 * width)] * layers], weights)
        writing = _products([*step * layers, (width, vocabulary)], weights)

        def run() -> None:
            reading(read)
            writing(sentences)
            for _ in range(LONGEST - 1):
                writing(sentences * beams)

        return run


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
        "tie_embeddings": "all",
        "max_positions": 512,
    }


@pytest.fixture(scope="module")
def measuring(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--benchmark", False))


@pytest.fixture(scope="module", params=SIZES)
def size(request: pytest.FixtureRequest, measuring: bool) -> tuple[int, int, int, int]:
    if not measuring and request.param != next(iter(SIZES)):
        pytest.skip("one size is tried where nothing is measured")
    found: tuple[int, int, int, int] = SIZES[request.param] if measuring else TINY
    return found


@pytest.fixture(scope="module")
def contestants(
    size: tuple[int, int, int, int], measuring: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Contestants]:
    width, layers, heads, vocabulary = size
    model = assemble(resolve_model(_section(width, layers, heads)), vocabulary, seed=1).eval()
    torch.set_num_threads(THREADS)
    folder = tmp_path_factory.mktemp("torch")
    model.save_pretrained(folder)
    save_tokenizers(tiny_tokenizers(), folder)
    exports = {}
    for name, (exporter, options) in EXPORTS.items():
        if exporter == "ctranslate2" and find_spec("ctranslate2") is None:
            continue
        exports[name] = tmp_path_factory.mktemp(exporter)
        _export(model, exports[name], exporter, options, (layers, heads, width // heads, vocabulary))
    translators = {name: load(place, threads=THREADS) for name, place in exports.items()}
    python = os.environ.get("ZOO_PEER_PYTHON")
    optimum = _optimum(python, size) if python and measuring else None
    yield Contestants(model, folder, exports, translators, optimum, size)
    if optimum is not None:
        optimum.process.kill()


def _export(model: Any, out: Path, name: str, options: dict[str, Any], shape: tuple[int, int, int, int]) -> None:
    layers, heads, head_width, vocabulary = shape
    component = current_registry().get("exporter", name)
    written = Chosen(component, component.load_options()(**options)).create().write(model, out)
    save_tokenizers(tiny_tokenizers(), out)
    config = model.config
    sequence = SequencePart(
        cache=Cache(layers=layers, heads=heads, head_width=head_width),
        vocabulary=vocabulary,
        special=Special(
            start=config.decoder_start_token_id,
            end=config.eos_token_id,
            padding=config.pad_token_id,
            banned=[[config.eos_token_id]],
        ),
        max_source_tokens=512,
        max_target_tokens=512,
        decoding=Decoding(strategy="greedy", max_new_tokens=LONGEST, batch_size=16),
    )
    kind: Any = name
    write_export(
        Export(
            kind=kind,
            name="random",
            architecture="encoder-decoder",
            reads="text",
            sequence=sequence,
            opset=written.opset,
            weights=written.weights,
            sizes=written.sizes,
            made_with=written.versions,
        ),
        out,
    )


def _optimum(python: str, size: tuple[int, int, int, int]) -> Optimum:
    process = subprocess.Popen(
        [python, str(SCRIPT), *map(str, size), str(THREADS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS), "PYTHONPATH": ""},
    )
    found = Optimum(process)
    found.versions = json.loads(found.line())
    return found


def _products(shapes: Sequence[tuple[int, int]], weights: str) -> Callable[[int], Any]:
    """Products of so many rows with matrices of these shapes, each with a matrix of its own, in onnxruntime."""
    draw = np.random.default_rng(3)
    tensors = [
        numpy_helper.from_array(draw.standard_normal(shape, np.float32), f"w{place}")
        for place, shape in enumerate(shapes)
    ]
    sizes = sorted({inputs for inputs, _ in shapes})
    nodes = [
        helper.make_node("MatMul", [f"x{inputs}", f"w{place}"], [f"y{place}"], f"product{place}")
        for place, (inputs, _) in enumerate(shapes)
    ]
    taken = [helper.make_tensor_value_info(f"x{size}", TensorProto.FLOAT, ["rows", size]) for size in sizes]
    made = [
        helper.make_tensor_value_info(f"y{place}", TensorProto.FLOAT, ["rows", outputs])
        for place, (_, outputs) in enumerate(shapes)
    ]
    graph = helper.make_graph(nodes, "products", taken, made, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    for node in model.graph.node:
        node.metadata_props.add(key=LAYER, value=node.name)
    if weights != "float32":
        found, _ = reduced({"products": model}, OnnxOptions.model_validate({"weights": weights}))
        model = found["products"]
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(THREADS), providers=["CPUExecutionProvider"]
    )

    @cache
    def inputs(rows: int) -> dict[str, Any]:
        return {f"x{size}": draw.standard_normal((rows, size), np.float32) for size in sizes}

    return lambda rows: session.run(None, inputs(rows))


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@pytest.mark.parametrize("case", CASES)
def test_the_runtime_writes_more_tokens_a_second_than_what_users_would_take(
    contestants: Contestants, case: str, measuring: bool, say: Callable[[str], None]
) -> None:
    sentences, beams = CASES[case]
    model = contestants.model
    draw = torch.Generator().manual_seed(2)
    ids = torch.randint(4, model.config.vocab_size, (sentences, SOURCE), generator=draw)  # [B, S]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    rows = ids.tolist()

    def generate() -> torch.Tensor:
        settings = {"num_beams": beams, "bad_words_ids": [[model.config.eos_token_id]]}
        with torch.no_grad():
            return run_generate(model, inputs, settings, max_new_tokens=LONGEST)

    def exported(name: str) -> Sequence[Sequence[int]]:
        return contestants.translators[name].generate(rows, width=beams, batch_size=sentences)

    expected = generate()[:, 1:].tolist()
    for name in contestants.exports:
        written = exported(name)
        assert {len(row) for row in written} == {LONGEST}
        if name == "onnx float32" or (name == "ctranslate2 float32" and beams == 1):
            assert written == expected
    if not measuring:
        return
    runs: dict[str, Callable[[], float]] = {"torch": lambda: _seconds(generate)}
    for name in contestants.exports:
        runs[name] = lambda name=name: _seconds(lambda: exported(name))  # type: ignore[misc]
    if contestants.optimum is not None:
        for variant in ("float32", "int8"):
            runs[f"optimum {variant}"] = lambda variant=variant: contestants.optimum.seconds(  # type: ignore[misc, union-attr]
                variant, sentences, beams
            )
    for weights in ("float32", "int8"):
        alone = contestants.products(weights, sentences, beams)
        runs[f"products {weights}"] = lambda alone=alone: _seconds(alone)  # type: ignore[misc]
    ratios = _ratios(runs)
    versions = "" if contestants.optimum is None else f" ({contestants.optimum.versions})"
    say(f"{case}, {THREADS} threads: " + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()) + versions)
    assert ratios["onnx float32"] >= SPEEDUP
    if "ctranslate2 int8" in ratios:
        least = SPEEDUP if beams == 1 else 1.0
        assert ratios["onnx int8"] >= least * ratios["ctranslate2 int8"]
    if contestants.optimum is not None:
        for variant in ("float32", "int8"):
            assert ratios[f"onnx {variant}"] >= OVER_OPTIMUM[variant] * ratios[f"optimum {variant}"]


def _ratios(runs: dict[str, Callable[[], float]]) -> dict[str, float]:
    """How many times the tokens of the first each writes in a second: medians over rounds, all in each, after one that
    warms up."""
    rounds = [{name: run() for name, run in runs.items()} for _ in range(1 + ROUNDS)][1:]
    first = next(iter(runs))
    return {name: statistics.median(each[first] / each[name] for each in rounds) for name in runs}


def test_a_first_sentence_is_there_in_a_third_of_the_time_that_torch_and_a_model_take_to_load(
    contestants: Contestants, measuring: bool, say: Callable[[str], None]
) -> None:
    source = "open the file"
    program = (
        "import torch, transformers, zoo.models\n"
        f"transformers.AutoModelForSeq2SeqLM.from_pretrained({str(contestants.torch)!r})\n"
        f"transformers.AutoTokenizer.from_pretrained({str(contestants.torch)!r})\n"
    )

    def ours() -> None:
        # As the console script does it, without the search of PATH.
        export = contestants.exports["onnx float32"]
        command = [sys.executable, "-c", "from zoo.cli.main import run; run()", "translate", str(export)]
        done = subprocess.run(
            [*command, "--threads", "1"], input=f"{source}\n", check=True, capture_output=True, text=True
        )
        assert done.stdout.count("\n") == 1  # its words are no tokens of the small tokenizer

    def theirs() -> None:
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

    if not measuring:
        ours()
        return
    ratio = 1 / _ratios({"torch": lambda: _seconds(theirs), "export": lambda: _seconds(ours)})["export"]
    say(f"first sentence: {ratio:.2f} of loading in torch")
    assert ratio <= SHARE_OF_START
