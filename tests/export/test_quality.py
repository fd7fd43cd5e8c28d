"""What an export is worth beside its model: outputs, metrics with intervals and bounds, and the layers that do harm."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import Field

from zoo.errors import InputError
from zoo.export.contracts import Exporter, Parity, Written
from zoo.export.differences import Differences
from zoo.export.exporting import export_model
from zoo.export.folder import Export, read_export
from zoo.export.quality import ALLOWED, BEAM, DroppedError, MaxDrop, measured_drop, same_output
from zoo.export.sensitivity import grouped
from zoo.measure.generation import generate_outputs
from zoo.models.decoding import run_generate, widened
from zoo.spec import Spec, resolve
from zoo.spec.options import NoOptions, Options
from zoo.statistics import percentile_interval
from zoo.tasks import DataHome, Detection, Example, SummedMetric
from zoo.testing.surroundings import one_thread
from zoo.training import build, load_run
from zoo.training.loading import Run
from zoo.training.preparation import prepare_task

CHANGES = {
    "task.corpus.dev_pairs": 24,
    "model.tie_embeddings": "none",
    "decoding.batch_size": 24,
    "evaluation.metrics": ["chrf", "bleu", "contrastive"],
}
RUINED = "decoder.layers.0.feedforward.down"


class RuinedOptions(Options):
    """As an exporter has them that changes layers."""

    keep_float32: list[str] = Field(default=[], description="Layers that stay as they are")


class Ruining(Exporter):
    """An "export" is the model in torch with noise on the weights of its layers."""

    run: Run
    noise: dict[str, float]
    """Of the layers that it changes."""

    def refuse(self, model: Any) -> None:
        pass

    def write(self, model: Any, folder: Path, tokenizers: Any = None) -> Written:
        kept = getattr(self.options, "keep_float32", [])
        changed = [name for name in self.noise if not any(fnmatchcase(name, glob) for glob in kept)]
        (folder / "changed.txt").write_text("\n".join(changed))
        return Written({"changed.txt": 1}, opset=18, versions={}, changed=tuple(changed))

    def parity(self, model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
        differences, same = Differences(), 0
        for batch in batches:
            with torch.no_grad():
                written = run_generate(model, batch, {}, max_new_tokens=max_new_tokens)
                given = {**batch, "decoder_input_ids": written[:, :-1]}
                expected = model(**given).logits.numpy()
                with self._changed(model, folder):
                    found = model(**given).logits.numpy()
            same += int((expected.argmax(-1) == found.argmax(-1)).all(-1).sum())
            differences.add(expected.reshape(-1, expected.shape[-1]), found.reshape(-1, found.shape[-1]))
        examples = sum(len(batch["input_ids"]) for batch in batches)
        return Parity(examples, differences.largest, same, differences.mean, differences.divergence)

    def outputs(self, folder: Path, sources: Sequence[Any], *, width: int | None = None) -> list[Any]:
        assert read_export(folder).sequence is not None
        with self._changed(self.run.model, folder):
            return decoded(self.run, sources, width)

    def _changed(self, model: Any, folder: Path) -> Any:
        names = (folder / "changed.txt").read_text().split()
        return noisy(model, {name: self.noise[name] for name in names})


class noisy:  # noqa: N801 - used as a function
    """Within the block, layers of the model have noise of so many standard deviations of theirs on their weights."""

    def __init__(self, model: Any, noise: dict[str, float]) -> None:
        self.weights = {name: model.get_submodule(name).weight for name in noise}
        self.noise = noise

    def __enter__(self) -> None:
        self.clean = {name: weight.detach().clone() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            drawn = torch.randn(weight.shape, generator=torch.Generator().manual_seed(5))
            with torch.no_grad():
                weight.add_(drawn * weight.std() * self.noise[name])

    def __exit__(self, *_: Any) -> None:
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(self.clean[name])


def decoded(run: Run, sources: Sequence[Any], width: int | None = None) -> list[Any]:
    decoding = run.spec.decoding
    if width is not None:
        decoding = decoding.model_copy(update={"strategy": widened(decoding.strategy, width)})
    return list(generate_outputs(run.model, run.tokenizers, sources, decoding, max_source_tokens=60).outputs)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def spec(translator_plain: Callable[..., Any]) -> Spec:
    return resolve(translator_plain(**CHANGES))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, home: DataHome, spec: Spec) -> Path:
    """Untrained, but sure of itself, so that its outputs hang on their sources."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    with one_thread():
        build(spec, folder, home)
        made = load_run(folder).model
        with torch.no_grad():
            for matrix in made.parameters():
                if matrix.ndim == 2:
                    matrix.mul_(2.0)
        made.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(model: Path) -> Run:
    return load_run(model)


@pytest.fixture(scope="module")
def sources(home: DataHome, spec: Spec) -> list[str]:
    return [example.source for example in prepare_task(spec, home).examples("dev")]


@pytest.fixture(scope="module")
def references(run: Run, sources: list[str]) -> list[str]:
    """What the model writes is what is right: the model itself scores 100."""
    with one_thread():
        found = decoded(run, sources)
    assert len(set(found)) > 12
    return found


@pytest.fixture(scope="module")
def noise(run: Run) -> dict[str, float]:
    """Hardly any on all layers but one, which is ruined."""
    names = [name for name, module in run.model.named_modules() if isinstance(module, torch.nn.Linear)]
    assert RUINED in names
    return {**dict.fromkeys(names, 1e-4), RUINED: 4.0}


Export_ = Callable[..., Export]


@pytest.fixture
def exported(model: Path, run: Run, noise: dict[str, float], home: DataHome, tmp_path: Path) -> Export_:
    def export(options: Options | None = None, out: Path = tmp_path / "out", **more: Any) -> Export:
        kind = type("Case", (Ruining,), {"run": run, "noise": more.pop("noise", noise)})
        chosen: Any = SimpleNamespace(create=lambda: kind(options or RuinedOptions()))
        with one_thread():
            return export_model(model, out, chosen, home=home, **more)

    return export


def test_a_ruined_layer_is_past_the_bound_is_named_and_kept_the_export_passes(
    exported: Export_, sources: list[str], references: list[str], tmp_path: Path
) -> None:
    mine: dict[str, Any] = {"sources": sources, "references": references}
    earlier = exported(RuinedOptions(keep_float32=[RUINED]), **mine)
    with pytest.raises(
        DroppedError, match="chrf is worse by .* points .* more than 1, on 24 examples of sources"
    ) as error:
        exported(**mine)
    report = error.value.report
    worst, *others = report.sensitivity
    assert worst.layers == "decoder.layers.0.feedforward.*"
    assert worst.divergence is not None
    assert all(item.divergence is not None and item.divergence < 1e-3 * worst.divergence for item in others)
    assert report.remedy is not None
    assert report.remedy.keep_float32 == [worst.layers]
    assert 'within the bound with keep_float32: ["decoder.layers.0.feedforward.*"]' in str(error.value)
    assert [item.name for item in tmp_path.iterdir()] == ["out"]
    assert read_export(tmp_path / "out") == earlier

    # What was advised is what then passes, with the drops that were told.
    later = exported(RuinedOptions(keep_float32=report.remedy.keep_float32), **mine)
    assert later.parity is not None
    assert later.parity.metrics == report.remedy.drops
    assert later.parity.sensitivity == []


def test_a_report_tells_outputs_metrics_and_what_it_could_not_measure(
    exported: Export_, run: Run, sources: list[str], references: list[str], noise: dict[str, float], tmp_path: Path
) -> None:
    noise = {**noise, RUINED: 0.3}
    bounds = MaxDrop(100.0, {"bleu": 100.0})
    found = exported(sources=sources, references=references, taken_from="mine.txt", max_drop=bounds, noise=noise).parity
    assert found is not None
    assert read_export(tmp_path / "out").parity == found
    assert (found.examples, found.taken_from, found.changed_layers) == (24, "mine.txt", len(noise))
    with one_thread(), noisy(run.model, noise):
        greedy, beams = decoded(run, sources), decoded(run, sources, BEAM)
    with one_thread():
        own_beams = decoded(run, sources, BEAM)
    told = {row.decoding: row.same for row in found.outputs}
    assert told == {
        "greedy": sum(a == b for a, b in zip(greedy, references, strict=True)),
        "beam of 4": sum(a == b for a, b in zip(beams, own_beams, strict=True)),
    }
    assert 0 < told["greedy"] < 24
    assert 0 < told["beam of 4"] < 24
    chrf, bleu = found.metrics
    metric = run.spec.evaluation.metrics[0].create()
    assert chrf.torch == pytest.approx(100.0)
    assert chrf.export == pytest.approx(metric.score(greedy, references, sources).value)
    assert chrf.drop == pytest.approx(chrf.torch - chrf.export)
    assert (bleu.metric, bleu.max_drop) == ("bleu", 100.0)
    assert found.notes == ["contrastive-accuracy is not measured: it reads likelihoods, which exports do not give"]


def test_a_bound_is_of_the_first_metric_or_of_the_one_that_is_named_and_of_no_other(
    exported: Export_, run: Run, sources: list[str], references: list[str], tmp_path: Path
) -> None:
    chrf, bleu, likelihoods = run.spec.evaluation.metrics
    given: dict[str, Any] = {"sources": sources, "references": references, "noise": {}}
    found = exported(**given, max_drop=MaxDrop(named={"bleu": 0.25})).parity
    assert found is not None
    assert [(row.metric, row.max_drop) for row in found.metrics] == [("chrf", ALLOWED["points"]), ("bleu", 0.25)]
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(InputError, match="the first metric, contrastive-accuracy is not measured.*another by name"):
        exported(**given, metrics=[likelihoods, chrf], max_drop=MaxDrop(0.5))
    with pytest.raises(InputError, match=r"--max-drop bleo: no such metric .*did you mean 'bleu'"):
        exported(**given, metrics=[chrf, bleu], max_drop=MaxDrop(named={"bleo": 0.5}))
    assert not list(tmp_path.iterdir())


def test_on_plain_texts_outputs_alone_are_compared_and_a_bound_is_refused(
    exported: Export_, sources: list[str], tmp_path: Path
) -> None:
    found = exported(sources=sources[:4], sensitivity=True).parity
    assert found is not None
    assert found.metrics == []
    assert found.notes == ["no references: outputs are compared, quality is not measured"]
    assert found.sensitivity[0].layers == "decoder.layers.0.feedforward.*"
    assert found.remedy is None
    (tmp_path / "other").mkdir()
    for bound in (MaxDrop(0.5), MaxDrop(named={"chrf": 0.5})):
        with pytest.raises(InputError, match="--max-drop.*no references"):
            exported(sources=sources[:4], max_drop=bound, out=tmp_path / "other")
    with pytest.raises(InputError, match="3 references for 4 sources"):
        exported(sources=sources[:4], references=["a"] * 3, out=tmp_path / "other")
    assert not list((tmp_path / "other").iterdir())


def test_where_nothing_can_be_kept_an_export_that_is_past_the_bound_fails_all_the_same(
    exported: Export_, sources: list[str], references: list[str], tmp_path: Path
) -> None:
    with pytest.raises(DroppedError, match="chrf is .* nothing was written") as error:
        exported(NoOptions(), sources=sources, references=references)
    assert error.value.report.sensitivity == []
    assert not list(tmp_path.iterdir())


def test_logits_that_are_not_finite_fail_with_the_layer_that_makes_them_so(
    exported: Export_, sources: list[str], noise: dict[str, float], tmp_path: Path
) -> None:
    with pytest.raises(DroppedError, match="logits are no finite numbers.*within the bound with") as error:
        exported(sources=sources[:4], noise={**noise, RUINED: float("inf")})
    assert error.value.report.sensitivity[0].largest_difference is None
    assert "NaN" not in error.value.report.model_dump_json()
    assert not (tmp_path / "out").exists()


def test_an_export_that_changes_no_layer_owes_torchs_outputs(
    exported: Export_, run: Run, sources: list[str], references: list[str]
) -> None:
    metrics = run.spec.evaluation.metrics[1:2]
    found = exported(noise={}, sources=sources, references=references, sensitivity=True, metrics=metrics).parity
    assert found is not None
    assert [row.metric for row in found.metrics] == ["bleu"]  # in the place of the spec's
    assert [row.same for row in found.outputs] == [24, 24]
    assert [row.drop for row in found.metrics] == [0.0]
    assert found.metrics[0].interval == (0.0, 0.0)
    assert (found.largest_difference, found.divergence, found.sensitivity) == (0.0, 0.0, [])


class Errors(SummedMetric):
    """Letters of an output that are not its example's, per letter: lower is better."""

    name, direction, unit, signature = "errors", "lower", "fraction", "1"

    def items(self, outputs: Sequence[Any], references: Sequence[Any], sources: Sequence[Any]) -> Any:
        pairs = zip(outputs, references, strict=True)
        return [np.array([sum(a != b for a, b in zip(o, r, strict=True)), len(r)], float) for o, r in pairs]

    def of_sums(self, sums: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return sums[:, 0] / sums[:, 1]


def test_the_interval_of_a_drop_is_the_paired_bootstrap_of_the_difference() -> None:
    draw = np.random.default_rng(3)
    targets = ["".join(draw.choice(list("ab"), size)) for size in draw.integers(1, 9, 40)]
    examples = [Example(str(place), "", target) for place, target in enumerate(targets)]
    good, bad = (
        ["".join("c" if draw.random() < share else letter for letter in target) for target in targets]
        for share in (0.1, 0.3)
    )
    metric = Errors(NoOptions())
    found = measured_drop(metric, good, bad, examples, 0.05)
    wrong = [np.array([sum(a == "c" for a in text) for text in side], float) for side in (good, bad)]
    letters = np.array([len(target) for target in targets], float)
    assert found.drop == pytest.approx((wrong[1] - wrong[0]).sum() / letters.sum())  # more errors are a drop
    assert found.interval == pytest.approx(
        percentile_interval(40, lambda weights: weights @ (wrong[1] - wrong[0]) / (weights @ letters))
    )
    assert not found.passes
    assert measured_drop(metric, bad, good, examples, 0.05).passes
    assert measured_drop(metric, good, bad, examples).passes  # without a bound
    # Paired: between equal outputs nothing is left to chance, however uncertain each score is.
    assert measured_drop(metric, bad, bad, examples, 0.0).interval == (0.0, 0.0)


def test_a_metric_that_gives_no_number_is_told_without_one() -> None:
    nothing = [Example("1", "", "")]
    found = measured_drop(Errors(NoOptions()), [""], [""], nothing, 0.1)
    assert (found.torch, found.drop, found.interval) == (None, None, None)
    assert found.passes


def test_layers_are_grouped_by_globs_that_name_them_and_no_others() -> None:
    names = ["encoder.embed", "encoder.norm", "encoder.layers.0.ffn.up", "encoder.layers.0.ffn.down", "lm_head"]
    assert grouped(names) == {
        "encoder.embed": ("encoder.embed",),  # "encoder.*" would name the layers, too
        "encoder.norm": ("encoder.norm",),
        "encoder.layers.0.ffn.*": ("encoder.layers.0.ffn.up", "encoder.layers.0.ffn.down"),
        "lm_head": ("lm_head",),
    }


def test_layers_that_are_alone_in_their_part_are_grouped_with_others_that_are_so() -> None:
    names = ["stem.conv", "stage.down.conv", "stage.blocks.0.first.conv", "stage.blocks.0.second.conv", "head.0.conv"]
    assert grouped(names) == {
        "stem.conv": ("stem.conv",),
        "stage.down.conv": ("stage.down.conv",),  # "stage.*" would name the blocks, too
        "stage.blocks.0.*": ("stage.blocks.0.first.conv", "stage.blocks.0.second.conv"),
        "head.0.conv": ("head.0.conv",),
    }


def test_boxes_are_the_same_whatever_their_order_within_a_pixel() -> None:
    one, two = Detection((0, 0, 10, 10), 0.9, 1), Detection((5, 5, 20, 20), 0.8, 1)
    assert same_output([one, two], [Detection((5.4, 5, 20, 20), 0.805, 1), one])
    assert not same_output([one, two], [one])
    assert not same_output([one], [Detection((0, 0, 10, 10), 0.9, 2)])
    assert not same_output([one], [Detection((0, 0, 12, 10), 0.9, 1)])
    assert not same_output([one], [Detection((0, 0, 10, 10), 0.7, 1)])
    assert same_output("a", "a")
    assert not same_output("a", "b")


def test_divergence_is_that_of_the_two_distributions() -> None:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    gathered = Differences()
    gathered.add(np.log(p)[None] + 3.0, np.log(q)[None])
    assert gathered.divergence == pytest.approx(0.5 * np.log(2) - 0.25 * np.log(2))
    gathered.add(np.log(p)[None], np.log(p)[None])
    assert gathered.divergence == pytest.approx(0.125 * np.log(2))
    assert gathered.largest == pytest.approx(3 + np.log(2))
    excluded = Differences()
    excluded.add(np.array([[0.0, -np.inf]]), np.array([[0.0, -np.inf]]))
    assert (excluded.largest, excluded.divergence) == (0.0, 0.0)
    excluded.add(np.array([[0.0, 1.0]]), np.array([[np.nan, 1.0]]))
    excluded.add(np.array([[0.0, 1.0]]), np.array([[0.0, 1.0]]))
    assert np.isnan(excluded.largest)
