"""transformers' Trainer with a spec's components in its places.

What it does not take over, and why: its clipping (on at 1.0 unless told otherwise), its loss (a mean per micro-batch,
over padding's logits too), its mixed precision (copies every output to float32), its checkpoints (pickles, never known
to be complete), its data order (gone on resume unless every batch is drawn again), its count of floating-point
operations and its gradient norms (each costs a walk over all parameters in every step).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.amp import GradScaler
from transformers import Seq2SeqTrainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from zoo.models._compat import compute_layers_again
from zoo.spec import Spec
from zoo.training.arguments import chosen_precision, training_arguments
from zoo.training.components import Components
from zoo.training.contracts import LossContext
from zoo.training.data.batching import MicroBatch
from zoo.training.data.collate import Batch
from zoo.training.data.layouts import layout_of
from zoo.training.data.loader import Loader, Share, Step, batches_for
from zoo.training.data.ragged import Encoded
from zoo.training.data.steps import Plan
from zoo.training.losses.loss import dev_loss, micro_batch_objective
from zoo.training.processes.world import World
from zoo.training.seeds import capture_randomness, preserved_randomness, restore_randomness, seed_everything, seed_of
from zoo.training.watch.early_stop import best_of, stopping_step
from zoo.training.watch.monitor import Monitor, NotFiniteError
from zoo.training.watch.step_memory import StepMemory
from zoo.training.watch.token_gradients import TokenGradients
from zoo.training.weights import checkpoints
from zoo.training.weights.averager import Averager
from zoo.training.weights.copied import copied_weights

_LOGGED = (
    "loss",
    "learning_rate",
    "gradient_norm",
    "clipped_norm",
    "clipped_fraction",
    "update_clipped_fraction",
)
_EVALUATED = {"dev_loss": "development loss", "averaged_dev_loss": "development loss of the averaged weights"}


class _Steps(TrainerCallback):  # type: ignore[misc]
    """Our part of each optimizer step."""

    def __init__(self, trainer: ZooTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.begin(state)
        # A run that was killed behind its last evaluation has nothing left to do.
        control.should_training_stop = self._trainer.stopped_early

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self._trainer.probe(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.model.after_step(state.global_step)
        if self._trainer.averager is not None:
            self._trainer.averager.after_step(state.global_step)
        updates = self._trainer.parts.updates
        if updates is not None:
            self._trainer.monitor.updated(updates.fraction)
        self._trainer.probe(state.global_step)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.clip(state.global_step + 1)


class ZooTrainer(Seq2SeqTrainer):  # type: ignore[misc]
    """Trains one model as its spec says.

    `resume` is a complete checkpoint to go on from; the run then ends with the same weights, bit for bit on a CPU, as
    one that was never interrupted. The processes of a `world` share the micro-batches of each step among them, and come
    to the weights of one process alone up to rounding (with dropout each draws masks of its own).
    """

    def __init__(
        self,
        model: Any,
        spec: Spec,
        directory: Path,
        *,
        train: Encoded,
        dev: Callable[[], Iterable[Batch]] | None,
        resume: checkpoints.Checkpoint | None = None,
        probing: Callable[[int], Mapping[str, float]] | None = None,
        watching: Callable[[], str | None] | None = None,
        callbacks: Iterable[TrainerCallback] = (),
        world: World | None = None,
    ) -> None:
        section = spec.training
        self.world = world or World()
        arguments = training_arguments(spec, directory, self.world)
        self.device = arguments.device
        self.spec = spec
        self.directory = directory
        self.parts = Components.build(section, model.to(self.device))
        self.averager: Averager | None = None
        if section.averaging is not None and section.steps and self.world.first:  # who evaluates and writes
            self.averager = Averager(section.averaging, model, section.steps)
        self.precision = chosen_precision(section.precision, self.device)
        self.scaler: GradScaler | None = None
        """In fp16 alone: keeps the gradients of small numbers, and has steps skipped whose gradients overflow."""
        if self.precision is torch.float16:
            self.scaler = GradScaler(self.device.type)
        self.monitor = Monitor(self.device, self.world.summed, skips=self.scaler is not None)
        self.memory = StepMemory(self.device)
        self.token_gradients = TokenGradients(model, train) if section.log_token_gradients else None
        self.rate = 0.0
        self._dev = dev
        self._probing = probing
        self._watching = watching
        self.collapses: list[dict[str, Any]] = []
        """Of each evaluation that found the model's outputs collapsed: its step, and why."""
        self._resume = resume
        layout = layout_of(model)
        self.batches = batches_for(
            train, section.batch_tokens, seed_of(spec, "order"), packing=section.packing, layout=layout
        )
        collate = layout.collator(train, model.config, source_loss=section.source_loss)
        plan = Plan.of(section)
        self._loader = Loader(
            train, self.batches, collate, section.steps, self.world, plan=plan, workers=section.data_workers
        )
        self._taken = 0
        self.at_work: MicroBatch | None = None
        """The micro-batch in its forward or backward pass; None elsewhere."""
        self.best_weights: dict[str, Tensor] | None = None
        """The first process's copy, on the CPU, of the weights of the lowest development loss, where it is kept."""
        super().__init__(
            model=model,
            args=arguments,
            # Only its presence counts: `evaluate` is ours.
            eval_dataset=train if dev is not None else None,
            data_collator=lambda features: features,
            optimizers=(self.parts.optimizer, self.parts.scheduler),
            callbacks=[_Steps(self), *callbacks],
        )
        # transformers would make its own in its own mixed precision, which is off: the forward pass's is ours.
        self.accelerator.scaler = self.scaler
        self.remove_callback(PrinterCallback)
        if section.gradient_checkpointing:
            compute_layers_again(model)

    def begin(self, state: Any) -> None:
        """Just before the first step: randomness from the seed, or everything from the checkpoint."""
        self.memory.give_back()
        self.monitor.start()
        if self._resume is None:
            seed_everything(seed_of(self.spec, "dropout", self.world.rank))
            return
        saved = self._resume.load_state()
        self.parts.load_state(saved["parts"])
        self.monitor.load_state(saved["monitor"])
        if self.scaler is not None:
            self.scaler.load_state_dict(saved["scaler"])
        if "memory" in saved:
            self.memory.load_state(saved["memory"])
        self.best_weights = saved.get("best")
        self.collapses = list(saved.get("collapses", ()))
        if self.averager is not None:
            self.averager.load_state(saved["averager"])
        randomness = [saved["randomness"], *saved.get("randomness_of_others", ())]
        if self.world.rank < len(randomness):
            restore_randomness(randomness[self.world.rank])
        else:  # fewer processes trained before
            seed_everything(seed_of(self.spec, "dropout", self.world.rank, ahead=self._resume.step))
        state.global_step = self._resume.step
        self._taken = saved.get("batches", 0)
        self._loader.go_on(self._resume.step, saved.get("batches"))

    def get_train_dataloader(self) -> Any:
        return self._loader

    def get_batch_samples(self, epoch_iterator: Iterator[Step], num_batches: int, device: Any) -> tuple[Any, int]:
        """One step as a single item, as steps may differ in length, and its target tokens in all processes."""
        steps = [] if self.control.should_training_stop else list(itertools.islice(epoch_iterator, 1))
        return steps, sum(step.target_tokens for step in steps)

    def training_step(self, model: Any, inputs: Step, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward of a step's micro-batches; returns this process's part of its loss, on the device."""
        if not model.training:
            model.train()
        self.memory.step()
        total = torch.zeros((), device=self.device)
        for share in inputs.shares:
            # Gradients are exchanged with the step's last micro-batch.
            last = share is inputs.shares[-1]
            with nullcontext() if last else self.accelerator.no_sync(model):
                total = total + self.micro_step(model, share, num_items_in_batch)
        self._taken = inputs.end
        self.at_work = None
        return total

    def micro_step(self, model: Any, inputs: Share, num_items_in_batch: Any) -> Tensor:
        """Forward and backward of one micro-batch; returns its share of the step's loss, on the device."""
        self.at_work = inputs.examples
        batch = inputs.batch.to(self.device)
        context = LossContext(
            step=self.state.global_step,
            total_steps=self.spec.training.steps,
            log_probabilities=self.model.log_probabilities,
            examples=batch.examples,
        )
        summed = micro_batch_objective(
            self.parts.objective,
            model,
            batch,
            context,
            device=self.device,
            precision=self.precision,
            chunk=self.spec.training.logits_chunk,
            head_owner=self.model,
            tell=partial(self.monitor.losses, images=batch.target_tokens) if inputs.counts else None,
        )
        loss = summed / num_items_in_batch
        if not inputs.counts:
            loss = loss * 0.0
        # The gradients of several processes are averaged; what is wanted is the sum, as of micro-batches in one.
        self.accelerator.backward(loss * self.world.size if self.world.size > 1 else loss)
        share: Tensor = loss.detach()
        self.monitor.micro_batch(share, inputs.tokens, inputs.examples if inputs.counts else None)
        return share

    def clip(self, step: int) -> None:
        """Clip the gradients of optimizer step `step`, counted from 1, and tell the monitor what that did."""
        if self.scaler is not None:
            self.scaler.unscale_(self.parts.optimizer)
        tables = None if step % self.spec.training.log_every else self.token_gradients
        parts = {} if tables is None else dict(tables.measure("norm"))
        clipped = self.parts.clip()
        if tables is not None:
            parts |= tables.measure("clipped_norm")
        self.monitor.gradients(clipped, parts)

    def floating_point_ops(self, inputs: Any) -> int:
        return 0

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> None:
        # transformers 5 computes a norm, and multiplies all gradients by 1, even with its clipping off.
        return None

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Turn transformers' log entry into ours and tell the callbacks; its closing summary says nothing new."""
        if "loss" not in logs and "dev_loss" not in logs:
            return
        if "loss" in logs:
            point = self.monitor.point(logs["learning_rate"])
            logs = {name: value for name in _LOGGED if (value := getattr(point, name)) is not None}
            logs |= {f"gradients/{name}": value for name, value in point.gradients.items()}
            logs |= {f"losses/{name}": value for name, value in point.losses.items()}
            speed = self.monitor.tokens_per_second
            logs |= {"tokens_per_second": speed} if speed else {}
        self.control: Any = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Loss on the development split, by the first process; the others wait. Of averaged weights too."""
        self.monitor.flush()
        with self._between_steps(), self.parts.serving():
            value, averaged = self.world.agreed(self._dev_losses)
            found = {"dev_loss": value} if averaged is None else {"dev_loss": value, "averaged_dev_loss": averaged}
            for name, loss in found.items():
                if not math.isfinite(loss):
                    raise NotFiniteError(self.state.global_step, _EVALUATED[name], loss)
            self.monitor.evaluated(value, averaged)
            if self._watching is not None:
                self._watch(self._watching)
            self._keep_best()
        self.log(found)
        metrics = {"eval_loss": value}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.control.should_training_stop |= self.stopped_early
        return metrics

    def _keep_best(self) -> None:
        """Copy the weights that stand in the model, if the spec keeps the best and no evaluation was better."""
        best = best_of(self.monitor.curve)
        newest = best is not None and best.step == self.state.global_step
        if newest and self.spec.training.keep_best and self.world.first:
            self.best_weights = copied_weights(self.model)

    def _watch(self, watching: Callable[[], str | None]) -> None:
        """Note whether the model says the same whatever it is asked."""
        with preserved_randomness():
            why = self.world.agreed(watching)
        if why is not None:
            self.collapses.append({"step": self.state.global_step, "why": why})

    @property
    def stopped_early(self) -> bool:
        """Whether a development loss has ended training."""
        options = self.spec.training.early_stop
        return options is not None and stopping_step(self.monitor.curve, options) is not None

    def _dev_losses(self) -> tuple[float, float | None]:
        """Of the weights as they are, and of their average where there is one."""
        batches = self._dev
        assert batches is not None

        def loss() -> float:
            return dev_loss(self.model, iter(batches()), self.device, self.precision, self.spec.training.logits_chunk)

        value = loss()
        if self.averager is None or not self.averager.count:
            return value, None
        with self.averager.in_place():
            return value, loss()

    def evaluate_average(self) -> None:
        """Where weights are averaged: evaluate after the last step, unless that has been done."""
        section = self.spec.training
        if section.averaging is not None and section.evaluate_every and self.state.global_step % section.evaluate_every:
            self.evaluate()

    def probe(self, step: int) -> None:
        """Measure the spec's probes where `step` is one of theirs, by the first process; the others wait.

        Before the first step, too: what training does to a probe is told from what the initial weights have.
        """
        probing, every = self._probing, self.spec.training.probe_every
        if probing is None or every is None or step % every:
            return
        self.monitor.flush()
        with self._between_steps():
            with self.parts.serving():
                found = self.world.agreed(lambda: dict(probing(step)))
            self.monitor.probed(found)
        logged = {f"probe/{name}": value for name, value in found.items()}
        # Telling the callbacks takes back that this step's losses are to be logged, which they may be.
        due = self.control.should_log
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logged)
        self.control.should_log = due

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.monitor.flush()
        with self._between_steps():
            randomness = self.world.gathered(capture_randomness())
            with self.parts.serving():
                self.world.agreed(lambda: self._write_checkpoint(randomness))

    @contextmanager
    def _between_steps(self) -> Iterator[None]:
        """What is done meanwhile takes neither time nor memory of the steps."""
        begun = time.perf_counter()
        self.memory.pause()
        yield
        self.memory.give_back()
        self.monitor.paused(time.perf_counter() - begun)

    def _write_checkpoint(self, randomness: list[dict[str, Any]]) -> None:
        state = {
            "parts": self.parts.state(),
            "monitor": self.monitor.state(),
            "memory": self.memory.state(),
            "batches": self._taken,
            "best": self.best_weights,
            "collapses": self.collapses,
            "randomness": randomness[0],
            "randomness_of_others": randomness[1:],
        }
        if self.averager is not None:
            state["averager"] = self.averager.state()
        if self.scaler is not None:
            state["scaler"] = self.scaler.state_dict()
        checkpoints.save(
            self.directory, self.state.global_step, self.model, state, keep=self.spec.training.keep_checkpoints
        )
