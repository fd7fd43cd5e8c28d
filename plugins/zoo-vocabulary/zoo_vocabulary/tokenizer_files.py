"""The files of a tokenizer, as data that surgery can be done on."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.segmentation import Segmenter

CONFIG = "tokenizer_config.json"
ADDED = "added_tokens.json"
SPACE = "▁"
_COPIED = ("special_tokens_map.json", "chat_template.jinja", "chat_template.json")
"""Files about a tokenizer that hold no ids."""


class TokenizerFiles(ABC):
    """A tokenizer on disk: `tokens` by id, what must stay, and how to write it with other ids."""

    two_sided = False
    """Whether sources and targets are cut by different models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: dict[str, Any] = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
        self.appended: dict[str, int] = read_json(folder / ADDED) if (folder / ADDED).is_file() else {}
        """added_tokens.json, which older versions of transformers write beside the rest."""
        self._copied = {name: (folder / name).read_bytes() for name in _COPIED if (folder / name).is_file()}

    tokens: dict[str, int]
    """Every token, the added ones as well, with its id."""

    @property
    def names(self) -> dict[int, str]:
        """The token of each id."""
        return {identity: token for token, identity in self.tokens.items()}

    @property
    def numbered_once(self) -> dict[str, int]:
        """Tokens whose ids source and target must have in common, where each has a vocabulary of its own."""
        return {}

    @property
    @abstractmethod
    def place(self) -> int:
        """The id that the next token of the model gets: behind its own, before what was added behind them."""

    @abstractmethod
    def fixed(self) -> dict[str, set[int]]:
        """Ids that always stay, by reason."""

    @abstractmethod
    def steps(self, token: str) -> list[str] | None:
        """Tokens without which `token` could not come out of the text; None where it cannot as things are."""

    @abstractmethod
    def cut(self, word: str) -> tuple[int, ...]:
        """Ids of the tokens that the model makes of `word` as things are; empty where nothing can stand for it."""

    @abstractmethod
    def segmenter(self) -> Segmenter:
        """The model, as it cuts words. Raises InputError for one that cannot be extended."""

    @abstractmethod
    def word_of(self, line: str) -> str:
        """A user's token as the model spells it: a leading space or ▁ is the mark of a space."""

    @abstractmethod
    def text_of(self, word: str) -> str:
        """The text that `word`, as the model spells it, stands for; a space where it has the mark of one."""

    @abstractmethod
    def words(self, text: str) -> list[str]:
        """The words of a text, as the model sees them."""

    @abstractmethod
    def mergeable(self, token: str) -> bool:
        """Whether `token` may become part of a learned one."""

    @abstractmethod
    def write(self, folder: Path, remap: Remap, added: Sequence[str], grown: Segmenter | None) -> None:
        """Write the tokenizer with the ids of `remap`; `added` are the names of its fresh rows, `grown` the model that
        has them."""

    def write_common(self, folder: Path, remap: Remap) -> None:
        """Write the files that every tokenizer has."""
        config = dict(self.config)
        if isinstance(config.get("added_tokens_decoder"), dict):
            config["added_tokens_decoder"] = {
                str(remap.new_ids[int(identity)]): token
                for identity, token in config["added_tokens_decoder"].items()
                if int(identity) in remap.new_ids
            }
        if config.get("tokenizer_class") == "TokenizersBackend":
            config["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4.57 knows it by
        write_json(folder / CONFIG, config)
        if self.appended:
            write_json(folder / ADDED, {token: remap.new_ids[identity] for token, identity in self.appended.items()})
        for name, content in self._copied.items():
            (folder / name).write_bytes(content)


def read_json(path: Path) -> Any:
    """A JSON file. Raises InputError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"is no JSON that can be read ({str(error)[:100]})", where=str(path)) from None


def write_json(path: Path, value: Any) -> None:
    """A JSON file; the folder around it is written atomically."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def renumbered(ids: Mapping[str, int], remap: Remap, fresh: Mapping[str, int]) -> dict[str, int]:
    """Token -> new id of those that stay, and of the `fresh` ones, in the order of the ids."""
    found = {token: remap.new_ids[identity] for token, identity in ids.items() if identity in remap.new_ids}
    return dict(sorted({**found, **fresh}.items(), key=lambda item: item[1]))


def only(ids: Iterable[int | None]) -> set[int]:
    """Those that there are."""
    return {identity for identity in ids if identity is not None}
