"""What a measurement was taken on: machine, software, code."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch

from zoo.measure.cpu import container_limits, cpu_state, load_average
from zoo.measure.device import cpu_model
from zoo.measure.gpu import gpu_state

_GPU_FIELDS = (
    "name",
    "driver_version",
    "memory.total",
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "power.limit",
    "temperature.gpu",
    "clocks_throttle_reasons.active",
)
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "accelerate", "zoo-registry")


def environment(repository: Path | None = None, *, ignoring: Sequence[Path] = ()) -> dict[str, Any]:
    """JSON-ready facts of this process's surroundings.

    `repository` is any folder of a git checkout: its commit and whether it differs from it are recorded (changes
    below the folders in `ignoring`, such as the records themselves, do not count), or None outside a checkout.
    """
    return {
        "host": platform.node(),
        "os": _operating_system(),
        "kernel": platform.release(),
        "cpu": cpu_model(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(logical=True),
        "cores_usable": _usable_cores(),
        "ram_bytes": psutil.virtual_memory().total,
        "container_limits": container_limits(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "packages": _versions(PACKAGES),
        "gpus": _gpus(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "git": git_state(repository, ignoring=ignoring) if repository is not None else None,
        "load_before": load_average(),
    }


def machine_state(gpu: str | None) -> dict[str, dict[str, Any]]:
    """What the machine is about at this moment: 'cpu', and 'gpu' where that UUID is given and answers; JSON-ready."""
    states = {"cpu": cpu_state(), "gpu": gpu_state(gpu)}
    return {name: state for name, state in states.items() if state is not None}


def git_state(folder: Path, *, ignoring: Sequence[Path] = ()) -> dict[str, Any] | None:
    """``{"commit": ..., "dirty": ...}`` of the checkout that holds `folder`; None where there is none, or no git."""
    folder = folder.resolve()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    top = _git(folder, "rev-parse", "--show-toplevel")
    commit = _git(folder, "rev-parse", "HEAD")
    if top is None or commit is None:
        return None
    root = Path(top.strip()).resolve()
    left_out = [
        f":(exclude,top){path.resolve().relative_to(root).as_posix()}"
        for path in ignoring
        if path.resolve().is_relative_to(root) and path.resolve() != root
    ]
    changes = _git(root, "status", "--porcelain", "--", ":/", *left_out)
    return {"commit": commit.strip(), "dirty": None if changes is None else bool(changes.strip())}


def _git(folder: Path, *arguments: str) -> str | None:
    if shutil.which("git") is None:
        return None
    # Optional locks would let a measurement disturb a colleague's commit in the same checkout.
    done = _quiet(["git", "--no-optional-locks", "-C", str(folder), *arguments])
    return done.stdout if done is not None and done.returncode == 0 else None


def _quiet(command: Sequence[str], timeout: float = 20.0) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return f"{platform.system()} {platform.release()}"


def _usable_cores() -> int | None:
    """Cores that this process may run on, which a container can make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _gpus() -> list[dict[str, str]]:
    """The GPUs as nvidia-smi describes them at this moment; where it is absent, as PyTorch names them."""
    if not torch.cuda.is_available():
        return []
    done = _quiet(["nvidia-smi", f"--query-gpu={','.join(_GPU_FIELDS)}", "--format=csv,noheader"])
    if done is None or done.returncode != 0:
        return [{"name": torch.cuda.get_device_name(index)} for index in range(torch.cuda.device_count())]
    return [
        dict(zip(_GPU_FIELDS, (value.strip() for value in line.split(",")), strict=False))
        for line in done.stdout.splitlines()
        if line.strip()
    ]
