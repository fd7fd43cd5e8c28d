"""Peers: systems that do a task as they come, beside which models trained here are shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zoo.spec.options import Options
from zoo.tasks.images import Source


@dataclass(frozen=True)
class PeerFacts:
    """What runs where a peer is installed. Its outputs are those of `engine`, `version` and `models`, and of its
    options.
    """

    engine: str
    """The program's name, such as ``tesseract``."""
    version: str
    models: Mapping[str, str]
    """File name of each model that is read -> ``sha256:<hex>`` of its bytes."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Name -> version of what it computes with."""
    precision: str = "unknown"
    """What its models' weights are held in, such as ``float32`` or ``int8``."""


class Peer(ABC):
    """A program that brings its own models: built as ``target(options, threads)``.

    Its record's trait ``inputs`` says what it reads (``text``, which is the default, or ``image``), as a task's does.
    Neither module nor constructor import what the peer wraps: that it is not installed is told by `facts`. Nothing here
    needs torch.
    """

    def __init__(self, options: Options, threads: int) -> None:
        self.options = options
        self.threads = threads
        """Threads that it may compute with at once."""

    @abstractmethod
    def facts(self) -> PeerFacts:
        """What would run, found out without loading a model, as it is asked before anything else is done.

        Raises InputError, one line that says what to install, where something is missing.
        """

    def load(self) -> None:
        """Make ready what takes time once and not for each source. `answer` does it where nobody has."""
        return

    @abstractmethod
    def answer(self, sources: Sequence[Source]) -> list[str]:
        """One text for each source, empty where nothing is found, in their order.

        It draws nothing, and what else is asked changes no answer: neither the sources beside one, nor those before.
        Images are read and left as they are. Raises InputError for a source that it does not read, ZooError where the
        program fails or does not come to an end.
        """
