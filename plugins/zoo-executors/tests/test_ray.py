"""What the suite of executors cannot see of `ray`."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from zoo_executors.on_ray import OnRay
from zoo_executors.options import RayOptions

from zoo.bench.executor import CellJob, Settings
from zoo.bench.store import RecordStore
from zoo.errors import InputError, ZooError
from zoo.spec import load_spec

SMOKE = Path(__file__).parents[3] / "benchmarks" / "specs" / "smoke.yaml"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=tmp_path / "records", home=tmp_path / "home", work=tmp_path / "work", timeout=0.5)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def jobs(*sets: str) -> list[CellJob]:
    return [CellJob(load_spec(SMOKE, sets))]


def test_without_ray_the_user_is_told_how_to_install_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'zoo-executors\[ray\]'"):
        list(OnRay(RayOptions()).run(jobs(), settings))


def test_an_address_where_nobody_listens_is_told_at_once(settings: Settings) -> None:
    address = f"127.0.0.1:{free_port()}"
    begun = time.monotonic()
    with pytest.raises(ZooError, match=f"no cluster on {address}: .*refused"):
        list(OnRay(RayOptions(address=address)).run(jobs(), settings))
    assert time.monotonic() - begun < 30, "Ray itself tries for minutes"


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.timeout(300)
def test_more_than_this_machine_has_is_refused_rather_than_waited_for(settings: Settings) -> None:
    with pytest.raises(InputError, match="a cell takes 100000 CPUs, this machine has"):
        list(OnRay(RayOptions(cpus=100_000)).run(jobs(), settings))


@pytest.mark.soak
@pytest.mark.once
@pytest.mark.timeout(300)
def test_a_cell_whose_workers_die_too_often_costs_its_row(tmp_path: Path) -> None:
    settings = Settings(store=tmp_path / "records", home=tmp_path / "home", work=tmp_path / "work")
    killed: set[int] = set()

    def kill_workers() -> None:
        while len(killed) < 2:
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker = process.parent() if "zoo.bench.cell_process" in process.cmdline() else None
                    # A cell whose worker is dead already belongs to another process for a moment.
                    if worker is not None and worker.cmdline()[0].startswith("ray::") and worker.pid not in killed:
                        killed.add(worker.pid)
                        worker.kill()
            time.sleep(0.05)

    killer = threading.Thread(target=kill_workers, daemon=True)
    killer.start()
    (done,) = OnRay(RayOptions(resubmissions=1)).run(jobs("training.steps=1000000"), settings)
    killer.join()
    assert str(done.error).startswith("its worker died 2 times: ")
    assert RecordStore(settings.store).read().records == ()


@pytest.fixture
def cluster() -> Iterator[str]:
    """A Ray cluster that someone else has started."""
    port = free_port()
    folder = f"/tmp/zoo-test-{port}"
    ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
    environ = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    start = ["start", "--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", f"--temp-dir={folder}"]
    subprocess.run([*ray, *start], env=environ, check=True, capture_output=True, timeout=120)
    assert _of_cluster(folder)
    yield f"127.0.0.1:{port}"
    for process in _of_cluster(folder):
        process.kill()
    shutil.rmtree(folder)


def _of_cluster(folder: str) -> list[psutil.Process]:
    return [
        process for process in psutil.process_iter(["cmdline"]) if folder in " ".join(process.info["cmdline"] or ())
    ]


@pytest.mark.soak
@pytest.mark.once
@pytest.mark.timeout(400)
def test_a_cluster_that_runs_is_joined_and_left_running(cluster: str, settings: Settings) -> None:
    arguments = ["bench", str(SMOKE), "--store", str(settings.store), "--work", str(settings.work), "--timeout", "0.5"]
    finished = subprocess.run(
        [sys.executable, "-m", "zoo.cli.main", *arguments, "--executor", "ray", "--address", cluster],
        env={**os.environ, "ZOO_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 1, finished.stderr
    lines = finished.stderr.splitlines()
    assert sorted(line.partition("] ")[2] for line in lines[:3]) == [
        "copy on generated-qaa-qab: timeout",
        "smoke (seed 1): timeout",
        "untrained on generated-qaa-qab: timeout",
    ]
    assert all(line.startswith("zoo: ") for line in lines[3:]), "Ray says nothing of its own"
    host, _, port = cluster.partition(":")
    socket.create_connection((host, int(port)), timeout=10).close()
