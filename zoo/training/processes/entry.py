"""``python -m zoo.startup zoo.training.processes.entry FOLDER FD``: one of several processes that train one model.

Reads the request in FOLDER; the first process that fails writes what went wrong there. The first of all reports its
progress on the file descriptor FD. All end with the process that started them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path

from zoo import startup
from zoo.atomic import write_atomic
from zoo.errors import InputError, ZooError
from zoo.lifeline import end_with_parent
from zoo.spec import resolve
from zoo.tasks import DataHome
from zoo.tasks.contracts import silent
from zoo.tasks.progress_pipe import PipeProgress
from zoo.training.processes.launch import ERROR, REQUEST
from zoo.training.processes.world import ToldElsewhereError
from zoo.training.run import train


def main(folder: Path, descriptor: int) -> int:
    """Train; returns the exit status. How the run ended stands in its own folder."""
    startup.imported()
    end_with_parent()
    # The parent ends what the user interrupts.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    request = json.loads((folder / REQUEST).read_text())
    progress = PipeProgress(descriptor) if descriptor >= 0 else silent
    try:
        home = DataHome(Path(request["home"]))
        spec, out = resolve(request["spec"]), Path(request["out"])
        outcome = train(spec, out, resume=request["resume"], home=home, progress=progress)
    except ToldElsewhereError as error:
        return error.exit_code
    except Exception as error:
        if not isinstance(error, ZooError):
            traceback.print_exc()
        _tell(error, folder)
        return getattr(error, "exit_code", 1)
    # Alone among the outcomes, lack of memory may be one process's: the others must not be left to wait for it.
    return 1 if outcome.status == "oom" else 0


def _tell(error: Exception, folder: Path) -> None:
    kinds = (("input", InputError), ("zoo", ZooError), ("os", OSError), ("memory", MemoryError))
    kind = next((name for name, known in kinds if isinstance(error, known)), "other")
    message = str(error) if kind != "other" else f"{type(error).__name__}: {error}"
    try:
        # What comes later is that the others miss this process.
        write_atomic(folder / ERROR, json.dumps({"kind": kind, "message": message}), exclusive=True)
    except FileExistsError:
        return


if __name__ == "__main__":
    status = main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    if status:
        # Without the usual farewell: after a failure it may wait for processes that will never answer.
        os._exit(status)
