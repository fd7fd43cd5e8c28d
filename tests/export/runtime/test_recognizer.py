"""What an exported recogniser reads, beside its model in torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo.errors import InputError
from zoo.export.exporting import Batches
from zoo.export.folder import EXPORT_FILE, read_export, write_export
from zoo.export.runtime import load, load_recognizer
from zoo.export.runtime.devices import Device
from zoo.images.files import load_image
from zoo.measure.generation import generate_outputs
from zoo.registry import current_registry, use_registry
from zoo.spec.options import Chosen
from zoo.tasks import PixelImage
from zoo.testing.glyphs import with_glyphs
from zoo.testing.surroundings import one_thread
from zoo.training import load_run

pytestmark = pytest.mark.slow  # as exports are made


def of_torch(folder: Path, images: list[Path]) -> list[str]:
    with use_registry(with_glyphs()), one_thread():
        run = load_run(folder)
        sources = [PixelImage(load_image(image)) for image in images]
        limit = run.model.source_limit(run.spec.decoding.max_new_tokens)
        decoding = run.spec.decoding
        return list(generate_outputs(run.model, run.tokenizers, sources, decoding, max_source_tokens=limit).outputs)


@pytest.mark.parametrize("kind", ["text", "ctc"])
def test_texts_are_torchs_by_beams_and_by_frames_whatever_images_are_given_as(readers: Any, kind: str) -> None:
    twins = getattr(readers, kind)
    paths = sorted(readers.images.iterdir())
    expected = of_torch(twins.torch, paths)
    assert len(set(expected)) > 1
    recognizer = load_recognizer(twins.export, threads=1)
    assert recognizer.recognize(paths) == expected
    pixels = [load_image(path) for path in paths]
    assert recognizer.recognize([PixelImage(item) for item in pixels]) == expected
    assert recognizer.recognize([Image.fromarray(item) for item in pixels], batch_size=12) == expected
    assert list(recognizer.stream(iter([str(path) for path in paths[:3]]))) == expected[:3]
    assert recognizer.recognize([]) == []


@pytest.mark.parametrize("kind", ["text", "ctc"])
def test_a_recogniser_of_16_bits_has_torchs_logits_within_their_rounding(
    readers: Any, tmp_path: Path, kind: str
) -> None:
    """float16 has eleven digits: logits err by some thousandths of their size."""
    twins = getattr(readers, kind)
    record = current_registry().get("exporter", "onnx")
    exporter = Chosen(record, record.load_options()(weights="float16")).create()
    paths = sorted(readers.images.iterdir())
    with use_registry(with_glyphs()), one_thread():
        run = load_run(twins.torch)
        model = run.model.eval()
        written = exporter.write_reduced(model, twins.export, tmp_path)
        shown = Batches(run, [PixelImage(load_image(image)) for image in paths])
        found = exporter.parity(model, tmp_path, shown, max_new_tokens=8)
    assert found.examples == len(paths)
    assert 1e-6 < found.largest_difference < 0.05
    assert sum(written.sizes.values()) < sum(read_export(twins.export).sizes.values())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(twins.export / name, tmp_path / name)
    said = read_export(twins.export)
    write_export(said.model_copy(update={"weights": "float16", "sizes": written.sizes}), tmp_path)
    mine = load_recognizer(tmp_path, threads=1).recognize(paths)
    expected = load_recognizer(twins.export, threads=1).recognize(paths)
    assert sum(map(str.__eq__, mine, expected)) > len(paths) / 2


def test_it_is_compared_as_used_and_by_the_metrics_of_its_spec(readers: Any) -> None:
    text, ctc = (read_export(twins.export).parity for twins in (readers.text, readers.ctc))
    assert [(row.decoding, row.same) for row in text.outputs] == [("greedy", 5), ("beam of 3", 5)]
    assert (text.taken_from, text.metrics) == ("sources", [])
    assert [(row.decoding, row.same) for row in ctc.outputs] == [("greedy", 5), ("as used", 5)]
    assert ctc.taken_from == "dev"
    assert ctc.metrics
    assert all((row.drop, row.interval) == (0.0, (0.0, 0.0)) for row in ctc.metrics)


def test_threads_share_a_recogniser(readers: Any) -> None:
    recognizer = load_recognizer(readers.ctc.export, threads=1)
    paths = sorted(readers.images.iterdir())
    expected = recognizer.recognize(paths)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: recognizer.recognize(paths), range(8))) == [expected] * 8


def test_texts_are_the_same_where_caches_stay_in_a_devices_memory(
    readers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(readers.images.iterdir())
    expected = {
        width: load_recognizer(readers.text.export, threads=1).recognize(paths, width=width) for width in (1, 3)
    }
    monkeypatch.setattr("zoo.export.runtime.recognizer.device_for", lambda *_: Device("cpu", bound=True))
    recognizer = load_recognizer(readers.text.export, threads=1)
    assert {width: recognizer.recognize(paths, width=width) for width in (1, 3)} == expected


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["text", "ctc"])
def test_eight_threads_for_a_minute_read_the_same_and_leave_no_memory_behind(
    readers: Any, kind: str, served_for_a_minute: Any
) -> None:
    recognizer = load_recognizer(getattr(readers, kind).export, threads=1)
    pixels = [load_image(path) for path in sorted(readers.images.iterdir())]
    served_for_a_minute(
        [
            partial(recognizer.recognize, [PixelImage(item) for item in pixels[first:]], batch_size=size)
            for first in (0, 5)
            for size in range(1, 8)
        ]
    )


def test_what_it_cannot_do_is_told_before_anything_is_computed(readers: Any) -> None:
    text, ctc = (load_recognizer(twins.export, threads=1) for twins in (readers.text, readers.ctc))
    with pytest.raises(InputError, match="an image-ctc is decoded greedily"):
        ctc.recognize([], width=4)
    with pytest.raises(InputError, match="batch_size: expected at least 1, found 0"):
        text.recognize([], batch_size=0)
    with pytest.raises(InputError, match="becomes 2 x 9 patches, and the model has places for 2 x 8"):
        text.recognize([np.zeros((32, 90, 3), np.uint8)])
    with pytest.raises(InputError, match="expected an image of uint8"):
        text.recognize([np.zeros((32, 90, 3))])
    with pytest.raises(InputError, match="expected encoder-decoder"):
        load(readers.text.export)


def test_an_export_that_needs_another_plugin_or_is_damaged_is_refused_in_one_line(readers: Any, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(readers.ctc.export, folder)
    said = json.loads((folder / EXPORT_FILE).read_text())

    def refused(expected: str, **image: Any) -> None:
        (folder / EXPORT_FILE).write_text(json.dumps({**said, "image": {**said["image"], **image}}))
        with pytest.raises(InputError, match=expected) as caught:
            load_recognizer(folder)
        assert len(str(caught.value).splitlines()) == 1

    refused("needs the plugin 'zoo-fog' .*pip install zoo-fog", plugins={"zoo-fog": "1.0"})
    refused("did you mean 'native'", section={**said["image"]["section"], "input": "nativ"})
    refused("channels", section={**said["image"]["section"], "channels": 2})


def test_no_torch_is_imported_to_read_with_an_export(readers: Any) -> None:
    image = str(readers.images / "00.png")
    program = (
        "import sys\nfrom zoo.cli.main import main\n"
        f"status = main(['recognize', {str(readers.text.export)!r}, {image!r}, '--threads', '1'])\n"
        "heavy = sorted({'torch', 'transformers', 'onnx', 'scipy'} & set(sys.modules))\n"
        "sys.stderr.write(f'status={status} heavy={heavy}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "status=0 heavy=[]"
    assert done.stdout == f"{image}\t{load_recognizer(readers.text.export, threads=1).recognize([image])[0]}\n"
