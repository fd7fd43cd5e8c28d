"""The controlled language: a generated pair whose every property is an option. `README.md` beside this is its grammar.

The public names are imported on first use, so that reading the options imports nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_tasks_text.corpora.generated.corpus import GeneratedCorpus, generate
    from zoo_tasks_text.corpora.generated.grammar import SOURCE, TARGET

_HOMES = {"GeneratedCorpus": "corpus", "generate": "corpus", "SOURCE": "grammar", "TARGET": "grammar"}

__all__ = ["SOURCE", "TARGET", "GeneratedCorpus", "generate"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
