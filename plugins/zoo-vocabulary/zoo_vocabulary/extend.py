"""Taking new tokens in."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError, ZooError, visible
from zoo.models import count_parameters
from zoo.spec.options import Chosen
from zoo.tasks.contracts import Progress, silent
from zoo_vocabulary.contracts import NewTokens, VocabularyInit
from zoo_vocabulary.folder import SavedModel, write_model
from zoo_vocabulary.learned import learn_pairs
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.report import compare_texts, describe
from zoo_vocabulary.segmentation import Segmenter
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
    progress: Progress = silent,
) -> dict[str, Any]:
    """Give the model `tokens`, or at most `size` new ones found in `corpus`: its most frequent words of several tokens,
    or with `train` pairs of neighbouring tokens learned from it.

    Their rows start as `init` says, seeded by `seed` and the matrix. Writes the folder `out` and returns its report.
    Raises InputError where nothing new is among them.
    """
    corpus = corpus or Corpus()
    files, segmenter = saved.files, saved.files.segmenter()
    reader = Reader(saved.tokenizers, two_sided=files.two_sided)
    words: Counter[str] = Counter()
    for chunk in chunks(corpus.texts(), progress, "reading"):
        reader.read(chunk)
        for _, text in chunk:
            words.update(files.words(text))
    if tokens:
        asked = _asked(files, tokens)
        added = _grown(files, segmenter, asked, None)
    elif train:
        asked = []
        added = [
            token
            for token in learn_pairs(words, segmenter, size, mergeable=files.mergeable)
            if token not in files.tokens
        ]
    else:
        asked = _frequent(files, words)
        added = _grown(files, segmenter, asked, size)
    if not added:
        raise InputError("every one of these is a token already", where=str(saved.folder))
    place = {identity: index for index, identity in enumerate(saved.token_ids)}
    pieces = {token: files.cut(token) for token in added}
    rows = tuple(tuple(place[identity] for identity in pieces[token]) for token in added)
    component: VocabularyInit = init.create()

    def fill(name: str, old: Tensor) -> Tensor:
        found = component.rows(NewTokens(old, rows, _generator(seed, name)))
        if tuple(found.shape) != (len(added), old.shape[1]) or not bool(torch.isfinite(found).all()):
            raise ZooError(
                f"vocabulary-init '{init.id}' gave {list(found.shape)} for {name}; expected finite rows "
                f"{[len(added), old.shape[1]]}"
            )
        return found

    remap = Remap.extended(saved.size, files.place, len(added))
    parameters = count_parameters(saved.model)
    before = reader.reading()
    whole = set(asked)
    new = [
        {"token": token, "id": identity, "pieces": list(pieces[token])}
        for token, identity in zip(added, remap.fresh, strict=True)
    ]
    return write_model(
        saved,
        out,
        remap,
        fill,
        lambda written: describe(
            "extend",
            saved,
            remap,
            written,
            parameters,
            init=init.plain(),
            seed=seed,
            steps=sum(token not in whole for token in added) if asked else 0,
            texts=compare_texts(corpus, saved, remap, written, before, progress),
            new_tokens=new,
        ),
        added=added,
        grown=segmenter,
    )


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
            if len(added) + max(1, len(segmenter.segment(word)) - 1) > size:
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
