"""What a run leaves where its model has averaged weights: these at its top, the last step's in a folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

from zoo.atomic import atomic_directory
from zoo.models.tokenizers import Tokenizers, save_tokenizers
from zoo.spec.lock import LOCK_NAME
from zoo.training.outcome import TrainingOutcome, write_outcome
from zoo.training.weights.averager import Averager

FOLDER = "last"
"""Holds the weights of a run's last step where those at its top are an average; 'zoo evaluate' reads it like a run."""


def with_average(outcome: TrainingOutcome, averager: Averager, model: Any, tokenizers: Tokenizers) -> TrainingOutcome:
    """Write the last weights into the run's folder and put their average into `model`; the outcome says so.

    Only where the run ended well, and has begun to average.
    """
    averaged = outcome.status == "ok" and averager.count > 0
    if averaged:
        own = replace(outcome, model_step=outcome.steps, facts=_facts(outcome, averager, in_folder=False))
        with atomic_directory(outcome.directory / FOLDER) as temporary:
            model.save_pretrained(temporary)
            save_tokenizers(tokenizers, temporary)
            shutil.copyfile(outcome.directory / LOCK_NAME, temporary / LOCK_NAME)
            write_outcome(own, temporary)
        averager.put()
    return replace(outcome, facts=_facts(outcome, averager, in_folder=averaged))


def _facts(outcome: TrainingOutcome, averager: Averager, *, in_folder: bool) -> dict[str, Any]:
    return {**outcome.facts, "averaging": averager.facts(in_folder=in_folder)}
