"""Records as a bench would write them, made without a bench."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zoo.bench.outputs import MetricOutputs, Outputs, publish_outputs, write_outputs
from zoo.bench.record import (
    CurvePoint,
    Distribution,
    Performance,
    Quality,
    Record,
    Sample,
)
from zoo.bench.store import Problem
from zoo.registry import Component, RegisteredComponent, Registry
from zoo.registry.core_kinds import zoo_kinds
from zoo.registry.discovery import Discovery
from zoo.site import build_site

RecordFactory = Callable[..., Record]
CPU = "AMD EPYC 7763 64-Core Processor"
BLEU_SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.5.1"
CHRF_SIGNATURE = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.5.1"


def quality(
    value: float, *, metric: str = "BLEU", half_width: float | None = 1.0, direction: str = "higher", **changes: Any
) -> Quality:
    """A score with a symmetric interval, or none."""
    interval = None if half_width is None else (max(0.0, value - half_width), value + half_width)
    fields = {
        "metric": metric,
        "value": value,
        "direction": direction,
        "unit": "points",
        "signature": BLEU_SIGNATURE if metric == "BLEU" else CHRF_SIGNATURE,
        "split": "test",
        "examples": 1000,
        "interval": interval,
    }
    return Quality.model_validate({**fields, **changes})


def cpu(latency: float = 0.1, rate: float = 200.0, peak: int = 512 * 2**20, **changes: Any) -> Performance:
    """A measurement on two CPU threads; `latency` is the median in seconds."""
    fields = {
        "device": "cpu",
        "device_kind": "cpu",
        "threads": 2,
        "dtype": "float32",
        "attention": "sdpa",
        "latency": Distribution(unit="s", samples=20, median=latency, minimum=latency * 0.9, maximum=latency * 1.4),
        "throughput": [{"batch": 16, "tokens_per_second": rate}],
        "memory": {"kind": "rss", "peak": peak},
        "training_tokens_per_second": 5200.0,
    }
    return Performance.model_validate({**fields, **changes})


def gpu(latency: float = 0.02, rate: float = 9000.0, **changes: Any) -> Performance:
    fields = {"device": "NVIDIA H100 80GB HBM3", "device_kind": "cuda", "dtype": "bfloat16", "attention": "flex"}
    merged = {
        **fields,
        "memory": {"kind": "cuda-allocated", "peak": 96 * 2**20},
        "training_tokens_per_second": None,
        **changes,
    }
    return cpu(latency, rate, 96 * 2**20, **merged)


def spec(name: str, position: str, seed: int) -> dict[str, Any]:
    """A shortened resolved spec."""
    return {
        "name": name,
        "description": f"A small encoder-decoder with {position} positions, trained from nothing on the office help.",
        "seed": seed,
        "task": {"use": "zoo-tasks-text/translation", "corpus": {"use": "zoo-tasks-text/office-help"}, "source": "zh"},
        "model": {
            "architecture": "encoder-decoder",
            "d_model": 256,
            "heads": 4,
            "position": {"use": f"zoo-positional/{position}", "base": 10000.0},
            "block": {"use": "zoo-blocks/pre-norm"},
        },
        "training": {"steps": 1200, "clipping": {"use": "zoo-optimizers/none"}},
        "evaluation": {"split": "test", "metrics": [{"use": "zoo-tasks-text/bleu"}, {"use": "zoo-tasks-text/chrf"}]},
    }


ENVIRONMENT: Mapping[str, Any] = {
    "host": "bench-1",
    "os": "Debian GNU/Linux 12 (bookworm)",
    "cpu": CPU,
    "cores_usable": 2,
    "threads": 2,
    "python": "3.11.2",
    "packages": {"torch": "2.13.0", "transformers": "5.23.0", "zoo-registry": "0.1.0"},
    "gpus": [],
    "cuda": None,
    "git": {"commit": "3223d7c5a1b2c3d4e5f60718293a4b5c6d7e8f90", "dirty": False},
}


def curve(final: float, seed: int = 1, steps: int = 1200) -> list[CurvePoint]:
    """A falling loss with a little noise, and a dev loss every 200 steps."""
    noise = random.Random(seed)
    points = []
    for step in range(20, steps + 1, 20):
        loss = final + (9.2 - final) * 0.5 ** (step / 170)
        points.append(
            CurvePoint(
                step=step,
                loss=round(loss + noise.gauss(0, 0.06), 4),
                dev_loss=round(loss + 0.15, 4) if step % 200 == 0 else None,
                learning_rate=min(step / 200, (200 / step) ** 0.5) * 1e-3,
                gradient_norm=round(1.2 + abs(noise.gauss(0, 0.3)), 3),
                clipped_fraction=0.1,
            )
        )
    return points


@pytest.fixture
def make_record() -> RecordFactory:
    """``make_record(name="rotary", minute=3, ...)``: a good record on one CPU; every field can be given."""
    made = 0

    def make(**changes: Any) -> Record:
        nonlocal made
        made += 1
        name, seed = changes.get("name", "rotary"), changes.get("seed", 1)
        created = datetime(2026, 11, 20, 9, 0, tzinfo=UTC) + timedelta(minutes=changes.pop("minute", made))
        fields: dict[str, Any] = {
            "id": f"{created:%Y%m%dT%H%M%S}.000000Z-{made:010x}",
            "created": created.isoformat(),
            "cell": f"cell-{name}-{seed}",
            "name": name,
            "task": "office-zh-en",
            "status": "ok",
            "seed": seed,
            "spec": spec(name, "rotary", seed),
            "spec_hash": f"sha256:{made:064x}",
            "data_revision": "sha256:" + "ab" * 32,
            "distributions": {"zoo-registry": "0.1.0", "zoo-positional": "0.1.0"},
            "parameters": 7_350_272,
            "steps": 1200,
            "training_seconds": 161.4,
            "quality": [quality(20.0)],
            "performance": [cpu()],
            "probes": {"distinct_output_ratio": 0.97},
            "curve": curve(2.4, steps=100),
            "samples": [Sample(id="test-1", source="打开文件。", reference="Open the file.", output="Open the file.")],
            "environment": dict(ENVIRONMENT),
        }
        return Record.model_validate({**fields, **changes})

    return make


@pytest.fixture
def part() -> SimpleNamespace:
    """Makers of the parts of a record: ``part.quality(20.0)``, ``part.cpu(0.1)``, ``part.gpu()``."""
    return SimpleNamespace(quality=quality, cpu=cpu, gpu=gpu, spec=spec, curve=curve)


@pytest.fixture
def realistic(make_record: RecordFactory) -> list[Record]:
    """Three models (one with three seeds, one also on a GPU), two baselines, and one that collapsed."""
    samples = [
        Sample(
            id="text/swriter/guide/autocorr.xhp#12",
            source="晚饭以前请把“红色 - 蓝色”两把伞放回门口。",
            reference="Please put both umbrellas, red - blue, back by the door before supper.",
            output="Please put the two umbrellas, red - blue, back at the door before supper.",
        ),
        Sample(
            id="text/scalc/01/func_sum.xhp#3",
            source="邻居家的猫今天又睡在我们的屋顶上。",
            reference="The neighbours' cat is asleep on our roof again today.",
            output="The neighbours' cat sleeps on our roof again today.",
        ),
        Sample(id="text/shared/05/00.xhp#1", source="进来", reference="Come in", output=""),
    ]
    records = []
    for seed, (bleu, chrf) in enumerate([(24.6, 49.8), (24.1, 49.5), (25.0, 50.3)], start=1):
        records.append(
            make_record(
                name="rotary",
                seed=seed,
                quality=[quality(bleu, half_width=1.2), quality(chrf, metric="chrF", half_width=0.9)],
                performance=[cpu(0.1123 + seed / 500, 231.0 - seed, 612_400_000 + seed * 4096)]
                + ([gpu()] if seed == 1 else []),
                curve=curve(2.31, seed),
                samples=samples,
                probes={"distinct_output_ratio": 0.968, "top_output_share": 0.004},
            )
        )
    for name, position, bleu, chrf, latency, final in (
        ("alibi", "alibi", 23.7, 49.0, 0.1041, 2.38),
        ("sinusoidal", "sinusoidal", 19.2, 44.1, 0.0987, 2.71),
    ):
        records.append(
            make_record(
                name=name,
                spec=spec(name, position, 1),
                quality=[quality(bleu, half_width=1.2), quality(chrf, metric="chrF", half_width=0.9)],
                performance=[cpu(latency, 24.0 / latency, 608_100_000)],
                curve=curve(final, 7),
                samples=samples,
                training_seconds=154.0,
            )
        )
    records.append(
        make_record(
            name="learned-lr-0.1",
            spec=spec("learned-lr-0.1", "learned", 1),
            status="collapsed",
            error="one output for 98.7% of the inputs (13 distinct of 1,000; most frequent: 'the the the')",
            quality=[quality(0.3, half_width=0.1), quality(9.8, metric="chrF", half_width=0.3)],
            performance=[],
            curve=curve(6.8, 3),
            probes={"distinct_output_ratio": 0.013, "top_output_share": 0.987},
        )
    )
    nothing: dict[str, Any] = {"role": "baseline", "spec": {}, "performance": [], "curve": [], "samples": samples[:1]}
    nothing |= {"steps": None, "training_seconds": None}
    records.append(
        make_record(
            name="copy",
            parameters=None,
            quality=[quality(4.4, half_width=0.6), quality(12.9, metric="chrF", half_width=0.5)],
            **nothing,
        )
    )
    records.append(
        make_record(
            name="untrained",
            quality=[quality(0.0, half_width=0.0), quality(1.1, metric="chrF", half_width=0.2)],
            **nothing,
        )
    )
    return records


@pytest.fixture
def registry() -> Registry:
    """A registry with three components, two of them of one name, so that pages do not depend on what is installed."""
    found = Discovery(manager=None)  # type: ignore[arg-type]
    found.kinds.update({kind.name: kind for kind in zoo_kinds()})
    for kind, distribution, name, summary in (
        ("position", "zoo-positional", "rotary", "Rotary positions on queries and keys"),
        ("clipping", "zoo-optimizers", "none", "No clipping"),
        ("schedule", "zoo-optimizers", "none", "A constant learning rate"),
    ):
        component = Component(kind=kind, name=name, target="nowhere:Nothing", summary=summary)
        found.components.append(RegisteredComponent(component, distribution, "0.1.0"))
    return Registry(found)


@pytest.fixture
def publish(tmp_path: Path) -> Callable[..., Record]:
    """``publish(record, ["output"], scores={"BLEU": [1.0]})``: the record, with its outputs in `publish.store`."""

    def make(
        record: Record,
        outputs: Sequence[str] | None,
        *,
        scores: Mapping[str, Sequence[float]],
        sources: Sequence[str] | None = None,
        references: Sequence[str] | None = None,
        ids: Sequence[str] | None = None,
        **changes: Any,
    ) -> Record:
        count = len(next(iter(scores.values())))
        texts = [
            None if outputs is None else tuple(found or [f"{kind} {index}" for index in range(count)])
            for kind, found in (("source", sources), ("reference", references))
        ]
        metrics = tuple(
            MetricOutputs(
                metric=name,
                signature="v1",
                direction="lower" if name == "TER" else "higher",
                unit="points",
                component={"use": f"zoo-tasks-text/{name.lower()}"},
                items=tuple(np.zeros(1) for _ in values),
                scores=np.asarray(values, dtype=np.float64),
            )
            for name, values in scores.items()
        )
        fields: dict[str, Any] = {
            "split": "test",
            "data_revision": record.data_revision,
            "ids": tuple(ids or [f"test-{index}" for index in range(count)]),
            "sources": texts[0],
            "references": texts[1],
            "outputs": None if outputs is None else tuple(outputs),
            "metrics": metrics,
        }
        make.store.mkdir(exist_ok=True)
        written = tmp_path / "written.parquet"
        write_outputs(written, Outputs(**{**fields, **changes}))
        return record.model_copy(update={"outputs": publish_outputs(written, make.store, record.id)})

    make.store = tmp_path / "records"  # type: ignore[attr-defined]
    return make


VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})


class Node:
    """An element: what a reader of the page gets, without a browser."""

    def __init__(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.tag = tag
        self.attributes = dict(attributes)
        self.children: list[Node | str] = []

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def children_elements(self) -> list[Node]:
        return [child for child in self.children if isinstance(child, Node)]

    def all(self, tag: str | None = None, **attributes: str) -> list[Node]:
        """Descendants in document order; `class_` matches one of an element's classes."""
        wanted_class = attributes.pop("class_", None)
        wanted = {key.replace("_", "-"): value for key, value in attributes.items()}
        found = []
        for child in self.children:
            if isinstance(child, str):
                continue
            if (
                tag in (None, child.tag)
                and all(child.attributes.get(key) == value for key, value in wanted.items())
                and (wanted_class is None or wanted_class in child.attributes.get("class", "").split())
            ):
                found.append(child)
            found.extend(child.all(tag, **attributes, **({"class_": wanted_class} if wanted_class else {})))
        return found

    def one(self, tag: str | None = None, **attributes: str) -> Node:
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} of <{tag} {attributes}>"
        return found[0]

    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Tags and attribute names in document order: what no text may change."""
        own = [(self.tag, tuple(sorted(self.attributes)))]
        return own + [step for child in self.children if isinstance(child, Node) for step in child.shape()]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("#document", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"an unexpected comment: {data}")


def parse(file: Path) -> Node:
    """The page in `file`. Every element that is opened must be closed, in order."""
    parser = _Parser()
    parser.feed(file.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == [parser.root], f"{file.name} leaves <{parser.open[-1].tag}> open"
    return parser.root


class Site:
    """A built site and its pages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def index(self) -> Node:
        return parse(self.folder / "index.html")

    def board_file(self, task: str = "office-zh-en", ending: str = "html") -> Path:
        (file,) = (path for path in (self.folder / "boards").glob(f"{task}-*.{ending}"))
        return file

    def board(self, task: str = "office-zh-en") -> Node:
        return parse(self.board_file(task))

    def model_file(self, name: str) -> Path:
        (file,) = (path for path in (self.folder / "models").glob("*.html") if path.name[:-16] == name)
        return file

    def model(self, name: str) -> Node:
        return parse(self.model_file(name))

    def pages(self) -> list[Path]:
        return sorted(self.folder.rglob("*.html"))


@pytest.fixture
def build(tmp_path: Path, registry: Registry) -> Callable[..., Site]:
    """``build(records, problems=())`` -> the built site."""

    def make(
        records: Sequence[Record],
        problems: Sequence[Problem] = (),
        name: str = "site",
        store: Path | None = None,
        figures: Path | None = None,
    ) -> Site:
        build_site(records, tmp_path / name, problems, store=store, figures=figures, registry=registry)
        return Site(tmp_path / name)

    return make


@pytest.fixture
def site_parse() -> Callable[[Path], Node]:
    """`parse`, for tests that read any page."""
    return parse
