"""Training models that read images."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from zoo.errors import InputError
from zoo.measure.evaluate import evaluate
from zoo.models.vision.processor import ZooImageProcessor
from zoo.registry import use_registry
from zoo.spec import Spec
from zoo.spec.lock import read_lock
from zoo.tasks import DataHome, Example
from zoo.tasks.contracts import SPLITS
from zoo.testing.glyphs import with_glyphs
from zoo.training import build, load_run, prepare, train
from zoo.training.building import assemble_for
from zoo.training.contracts import LossContext
from zoo.training.data.batching import MicroBatch
from zoo.training.data.development import split_data
from zoo.training.data.layouts import layout_of
from zoo.training.data.loader import batches_for
from zoo.training.losses.loss import dev_loss, micro_batch_objective

MakeSpec = Callable[..., Spec]
CTC = {
    "model.architecture": "image-ctc",
    "model.decoder": None,
    "model.position": None,
    "model.fusion": None,
    "model.tie_embeddings": "none",
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_glyphs()):
        yield


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_recogniser_learns_to_read_letters(glyph_spec: MakeSpec, home: DataHome, tmp_path: Path) -> None:
    """Six letters, words that it has not seen."""
    spec = glyph_spec(**{"training.steps": 120, "training.evaluate_every": 60})
    outcome = train(spec, tmp_path / "run", home=home)
    assert outcome.status == "ok", outcome.error
    first, last = (point.dev_loss for point in outcome.curve if point.dev_loss is not None)
    assert last < first
    run = load_run(tmp_path / "run")
    examples = prepare(spec, home).task.examples("test")
    found = {score.metric: score.value for score in evaluate(run.model, run.tokenizers, examples, spec).quality}
    assert found["cer"] < 0.2  # edits over letters; a guess is right in one of six


def test_a_run_that_was_interrupted_ends_with_the_same_weights(
    glyph_spec: MakeSpec, home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = glyph_spec(**{"model.dropout": 0.2, "training.save_every": 3, "training.batch_tokens": 60})
    train(spec, tmp_path / "whole", home=home)
    collate = "zoo.training.data.collate_images.ImageCollator.__call__"
    from zoo.training.data.collate_images import ImageCollator

    made, whole = [0], ImageCollator.__call__

    def until_the_sixth(self: ImageCollator, examples: Any) -> Any:
        made[0] += 1
        if made[0] > 5:
            raise KeyboardInterrupt
        return whole(self, examples)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(collate, until_the_sixth)
        train(spec, tmp_path / "parts", home=home)
    outcome = train(spec, tmp_path / "parts", resume=True, home=home)
    assert outcome.steps == spec.training.steps
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_built_folder_has_the_image_processor_and_is_built_again_from_its_lock(
    glyph_spec: MakeSpec, home: DataHome, tmp_path: Path
) -> None:
    from transformers import AutoImageProcessor, AutoTokenizer

    spec = glyph_spec()
    first = build(spec, tmp_path / "one", home)
    lock = read_lock(tmp_path / "one" / "zoo.lock.yaml")
    again = build(lock.spec, tmp_path / "two", home)
    assert again.content() == first.content() == lock.file.content.model_dump(exclude_none=True)
    image = first.prepared.task.examples("test")[0].image
    assert image is not None
    processor = AutoImageProcessor.from_pretrained(tmp_path / "one")
    assert isinstance(processor, ZooImageProcessor)
    inputs = processor(image.load(), return_tensors="pt")
    assert inputs["pixel_values"].shape[1] == math.prod(processor.grid(*image.size))
    run = load_run(tmp_path / "one")
    with torch.no_grad():
        ids = run.model.eval().generate(**inputs)
    assert isinstance(AutoTokenizer.from_pretrained(tmp_path / "one").decode(ids[0]), str)


@pytest.mark.parametrize("changes", [{}, CTC], ids=["decoder", "ctc"])
def test_packed_and_padded_images_have_the_same_loss(
    glyph_spec: MakeSpec, home: DataHome, changes: dict[str, Any]
) -> None:
    spec = glyph_spec(**changes, **{"model.image.patch.width": 2})
    prepared = prepare(spec, home)
    model = assemble_for(spec, prepared).eval()
    layout = layout_of(model)
    encoded = layout.encoded(split_data(spec, prepared, "train", lambda: prepared.task.examples("train"), home))
    collate = layout.collator(encoded, model.config)
    packed = batches_for(encoded, 520, 1, packing=True, layout=layout).micro_batches(0)[0]
    assert 1 < len(packed) < len(packed.indices)
    objective, context = spec.training.objective.create(), LossContext(step=0, total_steps=1)

    def loss(chosen: MicroBatch) -> float:
        given = {"device": CPU, "precision": torch.float32}
        with torch.no_grad():
            return float(micro_batch_objective(objective, model, collate(chosen), context, **given))

    alone = sum(loss(MicroBatch(packed.indices[place : place + 1])) for place in range(len(packed.indices)))
    assert loss(packed) == pytest.approx(alone, rel=1e-5)
    assert loss(MicroBatch(packed.indices)) == pytest.approx(alone, rel=1e-5)
    tokens = collate(packed).target_tokens
    assert dev_loss(model, iter([collate(packed)]), CPU, torch.float32) == pytest.approx(alone / tokens, rel=1e-5)


def test_a_model_whose_loss_is_its_own_takes_no_other_objective(
    glyph_spec: MakeSpec, home: DataHome, tmp_path: Path
) -> None:
    spec = glyph_spec(**CTC, **{"training.objective": {"use": "label-smoothing", "epsilon": 0.1}})
    with pytest.raises(InputError, match=r"'zoo-objectives/label-smoothing': set training.objective to plain"):
        train(spec, tmp_path / "run", home=home)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"decoding.strategy": {"use": "beam", "width": 3}}, "an image-ctc is decoded greedily: num_beams 3"),
        ({"evaluation.metrics": ["cer", "contrastive"]}, "the metric 'contrastive' reads likelihoods"),
    ],
    ids=["beams", "likelihoods"],
)
def test_what_a_model_without_a_decoder_cannot_give_is_refused_before_it_is_trained(
    glyph_spec: MakeSpec, home: DataHome, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        train(glyph_spec(**CTC, **changes), tmp_path / "run", home=home)


def test_texts_that_most_images_have_too_few_frames_for_are_refused_before_training(
    glyph_spec: MakeSpec, home: DataHome, tmp_path: Path
) -> None:
    """Patches of four letters: one or two frames for words of three to five."""
    spec = glyph_spec(**CTC, **{"model.image.patch.width": 40})
    with pytest.raises(InputError, match=r"of 120 training texts need more frames than their images have \(1 for each"):
        train(spec, tmp_path / "run", home=home)


def test_a_model_without_a_decoder_trains_and_writes(glyph_spec: MakeSpec, home: DataHome, tmp_path: Path) -> None:
    spec = glyph_spec(**CTC, **{"training.steps": 4, "training.evaluate_every": 2, "training.packing": True})
    outcome = train(spec, tmp_path / "run", home=home)
    assert outcome.status == "ok", outcome.error
    assert all(math.isfinite(point.loss) for point in outcome.curve if point.loss is not None)
    task = prepare(spec, home).task
    run, examples = load_run(tmp_path / "run"), task.examples("test")
    assert len(evaluate(run.model, run.tokenizers, examples, spec).outputs) == len(examples)

    def too_long(example: Example) -> bool:
        """A frame for each letter, and one between two that are alike; a frame for each patch of 10 pixels."""
        repeats = sum(one == other for one, other in itertools.pairwise(example.target))
        assert example.image is not None
        return len(example.target) + repeats > -(-example.image.size[1] // 10)

    told = outcome.facts["examples_past_their_frames"]
    assert told == {
        split: pytest.approx(sum(map(too_long, task.examples(split))) / len(task.examples(split)), abs=1e-6)
        for split in SPLITS
    }
    assert 0 < told["train"] < 0.5


def test_images_of_dev_and_test_that_are_past_a_table_are_refused_before_training(
    glyph_spec: MakeSpec, home: DataHome, tmp_path: Path
) -> None:
    """Words of three letters are trained on, 4 columns wide; dev and test have longer ones."""
    cropped = {"use": "absolute-cropped", "rows": 1, "columns": 4}
    spec = glyph_spec(**{"model.image.patch_position": cropped, "training.max_tokens": 4})
    dev = prepare(spec, home).task.examples("dev")
    first = next(example for example in dev if len(example.target) > 3)
    wide = {4: "16 x 42 pixels) has 1 x 5", 5: "16 x 52 pixels) has 1 x 6"}[len(first.target)]
    says = rf"a grid of 1 x 4 patches, and image '{first.id}' of the dev split \({re.escape(wide)}: .*image\.input"
    with pytest.raises(InputError, match=says):
        train(spec, tmp_path / "run", home=home)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"model.image.patch_position": {"use": "absolute-cropped", "rows": 2, "columns": 5}},
            r"end at a grid of 2 x 5 patches, and training images have up to 1 rows and 6 columns",
        ),
        ({"model.position": "learned", "model.max_positions": 4}, "the longest target has 6 tokens, but the position"),
    ],
    ids=["patches", "target"],
)
def test_what_is_past_a_table_is_refused_before_training(
    glyph_spec: MakeSpec, home: DataHome, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        train(glyph_spec(**changes), tmp_path / "run", home=home)


def test_a_task_that_gives_something_else_than_the_model_reads_is_refused(
    glyph_spec: MakeSpec, make_spec: MakeSpec, home: DataHome, tmp_path: Path
) -> None:
    """A spec would be refused by what the task's record says; here the record has not said it."""
    task = glyph_spec().task
    with pytest.raises(InputError, match=r"examples are of the kind 'image', but the model \(encoder-decoder\) reads"):
        build(make_spec().model_copy(update={"task": task}), tmp_path / "run", home)
    with pytest.raises(InputError, match=r"examples are of the kind 'text', but the model \(image-to-text\) reads"):
        build(glyph_spec().model_copy(update={"task": make_spec().task}), tmp_path / "run", home)


def test_a_spec_whose_task_gives_something_else_is_refused(glyph_spec: MakeSpec, make_spec: MakeSpec) -> None:
    with pytest.raises(InputError, match="the inputs of the task 'glyphs' are of the kind 'image', but an encoder"):
        make_spec(**{"task": {"use": "glyphs"}})
    with pytest.raises(InputError, match="the inputs of the task 'translation' are of the kind 'text', but an image"):
        glyph_spec(**{"task": make_spec().task.plain()})
