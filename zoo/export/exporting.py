"""From a trained model's folder to an exported one: refused early, compared, and put in place at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from zoo.atomic import atomic_directory
from zoo.errors import InputError, ZooError
from zoo.export.contracts import Exporter, Parity, Written
from zoo.export.folder import EXPORT_FILE, Cache, Decoding, Export, ImagePart, SequencePart, Special, write_export
from zoo.measure.reading import reader_of, source_of
from zoo.models.tokenizers import save_tokenizers
from zoo.spec import Spec, distributions_of
from zoo.spec.lock import LOCK_NAME
from zoo.spec.options import Chosen
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.images import Source
from zoo.training.preparation import prepare_task
from zoo.training.run import Run, load_run

TOLERANCE = 1e-4
"""Logits of a float32 export may be so far from torch's."""
_ANY = 2**31 - 1
"""More new tokens than any model has places for."""


def export_model(
    source: Path,
    out: Path,
    chosen: Chosen,
    *,
    examples: int = 200,
    sources: Sequence[Source] | None = None,
    tolerance: float = TOLERANCE,
    home: DataHome | None = None,
    progress: Progress = silent,
) -> Export:
    """Export the model in `source`, a folder of ``zoo build`` or ``zoo train``, to the folder `out`.

    It is compared with torch on `sources`, texts or images as the model reads them, or on so many `examples` of the
    spec's development split; where weights are made smaller, before and after that. An earlier export
    at `out` stays until the new one is whole. Raises InputError where the model cannot be exported or `out` holds
    something else, ZooError where logits of float32 weights differ by more than `tolerance` or an output is another.
    """
    refuse_place(out)
    run = load_run(source)
    exporter: Exporter = chosen.create()
    model = run.model.eval().to("cpu")
    exporter.refuse(model)
    inputs = list(sources) if sources is not None else development_sources(run.spec, examples, home, progress)
    decoding = run.spec.decoding
    limit = model.source_limit(decoding.max_new_tokens)
    longest = model.output_limit(decoding.max_new_tokens)
    with atomic_directory(out) as folder:
        progress("export", 0, 2)
        batches = list(_batches(run, inputs, limit))
        exact = exporter.exact()
        first: Parity | None = None
        if exact is None:
            written = exporter.write(model, folder)
        else:
            whole = folder / "exact"
            whole.mkdir()
            exact.write(model, whole)
            first = exact.parity(model, whole, batches, max_new_tokens=longest)
            _refuse_other_outputs(first, tolerance, out)
            written = exporter.write_reduced(model, whole, folder)
            shutil.rmtree(whole)
        progress("export", 1, 2)
        save_tokenizers(run.tokenizers, folder)
        shutil.copyfile(source / LOCK_NAME, folder / LOCK_NAME)
        found = exporter.parity(model, folder, batches, max_new_tokens=longest)
        if exact is None:
            _refuse_other_outputs(found, tolerance, out)
        export = _described(run, written, found, first)
        write_export(export, folder)
        progress("export", 2, 2)
    return export


def refuse_place(out: Path) -> None:
    """Raise InputError unless `out` is free, an empty folder, or an earlier export, which a new one replaces."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError("is no folder; expected one to write, or an earlier export", where=str(out))
    if out.is_dir() and any(out.iterdir()) and not (out / EXPORT_FILE).is_file():
        raise InputError(f"holds something else than an export (no {EXPORT_FILE}): take another --out", where=str(out))


def development_sources(
    spec: Spec, count: int, home: DataHome | None = None, progress: Progress = silent
) -> list[Source]:
    """The first texts or images of the development split; fewer where it has fewer.

    Raises ZooError without the data.
    """
    task = prepare_task(spec, home or DataHome.default(), progress)
    return [source_of(example) for example in task.examples("dev")[:count]]


def _batches(run: Run, sources: Sequence[Source], limit: int) -> Iterator[dict[str, Any]]:
    """Encoded sources, in batches of like length or size."""
    reader = reader_of(run.model, run.tokenizers)
    lengths = reader.lengths(sources)
    order = sorted(range(len(sources)), key=lambda index: (-lengths[index], index))
    size = run.spec.decoding.batch_size
    for start in range(0, len(order), size):
        chosen = [sources[index] for index in order[start : start + size]]
        yield reader.encoded(chosen, torch.device("cpu"), limit=limit)


def _refuse_other_outputs(found: Parity, tolerance: float, out: Path) -> None:
    if not found.largest_difference <= tolerance:  # NaN, too
        raise ZooError(
            f"logits of the export differ from torch's by {found.largest_difference:.2g}, more than {tolerance:g}, on "
            f"{found.examples} sources: nothing was written to {out}"
        )
    if found.same_outputs < found.examples:
        other = found.examples - found.same_outputs
        raise ZooError(
            f"{other} of {found.examples} greedy outputs of the export are not torch's: nothing was written to {out}"
        )


def _described(run: Run, written: Written, found: Parity, exact: Parity | None) -> Export:
    return Export(
        name=run.spec.name,
        architecture=run.model.section.architecture,
        reads=run.model.reads,
        sequence=_sequence(run) if run.model.writes_text else None,
        image=_image(run.model) if run.model.reads == "image" else None,
        opset=written.opset,
        weights=written.weights,
        sizes=written.sizes,
        made_with=written.versions,
        parity=asdict(found),
        exact_parity=None if exact is None else asdict(exact),
    )


def _sequence(run: Run) -> SequencePart:
    """How a model that writes texts does it."""
    model, decoding, config = run.model, run.spec.decoding, run.model.config
    section, generation = model.section, model.generation_config
    cache = Cache(
        layers=section.decoder_layers,
        heads=section.heads,
        head_width=section.head_dim or section.d_model // section.heads,
    )
    return SequencePart(
        cache=None if section.decoder is None else cache,
        vocabulary=int(config.vocab_size),
        special=Special(
            start=int(config.decoder_start_token_id),
            end=int(config.eos_token_id),
            padding=int(config.pad_token_id),
            forced_bos=generation.forced_bos_token_id,
            forced_eos=generation.forced_eos_token_id,
            banned=generation.bad_words_ids or [],
        ),
        max_source_tokens=None if model.reads == "image" else model.source_limit(decoding.max_new_tokens),
        max_target_tokens=None if section.decoder is None else model.output_limit(_ANY),
        decoding=Decoding(
            strategy=decoding.strategy.name,
            options=decoding.strategy.options.model_dump(),
            max_new_tokens=decoding.max_new_tokens,
            batch_size=decoding.batch_size,
        ),
        log_probabilities=model.log_probabilities,
    )


def _image(model: Any) -> ImagePart:
    """How images are prepared for a recogniser."""
    preparation = model.section.image.preparation()
    return ImagePart(section=preparation.plain(), plugins=distributions_of(preparation))
