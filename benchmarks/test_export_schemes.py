"""Every component that a model of texts can have, exported and compared with torch on real sentences.

The registry says which there are: each position scheme with its own options and with each other value of those that
are a choice, in an encoder-decoder, in cross-attention and in a language model; each fusion, output fusion, context
encoder, block, normalisation, feed-forward layer and activation. A small model learns to translate LibreOffice's help
(``specs/base-export-schemes.yaml``); each component is grafted into it, and the model trained on for as long as it
takes the fresh weights to be no longer fresh. It is exported to ONNX in float32, and to CTranslate2 where that has such
a component, and translates the first EXAMPLES sentences of the development split. Step by step from the cache logits
must be torch's within TOLERANCE, and greedy outputs the same to the letter; beams are counted.

    OMP_WAIT_POLICY=PASSIVE pytest benchmarks/test_export_schemes.py --benchmark -m soak

takes about a quarter of a minute of one core for each; ``-k`` chooses. A model that has been trained is not trained
again (``export-schemes/`` in ZOO_HOME), so that a run which was interrupted goes on. Lines are printed as they come,
and stand in ``extra_info``. Without ``--benchmark`` one model of each architecture is tried on a generated language, so
that the benchmark cannot rot.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.errors import InputError
from zoo.export.contracts import Exporter
from zoo.export.exporting import TOLERANCE, Batches, export_model
from zoo.export.material import development
from zoo.export.runtime import load
from zoo.measure.generation import generate_outputs
from zoo.measure.reading import as_read, reader_of, source_of
from zoo.models.decoding import redecoded, run_generate
from zoo.models.modes import evaluating
from zoo.registry import RegisteredComponent, current_registry
from zoo.spec import Spec, load_cells
from zoo.spec.load import chosen_components, spec_hash
from zoo.spec.options import Chosen
from zoo.tasks import DataHome
from zoo.testing.conformance import suite_of
from zoo.testing.in_a_language_model import InALanguageModel
from zoo.testing.in_a_model import InAModel, slot_of
from zoo.training import load_run, train

EXAMPLES = 200
FEW = 8
"""The host compares so many as it exports: it would put nothing in place where one of all is another."""
TIED = TOLERANCE
"""Torch's own logits of two tokens that are nearer than logits may be apart say nothing of which is the likelier."""
SPEC = Path(__file__).parent / "specs" / "base-export-schemes.yaml"
CONTEXT = "task={use: doc2sent, source: zh, target: en, corpus: office-zh-en, context_as: second-input}"
ENCODER_DECODER = "encoder-decoder"
LANGUAGE_MODELS = ("prefix-lm", "causal-lm")
ONE_STACK = ("model.encoder=null", "model.fusion=null", "model.decoder.layers=4")
GRAFTED = ("tokenizer=pretrained", "training.steps=60", "training.save_every=60", "training.schedule.warmup=10")
STARTS = "initialization"
"""The one kind with a slot of which nothing is left in a trained model but its weights."""
TINY = (
    "task.corpus={use: generated, pairs: 200, dev_pairs: 12, test_pairs: 5, vocabulary: 60}",
    "task.source=qaa",
    "task.target=qab",
    "tokenizer.vocab_size=160",
    "model.d_model=16",
    "model.feedforward.width=24",
    "training.steps=2",
)

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("one_thread")]  # models are trained and exported


def _variants(component: RegisteredComponent, *, choices: bool) -> Iterator[dict[str, Any]]:
    """The component's own options, or those of its trait ``example``; with `choices`, each other value of an option
    that is one of a few words or a yes or no, alone."""
    own = dict(component.traits.get("example", {}))
    model = component.load_options()
    yield Chosen(component, model.model_validate(own)).plain()
    for name, schema in model.model_json_schema()["properties"].items() if choices else ():
        for value in [False, True] if schema.get("type") == "boolean" else schema.get("enum", []):
            if value == schema.get("default"):
                continue
            try:
                yield Chosen(component, model.model_validate({**own, name: value})).plain()
            except ValueError:  # needs another option beside it
                continue


def _label(plain: dict[str, Any], component: RegisteredComponent) -> str:
    own = next(_variants(component, choices=False))
    changed = [f":{name}:{value}" for name, value in plain.items() if value != own[name]]
    return f"{component.kind}:{component.name}{''.join(changed)}"


@dataclass(frozen=True)
class Scheme:
    """A component in its place."""

    slot: str
    component: dict[str, Any]
    architecture: str = ENCODER_DECODER
    changes: tuple[str, ...] = ()
    """Of the spec beside the model, as ``--set`` takes them."""

    @property
    def graft(self) -> dict[str, Any]:
        found = self.component
        for step in reversed(self.slot.split(".")):
            found = {step: found}
        return found


@cache
def _schemes() -> dict[str, Scheme]:
    """Each under a label."""
    registry = current_registry()
    base = {chosen.id for chosen in chosen_components(load_cells(SPEC, ["name=base"])[0].spec.model)}
    schemes: dict[str, Scheme] = {}
    parts, layers, variants = dict(schemes), dict(schemes), dict(schemes)
    architectures = cycle(LANGUAGE_MODELS)
    for kind in registry.kinds.values():
        suite = suite_of(kind)
        if not issubclass(suite, InAModel) or kind.name == STARTS:
            continue
        slot, everywhere = slot_of(kind.name), issubclass(suite, InALanguageModel)
        for component in registry.components(kind.name):
            own, *others = _variants(component, choices=kind.name == "position")
            label = _label(own, component)
            if kind.name == "position":
                schemes[label] = Scheme(slot, own)
                architecture = next(architectures)
                parts[f"{architecture}:{label}"] = Scheme(slot, own, architecture)
                variants |= {_label(other, component): Scheme(slot, other) for other in others}
                if component.traits.get("where") == "attention":
                    variants[f"cross-{label}"] = Scheme("decoder.cross_position", own)
            elif component.id not in base:  # which is in all models but these
                changes = (CONTEXT,) if kind.name == "context-encoder" else ()
                (layers if everywhere else parts)[label] = Scheme(slot, own, changes=changes)
    return {**schemes, **parts, **variants, **layers}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All of them where they are measured; else the first of these, which are looked up when the test runs: most who
    collect this file run nothing of it."""
    measuring = metafunc.config.getoption("--benchmark", False)
    metafunc.parametrize("scheme", list(_schemes()) if measuring else ["context-encoder", *LANGUAGE_MODELS])


@dataclass
class Line:
    """How an export compares."""

    scheme: str
    exporter: str
    examples: int = 0
    difference: float = float("nan")
    """The largest of logits, step by step from the cache."""
    greedy: int = 0
    """Greedy outputs that are the same."""
    ties: list[float] = field(default_factory=list)
    """Of each greedy output that is another: the least distance of the best two of torch's logits on its way."""
    beams: int = 0
    distinct: int = 0
    """How many of torch's greedy outputs differ from each other."""
    refused: str = ""

    def __str__(self) -> str:
        begin = f"{self.scheme:45} {self.exporter:11} "
        if self.refused:
            return f"{begin}refused: {self.refused[:90]}"
        tied = f"  ties {', '.join(f'{gap:.1e}' for gap in self.ties)}" if self.ties else ""
        return f"{begin}{self.difference:10.1e} {self.greedy:6} {self.beams:6} {self.distinct:9}{tied}"


HEADER = f"\n{'scheme':45} {'export':11} {'difference':>10} {'greedy':>6} {'beams':>6} {'distinct':>9}"


@dataclass(frozen=True)
class Trained:
    """A model, with what it is compared on."""

    folder: Path
    run: Any
    home: DataHome
    sources: Sequence[Any]

    @cached_property
    def greedy(self) -> Sequence[str]:
        """What it writes in torch."""
        return self._written(1)

    @cached_property
    def beams(self) -> Sequence[str]:
        """What it writes as its spec searches."""
        return self._written(None)

    def _written(self, width: int | None) -> Sequence[str]:
        run, decoding = self.run, redecoded(self.run.spec.decoding, width=width)
        found = generate_outputs(run.model, run.tokenizers, self.sources, decoding, max_source_tokens=self.limit)
        return found.outputs

    @property
    def limit(self) -> int:
        found: int = self.run.model.source_limit(self.run.spec.decoding.max_new_tokens)
        return found

    def least_gap(self, source: Any) -> float:
        """The least distance between the best two logits, along torch's greedy output for one source."""
        model = self.run.model
        batch = reader_of(model, self.run.tokenizers).encoded([source], torch.device("cpu"), limit=self.limit)
        longest = model.output_limit(self.run.spec.decoding.max_new_tokens)
        with evaluating(model), torch.no_grad():
            prompts = model.prompts(batch)
            written = model.written(run_generate(model, prompts, {}, max_new_tokens=longest), prompts)  # [1, 1 + T]
            best = model.target_logits(batch, written[:, 1:])[0].topk(2).values  # [T, 2]
        return float((best[:, 0] - best[:, 1]).min())


def _folder(spec: Spec, home: DataHome) -> Path:
    """The folder of a model that is trained by now."""
    folder = home.root / "export-schemes" / spec_hash(spec).removeprefix("sha256:")[:20]
    assert train(spec, folder, resume=True, home=home).status == "ok"
    return folder


def _trained(scheme: Scheme, home: DataHome, examples: int, small: Sequence[str] = ()) -> Trained:
    stack = () if scheme.architecture == ENCODER_DECODER else ONE_STACK
    own = ["name=export-schemes", f"model.architecture={scheme.architecture}", *stack, *small]
    base = _folder(load_cells(SPEC, own)[0].spec, home)
    model = json.dumps({"from": str(base), "graft": scheme.graft})
    data = [change for change in small if change.startswith("task")]
    (cell,) = load_cells(
        SPEC, ["name=export-schemes", "model=null", f"model={model}", *GRAFTED, *scheme.changes, *data]
    )
    folder = _folder(cell.spec, home)
    run = load_run(folder)
    run.model.eval()
    read = as_read(run.model, run.tokenizers, development(cell.spec, examples, home).examples, cell.spec)
    return Trained(folder, run, home, [source_of(example) for example in read])


def _compared(trained: Trained, scheme: str, name: str, out: Path) -> Line:
    component = current_registry().get("exporter", name)
    chosen = Chosen(component, component.load_options()())
    exporter: Exporter = chosen.create()
    line, run = Line(scheme, name), trained.run
    try:
        exporter.refuse(run.model)
    except InputError as error:
        line.refused = str(error)
        return line
    export_model(trained.folder, out, chosen, examples=FEW, metrics=[], home=trained.home)
    longest = run.model.output_limit(run.spec.decoding.max_new_tokens)
    found = exporter.parity(run.model, out, Batches(run, trained.sources), max_new_tokens=longest)
    translator = load(out, threads=1)
    mine, beams = (translator.translate(trained.sources, width=width) for width in (1, None))
    other = [place for place, text in enumerate(mine) if text != trained.greedy[place]]
    line.examples, line.difference = found.examples, found.largest_difference
    line.greedy, line.distinct = len(mine) - len(other), len(set(trained.greedy))
    line.ties = [trained.least_gap(trained.sources[place]) for place in other]
    line.beams = sum(map(str.__eq__, beams, trained.beams))
    return line


@pytest.fixture(scope="module")
def tell(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Print a line of the table, the first under a heading."""
    manager = request.config.pluginmanager.getplugin("capturemanager")
    shown: list[Any] = []

    def show(line: Any) -> None:
        with manager.global_and_fixture_disabled():
            print(f"{'' if shown else HEADER}\n{line}", end="", flush=True)
        shown.append(line)

    return show


def test_an_export_writes_what_its_model_writes(
    scheme: str, request: pytest.FixtureRequest, tmp_path: Path, tell: Callable[[Any], None]
) -> None:
    measuring = bool(request.config.getoption("--benchmark", False))
    if not measuring:
        scheme = next(name for name in _schemes() if name.startswith(scheme))
    home = DataHome.default() if measuring else DataHome(tmp_path / "home")
    trained = _trained(_schemes()[scheme], home, EXAMPLES if measuring else 12, () if measuring else TINY)
    names = [name for name in ("onnx", "ctranslate2") if name == "onnx" or find_spec(name)]
    lines = [_compared(trained, scheme, name, tmp_path / name) for name in names]
    for line in lines:
        tell(line)
    if measuring:
        benchmark = request.getfixturevalue("benchmark")
        benchmark.extra_info.update({line.exporter: asdict(line) for line in lines})
        translator = load(tmp_path / "onnx", threads=1)
        benchmark.pedantic(translator.translate, (trained.sources,), {"width": 1}, rounds=1)
        assert lines[0].distinct > len(trained.sources) / 4, "so few outputs hardly tell models apart"
    assert not lines[0].refused
    for line in lines:
        if not line.refused:
            assert line.examples == len(trained.sources)
            assert line.difference <= TOLERANCE
            assert all(gap < TIED for gap in line.ties)
