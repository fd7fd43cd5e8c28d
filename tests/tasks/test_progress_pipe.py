from __future__ import annotations

import os
import subprocess
import sys

from zoo.tasks.progress_pipe import PipeProgress, reported

SAY = """
import os, subprocess, sys
from zoo.tasks.progress_pipe import PipeProgress
descriptor = int(sys.argv[1])
progress = PipeProgress(descriptor)
for step in (1, 2, 3):
    progress("training, loss 1.5", step, 3)
# A child that outlives us must not keep the parent waiting.
subprocess.Popen(["sleep", "60"])
os.write(descriptor, b'["half')
"""


def test_every_report_arrives_in_order_and_half_a_line_is_dropped() -> None:
    seen: list[tuple[str, int, int]] = []
    with reported(lambda *report: seen.append(report)) as descriptor:
        command = [sys.executable, "-c", SAY, str(descriptor)]
        subprocess.run(command, pass_fds=(descriptor,), check=True, timeout=50)
    assert seen == [("training, loss 1.5", step, 3) for step in (1, 2, 3)]


def test_nothing_said_is_no_wait() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with reported(lambda *report: None) as descriptor:
        PipeProgress(descriptor)
    assert len(os.listdir("/proc/self/fd")) == before
