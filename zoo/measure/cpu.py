"""The state of the CPU: load, clock, throttling by the container, who else is at work."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import psutil

CGROUP = Path("/sys/fs/cgroup")
BUSY = 0.2
"""Share of one core from which another process counts as busy."""
INTERVAL = 0.2
SHOWN = 8


def cpu_state(interval: float = INTERVAL) -> dict[str, Any]:
    """This machine over `interval` seconds, JSON-ready. A quantity that the system does not tell is left out.

    `busy_share` is of all cores, by any process. `other_processes` are the busiest beside this one and those it
    started: names, no command lines, which may hold secrets. `throttled` are the container's periods cut short so far
    and the microseconds that cost; `stolen_share` is what the hypervisor gave to others.
    """
    mine = _family()
    others = _times_of_others(mine)
    before, start = psutil.cpu_times(), time.perf_counter()
    time.sleep(interval)
    seconds = time.perf_counter() - start
    after = psutil.cpu_times()
    spent = {name: getattr(after, name) - getattr(before, name) for name in after._fields}
    total = sum(value for name, value in spent.items() if name not in {"guest", "guest_nice"}) or 1.0
    state = {
        "load_average": load_average(),
        "frequency_mhz": _frequency(),
        "busy_share": round(1 - (spent["idle"] + spent.get("iowait", 0.0)) / total, 3),
        "stolen_share": round(spent["steal"] / total, 3) if "steal" in spent else None,
        "throttled": _throttled(),
        "other_processes": _busy(others, _times_of_others(mine), seconds),
    }
    return {name: value for name, value in state.items() if value is not None}


def load_average() -> list[float] | None:
    """Runnable processes over the last 1, 5 and 15 minutes, where the system counts them."""
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except OSError:
        return None


def container_limits(root: Path = CGROUP) -> dict[str, float]:
    """What the container may use: `cores` and `memory_bytes`, each only where it is limited (cgroup 2, else 1)."""
    limits: dict[str, float] = {}
    quota, period = ([*_text(root / "cpu.max").split(), "", ""])[:2]
    if not quota:
        quota, period = _text(root / "cpu/cpu.cfs_quota_us"), _text(root / "cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period):
        limits["cores"] = int(quota) / int(period)
    memory = _text(root / "memory.max") or _text(root / "memory/memory.limit_in_bytes")
    # cgroup 1 writes "no limit" as the largest multiple of a page in 63 bits.
    if memory.isdigit() and int(memory) < 2**62:
        limits["memory_bytes"] = int(memory)
    return limits


def _throttled(root: Path = CGROUP) -> dict[str, int] | None:
    text = _text(root / "cpu.stat") or _text(root / "cpu/cpu.stat")
    found = dict(line.split() for line in text.splitlines() if len(line.split()) == 2)
    names = {"nr_throttled": "periods", "throttled_usec": "microseconds"}
    return {name: int(found[key]) for key, name in names.items() if key in found} or None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _frequency() -> float | None:
    try:
        found = psutil.cpu_freq()
    except (OSError, NotImplementedError):
        return None
    return round(found.current, 1) if found and found.current else None


def _family() -> set[int]:
    me = psutil.Process()
    try:
        return {me.pid, *(child.pid for child in me.children(recursive=True))}
    except psutil.Error:
        return {me.pid}


def _times_of_others(mine: set[int]) -> dict[int, tuple[str, float]]:
    found = {}
    for process in psutil.process_iter():
        if process.pid in mine:
            continue
        try:
            times = process.cpu_times()
            found[process.pid] = (process.name(), times.user + times.system)
        except psutil.Error:  # it has ended, or is not ours to look at
            continue
    return found


def _busy(
    before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]], seconds: float
) -> list[dict[str, Any]]:
    shares = [
        (round((spent - before[pid][1]) / seconds, 2), name, pid)
        for pid, (name, spent) in after.items()
        if pid in before
    ]
    busiest = sorted((item for item in shares if item[0] >= BUSY), reverse=True)[:SHOWN]
    return [{"name": name, "pid": pid, "cores": share} for share, name, pid in busiest]
