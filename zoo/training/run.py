"""Training runs in folders: begun, interrupted, resumed, finished."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from zoo.atomic import TEMPORARY_PREFIX, fsync_directory, sweep
from zoo.errors import InputError
from zoo.measure.collapse import collapsed
from zoo.measure.generation import generate_outputs
from zoo.measure.likelihoods import refuse_without_likelihoods
from zoo.measure.reading import source_of
from zoo.models.pretrained import GraftReport
from zoo.probes.harness import measure_probes, refuse_unfit
from zoo.registry import TrainingContext, current_registry
from zoo.spec import Spec
from zoo.spec.peer_spec import refuse_peer
from zoo.tasks import DataHome, Example
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.fitting import fitted
from zoo.training.building import assemble_with_report, content_hashes, write_folder
from zoo.training.data import held_out
from zoo.training.data.collate import Batch
from zoo.training.data.development import DEV_EXAMPLES, development_batches, split_data
from zoo.training.data.layouts import layout_of
from zoo.training.data.ragged import Encoded
from zoo.training.data.workers import death_of_worker
from zoo.training.folder import begun, entered, only_process, refuse_other_content
from zoo.training.outcome import Status, TrainingOutcome, read_outcome, write_outcome
from zoo.training.preparation import Prepared, prepare
from zoo.training.processes.world import (
    ToldElsewhereError,
    World,
    is_lost_connection,
    joined,
)
from zoo.training.quiet import quiet
from zoo.training.seeds import preserved_randomness
from zoo.training.trainer import ZooTrainer
from zoo.training.watch.early_stop import best_of
from zoo.training.watch.logs import ProgressReport, TensorBoardLogs
from zoo.training.watch.monitor import NotFiniteError
from zoo.training.watch.optimizer_state import optimizer_state_bytes
from zoo.training.watch.suspects import all_described, described, in_words, remedy
from zoo.training.weights import checkpoints
from zoo.training.weights.last_weights import with_average


@quiet()
def train(
    spec: Spec, out: Path, *, resume: bool = False, home: DataHome | None = None, progress: Progress = silent
) -> TrainingOutcome:
    """Build and train the model of `spec` in the folder `out`.

    With `resume` an interrupted run goes on from its newest complete checkpoint, or from its start where it has none,
    and ends with the weights that it would have had; a finished one is returned as it is; nothing there is a new run.
    Without it, anything at `out` is refused. A loss that is not finite and lack of memory are outcomes, not exceptions.
    Where the spec averages weights, the folder's are the average, and ``last/`` has those of the last step.

    Started by torchrun or accelerate, the processes share the micro-batches of each step: `gradient_accumulation`,
    where there is no `step_tokens`, must be a multiple of their number, and the model is the one that a single process
    would have trained, up to rounding.
    The first process writes; all must see the same folders.

    Raises InputError where `out` is occupied or holds another spec's run, ZooError where another process trains there.
    """
    refuse_peer(spec)
    home = home or DataHome.default()
    with joined() as world, preserved_randomness():
        occupied, finished = world.agreed(lambda: entered(spec, out, resume, world))
        if finished is not None:
            return finished
        prepared = world.in_turn(lambda: prepare(spec, home, progress if world.first else silent))
        model, report = assemble_with_report(spec, prepared)
        attempt = world.together(lambda: _Attempt(spec, out, model, prepared, progress, world, home, report))
        with ExitStack() as stack:
            world.agreed(lambda: _begin(attempt, occupied, stack))
            return attempt.run()


def _begin(attempt: _Attempt, occupied: bool, stack: ExitStack) -> None:
    """Check or write the run's folder, and take hold of it."""
    out, model, prepared = attempt.out, attempt.model, attempt.prepared
    if occupied:
        refuse_other_content(out, content_hashes(model, prepared, attempt.report))
    else:
        write_folder(attempt.spec, out, model, prepared, attempt.report, begun(attempt.spec, out))
    stack.enter_context(only_process(out))


class _Attempt:
    """One process's part of a run."""

    def __init__(
        self,
        spec: Spec,
        out: Path,
        model: Any,
        prepared: Prepared,
        progress: Progress,
        world: World,
        home: DataHome,
        report: GraftReport | None = None,
    ) -> None:
        progress = progress if world.first else silent
        self.world = world
        self.spec = spec
        self.out = out
        self.model = model
        self.prepared = prepared
        self.progress = progress
        self.home = home
        self.report = report
        layout = layout_of(model)
        self.train: Encoded = layout.encoded(
            split_data(spec, prepared, "train", lambda: prepared.task.examples("train"), home, progress)
        )
        _refuse_context_of_one(model, self.train)
        layout.refuse_past_the_table(model, self.train)
        held_out.refuse_unreadable(layout, model, prepared)
        refuse_unfit(model, spec.evaluation.probes)
        refuse_without_likelihoods(model, spec.evaluation.metrics)
        self.idle = held_out.idle_shares(layout, self.train, spec, prepared, home, progress)

    def run(self) -> TrainingOutcome:
        self.world.agreed(self._clean)
        saved = checkpoints.complete(self.out)
        newest = saved[-1] if saved else None
        if newest is not None:
            newest.load_weights(self.model)
        start = newest.step if newest else 0
        logs = TensorBoardLogs(self.out, start)
        told = [logs, ProgressReport(self.progress, self.spec.training.steps)] if self.world.first else []
        trainer = ZooTrainer(
            self.model,
            self.spec,
            self.out,
            train=self.train,
            dev=self._dev_batches(),
            resume=newest,
            probing=self._probing(),
            watching=self._watching(),
            callbacks=[*told, *self._plugin_callbacks()],
            world=self.world,
        )
        try:
            outcome = self._trained(trainer, start)
        except RuntimeError as error:
            died = death_of_worker(error)
            if died is not None:
                raise died from error
            if not is_lost_connection(error):
                raise
            found = read_outcome(self.out)
            if found is None or found.status == "running":
                raise ToldElsewhereError from error
            return found  # the other process has said how the run ended, and left
        finally:
            logs.close()
        if outcome.status == "oom":
            # It need not have met the others, which wait for this process: it says so, whoever it is, and leaves.
            return self._written(outcome, trainer)
        with trainer.parts.serving():
            return self.world.agreed(lambda: self._written(outcome, trainer))

    def _clean(self) -> None:
        sweep(self.out)
        checkpoints.clean(self.out)

    def _written(self, outcome: TrainingOutcome, trainer: ZooTrainer) -> TrainingOutcome:
        best = trainer.best_weights
        if trainer.averager is not None:
            outcome = with_average(outcome, trainer.averager, self.model, self.prepared.tokenizers)
        if best is None:
            step = self._write_model(outcome.status, outcome.steps)
        else:
            self.model.load_state_dict(best, strict=False)  # it has tied weights under one of their names
            step = self._write_model("ok", outcome.facts["best"]["step"])
        outcome = replace(outcome, model_step=step)
        write_outcome(outcome, self.out)
        return outcome

    def _trained(self, trainer: ZooTrainer, start: int) -> TrainingOutcome:
        total = self.spec.training.steps
        status: Status = "ok"
        steps, error = total, None
        found_out: dict[str, Any] = {}
        if start < total:
            try:
                trainer.train()
                trainer.monitor.flush()
                trainer.evaluate_average()
                steps = trainer.state.global_step
            except NotFiniteError as found:
                status, steps, error = "nan", found.step, str(found)
                # All processes come to this end, with some of its causes each.
                suspects = [batch for some in self.world.gathered(found.suspects) for batch in some]
                if suspects:
                    found_out["nan_batches"] = all_described(suspects, trainer.batches)
            except (MemoryError, RuntimeError) as found:
                if not _is_out_of_memory(found):
                    raise
                status, steps = "oom", trainer.state.global_step
                told = described(trainer.at_work, trainer.batches) if trainer.at_work else None
                found_out = {} if told is None else {"oom_batch": told}
                cause = (str(found).strip() or "no more is known").splitlines()[0]
                error = (
                    f"out of memory in step {steps + 1}{f', in {in_words(told)}' if told else ''}: {cause}; "
                    f"{remedy(told, self.spec.training, images=_sized_by(self.spec))}"
                )
        elif total:
            trainer.begin(trainer.state)  # killed between the last checkpoint and the end: only the numbers are missing
            trainer.evaluate_average()
        monitor, section, memory = trainer.monitor, self.spec.training, trainer.memory.facts()
        best = best_of(monitor.curve) if section.keep_best or section.early_stop else None
        if status == "ok" and trainer.stopped_early and steps < total:
            found_out["stopped_early"] = steps
        if best is not None:
            found_out["best"] = asdict(best)
        found_out |= monitor.spikes.facts()
        if trainer.collapses:
            found_out["collapsed"] = list(trainer.collapses)
        return TrainingOutcome(
            status=status,
            error=error,
            steps=steps,
            total_steps=total,
            model_step=steps,
            seconds=monitor.seconds,
            tokens_per_second=monitor.tokens_per_second,
            steps_per_second=monitor.steps_per_second,
            memory=memory,
            curve=tuple(monitor.curve),
            facts={
                "examples": len(self.train),
                "examples_left_out": self.train.dropped,
                **({} if self.idle is None else {"examples_past_their_frames": self.idle}),
                "device": str(trainer.device),
                "precision": str(trainer.precision).removeprefix("torch."),
                "optimizer_state_bytes": optimizer_state_bytes(trainer.parts.optimizer),
                "tokens": monitor.tokens,
                "processes": self.world.size,
                "padding_share": trainer.batches.padding_share(),
                "clipping": monitor.clipping_facts(),
                **monitor.skipping_facts(),
                **({} if trainer.parts.updates is None else {"update_clipping": trainer.parts.updates.facts()}),
                **({} if trainer.token_gradients is None else {"token_bands": trainer.token_gradients.sizes()}),
                **found_out,
            },
            directory=self.out,
        )

    def _write_model(self, status: Status, steps: int) -> int:
        """Put the weights that the run leaves behind at the folder's top; returns the step that they are of.

        After a failure these are the newest checkpoint's, or the initial ones that stand there already.
        """
        if status != "ok":
            saved = checkpoints.complete(self.out)
            if not saved:
                return 0
            saved[-1].load_weights(self.model)
            steps = saved[-1].step
        temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=self.out))
        self.model.save_pretrained(temporary)
        for file in sorted(temporary.iterdir()):
            file.chmod(0o644)  # safetensors makes private files
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(file, self.out / file.name)
        temporary.rmdir()
        fsync_directory(self.out)
        return steps

    def _dev_batches(self) -> Callable[[], Iterable[Batch]] | None:
        """The batches of the development loss, the same each time; None where the spec asks for none."""
        if self.spec.training.evaluate_every is None:
            return None
        return development_batches(self.spec, self.prepared, self.model, self.home, self.progress)

    def _probing(self) -> Callable[[int], dict[str, float]] | None:
        """The scalars of the spec's probes on the development split at a step; None where the spec asks for none."""
        spec, prepared = self.spec, self.prepared
        if spec.training.probe_every is None:
            return None
        examples = prepared.task.examples("dev")[:DEV_EXAMPLES]

        def probe(step: int) -> dict[str, float]:
            return measure_probes(
                self.model,
                prepared.tokenizers,
                spec.evaluation.probes,
                examples,
                max_tokens=self.model.source_limit(spec.model.max_positions),
                write=self._write,
                spec=spec,
                step=step,
            ).scalars

        return probe

    def _watching(self) -> Callable[[], str | None] | None:
        """Why the model's outputs count as collapsed, or None; None where the spec does not ask."""
        count = self.spec.training.watch_outputs
        if count is None:
            return None
        examples = self.prepared.task.examples("dev")[:count]
        return lambda: collapsed(self._write(examples), [example.target for example in examples])

    def _write(self, sample: Sequence[Example]) -> Sequence[str]:
        """The model's outputs, as its spec decodes."""
        spec, tokenizers = self.spec, self.prepared.tokenizers
        longest = self.model.source_limit(spec.decoding.max_new_tokens)
        sources = [source_of(example) for example in fitted(tokenizers.source, sample, longest)]
        return generate_outputs(self.model, tokenizers, sources, spec.decoding, max_source_tokens=longest).outputs

    def _plugin_callbacks(self) -> list[Any]:
        context = TrainingContext(model=self.model, spec=self.spec, directory=self.out)
        return [item for items in current_registry().hook.zoo_training_callbacks(context=context) for item in items]


def _refuse_context_of_one(model: Any, examples: Encoded) -> None:
    """Raise InputError unless examples and model both have a second input, or neither."""
    if examples.contexts is not None and not model.reads_context:
        raise InputError(
            "the task gives a second input (context), but the model has one encoder and reads one: set the task's "
            "context_as: prefix, or give the model a context encoder (model.context_encoder)"
        )
    if examples.contexts is None and model.reads_context:
        raise InputError(
            "the model has a context encoder, but the task gives no second input: take a task that does "
            "(doc2sent with context_as: second-input), or drop model.context_encoder"
        )


def _sized_by(spec: Spec) -> str | None:
    """The key of a spec that says how large its model's images are; None where it reads texts."""
    if spec.model.finds_boxes:
        return "model.pixels"
    return "model.image.input" if spec.model.reads_images else None


def _is_out_of_memory(error: BaseException) -> bool:
    # torch's CPU allocator raises a plain RuntimeError, and so do CUDA and its libraries where they allocate past
    # torch's own allocator: their text is all there is to know them by.
    known = ("DefaultCPUAllocator", "not enough memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(text in str(error) for text in known)
