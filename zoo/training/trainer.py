"""transformers' Trainer with a spec's components in its places.

What it does not take over, and why: its clipping (on at 1.0 unless told otherwise), its loss (a mean per micro-batch,
over padding's logits too), its mixed precision (copies every output to float32), its checkpoints (pickles, never known
to be complete), its data order (gone on resume unless every batch is drawn again), its count of floating-point
operations and its gradient norms (each costs a walk over all parameters in every step).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from zoo.spec import Spec
from zoo.training import checkpoints
from zoo.training.collate import Batch
from zoo.training.components import Components
from zoo.training.contracts import LossContext
from zoo.training.layouts import layout_of
from zoo.training.loader import Loader, Share, batches_for
from zoo.training.loss import autocast, dev_loss, objective_sum, real_logits
from zoo.training.monitor import Monitor, NotFiniteError
from zoo.training.ragged import EncodedPairs
from zoo.training.seeds import capture_randomness, restore_randomness, seed_everything, stream_seed
from zoo.training.world import World

_LOGGED = ("loss", "learning_rate", "gradient_norm", "clipped_fraction")


class _Steps(TrainerCallback):  # type: ignore[misc]
    """Our part of each optimizer step."""

    def __init__(self, trainer: ZooTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.begin(state)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self._trainer.probe(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.probe(state.global_step)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.monitor.gradients(self._trainer.parts.clip())


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
        train: EncodedPairs,
        dev: Callable[[], Iterable[Batch]] | None,
        resume: checkpoints.Checkpoint | None = None,
        probing: Callable[[int], Mapping[str, float]] | None = None,
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
        self.monitor = Monitor(self.device, self.world.summed)
        self.rate = 0.0
        self.precision = chosen_precision(section.precision, self.device)
        self._dev = dev
        self._probing = probing
        self._resume = resume
        layout = layout_of(model)
        self.batches = batches_for(
            train, section.batch_tokens, stream_seed(spec.seed, "order"), packing=section.packing, layout=layout
        )
        collate = layout.collator(train, model.config, source_loss=section.source_loss)
        count = section.steps * section.gradient_accumulation
        self._loader = Loader(train, self.batches, collate, count, self.world, workers=section.data_workers)
        super().__init__(
            model=model,
            args=arguments,
            # Only its presence counts: `evaluate` is ours.
            eval_dataset=train if dev is not None else None,
            data_collator=lambda features: features,
            optimizers=(self.parts.optimizer, self.parts.scheduler),
            callbacks=[_Steps(self), *callbacks],
        )
        self.remove_callback(PrinterCallback)

    def begin(self, state: Any) -> None:
        """Just before the first step: randomness from the seed, or everything from the checkpoint."""
        self.monitor.start()
        if self._resume is None:
            seed_everything(stream_seed(self.spec.seed, "dropout", self.world.rank))
            return
        saved = self._resume.load_state()
        self.parts.load_state(saved["parts"])
        self.monitor.load_state(saved["monitor"])
        randomness = [saved["randomness"], *saved.get("randomness_of_others", ())]
        if self.world.rank < len(randomness):
            restore_randomness(randomness[self.world.rank])
        else:  # fewer processes trained before
            seed_everything(stream_seed(self.spec.seed + self._resume.step, "dropout", self.world.rank))
        state.global_step = self._resume.step

    def get_train_dataloader(self) -> Any:
        if self._resume is not None:
            self._loader.start = self._resume.step * self.spec.training.gradient_accumulation
        return self._loader

    def get_batch_samples(self, epoch_iterator: Iterator[Share], num_batches: int, device: Any) -> tuple[Any, int]:
        """This process's micro-batches of one step, and how many target tokens the step's hold in all processes."""
        shares = [share for _, share in zip(range(num_batches), epoch_iterator, strict=False)]
        return shares, sum(share.target_tokens for share in shares)

    def training_step(self, model: Any, inputs: Share, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward of one micro-batch; returns its share of the step's loss, on the device."""
        if not model.training:
            model.train()
        batch = inputs.batch.to(self.device)
        with autocast(self.device, self.precision):
            logits = real_logits(model, batch, head_owner=self.model, use_cache=False)  # [M, V]
        context = LossContext(
            step=self.state.global_step,
            total_steps=self.spec.training.steps,
            log_probabilities=self.model.log_probabilities,
        )
        loss = objective_sum(self.parts.objective, logits, batch.targets(), context) / num_items_in_batch
        del logits
        # The gradients of several processes are averaged; what is wanted is the sum, as of micro-batches in one.
        self.accelerator.backward(loss * self.world.size if self.world.size > 1 else loss)
        share: Tensor = loss.detach()
        self.monitor.micro_batch(share, inputs.tokens)
        return share

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
            logs = {name: getattr(point, name) for name in _LOGGED}
            speed = self.monitor.tokens_per_second
            logs |= {"tokens_per_second": speed} if speed else {}
        self.control: Any = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Loss on the development split, by the first process; the others wait."""
        batches = self._dev
        assert batches is not None
        self.monitor.flush()
        begun = time.perf_counter()
        with self.parts.serving():
            value = self.world.agreed(lambda: dev_loss(self.model, iter(batches()), self.device, self.precision))
        if not torch.isfinite(torch.tensor(value)):
            raise NotFiniteError(self.state.global_step, "development loss", value)
        self.monitor.evaluated(value)
        self.monitor.paused(time.perf_counter() - begun)
        self.log({"dev_loss": value})
        metrics = {"eval_loss": value}
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def probe(self, step: int) -> None:
        """Measure the spec's probes where `step` is one of theirs, by the first process; the others wait.

        Before the first step, too: what training does to a probe is told from what the initial weights have.
        """
        probing, every = self._probing, self.spec.training.probe_every
        if probing is None or every is None or step % every:
            return
        self.monitor.flush()
        begun = time.perf_counter()
        with self.parts.serving():
            found = self.world.agreed(lambda: dict(probing(step)))
        self.monitor.probed(found)
        self.monitor.paused(time.perf_counter() - begun)
        logged = {f"probe/{name}": value for name, value in found.items()}
        # Telling the callbacks takes back that this step's losses are to be logged, which they may be.
        due = self.control.should_log
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logged)
        self.control.should_log = due

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.monitor.flush()
        begun = time.perf_counter()
        randomness = self.world.gathered(capture_randomness())
        with self.parts.serving():
            self.world.agreed(lambda: self._write_checkpoint(randomness))
        self.monitor.paused(time.perf_counter() - begun)

    def _write_checkpoint(self, randomness: list[dict[str, Any]]) -> None:
        state = {
            "parts": self.parts.state(),
            "monitor": self.monitor.state(),
            "randomness": randomness[0],
            "randomness_of_others": randomness[1:],
        }
        checkpoints.save(
            self.directory, self.state.global_step, self.model, state, keep=self.spec.training.keep_checkpoints
        )


def training_arguments(spec: Spec, directory: Path, world: World) -> Seq2SeqTrainingArguments:
    """transformers' arguments: everything that a spec decides comes from it, the rest is off."""
    section = spec.training
    # Without it transformers takes processes that train together on CPUs for processes that train alone.
    on_cpus = {"use_cpu": True} if world.size > 1 and not torch.cuda.is_available() else {}
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(directory),
        max_steps=section.steps,
        gradient_accumulation_steps=section.gradient_accumulation // world.size,
        max_grad_norm=0.0,
        logging_strategy="steps",
        logging_steps=section.log_every,
        logging_nan_inf_filter=False,
        eval_strategy="no" if section.evaluate_every is None else "steps",
        eval_steps=section.evaluate_every,
        save_strategy="no" if section.save_every is None else "steps",
        save_steps=section.save_every or section.steps,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        seed=spec.seed,
        **on_cpus,
    )
    # Several GPUs in one process would mean DataParallel, which cuts our batches in pieces.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments


def chosen_precision(precision: str, device: torch.device) -> torch.dtype:
    """The type of the forward pass: 'auto' takes bfloat16 on a GPU that has it in hardware, float32 elsewhere."""
    if precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32
