"""How the host exports: refused early, compared, and put in place at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import Field

from zoo.errors import InputError, ZooError
from zoo.export.contracts import Exporter, Parity, RefusedError, Written
from zoo.export.exporting import export_model
from zoo.export.folder import EXPORT_FILE, Cache, Decision, Export, read_export
from zoo.registry import use_registry
from zoo.spec.load import resolve_preparation
from zoo.spec.options import NoOptions, Options
from zoo.tasks import DataHome
from zoo.testing.glyphs import with_glyphs
from zoo.testing.surroundings import one_thread
from zoo.training import build

SAME = Parity(examples=12, largest_difference=1e-6, same_outputs=12)


class Fake(Exporter):
    """Writes one file, and compares as it is told to."""

    def __init__(self, found: Parity = SAME, text: str = "graph") -> None:
        super().__init__(NoOptions())
        self.found, self.text = found, text
        self.batches: Sequence[dict[str, Any]] = ()

    def refuse(self, model: Any) -> None:
        if self.text == "refused":
            raise InputError("model.position: cannot be said")

    def write(self, model: Any, folder: Path, tokenizers: Any = None) -> Written:
        (folder / "model.fake").write_text(self.text)
        return Written({"model.fake": len(self.text)}, opset=18, versions={"fake": "1"})

    def parity(self, model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
        assert (folder / "model.fake").is_file()
        assert max_new_tokens == 20
        self.batches = batches
        return self.found

    def outputs(self, folder: Path, sources: Sequence[Any], *, width: int | None = None) -> list[Any]:
        raise InputError("nothing runs it")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, home: DataHome, translator_plain: Callable[..., Any]) -> Path:
    """An untrained model's folder."""
    from zoo.spec import resolve

    folder = tmp_path_factory.mktemp("models") / "tiny"
    with one_thread():
        changes = {"decoding.strategy": {"use": "beam", "width": 3}, "decoding.max_new_tokens": 20}
        build(resolve(translator_plain(**changes)), folder, home)
    return folder


@pytest.fixture
def exported(model: Path, home: DataHome, tmp_path: Path) -> Callable[..., Export]:
    def export(fake: Fake, out: Path = tmp_path / "out", **options: Any) -> Export:
        chosen: Any = SimpleNamespace(create=lambda: fake)
        with one_thread():
            return export_model(model, out, chosen, home=home, **options)

    return export


def test_an_export_says_what_its_runtime_needs(exported: Callable[..., Export], tmp_path: Path) -> None:
    fake = Fake()
    export = exported(fake)
    assert read_export(tmp_path / "out") == export
    assert (export.name, export.architecture, export.reads) == ("tiny", "encoder-decoder", "text")
    assert export.image is None
    sequence = export.sequence
    assert sequence is not None
    assert sequence.cache == Cache(layers=1, heads=2, head_width=8)
    assert sequence.decoding.strategy == "beam"
    assert sequence.decoding.options["width"] == 3
    assert (sequence.max_source_tokens, sequence.max_target_tokens) == (64, 64)
    assert sequence.special.end != sequence.special.padding
    assert export.parity is not None
    assert export.parity.model_dump(exclude_defaults=True) == {
        "examples": 12,
        "taken_from": "dev",
        "largest_difference": 1e-6,
        "outputs": [{"decoding": "greedy", "same": 12}],
        "notes": ["nothing runs it: outputs as used and their quality are not compared"],
    }
    left = {item.name for item in (tmp_path / "out").iterdir()} - {"special_tokens_map.json"}  # of transformers 4
    assert left == {EXPORT_FILE, "model.fake", "tokenizer.json", "tokenizer_config.json", "zoo.lock.yaml"}
    sizes = [len(batch["input_ids"]) for batch in fake.batches]
    assert sizes == [5, 5, 2]
    widths = [batch["attention_mask"].sum(-1).max().item() for batch in fake.batches]
    assert widths == sorted(widths, reverse=True)  # sources of like length share a batch


def test_sources_of_ones_own_are_compared_instead_of_the_development_split(exported: Callable[..., Export]) -> None:
    fake = Fake(replace(SAME, examples=2, same_outputs=2))
    exported(fake, sources=["ta nutux", "tep"])
    assert [len(batch["input_ids"]) for batch in fake.batches] == [2]


def test_a_recogniser_is_compared_on_images_and_says_how_they_are_prepared(
    glyph_spec: Callable[..., Any], tmp_path: Path
) -> None:
    fake = Fake(replace(SAME, examples=6, same_outputs=6))
    chosen: Any = SimpleNamespace(create=lambda: fake)
    home = DataHome(tmp_path / "home")
    with use_registry(with_glyphs()), one_thread():
        spec = glyph_spec(**{"training.steps": 0, "decoding.batch_size": 4, "decoding.max_new_tokens": 20})
        build(spec, tmp_path / "model", home)
        export = export_model(tmp_path / "model", tmp_path / "out", chosen, examples=6, home=home)
        assert read_export(tmp_path / "out") == export
        assert export.reads == "image"
        assert export.image is not None
        assert resolve_preparation(export.image.section) == spec.model.image.preparation()
        assert list(export.image.plugins) == [spec.model.image.input.component.distribution]
    assert export.sequence is not None
    assert export.sequence.max_source_tokens is None
    assert [len(batch["pixel_values"]) for batch in fake.batches] == [4, 2]
    counts = [batch["patch_mask"].sum(-1).max().item() for batch in fake.batches]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            replace(SAME, largest_difference=2e-4),
            "logits of the export differ from torch's by 0.0002, more than 0.0001",
        ),
        (replace(SAME, largest_difference=float("nan")), "differ from torch's by nan"),
        (replace(SAME, same_outputs=11), "1 of 12 greedy outputs of the export are not torch's"),
    ],
)
def test_what_computes_something_else_is_not_put_in_place(
    exported: Callable[..., Export], tmp_path: Path, found: Parity, expected: str
) -> None:
    exported(Fake(text="earlier"))
    with pytest.raises(ZooError, match=expected):
        exported(Fake(found, text="later"))
    assert (tmp_path / "out" / "model.fake").read_text() == "earlier"
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


class Weights(Options):
    weights: str = Field(default="int4", description="x")
    opset: int = Field(default=19, description="x")


class Picky(Fake):
    """Runs neither 4 bits nor opset 19."""

    def __init__(self, options: Weights) -> None:
        super().__init__()
        self.options = options

    def exact(self) -> Exporter | None:
        return (
            None if self.options.weights == "float32" else Picky(Weights(weights="float32", opset=self.options.opset))
        )

    def weaker(self) -> tuple[str, Any] | None:
        if self.options.weights == "int4":
            return "weights", "int8"
        return ("opset", 18) if self.options.opset > 18 else None

    def write(self, model: Any, folder: Path, tokenizers: Any = None) -> Written:
        assert [item.name for item in folder.iterdir()] in ([], ["exact"]), "nothing is left of what was refused"
        written = super().write(model, folder, tokenizers)
        changed = () if self.options.weights == "float32" else ("lm_head",)
        return replace(written, opset=self.options.opset, weights=self.options.weights, changed=changed)

    def parity(self, model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
        if self.options.opset > 18:
            raise RefusedError("no such version")
        if self.options.weights == "int4":
            raise RefusedError("no such kernel", "MatMulNBits")
        return super().parity(model, folder, batches, max_new_tokens=max_new_tokens)


def test_what_does_not_run_is_written_asking_less_until_it_does_and_each_step_is_told(
    exported: Callable[..., Export], tmp_path: Path
) -> None:
    asked = Decision(what="weights", value="int4", reason="asked for", source="--to")
    export = exported(Picky(Weights()), decisions=[asked], threads=1)
    assert (export.opset, export.weights, export.threads) == (18, "int8", 1)
    assert export.decisions == [
        asked,
        Decision(
            what="opset", value=18, reason="19 was refused: no such version", source="tried on this machine"
        ),  # with float32 weights it did not run either: these are not to blame
        Decision(
            what="weights",
            value="int8",
            reason="int4 was refused at the operator MatMulNBits",
            source="tried on this machine",
        ),
    ]
    assert read_export(tmp_path / "out") == export
    assert not (tmp_path / "out" / "exact").exists()


@pytest.mark.parametrize("own", [False, True])
def test_an_exporter_that_looks_for_ranges_is_shown_what_the_model_learned_from(
    exported: Callable[..., Export], own: bool
) -> None:
    class Ranging(Picky):
        shown = 0

        def calibration(self, model: Any) -> int:
            return 7

        def write_reduced(self, *given: Any, calibration: Any = (), **named: Any) -> Written:
            type(self).shown = sum(len(batch["input_ids"]) for batch in calibration)
            return super().write_reduced(*given, **named)

    fake = Ranging(Weights(weights="int8", opset=18))
    sources = ["a b", "c d e", "f"] if own else None
    (decision,) = exported(fake, sources=sources).decisions
    assert (decision.what, decision.value) == ("calibration", "3 of sources" if own else "7 of train")
    assert ("flatters" in decision.reason) == own
    assert Ranging.shown == (3 if own else 7)


def test_what_a_model_is_decides_what_nobody_asked_for_and_is_told(exported: Callable[..., Export]) -> None:
    class Suited(Picky):
        given: frozenset[str] = frozenset()

        def for_model(self, model: Any, asked: Any = ()) -> Any:
            type(self).given = frozenset(asked)
            decision = Decision(what="weights", value="int8", reason="it has no other", source="here")
            return Suited(Weights(weights="int8", opset=18)), (decision,)

    preset = Decision(what="weights", value="int4", reason="small", source="somewhere")
    export = exported(Suited(Weights(weights="int4", opset=18)), decisions=[preset])
    assert Suited.given == {"opset"}, "the preset's choice was nobody's wish"
    assert [item.value for item in export.decisions] == ["int4", "int8"]
    assert export.weights == "int8"


def test_what_nothing_less_can_be_asked_of_fails_as_it_was_refused(
    exported: Callable[..., Export], tmp_path: Path
) -> None:
    class Never(Picky):
        def parity(self, *_: Any, **__: Any) -> Parity:
            raise RefusedError("nothing runs here")

        def weaker(self) -> tuple[str, Any] | None:
            return None

    with pytest.raises(RefusedError, match="nothing runs here"):
        exported(Never(Weights()))
    assert not list(tmp_path.iterdir())


def test_a_refused_model_and_an_occupied_place_write_nothing(exported: Callable[..., Export], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.position: cannot be said"):
        exported(Fake(text="refused"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="holds something else than an export"):
        exported(Fake())
    with pytest.raises(InputError, match="is no folder"):
        exported(Fake(), out=tmp_path / "out" / "thesis.txt")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "precious"


def test_a_newer_export_takes_the_place_of_an_earlier_one(exported: Callable[..., Export], tmp_path: Path) -> None:
    exported(Fake(text="earlier"))
    exported(Fake(text="later"))
    assert (tmp_path / "out" / "model.fake").read_text() == "later"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "no export.json here: not a folder of 'zoo export'"),
        ("{}", "Field required"),
        ("not JSON", "Invalid JSON"),
    ],
)
def test_a_folder_that_is_no_export_is_refused_in_one_line(tmp_path: Path, text: str | None, expected: str) -> None:
    if text is not None:
        (tmp_path / EXPORT_FILE).write_text(text)
    with pytest.raises(InputError, match=expected) as error:
        read_export(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_a_missing_graph_is_named(exported: Callable[..., Export], tmp_path: Path) -> None:
    exported(Fake())
    (tmp_path / "out" / "model.fake").unlink()
    with pytest.raises(InputError, match=r"no model\.fake here, which export\.json names"):
        read_export(tmp_path / "out")


_DEADLY = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from test_exporting import Fake
from zoo.export.exporting import export_model
from zoo.tasks import DataHome

class Deadly(Fake):
    def parity(self, *arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)

source, out, home = map(Path, sys.argv[2:])
export_model(source, out, SimpleNamespace(create=lambda: Deadly(text="later")), home=DataHome(home))
"""


@pytest.mark.slow
def test_an_export_that_is_killed_leaves_the_earlier_one_usable(
    exported: Callable[..., Export], model: Path, home: DataHome, tmp_path: Path
) -> None:
    exported(Fake(text="earlier"))
    done = subprocess.run(
        [sys.executable, "-c", _DEADLY, str(Path(__file__).parent), str(model), str(tmp_path / "out"), str(home.root)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_export(tmp_path / "out").name == "tiny"
    assert (tmp_path / "out" / "model.fake").read_text() == "earlier"
    exported(Fake(text="later"))
    assert (tmp_path / "out" / "model.fake").read_text() == "later"
