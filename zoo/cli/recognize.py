"""`zoo recognize MODEL [IMAGE...]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo import startup
from zoo.cli.image_arguments import Reader, answer_images
from zoo.cli.model_folder import DEVICE, kind_of, torch_device
from zoo.errors import InputError


@click.command("recognize")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path, allow_dash=True), metavar="[IMAGE]...")
@click.option(
    "--width", type=click.IntRange(1, 64), help="Hypotheses of beam search; 1 is greedy. Default: the spec's."
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Longest output, in tokens. Default: the spec's.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images read at once. Default: the spec's; 1 of standard input.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute on. Default: one a core.")
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each image: 'image', and 'text' or 'error'.")
def command(
    model: Path,
    images: tuple[Path, ...],
    width: int | None,
    max_new_tokens: int | None,
    batch_size: int | None,
    threads: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Read the texts in images with MODEL: a folder of 'zoo export' or of 'zoo train'.

    An IMAGE is a file, or a folder whose images are meant; without any, their paths are read from standard input, one a
    line, and each is answered before the next is read, unless there is a --batch-size. Each image gives one line: its
    path, a tab, the text. An image that cannot be read is told on standard error, and the others go on: the exit status
    is 2 then. What else decoding needs is the spec's. An export is run without torch.
    """
    load = _exported if kind_of(model) == "export" else _trained
    reader = load(model, width, max_new_tokens, batch_size, threads, device)
    answer_images(
        images,
        reader,
        batch_size,
        lines=lambda name, text: [f"{name}\t{' '.join(text.splitlines())}"],
        fields=(lambda text: {"text": text}) if as_json else None,
    )


def _exported(
    folder: Path,
    width: int | None,
    max_new_tokens: int | None,
    batch_size: int | None,
    threads: int | None,
    device: str,
) -> Reader[str]:
    """What reads with an export. Without torch."""
    from zoo.export.runtime import load_recognizer

    startup.imported()

    recognizer = load_recognizer(folder, threads=threads, device=device)
    options = {"width": width, "max_new_tokens": max_new_tokens, "batch_size": batch_size}
    recognizer.recognize([], **options)  # what cannot be searched so is told before any image is read
    return Reader(
        lambda images: recognizer.recognize(images, **options),
        batch_size or recognizer.sequence.decoding.batch_size,
        recognizer.patches,
    )


def _trained(
    folder: Path,
    width: int | None,
    max_new_tokens: int | None,
    batch_size: int | None,
    threads: int | None,
    device: str,
) -> Reader[str]:
    """What reads with a model in torch."""
    import torch

    from zoo.measure.generation import generate_outputs
    from zoo.models.decoding import redecoded
    from zoo.tasks import PixelImage
    from zoo.training import load_run

    startup.imported()

    if threads is not None:
        torch.set_num_threads(threads)
    run = load_run(folder)
    if run.model.reads != "image" or not run.model.writes_text:
        raise InputError(
            f"its model is of the architecture '{run.model.section.architecture}': this command reads the texts in "
            "images",
            where=str(folder),
        )
    decoding = redecoded(run.spec.decoding, width=width, max_new_tokens=max_new_tokens, batch_size=batch_size)
    run.model.refuse_search(decoding.strategy.create().settings())
    model = run.model.to(torch_device(device)).eval()

    def recognize(images: list[Any]) -> list[str]:
        sources = [PixelImage(image) for image in images]
        limit = model.source_limit(decoding.max_new_tokens)
        return list(generate_outputs(model, run.tokenizers, sources, decoding, max_source_tokens=limit).outputs)

    def check(height: int, width: int) -> None:
        model.image_processor.count(height, width, model.encoder.position.grid_limit)

    return Reader(recognize, decoding.batch_size, check)
