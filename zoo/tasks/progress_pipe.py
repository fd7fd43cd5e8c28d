"""Progress of a cell's process, told to its parent over a pipe: one JSON line a report."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from zoo.tasks.contracts import Progress


@contextmanager
def reported(progress: Progress) -> Iterator[int]:
    """Yield a descriptor for the process; what it says there is passed on until every holder has closed it.

    At the end of the block a holder that outlives the process (a forked worker) is waited for no longer than a moment.
    """
    reading, writing = os.pipe()
    listener = threading.Thread(target=_listen, args=(os.fdopen(reading, "rb"), progress), daemon=True)
    listener.start()
    try:
        yield writing
    finally:
        os.close(writing)
        listener.join(timeout=5.0)


class PipeProgress:
    """The process's side: a `zoo.tasks.contracts.Progress` that writes to a descriptor."""

    def __init__(self, descriptor: int) -> None:
        # Not for the memory probe or a data worker: the pipe would stay open as long as they live.
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor

    def __call__(self, stage: str, done: int, total: int) -> None:
        # A line is shorter than PIPE_BUF, so that it arrives in one piece.
        os.write(self._descriptor, json.dumps([stage[:200], done, total]).encode() + b"\n")


def _listen(stream: IO[bytes], progress: Progress) -> None:
    with stream:
        for line in stream:
            # A killed process may leave half a line.
            if line.endswith(b"\n"):
                stage, done, total = json.loads(line)
                progress(stage, done, total)
