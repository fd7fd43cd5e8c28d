"""transformers without its own progress bars: what a run reports goes through `Progress`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out the bars that transformers draws while it writes and reads weights; also a decorator."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def errors_only() -> Iterator[None]:
    """Leave out transformers' warnings, where what they tell of is raised as an error anyway; also a decorator."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
