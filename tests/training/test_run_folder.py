"""What a run leaves in its folder, and what it refuses to touch."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from zoo.errors import InputError, ZooError
from zoo.models import weights_hash
from zoo.registry import hookimpl
from zoo.spec import Spec, spec_hash
from zoo.spec.lock import drift, read_lock
from zoo.tasks import DataHome
from zoo.training import build, load_run, train
from zoo.training.trainer import ZooTrainer


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_built_folder_loads_with_transformers_alone(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(
        **{"decoding": {"strategy": {"use": "beam", "width": 3, "length_penalty": 0.6}, "max_new_tokens": 17}}
    )
    built = build(spec, tmp_path / "out", home)
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert weights_hash(model) == weights_hash(built.model)
    assert tokenizer("some text")["input_ids"] == built.tokenizers.source("some text")["input_ids"]
    generation = model.generation_config
    assert (generation.num_beams, generation.max_new_tokens, generation.length_penalty) == (3, 17, 0.6)
    assert (generation.pad_token_id, generation.eos_token_id, generation.decoder_start_token_id) == (0, 1, 0)


def test_the_lock_of_a_built_folder_builds_the_same_model_again(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    build(make_spec(), tmp_path / "one", home)
    lock = read_lock(tmp_path / "one" / "zoo.lock.yaml")
    again = build(lock.spec, tmp_path / "two", home)
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")
    assert not drift(lock, again.content())


def test_the_seed_decides_the_initial_weights(make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path) -> None:
    one = build(make_spec(seed=1), tmp_path / "one", home)
    other = build(make_spec(seed=2), tmp_path / "two", home)
    assert weights_hash(one.model) != weights_hash(other.model)


def test_a_trained_folder_holds_its_run_and_the_trained_weights(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(**{"training.save_every": 6, "training.evaluate_every": 6})
    initial = build(spec, tmp_path / "built", home)
    outcome = train(spec, tmp_path / "out", home=home)
    run = load_run(tmp_path / "out")
    assert spec_hash(run.spec) == spec_hash(spec)
    assert weights_hash(run.model) != weights_hash(initial.model)
    last = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out" / "checkpoints" / "step-00000012")
    assert weights_hash(last) == weights_hash(run.model)
    document = json.loads((tmp_path / "out" / "training.json").read_text())
    assert document["status"] == "ok"
    assert document["model_step"] == document["steps"] == 12
    assert [point["step"] for point in document["curve"]] == [4, 6, 8, 12]
    told = {"step", "loss", "learning_rate", "gradient_norm", "clipped_norm", "clipped_fraction"}
    assert document["curve"][0].keys() == told
    clipped = document["facts"]["clipping"]
    assert clipped["steps"] == 12
    assert clipped["clipped"] == sum(4 * point.clipped_fraction for point in outcome.curve if point.loss is not None)
    assert clipped["clipped"] == sum(last - first + 1 for first, last in clipped["ranges"])
    assert outcome.curve[-1].loss < outcome.curve[0].loss
    assert outcome.curve[-1].dev_loss < math.log(160)
    assert outcome.tokens_per_second > 0
    parameters = list(run.model.parameters())
    # AdamW: two moments of each parameter and one step counter for each matrix or vector, in single precision.
    assert document["facts"]["optimizer_state_bytes"] == 8 * sum(p.numel() for p in parameters) + 4 * len(parameters)
    assert list((tmp_path / "out" / "logs").glob("events.out.tfevents.*"))


def test_logs_are_read_by_tensorboard(make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path) -> None:
    accumulator = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    outcome = train(make_spec(), tmp_path / "out", home=home)
    events = accumulator.EventAccumulator(str(tmp_path / "out" / "logs")).Reload()
    losses = [(event.step, event.value) for event in events.Scalars("training/loss")]
    assert losses == [(point.step, pytest.approx(point.loss)) for point in outcome.curve]


def test_learning_rates_of_the_curve_are_those_of_the_schedule(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    outcome = train(make_spec(), tmp_path / "out", home=home)
    expected = [2e-3 * min(n / 6, math.sqrt(6 / n)) for n in (4, 8, 12)]
    assert [point.learning_rate for point in outcome.curve] == pytest.approx(expected)


def test_examples_longer_than_the_position_table_are_refused_before_anything_is_written(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(**{"model.position": "learned", "model.max_positions": 8})
    with pytest.raises(
        InputError, match="position scheme of the encoder ends at 8: set training.max_tokens to at most 8"
    ):
        train(spec, tmp_path / "out", home=home)
    assert not (tmp_path / "out").exists()
    shorter = make_spec(**{"model.position": "learned", "model.max_positions": 8, "training.max_tokens": 8})
    outcome = train(shorter, tmp_path / "out", home=home)
    assert outcome.facts["examples"] + outcome.facts["examples_left_out"] == 300
    assert outcome.facts["examples_left_out"] > 0


def test_mixed_precision_keeps_float32_weights(make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path) -> None:
    full = train(make_spec(**{"training.precision": "fp32"}), tmp_path / "full", home=home)
    mixed = train(make_spec(**{"training.precision": "bf16"}), tmp_path / "mixed", home=home)
    assert mixed.facts["precision"] == "bfloat16"
    losses = [(mixed_point.loss, point.loss) for mixed_point, point in zip(mixed.curve, full.curve, strict=True)]
    assert all(one != other and one == pytest.approx(other, rel=0.02) for one, other in losses)
    assert {item.dtype for item in load_run(tmp_path / "mixed").model.parameters()} == {torch.float32}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_bfloat16_is_chosen_where_the_hardware_has_it(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    outcome = train(make_spec(**{"training.save_every": 6, "training.evaluate_every": 6}), tmp_path / "out", home=home)
    fast = torch.cuda.is_bf16_supported(including_emulation=False)
    assert outcome.facts["device"].startswith("cuda")
    assert outcome.facts["precision"] == ("bfloat16" if fast else "float32")
    assert outcome.curve[-1].loss < outcome.curve[0].loss


def test_no_steps_leave_the_initial_weights(make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path) -> None:
    spec = make_spec(**{"training.steps": 0})
    built = build(spec, tmp_path / "built", home)
    outcome = train(spec, tmp_path / "out", home=home)
    assert (outcome.status, outcome.steps, outcome.tokens_per_second) == ("ok", 0, None)
    assert weights_hash(load_run(tmp_path / "out").model) == weights_hash(built.model)


@pytest.mark.parametrize("what", ["file", "foreign folder", "built model", "finished run"])
@pytest.mark.parametrize("resume", [False, True])
def test_what_is_there_already_is_refused_and_left_alone(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, what: str, resume: bool
) -> None:
    spec, out = make_spec(**{"training.steps": 1}), tmp_path / "out"
    if what == "file":
        out.write_text("precious")
    elif what == "foreign folder":
        out.mkdir()
        (out / "thesis.tex").write_text("precious")
    elif what == "built model":
        build(spec, out, home)
    else:
        train(make_spec(**{"training.steps": 2}), out, home=home)
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=r"--out .*out: "):
        train(spec, out, resume=resume, home=home)
    assert snapshot(tmp_path) == before


def test_resuming_a_finished_run_of_the_same_spec_gives_its_outcome(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(**{"training.steps": 4})
    outcome = train(spec, tmp_path / "out", home=home)
    before = snapshot(tmp_path)
    again = train(spec, tmp_path / "out", resume=True, home=home)
    assert (again.status, again.steps, again.curve) == (outcome.status, outcome.steps, outcome.curve)
    assert snapshot(tmp_path) == before


def test_a_run_of_another_spec_is_refused_by_what_differs(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    train(make_spec(**{"training.steps": 1}), tmp_path / "out", home=home)
    with pytest.raises(InputError, match=r"training\.batch_tokens: there 200, here 300"):
        train(
            make_spec(**{"training.steps": 1, "training.batch_tokens": 300}), tmp_path / "out", resume=True, home=home
        )


def test_two_processes_do_not_train_in_one_folder(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec(**{"training.steps": 2})
    original = ZooTrainer.training_step

    def and_another(self: Any, *args: Any) -> Any:
        with pytest.raises(ZooError, match="another process is training here"):
            train(spec, tmp_path / "out", resume=True, home=home)
        return original(self, *args)

    monkeypatch.setattr(ZooTrainer, "training_step", and_another)
    assert train(spec, tmp_path / "out", home=home).status == "ok"


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_number_that_is_not_finite_ends_the_run_with_its_step_and_the_last_good_weights(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    original = ZooTrainer.training_step

    def poisoned(self: Any, model: Any, inputs: Any, items: Any) -> Any:
        if self.state.global_step + 1 != 9:
            return original(self, model, inputs, items)
        if where == "loss":
            return original(self, model, inputs, items * math.nan)
        loss = original(self, model, inputs, items)
        next(model.parameters()).grad[0, 0] = math.inf
        return loss

    monkeypatch.setattr(ZooTrainer, "training_step", poisoned)
    spec = make_spec(**{"training.save_every": 6})
    outcome = train(spec, tmp_path / "out", home=home)
    assert (outcome.status, outcome.steps, outcome.model_step) == ("nan", 9, 6)
    assert "of step 9 is" in outcome.error
    kept = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out" / "checkpoints" / "step-00000006")
    assert weights_hash(load_run(tmp_path / "out").model) == weights_hash(kept)
    assert [point.step for point in outcome.curve] == [4, 8]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["gpu", "cpu", "python", "driver", "cublas"],
)
def test_lack_of_memory_is_an_outcome(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def greedy(self: Any, *args: Any) -> Any:
        raise error

    monkeypatch.setattr(ZooTrainer, "training_step", greedy)
    outcome = train(make_spec(), tmp_path / "out", home=home)
    assert (outcome.status, outcome.steps, outcome.model_step) == ("oom", 0, 0)
    assert outcome.error.startswith("out of memory in step 1")
    assert load_run(tmp_path / "out").model is not None


def test_any_other_failure_is_not_hidden(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, *args: Any) -> Any:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(ZooTrainer, "training_step", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        train(make_spec(), tmp_path / "out", home=home)


def test_callbacks_of_plugins_see_the_run(make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path) -> None:
    from transformers import TrainerCallback

    from zoo.registry import Registry, use_registry

    seen: list[Any] = []

    class Watcher(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            seen.append(state.global_step)

    class Plugin:
        @hookimpl
        def zoo_training_callbacks(self, context: Any) -> list[TrainerCallback]:
            seen.append((context.spec.name, context.directory))
            return [Watcher()]

    registry = Registry.load()
    registry._found.manager.register(Plugin(), name="watcher")
    with use_registry(registry):
        train(make_spec(**{"training.steps": 3}), tmp_path / "out", home=home)
    assert seen == [("tiny", tmp_path / "out"), 1, 2, 3]


def test_the_callers_randomness_is_left_as_it_was(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    torch.manual_seed(11)
    expected = torch.rand(2).tolist()
    torch.manual_seed(11)
    train(make_spec(**{"training.steps": 2}), tmp_path / "out", home=home)
    assert torch.rand(2).tolist() == expected


def test_a_folder_that_is_no_run_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no zoo\.lock\.yaml here"):
        load_run(tmp_path)


def test_trained_files_are_as_readable_as_built_ones(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    train(make_spec(), tmp_path / "out", home=home)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "out").iterdir() if file.is_file()}
    assert set(modes.values()) == {0o644}, modes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"\x08"),
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "bert"}'),
        ("config.json", b'{"model_type": "zoo", "model": {"heads": 3}}'),
        ("tokenizer.json", b"{}"),
    ],
)
def test_a_damaged_file_is_the_users_mistake_and_names_the_folder(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, name: str, content: bytes
) -> None:
    build(make_spec(), tmp_path / "out", home)
    (tmp_path / "out" / name).write_bytes(content)
    with pytest.raises(InputError):
        load_run(tmp_path / "out")


@pytest.mark.parametrize("name", ["zoo.lock.yaml", "config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_that_is_missing_is_named(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, name: str
) -> None:
    build(make_spec(), tmp_path / "out", home)
    (tmp_path / "out" / name).unlink()
    with pytest.raises(InputError, match=name) as caught:
        load_run(tmp_path / "out")
    assert caught.value.where == str(tmp_path / "out")


def test_weights_of_another_model_are_refused_without_more_words(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    build(make_spec(), tmp_path / "out", home)
    build(make_spec(**{"model.d_model": 24}), tmp_path / "other", home)
    (tmp_path / "other" / "model.safetensors").replace(tmp_path / "out" / "model.safetensors")
    capfd.readouterr()
    with pytest.raises(ZooError, match=f"{tmp_path}/out: the weights misfit .* and .* more"):
        load_run(tmp_path / "out")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("make", [build, train])
def test_what_came_into_the_folder_during_the_preparation_is_left_alone(
    make: Callable[..., Any], make_spec: Callable[..., Spec], tmp_path: Path
) -> None:
    out, home = tmp_path / "out", DataHome(tmp_path / "home")  # a fresh home: there is something to prepare

    def another_process_comes(*stage: object) -> None:
        out.mkdir(exist_ok=True)
        (out / "notes.txt").write_text("precious")

    with pytest.raises(InputError, match="is not empty"):
        make(make_spec(), out, home=home, progress=another_process_comes)
    assert snapshot(out) == {"notes.txt": b"precious"}


def test_a_run_tells_how_often_gradients_and_updates_were_clipped(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(
        **{
            "training.steps": 6,
            "training.log_every": 3,
            "training.clipping": {"use": "per-group", "each": {"use": "norm", "max_norm": 1e-3}, "norms": "none"},
            "training.update_clipping": {"use": "rms", "threshold": 1e-3},
            "training.log_token_gradients": True,
        }
    )
    outcome = train(spec, tmp_path / "out", home=home)
    groups = {"embeddings", "attention", "feedforward", "norms"}
    bands = outcome.facts["token_bands"]
    assert sum(bands.values()) == 160  # every token of the vocabulary is in one
    assert [point.step for point in outcome.curve] == [3, 6]
    for point in outcome.curve:
        assert point.clipped_fraction == point.update_clipped_fraction == 1.0
        assert {name.partition(".")[0] for name in point.gradients} == groups | bands.keys()
        rows = sum(size * point.gradients[f"{band}.clipped_norm"] ** 2 for band, size in bands.items())
        assert math.sqrt(rows) == pytest.approx(1e-3, rel=0.01)  # the embeddings' bound
        assert point.gradients["norms.norm"] == point.gradients["norms.clipped_norm"]
        assert point.gradients["attention.clipped_norm"] == pytest.approx(1e-3, rel=0.01)
    assert outcome.facts["clipping"] == {
        "steps": 6,
        "clipped": 6,
        "ranges": [[1, 6]],
        "clipped_by_group": {"embeddings": 6, "attention": 6, "feedforward": 6, "norms": 0},
    }
    assert outcome.facts["update_clipping"]["steps"] == 6
    assert outcome.facts["update_clipping"]["clipped_fraction"] == 1.0
