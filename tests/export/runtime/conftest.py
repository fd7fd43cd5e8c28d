"""One small model, in torch and exported, for all tests of what runs exports; and a minute of eight threads."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import psutil
import pytest
import torch
from PIL import Image

from zoo.atomic import locked
from zoo.export.exporting import export_model
from zoo.measure.generation import generate_outputs
from zoo.measure.reading import source_of
from zoo.models.decoding import widened
from zoo.registry import current_registry, use_registry
from zoo.spec import resolve
from zoo.spec.options import Chosen
from zoo.tasks import DataHome
from zoo.testing.glyphs import with_glyphs
from zoo.testing.surroundings import one_thread
from zoo.training import build, load_run
from zoo.training.preparation import prepare_task

CHANGES: dict[str, Any] = {
    "task.corpus.pairs": 200,
    "task.corpus.dev_pairs": 60,
    "tokenizer.vocab_size": 160,
    "model.decoder.layers": 2,
    "model.position": "rotary",
    "model.tie_embeddings": "none",
    "model.max_positions": 24,  # some sources are longer
    "decoding": {"strategy": {"use": "beam", "width": 3, "length_penalty": 0.8}, "max_new_tokens": 20, "batch_size": 7},
}
MakeSpec = Callable[..., Any]


@pytest.fixture(scope="session")
def twin_spec(translator_plain: Callable[..., dict[str, Any]]) -> MakeSpec:
    """The spec of twins, with values set by dotted path; None takes a key away."""
    return lambda **changes: resolve(translator_plain(**{**CHANGES, **changes}))


@dataclass(frozen=True)
class Twins:
    """A folder of ``zoo build`` and an export of it."""

    torch: Path
    export: Path
    sources: tuple[Any, ...]
    """Texts, or texts with their contexts."""


def make_twins(tmp_path_factory: pytest.TempPathFactory, spec: Any) -> Twins:
    """Untrained, but sure of themselves, so that outputs differ and some end."""
    home = DataHome(tmp_path_factory.mktemp("home"))
    folder, out = tmp_path_factory.mktemp("models") / "tiny", tmp_path_factory.mktemp("exports") / "tiny"
    sources = tuple(source_of(example) for example in prepare_task(spec, home).examples("dev"))
    with one_thread():
        build(spec, folder, home)
        model_made = load_run(folder).model
        with torch.no_grad():
            for matrix in model_made.parameters():
                if matrix.ndim == 2:
                    matrix.mul_(2.0)
            model_made.lm_head.weight[model_made.config.eos_token_id] *= 2.0
        model_made.save_pretrained(folder)
        exporter = current_registry().get("exporter", "onnx")
        export_model(folder, out, Chosen(exporter, exporter.load_options()()), sources=sources[:5])
    return Twins(folder, out, sources)


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory, twin_spec: MakeSpec) -> Twins:
    """An encoder-decoder."""
    return once(tmp_path_factory, "twins", lambda: make_twins(tmp_path_factory, twin_spec()))


@pytest.fixture(scope="session")
def language_twins(tmp_path_factory: pytest.TempPathFactory, twin_spec: MakeSpec) -> Twins:
    """A prefix-lm that reads the two sentences before, and has its 96 positions for source and target together."""
    task = {"task.use": "doc2sent", "task.context_sentences": 2}
    model = {"model.architecture": "prefix-lm", "model.encoder": None, "model.fusion": None}
    spec = twin_spec(**task, **model, **{"model.max_positions": 96})
    return once(tmp_path_factory, "language-twins", lambda: make_twins(tmp_path_factory, spec))


@pytest.fixture(scope="session")
def context_twins(tmp_path_factory: pytest.TempPathFactory, twin_spec: MakeSpec) -> Twins:
    """An encoder-decoder with a second encoder for the two sentences before."""
    task = {"task.use": "doc2sent", "task.context_sentences": 2, "task.context_as": "second-input"}
    spec = twin_spec(**task, **{"model.context_encoder": "inside"})
    return once(tmp_path_factory, "context-twins", lambda: make_twins(tmp_path_factory, spec))


T = TypeVar("T")


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[], T]) -> T:
    """What `make` gives, which names files: made by the first of the processes that share these tests."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of the whole run
    made = folder / f"{name}.made"
    with locked(folder / f"{name}.lock"):
        if not made.exists():
            made.write_bytes(pickle.dumps(make()))
    return cast(T, pickle.loads(made.read_bytes()))


OfTorch = Callable[..., list[str]]


def outputs_of(twins: Twins) -> OfTorch:
    """Outputs in torch, with other settings than the spec's where these are given."""
    run = load_run(twins.torch)
    run.model.eval()

    def translate(width: int | None = None, **changes: Any) -> list[str]:
        decoding = run.spec.decoding
        if width is not None:
            changes["strategy"] = widened(decoding.strategy, width)
        decoding = decoding.model_copy(update=changes)
        limit = run.model.source_limit(decoding.max_new_tokens)
        with one_thread():
            return list(
                generate_outputs(run.model, run.tokenizers, twins.sources, decoding, max_source_tokens=limit).outputs
            )

    return translate


@pytest.fixture(scope="session")
def of_torch(twins: Twins) -> OfTorch:
    """Of the encoder-decoder."""
    return outputs_of(twins)


@pytest.fixture(scope="session")
def of_language_model(language_twins: Twins) -> OfTorch:
    """Of the prefix-lm."""
    return outputs_of(language_twins)


@dataclass(frozen=True)
class Readers:
    """A folder of ``zoo build`` and an export of it, of each kind of recogniser, and images on disk."""

    text: Twins
    ctc: Twins
    images: Path


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory, glyph_spec: Callable[..., Any]) -> Iterator[Readers]:
    """Untrained, but with outputs that differ. Made once; while a module has them, the registry knows glyphs."""
    made = once(tmp_path_factory, "readers", lambda: make_readers(tmp_path_factory.mktemp("readers"), glyph_spec))
    with use_registry(with_glyphs()), one_thread():
        yield made


def make_readers(root: Path, glyph_spec: Callable[..., Any]) -> Readers:
    home = DataHome(root / "home")
    absent = dict.fromkeys(("model.decoder", "model.position", "model.fusion"))
    strategy = {"use": "beam", "width": 3}
    # A table of 2 rows and 8 columns has no place for larger images.
    image = {"model.image.patch_position": {"use": "factorized", "rows": 2, "columns": 8}}
    common = {"training.steps": 0, "decoding.batch_size": 5, "decoding.max_new_tokens": 12, **image}
    kinds = {
        "text": {"decoding.strategy": strategy, "model.image.registers": 1},
        "ctc": {"model.architecture": "image-ctc", "model.tie_embeddings": "none", **absent},
    }
    twins = {}
    with use_registry(with_glyphs()), one_thread():
        for kind, changes in kinds.items():
            spec = glyph_spec(**common, **changes)
            images = [example.image for example in prepare_task(spec, home).examples("dev")]
            build(spec, root / kind, home)
            model = load_run(root / kind).model
            with torch.no_grad():
                for matrix in model.parameters():
                    if matrix.ndim == 2:
                        matrix.mul_(3.0)
            model.save_pretrained(root / kind)
            exporter = current_registry().get("exporter", "onnx")
            chosen = Chosen(exporter, exporter.load_options()())
            out = root / "exports" / kind
            compared: dict[str, Any] = {"sources": images[:5]} if kind == "text" else {"examples": 5}
            export_model(root / kind, out, chosen, **compared, home=home)
            twins[kind] = Twins(root / kind, out, ())
        (root / "images").mkdir()
        for place, image in enumerate(images[:12]):
            assert image is not None
            Image.fromarray(image.load()).save(root / "images" / f"{place:02}.png")
    return Readers(**twins, images=root / "images")


MINUTE = 60.0
LEFT_BEHIND = 2**21
"""By so many bytes the last third's largest memory may exceed that of the third before. The first warms up: in it each
thread, and what it calls, gets memory of its own, and has met every call."""

Serving = Callable[[Sequence[Callable[[], Any]]], None]


@pytest.fixture
def served_for_a_minute(request: pytest.FixtureRequest) -> Serving:
    """Have eight threads make these calls for a minute, each another one first. Fails where one gives something else
    than it gave before, or where memory is left behind."""

    def serve(calls: Sequence[Callable[[], Any]]) -> None:
        expected = [call() for call in calls]
        process, begin = psutil.Process(), time.monotonic()
        seen: list[tuple[float, int]] = []

        def thread(first: int) -> int:
            count = 0
            while (passed := time.monotonic() - begin) < MINUTE:
                place = (first + count) % len(calls)
                assert calls[place]() == expected[place]
                count += 1
                seen.append((passed, process.memory_info().rss))
            return count

        with ThreadPoolExecutor(8) as pool:
            counts = list(pool.map(thread, range(8)))
        before, after = (
            max(size for passed, size in seen if third <= passed / MINUTE * 3 < third + 1) for third in (1, 2)
        )
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\n{sum(counts)} calls, memory {before / 2**20:.1f} MiB, then {after / 2**20:.1f} MiB")
        assert min(counts) > 3
        assert after - before < LEFT_BEHIND

    return serve
