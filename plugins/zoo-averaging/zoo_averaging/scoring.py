"""How good averages are on the development split of their spec."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from zoo.errors import InputError, ZooError, did_you_mean
from zoo.measure import default_device, evaluate, evaluation_examples, prepare_metrics
from zoo.spec import Spec
from zoo.spec.options import Chosen
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, silent
from zoo.training import Prepared, load_run
from zoo.training.arguments import chosen_precision
from zoo.training.data.development import development_batches
from zoo.training.losses.loss import dev_loss
from zoo.training.preparation import prepare_task
from zoo_averaging.inputs import Input
from zoo_averaging.soup import averaged

LOSS = "loss"


class Scorer:
    """Scores means of `inputs` with the spec, data and tokenizers of the first one's run.

    `by` is ``loss`` (cross-entropy per target token, over the examples of training's development loss) or a metric of
    the spec. One model stands in memory; each mean is read into it from the files. Raises InputError for a metric that
    the spec does not have, and where the first input is of no run.
    """

    def __init__(self, inputs: Sequence[Input], by: str, progress: Progress = silent) -> None:
        if inputs[0].run is None:
            raise InputError(
                "has no zoo.lock.yaml: what is scored on, a folder of 'zoo train' says", where=str(inputs[0].folder)
            )
        self._inputs, self._progress = inputs, progress
        self._run = load_run(inputs[0].run)
        self._run.model.to(default_device()).eval()
        self._spec = _on_dev(self._run.spec, by)
        home = DataHome.default()
        self._prepared = Prepared(prepare_task(self._spec, home, progress), self._run.tokenizers)
        self.higher = False
        self._score: Callable[[], float] = self._metric() if by != LOSS else self._loss(home)

    def __call__(self, places: Sequence[int], shares: Sequence[float] | None = None) -> float:
        """The score of the mean of the inputs at `places`."""
        self._fill([self._inputs[place] for place in places], shares)
        found = self._score()
        if not torch.isfinite(torch.tensor(found)):
            named = ", ".join(str(self._inputs[place].folder) for place in places)
            raise ZooError(f"the score of {named} is {found}")
        return found

    @torch.no_grad()
    def _fill(self, inputs: Sequence[Input], shares: Sequence[float] | None) -> None:
        held = self._run.model.state_dict()  # tied matrices under each name, one storage
        for name, tensor in averaged(inputs, shares):
            if name not in held or tuple(held[name].shape) != tuple(tensor.shape):
                raise InputError(f"its tensor {name} is none of the model's", where=str(inputs[0].folder))
            held[name].copy_(tensor)

    def _loss(self, home: DataHome) -> Callable[[], float]:
        model = self._run.model
        precision = chosen_precision(self._spec.training.precision, model.device)
        batches = development_batches(self._spec, self._prepared, model, home, self._progress)
        return lambda: dev_loss(model, iter(batches()), model.device, precision)

    def _metric(self) -> Callable[[], float]:
        run, task = self._run, self._prepared.task
        examples = evaluation_examples(task, self._spec)
        metrics = prepare_metrics(self._spec, examples, task, progress=self._progress)
        self.higher = metrics[0].direction == "higher"

        def score() -> float:
            found = evaluate(
                run.model,
                run.tokenizers,
                examples,
                self._spec,
                metrics=metrics,
                with_probes=False,
                progress=self._progress,
            )
            return found.quality[0].value

        return score


def _on_dev(spec: Spec, by: str) -> Spec:
    """The spec with the development split in the place of the scored one, and the metric `by` alone."""
    chosen: list[Chosen] = spec.evaluation.metrics
    if by != LOSS:
        chosen = [metric for metric in chosen if by in (metric.name, metric.id)][:1]
        if not chosen:
            known = [LOSS, *(metric.name for metric in spec.evaluation.metrics)]
            raise InputError(f"no metric of the spec: {did_you_mean(by, known)}", where=f"--by {by}")
    changes = {"split": "dev", "metrics": chosen}
    return spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update=changes)})
