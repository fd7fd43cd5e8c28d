"""Tokenizers that transformers runs in Python, as a ``tokenizer.json``: Marian's and M2M100's.

SentencePiece cuts a text, a ``vocab.json`` numbers the pieces, and a piece without a number is unknown. The source's
tokenizer here only encodes and the target's only decodes, so each has the pieces of its own side: a number of the other
side's piece has, in the source's, a string that no text can hold, and pieces without a number stand behind all numbers,
where `Texts` takes them for the unknown token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from zoo.errors import InputError

SPACE = "▁"
_UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = 2, 3, 4, 5, 6
_UNIGRAM, _PAIRS = 1, 2
"""SentencePiece's own numbers (sentencepiece_model.proto)."""


@dataclass(frozen=True)
class Numbers:
    """How the tokens of one side are numbered."""

    ids: Mapping[str, int]
    special: Sequence[str]
    """Tokens that are left out of decoded texts."""
    marks: Sequence[str] = ()
    """Other tokens that stand in texts as they are, such as ``>>deu<<``."""
    before: Sequence[str] = ()
    """Tokens that every source begins with."""
    behind: Sequence[str] = ()
    """Tokens that every source ends with."""
    unknown: str = "<unk>"
    rows: int = 0
    """Numbers that a model has at least."""
    missing: str = ""
    """What is written of a number without a token."""

    @property
    def size(self) -> int:
        """One more than the largest number."""
        return max(max(self.ids.values()) + 1, self.rows)

    def strings(self) -> list[str]:
        """The token of each number; a string that no text can hold where a number has none."""
        found = [_nowhere(number) for number in range(self.size)]
        for token, number in self.ids.items():
            found[number] = token
        return found


def encoding_tokenizer(model_file: Path, numbers: Numbers) -> Tokenizer:
    """The tokenizer that cuts as the SentencePiece model in `model_file` does, and numbers as `numbers` say.

    Pieces without a number get those from ``numbers.size`` on. Raises InputError for a model that no tokenizer.json can
    say.
    """
    proto = _read(model_file)
    strange = {_USER_DEFINED: "pieces of a user's own", _BYTE: "bytes for what it does not know"}
    for piece in proto.pieces:
        if piece.type in strange:
            raise InputError(f"has {strange[piece.type]}: no tokenizer.json says that yet", where=str(model_file))
    cut = {piece.piece: piece.score for piece in proto.pieces if piece.type not in {_UNKNOWN, _CONTROL, _UNUSED}}
    whole = {*numbers.special, *numbers.marks}
    tokens = [
        token if token in cut or token in whole else _nowhere(place) for place, token in enumerate(numbers.strings())
    ]
    tokens += [piece for piece in cut if piece not in numbers.ids]
    make = {_UNIGRAM: _unigram, _PAIRS: _pairs}.get(proto.trainer_spec.model_type)
    if make is None:
        raise InputError("is neither a unigram model nor one of byte pairs", where=str(model_file))
    tokenizer = Tokenizer(make(tokens, cut, numbers))
    steps: list[Any] = []
    if proto.normalizer_spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap))
    if proto.normalizer_spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    tokenizer.normalizer = normalizers.Sequence(steps)
    scheme = "always" if proto.normalizer_spec.add_dummy_prefix else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme, split=False)
    _add(tokenizer, numbers)
    around = [*numbers.before, *numbers.behind]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*numbers.before, "$A", *numbers.behind],
        special_tokens=[(token, numbers.ids[token]) for token in dict.fromkeys(around)],
    )
    return tokenizer


def decoding_tokenizer(numbers: Numbers) -> Tokenizer:
    """The tokenizer that gives the texts of numbers. It is of no use to cut with."""
    unknown = numbers.ids[numbers.unknown]
    tokenizer = Tokenizer(models.Unigram([(token, 0.0) for token in numbers.strings()], unk_id=unknown))
    said = numbers.missing
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(Regex(_nowhere("[0-9]+")), said),
            decoders.Replace(SPACE, " "),
            decoders.Fuse(),
            # SentencePiece begins anew behind it, without a space.
            *([decoders.Replace(f"{said} ", said)] if said else []),
        ]
    )
    _add(tokenizer, numbers)
    return tokenizer


def _add(tokenizer: Tokenizer, numbers: Numbers) -> None:
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in numbers.special])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in numbers.marks])


def _unigram(tokens: Sequence[str], cut: Mapping[str, float], numbers: Numbers) -> Any:
    # Scores of what is never cut are no lower than those of pieces: the lowest decides what an unknown character costs.
    highest = max(cut.values(), default=0.0)
    pieces = [(token, cut.get(token, highest)) for token in tokens]
    return models.Unigram(pieces, unk_id=numbers.ids[numbers.unknown])


def _pairs(tokens: Sequence[str], cut: Mapping[str, float], numbers: Numbers) -> Any:
    """SentencePiece merges whatever two neighbours are a piece together, that of the highest score first."""
    place = {piece: index for index, piece in enumerate(cut)}
    merges: list[tuple[float, int, int, str, str]] = []
    for piece, score in cut.items():
        for middle in range(1, len(piece)):
            left, right = piece[:middle], piece[middle:]
            if left in cut and right in cut:
                merges.append((-score, place[left], place[right], left, right))
    merges.sort()
    return models.BPE(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=[(left, right) for *_, left, right in merges],
        unk_token=numbers.unknown,
        fuse_unk=True,
    )


def _nowhere(number: int | str) -> str:
    """A string with a space, of which a text has none left once it is cut."""
    return f"unused {number}"


def _read(file: Path) -> Any:
    proto = _schema().ModelProto()
    try:
        proto.ParseFromString(file.read_bytes())
    except Exception as error:  # protobuf's own, of which there are several
        raise InputError("is no SentencePiece model", where=str(file)) from error
    return proto


def _schema() -> Any:
    """SentencePiece's own protocol buffer; transformers' copy beside a protobuf that is too old for it."""
    try:
        return import_module("sentencepiece.sentencepiece_model_pb2")
    except ImportError:
        return import_module("transformers.utils.sentencepiece_model_pb2_new")
