"""How processes of the project begin: with little garbage collection.

torch and transformers make half a million objects, which live as long as the process. Python's collector goes through
them hundreds of times while they are imported, and again whenever it is asked to collect: a third of what a training of
a few steps costs. Here it is seldom at work until all is imported, and then leaves what is there alone.

``python -m zoo.startup MODULE ...`` runs a module so, as ``python -m MODULE ...`` would run it.
"""

from __future__ import annotations

import gc
import runpy
import sys

_SELDOM = (10_000, 10, 10)
"""Allocations between collections, where Python's own are (700, 10, 10). With none at all, 10 MB more are resident."""
_THRESHOLDS = gc.get_threshold()


def begin() -> None:
    """Collect seldom from now on. For the first lines of a process that is the project's own, not for a library."""
    gc.set_threshold(*_SELDOM)


def imported() -> None:
    """All that is large has been imported: collect as usual, but not what is there now.

    Does nothing in a process that did not `begin` so, and nothing when it is called again.
    """
    if gc.get_threshold() == _SELDOM:
        gc.freeze()
        gc.set_threshold(*_THRESHOLDS)


if __name__ == "__main__":
    import zoo.startup

    zoo.startup.begin()  # of the module that others import, not of this second copy of it
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
