"""The tokenizers of a model: one for both sides, or one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from zoo.models._compat import save_tokenizer
from zoo.spec.pretrained.zoo_folder import TARGET_TOKENIZER

TARGET_FOLDER = TARGET_TOKENIZER
"""Where a model's folder keeps the target's tokenizer, if that is another one than the source's at its top."""

SLOW_TOKENIZER = "source.spm"
"""A file of tokenizers that transformers runs in Python (Marian's), which have no tokenizer.json."""


@dataclass(frozen=True)
class Tokenizers:
    """transformers' tokenizers of source and target: the same one where the sides share it."""

    source: Any
    target: Any

    @classmethod
    def of(cls, tokenizer: Any) -> Tokenizers:
        """Both sides of one tokenizer, which may read targets otherwise than sources."""
        return cls(tokenizer, TargetMode(tokenizer) if reads_targets_apart(tokenizer) else tokenizer)

    @property
    def shared(self) -> bool:
        """Whether both sides have one tokenizer."""
        return self.source is self.target or (
            isinstance(self.target, TargetMode) and self.target.tokenizer is self.source
        )

    @property
    def source_vocabulary_size(self) -> int | None:
        """Tokens of the source's own vocabulary; None where the sides share one. As `zoo.models.assemble` takes it."""
        return None if self.shared else len(self.source)


NO_TOKENIZERS = Tokenizers(None, None)
"""Those of a model that reads no text and writes none."""


class TargetMode:
    """A two-sided tokenizer of transformers, such as Marian's, as its target side: all else is the tokenizer's."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, texts: str | Sequence[str], **options: Any) -> Any:
        return self.tokenizer(text_target=texts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def __len__(self) -> int:
        return len(self.tokenizer)


def reads_targets_apart(tokenizer: Any) -> bool:
    """Whether the tokenizer has a mode for targets that is not its mode for sources."""
    switch = getattr(type(tokenizer), "_switch_to_target_mode", None)
    return switch is not None and switch is not getattr(PreTrainedTokenizerBase, "_switch_to_target_mode", None)


def save_tokenizers(tokenizers: Tokenizers, folder: Path) -> None:
    """Write the source's (or the shared) tokenizer into `folder`, and one of the target's own below it; nothing of
    `NO_TOKENIZERS`."""
    if tokenizers.source is None:
        return
    save_tokenizer(tokenizers.source, folder)
    if not tokenizers.shared:
        (folder / TARGET_FOLDER).mkdir(exist_ok=True)
        save_tokenizer(tokenizers.target, folder / TARGET_FOLDER)


def load_tokenizers(folder: Path) -> Tokenizers:
    """Read what `save_tokenizers` wrote. transformers' errors pass through."""
    source = AutoTokenizer.from_pretrained(str(folder))
    own = folder / TARGET_FOLDER
    return Tokenizers(source, AutoTokenizer.from_pretrained(str(own))) if own.is_dir() else Tokenizers.of(source)
