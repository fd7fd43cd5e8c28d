"""One attempt at one cell, in a process that has done nothing else.

``python -m zoo.startup zoo.bench.cell_process WORK FD`` reads ``WORK/request.json``, writes ``WORK/outcome.json`` whole
or not at all. Everything that takes long lies in ``WORK/run`` in between, so that a killed attempt is continued and not
begun anew. Standard input is the parent's hand: when it closes, the parent is gone and so is this process (the folder's
lock, which it inherits, is held until then). Progress is reported on the file descriptor FD.
"""

from __future__ import annotations

import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from zoo import startup
from zoo.bench.cell import key_of_training, trained_spec
from zoo.bench.outcome import (
    Outcome,
    export_part,
    machine_facts,
    one_line,
    performance_of,
    performance_of_training,
    quality_of,
    samples_of,
    series_of,
    size_of_weights,
    status_of,
    training_costs,
    training_facts,
)
from zoo.bench.outputs import outputs_file, outputs_of, write_outputs
from zoo.bench.record import CurvePoint
from zoo.bench.shared_training import SharedTraining
from zoo.bench.work import WorkFolder
from zoo.errors import InputError, ZooError
from zoo.export.contracts import UnfitError
from zoo.export.exporting import export_model
from zoo.export.measuring import evaluate_export, measure_export, refuse_unexportable
from zoo.export.quality import MaxDrop
from zoo.lifeline import end_with_parent
from zoo.measure.baselines import copy_baseline
from zoo.measure.cpu import load_average
from zoo.measure.device import default_device
from zoo.measure.environment import environment
from zoo.measure.evaluate import Evaluation, evaluate, evaluation_examples, prepare_metrics, shown_examples
from zoo.measure.oom import free_memory, kernel_oom_kills
from zoo.measure.peers import evaluate_peer, measure_peer
from zoo.measure.performance import measure_performance
from zoo.measure.reading import source_of
from zoo.models import count_parameters
from zoo.spec import Spec, resolve
from zoo.spec.peer_spec import PeerSpec
from zoo.spec.pretrained import find_checkpoint
from zoo.tasks import DataHome
from zoo.tasks.contracts import PreparedTask, Progress
from zoo.tasks.progress_pipe import PipeProgress
from zoo.training import TrainingOutcome, build, load_run, prepare
from zoo.training.building import assemble_for
from zoo.training.processes.launch import ProcessDiedError, train_together


def main(work: WorkFolder, progress: Progress) -> None:
    """Run the request in `work`. A failed cell is an outcome, no failure of this process."""
    startup.imported()
    end_with_parent()
    request = work.read_request()
    torch.set_num_threads(request.threads)
    store = Path(request.store)
    surroundings = environment(store, ignoring=(store,))
    try:
        spec, home = resolve(request.spec), DataHome(Path(request.home))
        prepare_metrics(spec)
        if request.job != "copy" and not isinstance(spec, PeerSpec):
            _refuse_another_checkpoint(spec)
        job = run_peer if isinstance(spec, PeerSpec) else _JOBS[request.job]
        if request.job == "model" and spec.export is not None:
            job = run_exported
        outcome = job(spec, work, home, progress)
    except Exception as error:
        traceback.print_exc()
        outcome = Outcome(status=status_of(error), error=one_line(error))
    surroundings["load_after"] = load_average()
    if request.job == "model" and request.processes > 1:
        surroundings["training_processes"] = request.processes
    work.write_outcome(outcome.model_copy(update={"environment": {**surroundings, **outcome.environment}}))


def _refuse_another_checkpoint(spec: Spec) -> None:
    """Raise ZooError unless the pretrained model of the spec is the one that it was resolved with.

    It was there when the cell was asked for: that it is gone, or not on this machine, is no result of the cell.
    """
    pretrained = spec.model.pretrained
    if pretrained is None:
        return
    try:
        found = find_checkpoint(pretrained.path).revision()
    except InputError as error:
        raise ZooError(str(error)) from None
    if found != pretrained.revision:
        raise ZooError(f"{pretrained.path}: the pretrained model is another one since the cell was asked for")


def run_model(spec: Spec, work: WorkFolder, home: DataHome, progress: Progress) -> Outcome:
    """Train (or continue), evaluate, measure."""
    directory = work.run
    task: PreparedTask = spec.task.create().prepare(home, progress)
    examples = evaluation_examples(task, spec)
    metrics = prepare_metrics(spec, examples, task, progress=progress)
    training = _train(spec, directory, work.read_request().processes, home, progress)
    told, trained = training_facts(training), _trained(training)
    if training.status != "ok":
        return Outcome(status=training.status, error=training.error, environment=told, **trained)
    run = load_run(directory)
    model = run.model.to(default_device())
    evaluation = evaluate(model, run.tokenizers, examples, spec, metrics=metrics, progress=progress)
    sentences = [source_of(example) for example in shown_examples(examples)]
    parameters = count_parameters(model)
    attention = str(model.attention_backend)
    del model, run
    free_memory()  # what is measured below is measured by other processes
    if spec.measurement.processes:
        measured = measure_performance(directory, sentences, spec, progress=progress)
        found = performance_of(measured, training_costs(training), disk_bytes=size_of_weights(directory))
        told |= machine_facts(measured)
    else:
        found = performance_of_training(training, attention, default_device())
    return Outcome(
        status="collapsed" if evaluation.collapsed else "ok",
        error=evaluation.collapsed,
        parameters=parameters,
        performance=[found],
        environment=told,
        **_scored(evaluation, spec, task, work),
        **trained,
    )


def _train(spec: Spec, run: Path, processes: int, home: DataHome, progress: Progress) -> TrainingOutcome:
    kills = kernel_oom_kills()
    try:
        training = train_together(spec, run, processes, resume=True, home=home, progress=progress)
    except ProcessDiedError as error:
        if error.signal == signal.SIGKILL and kernel_oom_kills() > kills:
            raise MemoryError(f"{error}: out of memory") from None
        raise
    if training.status == "running":
        raise ZooError(f"training ended before its last step ({training.steps} of {training.total_steps})")
    return training


def _trained(training: TrainingOutcome) -> dict[str, Any]:
    """What a record says of training, whatever came of it."""
    return {
        "steps": training.steps,
        "training_seconds": training.seconds,
        "training_tokens": training.facts.get("tokens"),
        "curve": [_curve_point(point) for point in training.curve],
    }


def run_exported(spec: Spec, work: WorkFolder, home: DataHome, progress: Progress) -> Outcome:
    """Train, or take the weights that another export of the same model was made of; export, evaluate, measure.

    What training cost is told as of any model; what was measured is the export.
    """
    assert spec.export is not None
    base = trained_spec(spec)
    task: PreparedTask = spec.task.create().prepare(home, progress)
    examples = evaluation_examples(task, spec)
    metrics = prepare_metrics(spec, examples, task, progress=progress)
    request = work.read_request()
    shared = SharedTraining.of(key_of_training(base, task.revision), work.path.parent)
    training = shared.outcome(
        request,
        train=lambda run: _train(base, run, request.processes, home, progress),
        refuse=lambda: refuse_unexportable(spec, assemble_for(base, prepare(base, home, progress)).eval()),
    )
    told, trained = training_facts(training), _trained(training)
    if training.status != "ok":
        return Outcome(status=training.status, error=training.error, environment=told, **trained)
    source, folder = shared.folder.run, work.path / "export"
    shutil.rmtree(folder, ignore_errors=True)  # a killed attempt's
    try:
        # By how much it is worse is what the cell is to find out.
        export = export_model(
            source, folder, spec.export, max_drop=MaxDrop(unbounded=True), home=home, progress=progress
        )
    except UnfitError as error:
        return Outcome(status=status_of(error), error=one_line(error), environment=told, **trained)
    run = load_run(source)
    evaluation = evaluate_export(spec, folder, run, examples, metrics=metrics, progress=progress)
    performance = []
    if spec.measurement.processes:
        sources = [source_of(example) for example in shown_examples(examples)]
        measured = measure_export(folder, sources, spec, progress=progress)
        size = size_of_weights(folder) if export.kind == "torch" else sum(export.sizes.values())
        found = performance_of(measured, disk_bytes=size)
        performance, told = [found], told | machine_facts(measured)
    return Outcome(
        status="collapsed" if evaluation.collapsed else "ok",
        error=evaluation.collapsed,
        parameters=count_parameters(run.model),
        performance=performance,
        environment=told,
        export=export_part(export),
        **_scored(evaluation, spec, task, work),
        **trained,
    )


def run_untrained(spec: Spec, work: WorkFolder, home: DataHome, progress: Progress) -> Outcome:
    """Score the initial weights. A control is meant to be bad: that its outputs are all alike is no failure."""
    shutil.rmtree(work.run, ignore_errors=True)  # a killed attempt's: there is nothing to continue
    built = build(spec, work.run, home, progress=progress)
    model, task = built.model.to(default_device()), built.prepared.task
    # One control stands for every model with its data and scoring, whatever probes they ask for.
    examples = evaluation_examples(task, spec)
    metrics = prepare_metrics(spec, examples, task, progress=progress)
    evaluation = evaluate(
        model, built.tokenizers, examples, spec, metrics=metrics, with_probes=False, progress=progress
    )
    scored = _scored(evaluation, spec, task, work)
    return Outcome(status="ok", steps=0, parameters=count_parameters(model), **scored)


def run_copy(spec: Spec, work: WorkFolder, home: DataHome, progress: Progress) -> Outcome:
    """Score the sources as outputs."""
    task = spec.task.create().prepare(home, progress)
    examples = evaluation_examples(task, spec)
    evaluation = copy_baseline(examples, spec, metrics=prepare_metrics(spec, examples, task, progress=progress))
    return Outcome(status="ok", **_scored(evaluation, spec, task, work))


def run_peer(spec: Spec, work: WorkFolder, home: DataHome, progress: Progress) -> Outcome:
    """Have a peer answer, score and time it. That its answers are all alike or empty is its result, and no failure of a
    training that has not been: nothing collapsed.
    """
    assert isinstance(spec, PeerSpec)
    task = spec.task.create().prepare(home, progress)
    examples = evaluation_examples(task, spec)
    metrics = prepare_metrics(spec, examples, task, progress=progress)
    evaluation = evaluate_peer(spec, examples, metrics=metrics, progress=progress)
    performance, told = [], {}
    if spec.measurement.processes:
        sources = [source_of(example) for example in shown_examples(examples)]
        measured = measure_peer(spec, sources, progress=progress)
        performance, told = [performance_of(measured)], machine_facts(measured)
    return Outcome(status="ok", performance=performance, environment=told, **_scored(evaluation, spec, task, work))


_JOBS = {"model": run_model, "untrained": run_untrained, "copy": run_copy}


def _scored(evaluation: Evaluation, spec: Spec, task: PreparedTask, work: WorkFolder) -> dict[str, Any]:
    text = spec.evaluation.keep == "text"
    write_outputs(work.outputs, outputs_of(evaluation, data_revision=task.revision, text=text))
    return {
        "quality": quality_of(evaluation),
        "probes": evaluation.probes,
        "probe_series": series_of(evaluation),
        "samples": samples_of(evaluation) if text else [],
        "outputs": outputs_file(work.outputs),
    }


def _curve_point(point: Any) -> CurvePoint:
    return CurvePoint(**{name: getattr(point, name, None) for name in CurvePoint.model_fields})


if __name__ == "__main__":
    main(WorkFolder(Path(sys.argv[1])), PipeProgress(int(sys.argv[2])))
