"""An export run by onnxruntime, against its model in torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import InputError
from zoo.export.folder import ENCODER, EXPORT_FILE, LEAN_STEP, NEXT_STEP
from zoo.export.runtime import Translator, caches, load
from zoo.export.runtime import translator as translator_module
from zoo.export.runtime.devices import Device
from zoo.export.runtime.sessions import session_options

pytestmark = pytest.mark.slow  # as an export is made


@pytest.fixture(scope="module")
def translator(twins: Any) -> Translator:
    return load(twins.export, threads=1)


@pytest.mark.parametrize(
    "changes", [{}, {"width": 1}, {"width": 5, "max_new_tokens": 9}, {"max_new_tokens": 99}], ids=str
)
def test_outputs_are_those_of_torch(twins: Any, translator: Translator, of_torch: Any, changes: Any) -> None:
    """In batches of other sizes too; of greedy search and of beams; some sources are cut."""
    expected = of_torch(**changes)
    assert len(set(expected)) > len(expected) / 2
    assert translator.translate(twins.sources, **changes) == expected
    assert translator.translate(twins.sources, batch_size=60, **changes) == expected
    assert list(translator.stream(twins.sources[:9], **changes)) == expected[:9]


def test_the_step_that_others_run_writes_what_the_lean_one_does(
    twins: Any, translator: Translator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caches that grow and a memory for each row, against buffers, which are full three times, and a memory that beams
    share; sentences that are done leave."""
    monkeypatch.setattr(caches, "ROOM", 3)
    folder = tmp_path / "copy"
    shutil.copytree(twins.export, folder)
    shutil.copyfile(folder / NEXT_STEP, folder / LEAN_STEP)
    other = load(folder, threads=1)
    for width in (1, 4):
        changes = {"width": width, "max_new_tokens": 99, "batch_size": 16}
        assert other.translate(twins.sources, **changes) == translator.translate(twins.sources, **changes)


@pytest.mark.parametrize("width", [1, 3])
def test_outputs_are_the_same_where_caches_stay_in_a_devices_memory(
    twins: Any, of_torch: Any, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Of an export that was not made for one, too: rows then go by way of the host."""
    monkeypatch.setattr(translator_module, "device_for", lambda *_: Device("cpu", bound=True))
    assert load(twins.export, threads=1).translate(twins.sources, width=width, batch_size=60) == of_torch(width=width)


def test_ids_end_where_the_model_ended(translator: Translator) -> None:
    end = translator.sequence.special.end
    rows = translator.generate([[9, 8, 7, end], [5, end]], width=1, max_new_tokens=20)
    assert all(len(row) <= 20 for row in rows)
    assert all(token != end for row in rows for token in row[:-1])
    assert translator.generate([]) == []


def test_one_translator_serves_several_threads(twins: Any, translator: Translator) -> None:
    calls = [{"width": width, "batch_size": size} for width in (1, 3) for size in (4, 11)]
    expected = [translator.translate(twins.sources, **call) for call in calls]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda call: translator.translate(twins.sources, **call), calls * 3))
    assert again == expected * 3


@pytest.mark.soak
def test_eight_threads_for_a_minute_write_the_same_and_leave_no_memory_behind(
    twins: Any, served_for_a_minute: Any
) -> None:
    translator = load(twins.export, threads=1)
    served_for_a_minute(
        [
            partial(translator.translate, twins.sources, width=width, batch_size=size, max_new_tokens=5 + 2 * size)
            for width in (1, 3)
            for size in range(1, 8)
        ]
    )


def test_neither_torch_nor_transformers_is_imported(twins: Any) -> None:
    """By the runtime, and by the command that uses it."""
    program = (
        "import sys\nfrom zoo.cli.main import main\n"
        f"status = main(['translate', {str(twins.export)!r}, '--threads', '1'])\n"
        "heavy = sorted({'torch', 'transformers', 'onnx', 'scipy'} & set(sys.modules))\n"
        "sys.stderr.write(f'status={status} heavy={heavy}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=f"{twins.sources[0]}\n", capture_output=True, text=True
    )
    assert done.stderr == "status=0 heavy=[]"
    assert done.stdout == load(twins.export, threads=1).translate(twins.sources[:1])[0] + "\n"


def test_what_is_not_there_or_damaged_is_named(twins: Any, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(twins.export, folder)
    shutil.copyfile(folder / ENCODER, folder / LEAN_STEP)
    with pytest.raises(InputError, match=rf"{LEAN_STEP}: has no input 'past_key_values\.0\.decoder\.key'"):
        load(folder)
    (folder / LEAN_STEP).write_bytes(b"\x00graph")
    with pytest.raises(InputError, match=rf"{LEAN_STEP}: onnxruntime .* cannot open it"):
        load(folder)
    told = json.loads((folder / EXPORT_FILE).read_text())
    (folder / EXPORT_FILE).write_text(json.dumps(told | {"architecture": "detector"}))
    with pytest.raises(InputError, match="'detector': expected encoder-decoder"):
        load(folder)
    told["sequence"]["decoding"] |= {"strategy": "sampling", "options": {}}
    (folder / EXPORT_FILE).write_text(json.dumps(told))
    with pytest.raises(InputError, match="'sampling' is not among those that run without torch"):
        load(folder)


def test_waiting_threads_sleep_and_shapes_leave_nothing_behind() -> None:
    options = session_options(3)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.intra_op_num_threads == 3
    assert not options.enable_mem_pattern
