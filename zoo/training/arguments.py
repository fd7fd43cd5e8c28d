"""What transformers' Trainer is told of a spec, and the precision of the forward pass, which is not its own."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import Seq2SeqTrainingArguments

from zoo.spec import Spec
from zoo.training.processes.world import World


def training_arguments(spec: Spec, directory: Path, world: World) -> Seq2SeqTrainingArguments:
    """transformers' arguments: everything that a spec decides comes from it, the rest is off."""
    section = spec.training
    # Without it transformers takes processes that train together on CPUs for processes that train alone.
    on_cpus = {"use_cpu": True} if world.size > 1 and not torch.cuda.is_available() else {}
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(directory),
        max_steps=section.steps,
        gradient_accumulation_steps=1,  # `training_step` goes through a step's micro-batches itself
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
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    return named[precision]
