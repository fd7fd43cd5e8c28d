"""`zoo evaluate DIR`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from zoo import startup
from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError


@click.command("evaluate")
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--split", type=click.Choice(["dev", "test"]), help="Split to score. Default: the spec's.")
@click.option("--max-examples", type=click.IntRange(min=1), help="Score the first N examples. Default: the spec's.")
@click.option(
    "--outputs",
    "outputs_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write what each example gave to FILE, as Parquet: ids, texts (unless the spec keeps scores alone), scores.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, samples included.")
def command(
    directory: Path, split: str | None, max_examples: int | None, outputs_file: Path | None, as_json: bool
) -> None:
    """Score the model in DIR, a folder of 'zoo build' or 'zoo train', as its spec says."""
    if not directory.is_dir():
        raise InputError("no such folder; expected one that 'zoo build' or 'zoo train' made", where=str(directory))
    if outputs_file is not None and not outputs_file.absolute().parent.is_dir():
        raise InputError("no such folder to write in", where=str(outputs_file.parent))
    from zoo.bench.outputs import outputs_of, write_outputs
    from zoo.measure import default_device, evaluate, evaluation_examples, prepare_metrics
    from zoo.tasks import DataHome
    from zoo.training import load_run
    from zoo.training.outcome import read_outcome
    from zoo.training.preparation import prepare_task

    startup.imported()
    run = load_run(directory)
    outcome = read_outcome(directory)
    if outcome is None or not outcome.model_step:
        click.echo(f"zoo: {directory} holds initial weights: no trained ones are there", err=True)
    elif outcome.status != "ok":
        click.echo(
            f"zoo: {directory} holds the weights of step {outcome.model_step} of {outcome.total_steps}", err=True
        )
    changes = {"split": split, "max_examples": max_examples}
    chosen = {name: value for name, value in changes.items() if value is not None}
    spec = run.spec.model_copy(update={"evaluation": run.spec.evaluation.model_copy(update=chosen)})
    with TerminalProgress() as progress:
        task = prepare_task(spec, DataHome.default(), progress)
        examples = evaluation_examples(task, spec)
        metrics = prepare_metrics(spec, examples, task, progress=progress)
        model = run.model.to(default_device())
        found = evaluate(model, run.tokenizers, examples, spec, metrics=metrics, progress=progress)
    if outputs_file is not None:
        text = spec.evaluation.keep == "text"
        write_outputs(outputs_file, outputs_of(found, data_revision=task.revision, text=text))
    if as_json:
        print_json(
            {
                "split": found.split,
                "examples": found.examples,
                "quality": [vars(score) for score in found.quality],
                "probes": found.probes,
                "probe_series": {name: asdict(series) for name, series in found.probe_series.items()},
                "collapsed": found.collapsed,
                "samples": [vars(sample) for sample in found.samples],
            }
        )
        return
    rows = [
        (s.metric, f"{s.value:.2f}", f"{s.interval[0]:.2f} to {s.interval[1]:.2f}" if s.interval else "-", s.signature)
        for s in found.quality
    ]
    print_table(rows, ("METRIC", "VALUE", "95% INTERVAL", "SIGNATURE"))
    click.echo(f"{found.examples} examples of {found.split}")
    measured = [(name, f"{value:.4g}") for name, value in sorted(found.probes.items()) if "." in name]
    if measured:
        click.echo()
        print_table(measured, ("PROBE", "VALUE"))
    if found.collapsed:
        click.echo(f"collapsed: {found.collapsed}")
