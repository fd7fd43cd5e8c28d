"""Fresh processes that measure: what is asked, what is answered, how they may end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from zoo.errors import ZooError
from zoo.measure import probe as module
from zoo.measure.probe import ProbeKilledError, ProbeRequest, run_probe
from zoo.spec.sections import DecodingSection, MeasurementSection


def request_for(directory: Path, **changes: Any) -> ProbeRequest:
    facts = {
        "directory": directory,
        "sentences": ["un\ndeux", "三"],
        "decoding": DecodingSection.model_validate({"strategy": "greedy"}),
        "measurement": MeasurementSection(),
        "device": "cpu",
        "threads": 1,
    }
    return ProbeRequest(**{**facts, **changes})


LIGHT = """
import os, signal, sys, time, types
from importlib.util import find_spec

# The module by itself, as it stands: the package would import everything that measures, and with it torch, of which
# no stub needs more than this.
package = types.ModuleType("zoo.measure")
package.__path__ = [os.path.join(path, "measure") for path in find_spec("zoo").submodule_search_locations]
sys.modules["zoo.measure"] = package
sys.modules["torch"] = types.SimpleNamespace(set_num_threads=lambda count: None)
from zoo.measure.probe import serve
"""


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Let `run_probe` start a script of our own in place of a probe, in the same way."""

    def use(body: str) -> None:
        script = tmp_path / "stub.py"
        script.write_text(f"{LIGHT}\n\ndef probe(request):\n{body}\n\nserve(probe)\n")
        real = subprocess.run

        def run(command: list[str], **options: Any) -> Any:
            assert command[:2] == [sys.executable, "-m"]
            return real([sys.executable, str(script)], **options)

        monkeypatch.setattr(module.subprocess, "run", run)

    return use


def test_a_request_arrives_whole_and_what_libraries_print_is_no_answer(stub: Any, tmp_path: Path) -> None:
    stub(
        "    print('a library prints')\n    os.write(1, b'so does its C code\\n')\n"
        "    yield {'sentences': request.sentences}\n    yield {'directory': str(request.directory)}"
    )
    assert run_probe("latency_probe", request_for(tmp_path)) == [
        {"sentences": ["un\ndeux", "三"]},
        {"directory": str(tmp_path)},
    ]


def test_a_probe_that_fails_says_why_in_one_line(stub: Any, tmp_path: Path) -> None:
    stub("    yield {}\n    raise ValueError('the weights lack a head')")
    with pytest.raises(ZooError, match=r"^the latency probe of .* failed with status 1: ValueError: .* lack a head$"):
        run_probe("latency_probe", request_for(tmp_path))


def test_a_killed_probe_leaves_the_answers_it_gave(stub: Any, tmp_path: Path) -> None:
    stub("    yield {'one': 1}\n    os.kill(os.getpid(), signal.SIGKILL)\n    yield {'two': 2}")
    with pytest.raises(ProbeKilledError, match="killed by SIGKILL") as caught:
        run_probe("batch_probe", request_for(tmp_path))
    assert caught.value.answers == [{"one": 1}]
    assert not caught.value.out_of_memory


def test_a_probe_that_the_kernel_killed_for_memory_is_told_by_its_count(
    stub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: Iterator[int] = iter([3, 4])
    monkeypatch.setattr("zoo.measure.oom.kernel_oom_kills", lambda: next(counts))
    stub("    os.kill(os.getpid(), signal.SIGKILL)\n    yield {}")
    with pytest.raises(ProbeKilledError, match="out of memory") as caught:
        run_probe("batch_probe", request_for(tmp_path))
    assert caught.value.out_of_memory


def test_a_probe_ends_when_whoever_asked_for_it_is_killed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    waits = f"lambda request: [open({str(begun)!r}, 'w').write(str(os.getpid())), time.sleep(600)]"
    probe = f"{LIGHT}\nserve({waits})"
    asking = (
        "import os, subprocess, sys\n"
        "reading, writing = os.pipe()\n"
        "command = [sys.executable, '-c', sys.argv[1], str(reading)]\n"
        "subprocess.run(command, input=sys.argv[2], text=True, pass_fds=(reading,))\n"
    )
    request = request_for(tmp_path).model_dump_json()
    parent = subprocess.Popen([sys.executable, "-c", asking, probe, request])
    deadline = time.monotonic() + 120
    while not (begun.exists() and begun.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process = psutil.Process(int(begun.read_text()))
    parent.kill()
    parent.wait()
    assert psutil.wait_procs([process], timeout=20)[1] == []


def test_a_probe_that_takes_too_long_is_ended(stub: Any, tmp_path: Path) -> None:
    stub("    time.sleep(600)\n    yield {}")
    with pytest.raises(ZooError, match=r"took longer than 0\.5 s"):
        run_probe("latency_probe", request_for(tmp_path), timeout=0.5)


@pytest.mark.slow
def test_a_real_probe_refuses_what_is_no_model_and_every_probe_what_is_no_request(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=r"batch probe of .* failed with status 1: .+"):
        run_probe("batch_probe", request_for(tmp_path))
    # Every probe begins so, before it does anything of its own.
    code = "from zoo.measure.probe import serve; serve(lambda request: iter(()))"
    done = subprocess.run([sys.executable, "-c", code], input="{}", capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "expected one JSON request on standard input: sentences" in done.stderr.splitlines()[-1]


LIMITED = """
import json, resource, sys
import torch
from zoo.measure.probe import ProbeRequest
from zoo.measure import batch_probe

request = ProbeRequest.model_validate_json(sys.stdin.read())
torch.set_num_threads(1)
load = batch_probe.load

def spend(module, inputs):
    torch.ones(inputs[0].shape[0], 2 * 2**20).sum()

def load_and_limit(request):
    loaded = load(request)
    # A sentence costs 8 MB beside the model; 100 MB are left.
    loaded.model.get_decoder().register_forward_pre_hook(spend)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 100 * 2**20, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return loaded

batch_probe.load = load_and_limit
for answer in batch_probe.probe(request):
    print(json.dumps(answer))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc")
def test_a_batch_that_the_systems_memory_does_not_hold_is_an_answer_of_a_living_process(
    tiny: Any, tmp_path: Path
) -> None:
    """No fake: the system refuses the memory."""
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    measurement = MeasurementSection(throughput_batches=[1, 2, 64, 128])
    request = request_for(
        tmp_path,
        sentences=tiny.sources[:2],
        decoding=DecodingSection.model_validate({"strategy": {"use": "sampling", "top_k": 5}, "max_new_tokens": 2}),
        measurement=measurement,
    )
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        input=request.model_dump_json(),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rates = [answer["rate"] for answer in map(json.loads, done.stdout.splitlines()) if "rate" in answer]
    statuses = {rate["batch"]: rate["status"] for rate in rates}
    assert statuses == {1: "ok", 2: "ok", 64: "oom", 128: "untried"}
