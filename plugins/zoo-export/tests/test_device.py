"""An export for GPUs, whose caches stay in a device's memory: here the processor's, by the same code."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from zoo_export.onnx_exporter import OnnxExporter
from zoo_export.options import OnnxOptions

from zoo.export.folder import KEEP, REORDER
from zoo.export.hardware import nvidia_gpus
from zoo.export.runtime.beam import beam
from zoo.export.runtime.device_steps import DevicePromptSteps, DeviceSteps
from zoo.export.runtime.devices import CUDA, Device
from zoo.export.runtime.greedy import greedy
from zoo.export.runtime.sessions import TEXTS, Graphs, open_graphs
from zoo.export.runtime.settings import Search
from zoo.export.runtime.steps import CachedSteps, PromptSteps, Steps
from zoo.models import assemble
from zoo.spec import resolve_model
from zoo.testing.surroundings import one_thread

SECTION: dict[str, Any] = {
    "d_model": 16,
    "heads": 2,
    "decoder": {"layers": 2},
    "position": "rotary",
    "block": "pre-norm",
    "normalization": "layer-norm",
    "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
    "max_positions": 64,
}
PAIR: dict[str, Any] = {
    **SECTION,
    "encoder": {"layers": 1},
    "fusion": "top",
    "output_fusion": "surface-soft",  # a step takes the source's states and embeddings
    "context_encoder": "inside",  # and a context's
}
VOCABULARY, START = 40, 2
SEARCHES = [Search(START, 7, max_new_tokens=14), Search(START, 7, 14, width=3, length_penalty=0.8)]
BOUND = Device("cpu", bound=True)


def written(folder: Path, section: dict[str, Any], **options: Any) -> Path:
    model = assemble(resolve_model(section), VOCABULARY, seed=3).eval()
    with torch.no_grad():
        for matrix in model.parameters():
            if matrix.ndim == 2:
                matrix.mul_(3.0)  # so that outputs differ, and some end
    with one_thread():
        OnnxExporter(OnnxOptions(device="cuda", **options)).write(model, folder)
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("pair"), PAIR)


def sources(*, left: bool = False, context: bool = False) -> dict[str, Any]:
    draw = np.random.default_rng(5)
    lengths = np.array([9, 8, 6, 6, 3, 2, 1, 1])
    places = np.arange(9)
    mask = ((places >= 9 - lengths[:, None]) if left else (places < lengths[:, None])).astype(np.int64)
    found = {"input_ids": draw.integers(8, VOCABULARY, mask.shape), "attention_mask": mask}
    if context:
        found |= {f"context_{name}": array[::-1, :5].copy() for name, array in found.items()}
    return found


class Counted:
    """Steps, and how often a search takes rows."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.kept = self.reordered = 0
        self.logits, self.advance = steps.logits, steps.advance

    def keep(self, rows: Any) -> None:
        self.kept += 1
        self.steps.keep(rows)

    def reorder(self, rows: Any) -> None:
        self.reordered += 1
        self.steps.reorder(rows)


def assert_same(graphs: Graphs, made: Any, host: Any) -> None:
    """What is written on the device is what is written at the host, row by row, and rows were taken."""
    at_host = replace(graphs, device=Device())
    endless = greedy(host(at_host), replace(SEARCHES[0], end=-1))
    ((end, _),) = Counter(token for row in endless for token in set(row[1:-1])).most_common(1)
    for search in SEARCHES:
        search = replace(search, end=end)
        find = greedy if search.width == 1 else beam
        counted = Counted(made(graphs))
        found = find(counted, search)
        assert found == find(host(at_host), search)
        assert len({len(row) for row in found}) > 1
        assert len({tuple(row) for row in found}) > 3
        assert counted.kept
        assert counted.reordered or search.width == 1


@pytest.mark.slow
def test_what_stays_on_the_device_gives_what_the_host_gives(pair: Path) -> None:
    """Of a model whose steps take all that there is of a source; with the graphs that take rows, and without."""
    graphs = open_graphs(pair, 2, 1, device=BOUND)
    assert graphs.keep is not None
    assert graphs.reorder is not None
    given = sources(context=True)
    for opened in (graphs, replace(graphs, keep=None, reorder=None)):
        assert_same(
            opened,
            lambda graphs: DeviceSteps(graphs, given, START),
            lambda graphs: CachedSteps(graphs, given, START),
        )


@pytest.mark.slow
def test_graphs_that_take_rows_have_names_that_no_other_reader_looks_for(pair: Path) -> None:
    """`optimum` looks for names with 'encoder', 'decoder' and 'with_past'."""
    assert (pair / KEEP).is_file()
    assert not any(part in name for name in (KEEP, REORDER) for part in ("encoder", "decoder", "with_past"))
    session = onnxruntime.InferenceSession(pair / REORDER, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    assert names == ["rows", *(f"past_key_values.{n}.decoder.{what}" for n in (0, 1) for what in ("key", "value"))]
    values = {name: np.random.default_rng(1).random((3, 2, 4, 8), np.float32) for name in names[1:]}
    found = session.run(None, {"rows": np.array([2, 0, 0, 1, 2]), **values})
    for value, taken in zip(values.values(), found, strict=True):
        np.testing.assert_array_equal(taken, value[[2, 0, 0, 1, 2]])


@pytest.mark.soak
@pytest.mark.parametrize("architecture", ["prefix-lm", "causal-lm"])
def test_language_models_stay_on_the_device_too(tmp_path: Path, architecture: str) -> None:
    folder = written(tmp_path, {**SECTION, "architecture": architecture})
    given = sources(left=True)
    assert_same(
        open_graphs(folder, 2, 1, reads=None, device=BOUND),
        lambda graphs: DevicePromptSteps(graphs, *given.values()),
        lambda graphs: PromptSteps(graphs, *given.values()),
    )


@pytest.mark.soak
def test_float16_caches_stay_on_the_device_as_they_are(tmp_path: Path) -> None:
    with one_thread():
        model = assemble(resolve_model(PAIR), VOCABULARY, seed=3).eval()
        exporter = OnnxExporter(OnnxOptions(weights="float16", device="cuda"))
        exporter.exact().write(model, tmp_path)  # type: ignore[union-attr]
        exporter.write_reduced(model, tmp_path, tmp_path)
    graphs, given = open_graphs(tmp_path, 2, 1, device=BOUND), sources(context=True)
    types = {item.type for item in graphs.reorder.get_inputs()}
    assert types == {"tensor(int64)", "tensor(float16)"}
    for search in SEARCHES:
        find = greedy if search.width == 1 else beam
        found = find(DeviceSteps(graphs, given, START), search)
        assert found == find(CachedSteps(replace(graphs, device=Device()), given, START), search)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(
    CUDA not in onnxruntime.get_available_providers() or not nvidia_gpus(),
    reason="onnxruntime has no CUDA here, or there is no GPU",
)
@pytest.mark.parametrize(("weights", "tolerance"), [("float32", 1e-4), ("float16", 2e-2)])
def test_a_gpu_gives_the_logits_of_torch(tmp_path: Path, weights: str, tolerance: float) -> None:
    """Along outputs of torch, with rows taken in between; as a share of the largest logit."""
    plain = {name: value for name, value in PAIR.items() if name not in {"output_fusion", "context_encoder"}}
    model = assemble(resolve_model(plain), VOCABULARY, seed=3).eval()
    exporter = OnnxExporter(OnnxOptions(weights=weights, device="cuda"))
    first = exporter.exact()
    if first is None:
        exporter.write(model, tmp_path)
    else:
        first.write(model, tmp_path)
        exporter.write_reduced(model, tmp_path, tmp_path)
    graphs = open_graphs(tmp_path, 2, 1, reads=TEXTS, device=Device("cuda", asked=True, bound=True))
    given, order = sources(), np.array([1, 1, 0, 5, 4, 3, 7, 6])
    steps = DeviceSteps(graphs, given, START)
    tokens = np.random.default_rng(2).integers(8, VOCABULARY, (6, 8))
    steps.keep(order)
    ids, mask = (torch.from_numpy(given[name][order]) for name in TEXTS)
    written = torch.full((8, 1), START)
    for step in tokens:
        written = torch.cat((written, torch.from_numpy(step)[:, None]), dim=1)  # [B, 1 + T]
        found = steps.advance(step)
        with torch.no_grad():
            expected = model(input_ids=ids, attention_mask=mask, decoder_input_ids=written, use_cache=False).logits
        expected = expected[:, -1].numpy()
        assert np.abs(found - expected).max() < tolerance * max(1.0, np.abs(expected).max())
        swapped = np.array([0, 1, 2, 3, 5, 4, 6, 7])
        steps.reorder(swapped)
        ids, mask, written = ids[swapped], mask[swapped], written[swapped]
        steps.keep(np.arange(8)) if len(written[0]) == 4 else None
