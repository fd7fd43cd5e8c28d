"""Tokenizers whose whole state is a tokenizer.json: byte pairs, unigram, words, WordPiece."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers

from zoo.errors import InputError
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.segmentation import BytePairs, LongestFirst, Pieces, Segmenter, Words
from zoo_vocabulary.tokenizer_files import SPACE, TokenizerFiles, only, read_json, renumbered, write_json

FILE = "tokenizer.json"
_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_BYTE_SPACE = "Ġ"


class FastFiles(TokenizerFiles):
    """See `TokenizerFiles`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        path = folder / FILE
        self.document: dict[str, Any] = read_json(path)
        self.model: dict[str, Any] = self.document.get("model") or {}
        self.kind = self._kind()
        if self.kind not in {"BPE", "Unigram", "WordLevel", "WordPiece"}:
            raise InputError(
                f"a tokenizer model of the type {self.kind}; expected BPE, Unigram, WordLevel or WordPiece",
                where=str(path),
            )
        vocabulary = self.model["vocab"]
        self.vocabulary: dict[str, int] = (
            {piece: identity for identity, (piece, _) in enumerate(vocabulary)}
            if self.kind == "Unigram"
            else dict(vocabulary)
        )
        self.added = {token["content"]: int(token["id"]) for token in self.document.get("added_tokens") or ()}
        self.added |= self.appended
        self.tokens = {**self.vocabulary, **self.added}
        try:
            self.backend = Tokenizer.from_str(json.dumps(self.document))
        except Exception as error:  # the library has no exception of its own
            raise InputError(f"is no tokenizer ({str(error)[:100]})", where=str(path)) from None

    def _kind(self) -> str:
        if "type" in self.model:
            return str(self.model["type"])
        # Files of old versions do not say.
        if "merges" in self.model:
            return "BPE"
        return "Unigram" if isinstance(self.model.get("vocab"), list) else "WordPiece"

    @property
    def place(self) -> int:
        return max(self.vocabulary.values(), default=-1) + 1

    @property
    def unknown(self) -> str | None:
        """The token of what the model has no token for."""
        if self.kind == "Unigram":
            identity = self.model.get("unk_id")
            return None if identity is None else str(self.model["vocab"][identity][0])
        return self.model.get("unk_token")

    def fixed(self) -> dict[str, set[int]]:
        found = {"special": set(self.added.values()) | self._in_templates() | self._named()}
        unknown = self.unknown
        if unknown is not None:
            found["special"] |= only([self.tokens.get(unknown)])
        if self.model.get("byte_fallback"):
            found["bytes"] = only(self.vocabulary.get(byte) for byte in _BYTES)
        if self.kind == "BPE":
            found["characters"] = {self.vocabulary[token] for token in self.vocabulary if self._is_character(token)}
        if self.kind == "Unigram" and self.vocabulary:
            found["lowest score"] = {min(self.vocabulary.values(), key=lambda place: self.model["vocab"][place][1])}
        return found

    def _in_templates(self) -> set[int]:
        found: set[int] = set()

        def note(value: int) -> int:
            found.add(value)
            return value

        _template_ids(self.document.get("post_processor"), note)
        return found

    def _named(self) -> set[int]:
        """Ids of the tokens that tokenizer_config.json gives a role."""
        names: list[str] = []
        for key, value in self.config.items():
            for item in value if isinstance(value, list) else [value]:
                name = item.get("content") if isinstance(item, dict) else item
                if isinstance(name, str) and (key.endswith("_token") or key.endswith("special_tokens")):
                    names.append(name)
        return only(self.tokens.get(name) for name in names)

    def _is_character(self, token: str) -> bool:
        body = token.removeprefix(self._prefix) if self._prefix and token != self._prefix else token
        body = body.removesuffix(self._suffix) if self._suffix and body != self._suffix else body
        return len(body) == 1

    @property
    def _prefix(self) -> str:
        return self.model.get("continuing_subword_prefix") or ""

    @property
    def _suffix(self) -> str:
        return self.model.get("end_of_word_suffix") or ""

    def segmenter(self) -> Segmenter:
        vocabulary = set(self.vocabulary)
        if self.kind == "BPE":
            return BytePairs(
                vocabulary,
                self._merges(),
                prefix=self._prefix,
                suffix=self._suffix,
                unknown=self.model.get("unk_token"),
                byte_fallback=bool(self.model.get("byte_fallback")),
                whole_words=bool(self.model.get("ignore_merges")),
            )
        if self.kind == "Unigram":
            scores = {piece: float(score) for piece, score in self.model["vocab"]}
            return Pieces(scores, unknown=self.unknown or "")
        if self.kind == "WordPiece":
            return LongestFirst(
                vocabulary,
                unknown=str(self.unknown),
                prefix=self._prefix or "##",
                longest_word=int(self.model.get("max_input_chars_per_word", 100)),
            )
        return Words(vocabulary, unknown=self.unknown)

    def _merges(self) -> list[tuple[str, str]]:
        return [
            (left, right)
            for left, right in (
                merge.split(" ") if isinstance(merge, str) else merge for merge in self.model.get("merges") or ()
            )
        ]

    @cached_property
    def _as_it_is(self) -> Segmenter:
        return self.segmenter()

    def steps(self, token: str) -> list[str] | None:
        if token not in self.vocabulary or token in self.added:
            return [token]
        model = self._as_it_is
        if not isinstance(model, BytePairs):
            return [token]
        found = model.steps(token)
        return [token] if found is None and model.whole_words else found

    def cut(self, word: str) -> tuple[int, ...]:
        return tuple(self.tokens[token] for token in self._as_it_is.segment(word))

    @cached_property
    def _byte_level(self) -> bool:
        return '"ByteLevel"' in json.dumps(self.document.get("pre_tokenizer"))

    def word_of(self, line: str) -> str:
        marked = line[:1] in {" ", SPACE}
        body = line[1:] if marked else line
        if self._byte_level:
            byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            spelled = "".join(piece for piece, _ in byte_level.pre_tokenize_str(body))
            return (_BYTE_SPACE if marked else "") + spelled
        return (SPACE if marked else "") + body.replace(" ", SPACE)

    def text_of(self, word: str) -> str:
        if self._byte_level:
            return str(decoders.ByteLevel().decode([word]))
        return word.replace(SPACE, " ")

    def words(self, text: str) -> list[str]:
        if self.backend.normalizer is not None:
            text = self.backend.normalizer.normalize_str(text)
        if self.backend.pre_tokenizer is None:
            return [text] if text else []
        return [word for word, _ in self.backend.pre_tokenizer.pre_tokenize_str(text) if word]

    def mergeable(self, token: str) -> bool:
        return token in self.vocabulary and token not in self.added and token != self.unknown and token not in _BYTES

    def write(self, folder: Path, remap: Remap, added: Sequence[str], grown: Segmenter | None) -> None:
        fresh = dict(zip(added, remap.fresh, strict=True))
        document = json.loads(json.dumps(self.document))
        model = document["model"]
        kept = renumbered(self.vocabulary, remap, fresh)
        if isinstance(grown, BytePairs):
            merges, joined = grown.merges, grown.joined
        elif isinstance(self._as_it_is, BytePairs):
            merges, joined = self._as_it_is.merges, self._as_it_is.joined
        if self.kind == "Unigram":
            scores = grown.scores if isinstance(grown, Pieces) else dict(model["vocab"])
            model["vocab"] = [[piece, scores[piece]] for piece in kept]
            if model.get("unk_id") is not None:
                model["unk_id"] = remap.new_ids[model["unk_id"]]
        else:
            model["vocab"] = kept
        if self.kind == "BPE":
            as_text = all(isinstance(merge, str) for merge in model.get("merges") or ())
            left = [[a, b] for a, b in merges if a in kept and b in kept and joined(a, b) in kept]
            # The form with a space between the two cannot hold tokens with a space in them.
            model["merges"] = [f"{a} {b}" for a, b in left] if as_text and model.get("merges") else left
        for token in document.get("added_tokens") or ():
            token["id"] = remap.new_ids[token["id"]]
        _template_ids(document.get("post_processor"), lambda identity: remap.new_ids[identity])
        if isinstance(document.get("padding"), dict):
            document["padding"]["pad_id"] = remap.new_ids.get(document["padding"]["pad_id"], 0)
        write_json(folder / FILE, document)
        self.write_common(folder, remap)


def _template_ids(processor: Any, replace: Any) -> None:
    """Have `replace` called with every token id in a post-processor, and put what it gives in its place."""
    if not isinstance(processor, dict):
        return
    for inner in processor.get("processors") or ():
        _template_ids(inner, replace)
    for name in ("sep", "cls"):
        if isinstance(processor.get(name), list):
            processor[name][1] = replace(processor[name][1])
    if isinstance(processor.get("special_tokens"), dict):
        for token in processor["special_tokens"].values():
            token["ids"] = [replace(identity) for identity in token["ids"]]
