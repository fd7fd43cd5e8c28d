"""Taking new tokens in."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError, ZooError, visible
from zoo.models import count_parameters
from zoo.spec.options import Chosen
from zoo.tasks.contracts import Progress, Side, silent
from zoo_vocabulary.contracts import NewTokens, VocabularyInit
from zoo_vocabulary.folder import SavedModel, tried_tokenizers, write_model
from zoo_vocabulary.learned import learn_pairs
from zoo_vocabulary.reach import Reach, reach
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.report import compare_texts, describe
from zoo_vocabulary.scored_pairs import ScoredPairs
from zoo_vocabulary.segmentation import Segmenter
from zoo_vocabulary.sides import Change, Of, Vocabulary, alone, chosen, extended
from zoo_vocabulary.texts import Corpus, Reader, chunks
from zoo_vocabulary.tokenizer_files import SPACE, TokenizerFiles


def extend(
    saved: SavedModel,
    out: Path,
    init: Chosen,
    *,
    tokens: Sequence[str] = (),
    corpus: Corpus | None = None,
    size: int = 0,
    train: bool = False,
    seed: int = 1,
    side: Side | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Give the model `tokens`, or at most `size` new ones found in `corpus`: its most frequent words of several tokens,
    or with `train` pairs of neighbouring tokens learned from it.

    Their rows start as `init` says, seeded by `seed` and the matrix. Words that the new tokenizer would still take
    apart are left out, and told. Where source and target have vocabularies of their own each is extended by its own
    texts, or with `side` only one; `size` is of each. Writes the folder `out` and returns its report. Raises InputError
    where nothing new is among them, or `tokens` could be of either vocabulary.
    """
    corpus = corpus or Corpus()
    operated = chosen(saved.vocabularies, side)
    if tokens:
        alone(operated, "--tokens")
    modes: dict[str, Any] = {"two_sided": operated[0].files.two_sided, "apart": saved.apart}
    reader = Reader(saved.tokenizers, **modes, only=side if saved.apart else None)
    words: dict[Of, Counter[str]] = {found.side: Counter() for found in operated}
    for chunk in chunks(corpus.texts(), progress, "reading"):
        reader.read(chunk)
        for found in operated:
            for of, text in chunk:
                if of is None or found.side in {None, of}:
                    words[found.side].update(found.files.words(text))
    news = {
        found.side: _learned(found, words[found.side], size)
        if train
        else _taken(saved, found, _asked(found.files, tokens) if tokens else None, words[found.side], size)
        for found in operated
    }
    if not any(new.added for new in news.values()):
        refused = [refused for new in news.values() for refused in new.refused]
        raise InputError(
            f"none of these can be taken in: '{visible(refused[0]['token'])}' {refused[0]['reason']}"
            if refused
            else "every one of these is a token already",
            where=str(saved.folder),
        )
    remaps = extended(saved.vocabularies, {side: len(new.added) for side, new in news.items()})
    changes = {found.side: Change(remaps[found.side]) for found in saved.vocabularies}
    for found in operated:
        changes[found.side] = news[found.side].change(found, remaps[found.side], init, seed)
    parameters = count_parameters(saved.model)
    before = reader.reading()
    return write_model(
        saved,
        out,
        changes,
        lambda written: describe(
            "extend",
            saved,
            changes,
            written,
            parameters,
            init=init.plain(),
            seed=seed,
            texts=compare_texts(corpus, saved, changes, written, before, progress, side),
        ),
    )


@dataclass(frozen=True)
class _New:
    """What one vocabulary gets."""

    added: tuple[str, ...]
    """The new tokens, steps to others included, in order."""
    grown: Segmenter
    asked: frozenset[str] = frozenset()
    """Those that are no steps."""
    refused: tuple[dict[str, Any], ...] = ()
    reached: Reach | None = None

    def change(self, vocabulary: Vocabulary, remap: Remap, init: Chosen, seed: int) -> Change:
        """The rows of the new tokens, and what the report says of them."""
        place = {identity: index for index, identity in enumerate(vocabulary.token_ids)}
        pieces = {token: vocabulary.files.cut(token) for token in self.added}
        rows = tuple(tuple(place[identity] for identity in pieces[token]) for token in self.added)
        component: VocabularyInit = init.create()

        def fill(name: str, old: Tensor) -> Tensor:
            found = component.rows(NewTokens(old, rows, _generator(seed, name)))
            if tuple(found.shape) != (len(rows), old.shape[1]) or not bool(torch.isfinite(found).all()):
                raise ZooError(
                    f"vocabulary-init '{init.id}' gave {list(found.shape)} for {name}; expected finite rows "
                    f"{[len(rows), old.shape[1]]}"
                )
            return found

        new = [
            {"token": token, "id": identity, "pieces": list(pieces[token])}
            for token, identity in zip(self.added, remap.fresh, strict=True)
        ]
        facts: dict[str, Any] = {
            "steps": sum(token not in self.asked for token in self.added) if self.asked else 0,
            "helpers": len(self.grown.helpers) if isinstance(self.grown, ScoredPairs) else 0,
            "refused": list(self.refused),
        }
        if self.reached is not None:
            words = self.asked.intersection(self.added)
            facts["reached"] = {
                "asked": len(words),
                "alone": len(words & self.reached.alone),
                "in_a_sentence": len(words & self.reached.sentence),
            }
        return Change(remap, fill if rows else None, self.added, self.grown, {**facts, "new_tokens": new})


def _learned(vocabulary: Vocabulary, words: Counter[str], size: int) -> _New:
    files, segmenter = vocabulary.files, vocabulary.files.segmenter()
    learned = learn_pairs(words, segmenter, size, mergeable=files.mergeable)
    return _New(tuple(token for token in learned if token not in files.tokens), segmenter)


def _taken(saved: SavedModel, vocabulary: Vocabulary, asked: list[str] | None, words: Counter[str], size: int) -> _New:
    """The words of `asked`, or the most frequent ones of `words` that `size` has room for, that come out as one token.

    Each is tried with the tokenizer that would have it, alone and in a sentence; those that do not come out are left
    out, and the rest is tried again without them.
    """
    files = vocabulary.files
    wanted = _frequent(files, words) if asked is None else asked
    refused: dict[str, dict[str, Any]] = {}
    while True:
        segmenter = files.segmenter()
        left = [word for word in wanted if word not in refused]
        added = tuple(_grown(files, segmenter, left, size if asked is None else None))
        whole = frozenset(left)
        bad = _disturbing(files, segmenter)
        found: Reach | None = None
        if added and not bad:
            remaps = extended(saved.vocabularies, {vocabulary.side: len(added)})
            changes = {side: Change(remap) for side, remap in remaps.items()}
            remap = remaps[vocabulary.side]
            changes[vocabulary.side] = Change(remap, added=added, grown=segmenter)
            ids = dict(zip(added, remap.fresh, strict=True))
            with tried_tokenizers(saved, changes) as tokenizers:
                found = reach(files, vocabulary.side, tokenizers, {word: ids[word] for word in added if word in whole})
            names = {remap.new_ids[identity]: name for name, identity in files.tokens.items()}
            names |= {identity: token for token, identity in ids.items()}
            bad = {
                word: {"reason": "is taken apart before it is whole", "cut": [names[one] for one in cut]}
                for word, cut in found.cuts.items()
                if found.refused(word)
            }
        if not bad:
            return _New(added, segmenter, whole, tuple(refused.values()), found)
        refused |= {word: {"token": word, **why} for word, why in bad.items()}


def _disturbing(files: TokenizerFiles, segmenter: Segmenter) -> dict[str, dict[str, Any]]:
    """New words of which what leads to them would change how texts without them are cut."""
    if not isinstance(segmenter, ScoredPairs):
        return {}
    old = files.segmenter()
    return {
        word: {"reason": f"would have '{piece}' come out, which no text is cut into now", "cut": old.segment(word)}
        for piece, words in segmenter.disturbed(old).items()
        for word in words
    }


def _asked(files: TokenizerFiles, lines: Sequence[str]) -> list[str]:
    """The user's tokens as the model spells them, the shortest first: longer ones are made of them.

    Raises InputError for what the tokenizer always takes apart before its model sees it, or has no pieces for.
    """
    found: dict[str, None] = {}
    for line in lines:
        word = files.word_of(line)
        body = line[1:] if line[:1] in {" ", SPACE} else line
        texts = [f" {body}", body]
        if not body or not any(word in seen for text in texts for seen in files.words(text)):
            raise InputError(
                f"'{visible(line)[:60]}' is no part of a word for this tokenizer, which takes it apart or rewrites it: "
                "it could never be one token"
            )
        if not files.cut(word):
            raise InputError(f"'{visible(line)[:60]}' is made of characters that this tokenizer has no token for")
        found[word] = None
    return sorted(found, key=len)


def _frequent(files: TokenizerFiles, words: Counter[str]) -> list[str]:
    """Words that are several tokens (or unknown), the most frequent first, ties by spelling."""
    ordered = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    return [word for word, _ in ordered if word not in files.tokens and files.cut(word)]


def _grown(files: TokenizerFiles, segmenter: Segmenter, asked: Iterable[str], size: int | None) -> list[str]:
    """The new tokens that `asked` take, steps included, in order; with `size` only words that it has room for."""
    added: dict[str, None] = {}
    for word in asked:
        if size is not None:
            if len(added) >= size:
                break
            if len(added) + segmenter.needed(word) > size:
                continue
        made = segmenter.add(word) or [word]
        added.update((token, None) for token in made if token not in files.tokens)
    return list(added)


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def read_tokens(path: Path) -> list[str]:
    """A token a line; a leading space (or ▁) says that a space stands before it. An empty file is an InputError."""
    if not path.is_file():
        raise InputError("no such file; expected a token a line", where=str(path))
    found = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not found:
        raise InputError("is empty; expected a token a line", where=str(path))
    return found
