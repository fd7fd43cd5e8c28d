"""``python -m zoo.measure.latency_probe``: every clock on one model, in a fresh process (`zoo.measure.probe`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from zoo.measure.device_time import device_times
from zoo.measure.generation import generate_batch, generate_ids
from zoo.measure.latency import timed_calls
from zoo.measure.loading import load
from zoo.measure.probe import ProbeRequest, serve
from zoo.measure.reading import reader_of
from zoo.measure.split import split_times
from zoo.measure.warmup import warm_up
from zoo.models.modes import evaluating
from zoo.spec.detection_spec import DetectionSection
from zoo.spec.generator_spec import GenerationSection
from zoo.spec.sections import DecodingSection
from zoo.tasks.images import Source


def probe(request: ProbeRequest) -> Iterator[dict[str, Any]]:
    """One answer: samples in seconds of end-to-end latency, of device time (null on a CPU) and of the two parts."""
    loaded = load(request)
    model, tokenizers, device = loaded.model, loaded.tokenizers, loaded.device
    decoding = request.decoding
    limit = loaded.max_source_tokens(decoding)
    sentences, samples = request.sources(), request.measurement.latency_samples

    def translate(sentence: Source) -> object:
        return generate_batch(model, tokenizers, [sentence], decoding, max_source_tokens=limit)

    def generate(given: tuple[Source, dict[str, Any]]) -> object:
        sentence, encoded = given
        if isinstance(decoding, DetectionSection):
            return model.detect(**encoded)
        if isinstance(decoding, GenerationSection):
            return model.generate_images(1, decoding.seed)
        return generate_ids(model, encoded, [sentence], decoding)

    def read(sentence: Source) -> dict[str, Any]:
        if isinstance(decoding, GenerationSection):
            return {}
        return dict(model.prompts(reader_of(model, tokenizers).encoded([sentence], device, limit=limit)))

    with evaluating(model):
        warmup = warm_up(translate, sentences, at_least=request.measurement.warmup, device=device)
        latency = timed_calls(translate, sentences, samples=samples, device=device)
        encoded = [(sentence, read(sentence)) for sentence in itertools.islice(sentences, samples)]
        flush = request.measurement.flush_cache
        on_device = device_times(generate, encoded, samples=samples, device=device, flush_cache=flush)
        split = None
        if isinstance(decoding, DecodingSection):
            split = split_times(model, tokenizers, sentences, decoding, samples=samples, max_source_tokens=limit)
    yield {
        **loaded.facts(),
        "warmup": warmup,
        "latency": latency.values,
        "device_time": on_device and on_device.values,
        "encode": split and split.encode.values,
        "decode_per_token": split and split.decode_per_token.values,
    }


if __name__ == "__main__":
    serve(probe)
