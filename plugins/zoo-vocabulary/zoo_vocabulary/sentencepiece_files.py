"""Tokenizers that transformers runs in Python: SentencePiece models that cut, and a vocab.json that numbers the pieces.

Marian has a model for sources and one for targets, M2M100 one for both and a token for each language behind the
vocabulary, whose ids count on from it. A piece that vocab.json lacks becomes unknown; so a dropped piece has to leave
the model as well. It is marked as unused there (SentencePiece's own type for that): a unigram model then cuts without
it, and byte pairs still merge through it and take it apart again in the end: nothing else comes out differently.
In the same way new tokens of byte pairs are led to by unused pieces, which have no id.

A Marian tokenizer may number its target's pieces by themselves, in a target_vocab.json; each side is then one of these,
with its own SentencePiece model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import sentencepiece

from zoo.errors import InputError
from zoo.tasks.contracts import Side
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.scored_pairs import ScoredPairs
from zoo_vocabulary.segmentation import Pieces, Segmenter
from zoo_vocabulary.tokenizer_files import CONFIG, SPACE, TokenizerFiles, only, read_json, renumbered, write_json

VOCABULARY, TARGET_VOCABULARY = "vocab.json", "target_vocab.json"
MARIAN = ("source.spm", "target.spm")
M2M100 = ("sentencepiece.bpe.model",)


def _schema() -> Any:
    """SentencePiece's own protocol buffer; transformers' copy beside a protobuf that is too old for it (COMET's)."""
    try:
        from sentencepiece import sentencepiece_model_pb2 as found
    except ImportError:
        from transformers.utils import sentencepiece_model_pb2_new as found
    return found


schema = _schema()
_PIECE = schema.ModelProto.SentencePiece
_SPACE_TEXT = " "


def sentencepiece_models(folder: Path) -> tuple[str, ...]:
    """The models of such a tokenizer in `folder`; empty where it has none."""
    if not (folder / VOCABULARY).is_file():
        return ()
    for names in (MARIAN, M2M100):
        if all((folder / name).is_file() for name in names):
            return names
    return ()


def has_separate_vocabularies(folder: Path) -> bool:
    """Whether such a tokenizer numbers the target's pieces by themselves."""
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    return bool(sentencepiece_models(folder)) and bool(config.get("separate_vocabs"))


class SentencePieceFiles(TokenizerFiles):
    """See `TokenizerFiles`. `languages` are M2M100's tokens behind the vocabulary, by id; `side` is that of one of two
    vocabularies."""

    def __init__(self, folder: Path, languages: dict[str, int], side: Side | None = None) -> None:
        super().__init__(folder)
        self.side = side
        self.files = sentencepiece_models(folder)
        if side is not None:
            self.files = (f"{side}.spm",)
        self.name = TARGET_VOCABULARY if side == "target" else VOCABULARY
        self.two_sided = len(self.files) > 1
        self.models = {name: _read(folder / name) for name in self.files}
        self.vocabulary: dict[str, int] = read_json(folder / self.name)
        if sorted(self.vocabulary.values()) != list(range(len(self.vocabulary))):
            raise InputError("its ids are not 0, 1, 2, ... without a gap", where=str(folder / self.name))
        self.languages = languages
        self.added = {
            (token["content"] if isinstance(token, dict) else str(token)): int(identity)
            for identity, token in (self.config.get("added_tokens_decoder") or {}).items()
        }
        self.added |= self.appended
        if side == "target":  # what is added is numbered as the source's
            self.added = {token: identity for token, identity in self.vocabulary.items() if token in self.added}
        self.tokens = {**self.added, **languages, **self.vocabulary}
        if self.unknown not in self.vocabulary:
            raise InputError(f"has no token {self.unknown} for what it does not know", where=str(folder / self.name))

    @property
    def numbered_once(self) -> dict[str, int]:
        # transformers numbers special tokens by the source's vocabulary, whichever side it reads.
        return {} if self.side is None else self.added

    @property
    def place(self) -> int:
        return len(self.vocabulary)

    @property
    def unknown(self) -> str:
        """The token of pieces without an id."""
        name = self.config.get("unk_token", "<unk>")
        return str(name["content"]) if isinstance(name, dict) else str(name)

    def fixed(self) -> dict[str, set[int]]:
        roles = [value for key, value in self.config.items() if key.endswith("_token")]
        names = [str(role.get("content") if isinstance(role, dict) else role) for role in roles]
        names += [self.unknown, "<s>", "</s>", "<pad>"]
        marked = {index for token, index in self.vocabulary.items() if token.startswith(">>") and token.endswith("<<")}
        found = {
            "special": only(self.tokens.get(name) for name in names) | set(self.added.values()),
            "languages": marked | set(self.languages.values()),
            "lowest score": only(self.vocabulary.get(_lowest(model)) for model in self.models.values()),
            "bytes": {
                self.vocabulary[piece.piece]
                for model in self.models.values()
                for piece in model.pieces
                if piece.type in {_PIECE.BYTE, _PIECE.USER_DEFINED} and piece.piece in self.vocabulary
            },
        }
        if not all(map(_is_unigram, self.models.values())):
            found["characters"] = {index for token, index in self.vocabulary.items() if len(token) == 1}
        return {reason: ids for reason, ids in found.items() if ids}

    def steps(self, token: str) -> list[str] | None:
        return [token]  # SentencePiece merges through what is unused

    def cut(self, word: str) -> tuple[int, ...]:
        """By the source's model, or by the target's where only that knows all of it."""
        unknown = self.vocabulary[self.unknown]
        cuts = [
            tuple(self.vocabulary.get(piece, unknown) for piece in model.segment(word)) for model in self._as_they_are
        ]
        return next((found for found in cuts if unknown not in found), cuts[0])

    @cached_property
    def _as_they_are(self) -> list[Segmenter]:
        return [self._model(name) for name in self.files]

    def segmenter(self) -> Segmenter:
        # What both sides know has the source's score; a new piece gets its score in each model apart.
        return self._model(self.files[0])

    def _model(self, name: str) -> Segmenter:
        """One SentencePiece model, as it cuts words."""
        model = self.models[name]
        if _is_unigram(model):
            return Pieces(self._scores(name), unknown=self.unknown, lowest=self._lowest_score(name))
        if model.trainer_spec.model_type != schema.TrainerSpec.BPE:
            raise InputError("a SentencePiece model of words or characters; expected unigram or bpe", where=name)
        merged = {_PIECE.NORMAL, _PIECE.USER_DEFINED, _PIECE.UNUSED}
        return ScoredPairs(
            {piece.piece: piece.score for piece in model.pieces if piece.type in merged},
            unused={piece.piece for piece in model.pieces if piece.type == _PIECE.UNUSED},
            whole={piece.piece for piece in model.pieces if piece.type == _PIECE.USER_DEFINED},
        )

    def _scores(self, name: str) -> dict[str, float]:
        usable = {_PIECE.NORMAL, _PIECE.USER_DEFINED}
        return {piece.piece: piece.score for piece in self.models[name].pieces if piece.type in usable}

    def _lowest_score(self, name: str) -> float:
        return min(float(piece.score) for piece in self.models[name].pieces if piece.type == _PIECE.NORMAL)

    @cached_property
    def _processor(self) -> Any:
        return sentencepiece.SentencePieceProcessor(model_proto=self.models[self.files[0]].SerializeToString())

    def word_of(self, line: str) -> str:
        return line.replace(_SPACE_TEXT, SPACE)

    def words(self, text: str) -> list[str]:
        return [SPACE + word for word in self._processor.normalize(text).replace(SPACE, _SPACE_TEXT).split()]

    def mergeable(self, token: str) -> bool:
        return token != self.unknown and token not in self.added and not token.startswith("<0x")

    def text_of(self, word: str) -> str:
        return word.replace(SPACE, _SPACE_TEXT)

    def write(self, folder: Path, remap: Remap, added: Sequence[str], grown: Segmenter | None) -> None:
        fresh = dict(zip(added, remap.fresh, strict=True))
        kept = renumbered(self.vocabulary, remap, fresh)
        write_json(folder / self.name, kept)
        dropped = self.vocabulary.keys() - kept.keys()
        for name, model in self.models.items():
            written = schema.ModelProto()
            written.CopyFrom(model)
            for piece in written.pieces:
                if piece.type == _PIECE.NORMAL and piece.piece in dropped:
                    piece.type = _PIECE.UNUSED
            if added:
                self._add(written, self._model(name), added)
            (folder / name).write_bytes(written.SerializeToString())
        if self.side != "target":
            self.write_common(folder, remap)

    def _add(self, written: Any, model: Segmenter, added: Sequence[str]) -> None:
        """The pieces of `added` into one SentencePiece model, in its own way and with its own scores."""
        present = {piece.piece: piece for piece in written.pieces}
        for token in added:
            model.add(token)
        assert isinstance(model, Pieces | ScoredPairs)
        helpers = model.helpers if isinstance(model, ScoredPairs) else {}
        for token in [*added, *helpers]:
            piece = present.get(token) or written.pieces.add(piece=token)
            piece.score = model.scores[token]
            piece.type = _PIECE.UNUSED if token in helpers else _PIECE.NORMAL


def _read(path: Path) -> Any:
    model = schema.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's exception has other parents in other versions
        raise InputError(f"is no SentencePiece model ({str(error)[:80]})", where=str(path)) from None
    return model


def _is_unigram(model: Any) -> bool:
    return bool(model.trainer_spec.model_type == schema.TrainerSpec.UNIGRAM)


def _lowest(model: Any) -> str:
    """The piece of the lowest score, from which the score of unknown characters is reckoned."""
    normal = [piece for piece in model.pieces if piece.type == _PIECE.NORMAL]
    return str(min(normal, key=lambda piece: piece.score).piece) if normal else ""
