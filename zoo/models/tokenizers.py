"""The tokenizers of a model: one for both sides, or one for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from zoo.models._compat import save_tokenizer

TARGET_FOLDER = "target_tokenizer"
"""Where a model's folder keeps the target's tokenizer, if that is another one than the source's at its top."""


@dataclass(frozen=True)
class Tokenizers:
    """`transformers.PreTrainedTokenizerFast` objects of source and target: the same one where the sides share it."""

    source: Any
    target: Any

    @property
    def shared(self) -> bool:
        """Whether both sides have one vocabulary."""
        return self.source is self.target

    @property
    def source_vocabulary_size(self) -> int | None:
        """Tokens of the source's own vocabulary; None where the sides share one. As `zoo.models.assemble` takes it."""
        return None if self.shared else len(self.source)


def save_tokenizers(tokenizers: Tokenizers, folder: Path) -> None:
    """Write the source's (or the shared) tokenizer into `folder`, and one of the target's own below it."""
    save_tokenizer(tokenizers.source, folder)
    if not tokenizers.shared:
        (folder / TARGET_FOLDER).mkdir()
        save_tokenizer(tokenizers.target, folder / TARGET_FOLDER)


def load_tokenizers(folder: Path) -> Tokenizers:
    """Read what `save_tokenizers` wrote. transformers' errors pass through."""
    source = AutoTokenizer.from_pretrained(str(folder))
    own = folder / TARGET_FOLDER
    return Tokenizers(source, AutoTokenizer.from_pretrained(str(own)) if own.is_dir() else source)
