"""From a trained model's folder to an exported one: refused early, compared, and put in place at once."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, overload

import torch

from zoo.atomic import atomic_directory
from zoo.errors import InputError, ZooError
from zoo.export.boxes import box_part
from zoo.export.contracts import Exporter, Parity, RefusedError, Written
from zoo.export.folder import (
    EXPORT_FILE,
    Cache,
    ContextPart,
    Decision,
    Decoding,
    Export,
    ImagePart,
    SequencePart,
    Special,
    write_export,
)
from zoo.export.material import Material, development, given
from zoo.export.plain import ANY as _ANY
from zoo.export.plain import PlainRun, is_plain, load_plain
from zoo.export.presets import ASKED_FOR
from zoo.export.quality import DroppedError, MaxDrop, Quality
from zoo.export.report import ExactParity, MetricDrop, ParityReport
from zoo.export.runtime.settings import search_of
from zoo.export.sensitivity import EXAMPLES as RANKED_ON
from zoo.export.sensitivity import Trials
from zoo.export.tokenizer_files import refuse_python_tokenizers, write_tokenizers
from zoo.measure.reading import reader_of, source_of
from zoo.spec import distributions_of
from zoo.spec.detection_spec import DetectionSpec
from zoo.spec.lock import LOCK_NAME
from zoo.spec.options import Chosen
from zoo.tasks import DataHome, Example
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.images import Source
from zoo.training.loading import Run, load_run

TOLERANCE = 1e-4
"""Logits of a float32 export may be so far from torch's."""
CALIBRATION = "Krishnamoorthi 2018, arXiv:1806.08342, on post-training quantization"


def export_model(
    source: Path,
    out: Path,
    chosen: Chosen,
    *,
    examples: int = 200,
    sources: Sequence[Source] | None = None,
    references: Sequence[str] | None = None,
    taken_from: str = "sources",
    tolerance: float = TOLERANCE,
    metrics: Sequence[Chosen] | None = None,
    max_drop: MaxDrop | None = None,
    sensitivity: bool = False,
    threads: int | None = None,
    decisions: Sequence[Decision] = (),
    home: DataHome | None = None,
    progress: Progress = silent,
) -> Export:
    """Export the model in `source`, a folder of ``zoo build`` or ``zoo train`` or of a plain seq2seq model of
    transformers, to the folder `out`.

    It is compared with torch on `sources`, texts or images as the model reads them, with a text that is right for each
    where there are `references`, or on so many `examples` of the spec's development split. `metrics` are measured in
    the place of the spec's. An earlier export at `out` stays until the new one is whole. With `sensitivity` the layers
    that are in less than float32 are ranked.

    Raises InputError where the model cannot be exported, `out` holds something else, or `max_drop` is of what cannot be
    measured. Raises ZooError where an export that is in float32 throughout has logits that differ by more than
    `tolerance`, or another output; `RefusedError` where nothing that was written runs; `DroppedError` where quality is
    past `max_drop`.
    """
    refuse_place(out)
    run = load_plain(source) if is_plain(source) else load_run(source)
    exporter: Exporter = chosen.create()
    model = run.model.eval().to("cpu")
    preset = {item.what for item in decisions if item.source != ASKED_FOR}
    exporter, fitted = exporter.for_model(model, exporter.options.model_fields_set - preset)
    exporter.refuse(model)
    refuse_python_tokenizers(run.tokenizers, str(source))
    if isinstance(run, PlainRun):
        search_of(_sequence(run), str(source))
    sequence, notes = exporter.adapted(_sequence(run)) if model.writes_text else (None, ())
    if sources is None:
        if isinstance(run, PlainRun):
            raise InputError("a plain model has no data of its own to be compared on: give --sources FILE")
        material = development(run.spec, examples, home, progress)
    else:
        material = given(sources, references, name=taken_from)
    quality = Quality(run, material, max_drop, metrics, progress)
    decisions = (*decisions, *fitted, *_calibration(exporter.calibration(model), material))
    job = _Job(source, run, exporter, material, quality, sequence, notes, progress, threads, decisions)
    with atomic_directory(out) as folder:
        return job.done(folder, out, tolerance, sensitivity=sensitivity)


@dataclass(frozen=True)
class _Job:
    """One model on its way to another form."""

    source: Path
    run: Run | PlainRun
    exporter: Exporter
    material: Material
    quality: Quality
    sequence: SequencePart | None
    notes: Sequence[str]
    progress: Progress
    threads: int | None
    decisions: tuple[Decision, ...]

    def done(self, folder: Path, out: Path, tolerance: float, *, sensitivity: bool) -> Export:
        """Write the export to `folder`, in whose place `out` will stand, and compare it: as asked for, or with as much
        less as it takes to run."""
        try:
            return self._done(folder, out, tolerance, sensitivity=sensitivity)
        except RefusedError as error:
            job = self._asking_less(error)
            if job is None:
                raise
        for item in folder.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        return job.done(folder, out, tolerance, sensitivity=sensitivity)

    def _asking_less(self, error: RefusedError) -> _Job | None:
        """The job with the option changed that was refused, and that decision."""
        options = self.exporter.options
        refused = self.exporter.exact() if error.exact else self.exporter
        weaker = None if refused is None else refused.weaker()
        if weaker is None:
            return None
        option, after = weaker
        at = f" at the operator {error.operator}" if error.operator else f": {str(error)[:200]}"
        reason = f"{getattr(options, option)} was refused{at}"
        decision = Decision(what=option, value=after, reason=reason, source="tried on this machine")
        exporter = type(self.exporter)(options.model_copy(update={option: after}))
        return replace(self, exporter=exporter, decisions=(*self.decisions, decision))

    def _done(self, folder: Path, out: Path, tolerance: float, *, sensitivity: bool) -> Export:
        self.progress("export", 0, 2)
        batches = self._batches(self.material.examples)
        written, exact = self._written(folder, out, tolerance, batches)
        self.progress("export", 1, 2)
        found = self._parity(folder, batches)
        if exact is None and not written.changed:
            _refuse_other_outputs(found, tolerance, out, boxes=self.run.model.finds_boxes)
        self._complete(folder, written)
        report = self.quality.report(self.exporter, folder, written, found)
        if (sensitivity or not report.passes) and written.changed and self.exporter.keeps:
            report = self._explained(report, written, out.parent)
        if not report.passes:
            raise DroppedError(report, out)
        export = self._complete(folder, written, report, exact)
        self.progress("export", 2, 2)
        return export

    def _written(
        self, folder: Path, out: Path, tolerance: float, batches: Sequence[dict[str, Any]]
    ) -> tuple[Written, ExactParity | None]:
        """What is written, and how it compared before its weights were made smaller, if they were."""
        model = self.run.model
        first = self.exporter.exact()
        if first is None:
            return self.exporter.write(model, folder, self.run.tokenizers), None
        whole = folder / "exact"
        whole.mkdir()
        first.write(model, whole, self.run.tokenizers)
        try:
            found = replace(self, exporter=first)._parity(whole, batches)
        except RefusedError as error:
            error.exact = True
            raise
        _refuse_other_outputs(found, tolerance, out, boxes=self.run.model.finds_boxes)
        shown = self._calibration()
        written = self.exporter.write_reduced(model, whole, folder, self.run.tokenizers, calibration=shown)
        shutil.rmtree(whole)
        return written, ExactParity(**asdict(found))

    def _parity(self, folder: Path, batches: Sequence[dict[str, Any]]) -> Parity:
        model = self.run.model
        longest = model.output_limit(self.run.spec.decoding.max_new_tokens) if model.writes_text else 0
        return self.exporter.parity(model, folder, batches, max_new_tokens=longest)

    def _batches(self, examples: Sequence[Example]) -> Batches:
        return Batches(self.run, [source_of(example) for example in examples])

    def _calibration(self) -> Batches:
        """What the exporter asks for to find ranges on."""
        return self._batches(self.material.learned_from(self.exporter.calibration(self.run.model)))

    def _explained(self, report: ParityReport, written: Written, scratch: Path) -> ParityReport:
        """The report with the layers that do harm, and, if it is past a bound, what keeping some of them brings."""
        some = self._batches(self.material.examples[:RANKED_ON])

        def drops_of(folder: Path, written: Written) -> list[MetricDrop] | None:
            if not math.isfinite(self._parity(folder, some).largest_difference):
                return None
            self._complete(folder, written)
            return self.quality.drops(self.exporter, folder)

        shown = self._calibration()
        with self.exporter.trials(self.run.model, self.run.tokenizers, calibration=shown) as trial:
            trials = Trials(self.exporter, trial, written.changed, scratch, self.progress)
            ranking = trials.ranked(lambda folder: self._parity(folder, some))
            remedy = None if report.passes else trials.remedy(ranking, drops_of)
        return report.model_copy(update={"sensitivity": ranking, "remedy": remedy})

    def _complete(
        self,
        folder: Path,
        written: Written,
        report: ParityReport | None = None,
        exact: ExactParity | None = None,
    ) -> Export:
        """Put beside what the exporter has written what it takes to run it."""
        if isinstance(self.run, PlainRun):
            self.run.write_configuration(folder)
        else:
            shutil.copyfile(self.source / LOCK_NAME, folder / LOCK_NAME)
        longest = None if self.sequence is None else self.sequence.source_limit()
        texts = [example.source for example in self.material.examples] if self.run.model.reads == "text" else []
        languages = None if self.sequence is None else self.sequence.languages
        write_tokenizers(self.run.tokenizers, self.source, folder, texts, longest, languages)
        export = _described(self.run, written, self.sequence, self.notes, report, exact).model_copy(
            update={"threads": self.threads, "decisions": list(self.decisions)}
        )
        write_export(export, folder)
        return export


def _calibration(count: int, material: Material) -> tuple[Decision, ...]:
    """What ranges are found on, where an exporter asks for so many sources."""
    if not count:
        return ()
    found = len(material.learned_from(count))
    if material.task is None:
        reason = "the spec's data is not at hand: what is compared is what ranges were found on, which flatters it"
        value = f"{found} of {material.taken_from}"
    else:
        reason, value = "ranges are found on what the model learned from, and compared on other", f"{found} of train"
    return (Decision(what="calibration", value=value, reason=reason, source=CALIBRATION),)


def refuse_place(out: Path) -> None:
    """Raise InputError unless `out` is free, an empty folder, or an earlier export, which a new one replaces."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError("is no folder; expected one to write, or an earlier export", where=str(out))
    if out.is_dir() and any(out.iterdir()) and not (out / EXPORT_FILE).is_file():
        raise InputError(f"holds something else than an export (no {EXPORT_FILE}): take another --out", where=str(out))


class Batches(Sequence[dict[str, Any]]):
    """Encoded sources, in batches of like length or size. Each is made when it is asked for: pixels of many images are
    more than memory may hold."""

    def __init__(self, run: Run | PlainRun, sources: Sequence[Source]) -> None:
        self._reader = reader_of(run.model, run.tokenizers)
        lengths = self._reader.lengths(sources)
        order = sorted(range(len(sources)), key=lambda index: (-lengths[index], index))
        section = run.spec.detection if isinstance(run.spec, DetectionSpec) else run.spec.decoding
        self._limit = run.model.source_limit(run.spec.decoding.max_new_tokens) if run.model.writes_text else 0
        size = section.batch_size
        self._chosen = [
            [sources[index] for index in order[start : start + size]] for start in range(0, len(order), size)
        ]

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(place, slice):
            return [self._encoded(chosen) for chosen in self._chosen[place]]
        return self._encoded(self._chosen[place])

    def _encoded(self, sources: Sequence[Source]) -> dict[str, Any]:
        return self._reader.encoded(sources, torch.device("cpu"), limit=self._limit)


def _refuse_other_outputs(found: Parity, tolerance: float, out: Path, *, boxes: bool) -> None:
    if not found.largest_difference <= tolerance:  # NaN, too
        scores = "scores and boxes" if boxes else "logits"
        raise ZooError(
            f"{scores} of the export differ from torch's by {found.largest_difference:.2g}, more than {tolerance:g}, "
            f"on {found.examples} sources: nothing was written to {out}"
        )
    if found.same_outputs < found.examples:
        outputs = "detections" if boxes else "greedy outputs"
        other = found.examples - found.same_outputs
        raise ZooError(
            f"{other} of {found.examples} {outputs} of the export are not torch's: nothing was written to {out}"
        )


def _described(
    run: Run | PlainRun,
    written: Written,
    sequence: SequencePart | None,
    notes: Sequence[str],
    report: ParityReport | None,
    exact: ExactParity | None = None,
) -> Export:
    kind: Any = written.kind
    device: Any = written.device
    return Export(
        kind=kind,
        device=device,
        name=run.spec.name,
        architecture=run.model.section.architecture,
        reads=run.model.reads,
        sequence=sequence,
        image=_image(run.model) if run.model.reads == "image" else None,
        boxes=box_part(run.model, run.spec.detection) if isinstance(run.spec, DetectionSpec) else None,
        opset=written.opset,
        weights=written.weights,
        sizes=written.sizes,
        made_with=written.versions,
        notes=list(notes),
        parity=report,
        exact_parity=exact,
    )


def _sequence(run: Run | PlainRun) -> SequencePart:
    """How a model that writes texts does it."""
    model, decoding, config = run.model, run.spec.decoding, run.model.config
    section, generation = model.section, model.generation_config
    language = model.arrangement == "sequence"
    cache = Cache(
        layers=section.decoder_layers,
        heads=section.heads,
        head_width=section.head_dim or section.d_model // section.heads,
    )
    return SequencePart(
        cache=None if section.decoder is None else cache,
        vocabulary=int(config.vocab_size),
        special=Special(
            start=model.separator if language else int(config.decoder_start_token_id),
            end=int(config.eos_token_id),
            padding=int(config.pad_token_id),
            forced_bos=generation.forced_bos_token_id,
            forced_eos=generation.forced_eos_token_id,
            banned=generation.bad_words_ids or [],
        ),
        max_source_tokens=None if model.reads == "image" else _limit(model.source_limit(decoding.max_new_tokens)),
        max_target_tokens=None if section.decoder is None else _limit(model.output_limit(_ANY)),
        shared_positions=int(config.max_position_embeddings) if language else None,
        context=_context(run),
        languages=run.languages if isinstance(run, PlainRun) else None,
        decoding=Decoding(
            strategy=decoding.strategy.name,
            options=decoding.strategy.options.model_dump(),
            max_new_tokens=decoding.max_new_tokens,
            batch_size=decoding.batch_size,
        ),
        log_probabilities=model.log_probabilities,
    )


def _context(run: Run | PlainRun) -> ContextPart | None:
    reading = None if isinstance(run, PlainRun) else run.spec.task.create().context
    return None if reading is None else ContextPart(sentences=reading.sentences, second_input=reading.second_input)


def _limit(tokens: int) -> int | None:
    return None if tokens >= _ANY else tokens


def _image(model: Any) -> ImagePart:
    """How images are prepared."""
    if model.section.pixels is not None:
        return ImagePart(section=model.section.pixels.plain())
    preparation = model.section.image.preparation()
    return ImagePart(
        section=preparation.plain(),
        grid_limit=model.encoder.position.grid_limit,
        plugins=distributions_of(preparation),
    )
