"""What models of a task read of a document beside the sentence that they translate. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ContextReading:
    """See `zoo.export.runtime.documents.Document`, which makes sources of lines so."""

    sentences: int
    """Sentences right before it in its document, at most."""
    second_input: bool
    """Whether they are a source of their own, for a second encoder; else they stand in front of the sentence. A line
    each in both cases."""
