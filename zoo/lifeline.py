"""Processes that end when their parent does, however it ended."""

from __future__ import annotations

import os
import signal
import threading


def end_with_parent(descriptor: int = 0) -> None:
    """End this process as soon as `descriptor` closes, a pipe which its parent holds open and says nothing on.

    Where this process leads a group of its own, everything that it has started and that stayed in the group ends too.
    """
    threading.Thread(target=_wait, args=(descriptor,), daemon=True).start()


def _wait(descriptor: int) -> None:
    # Not sys.stdin: its lock, held here, would stop the interpreter's own shutdown.
    while os.read(descriptor, 4096):
        pass
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
