"""Leaving out the tokens that nobody needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import InputError, did_you_mean
from zoo.models import count_parameters
from zoo.tasks.contracts import Progress, Side, silent
from zoo_vocabulary.folder import SavedModel, write_model
from zoo_vocabulary.report import compare_texts, describe
from zoo_vocabulary.sides import Change, Vocabulary, alone, chosen, pruned
from zoo_vocabulary.texts import Corpus, Reader, chunks
from zoo_vocabulary.tokenizer_files import TokenizerFiles

_BY_ID = re.compile(r"id:(\d+)")


@dataclass(frozen=True)
class Selection:
    """The tokens that stay."""

    kept: frozenset[int]
    reasons: dict[str, int]
    """How many stay for each reason; the first one counts."""
    unreachable: tuple[str, ...]
    """Tokens asked for that come out of no text."""

    def plain(self) -> dict[str, Any]:
        """What the report says of it."""
        return {"kept": self.reasons, "unreachable": list(self.unreachable)}


def prune(
    saved: SavedModel,
    out: Path,
    *,
    corpus: Corpus | None = None,
    keep: Iterable[int] = (),
    min_count: int = 1,
    size: int | None = None,
    side: Side | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Keep the tokens that `corpus` has at least `min_count` times, and those of `keep`; at most `size` in all.

    What a kept token cannot come out of a text without stays too, and so do special tokens, language codes, bytes and
    (of byte pairs) characters. Where source and target have vocabularies of their own each is pruned by its own texts,
    or with `side` only one; `size` is of each. Writes the folder `out` and returns its report. Raises InputError where
    nothing is to be kept, `size` is too small for what must stay, or `keep` could be of either vocabulary.
    """
    corpus, asked = corpus or Corpus(), list(keep)
    operated = chosen(saved.vocabularies, side)
    if asked:
        alone(operated, "--keep")
    reader = Reader(
        saved.tokenizers, two_sided=operated[0].files.two_sided, apart=saved.apart, only=side if saved.apart else None
    )
    for chunk in chunks(corpus.texts(), progress, "reading"):
        reader.read(chunk)
    selections = {
        found.side: select(
            found.files,
            set(found.named),
            asked,
            _wanted(reader.counts[found.side], min_count),
            size,
            where=f"{saved.folder}" if found.side is None else f"{saved.folder}: {found.side}",
        )
        for found in operated
    }
    remaps = pruned(saved.vocabularies, {side: selection.kept for side, selection in selections.items()})
    changes = {
        side: Change(remap, facts=selections[side].plain() if side in selections else {})
        for side, remap in remaps.items()
    }
    parameters = count_parameters(saved.model)
    before = reader.reading()
    return write_model(
        saved,
        out,
        changes,
        lambda written: describe(
            "prune",
            saved,
            changes,
            written,
            parameters,
            texts=compare_texts(corpus, saved, changes, written, before, progress, side),
        ),
    )


def select(
    files: TokenizerFiles,
    named: set[int],
    keep: Sequence[int],
    counted: Sequence[int],
    size: int | None = None,
    *,
    where: str = "",
) -> Selection:
    """What stays: all that must, then `keep`, then of `counted` (the most frequent first) what `size` has room for."""
    names = files.names
    kept: dict[int, str] = {}
    for reason, ids in [("special", named), *files.fixed().items()]:
        for identity in sorted(ids):
            kept.setdefault(identity, reason)
    unreachable: list[str] = []
    for identity in keep:
        if files.steps(names[identity]) is None:
            unreachable.append(names[identity])
        _take(files, names, identity, kept, "asked for")
    if size is not None and len(kept) > size:
        raise InputError(f"{size} is too small: {len(kept)} tokens must stay", where="--size")
    for identity in counted:
        if identity in kept or identity not in names:
            continue
        if size is not None:
            if len(kept) >= size:
                break
            missing = {files.tokens[step] for step in files.steps(names[identity]) or ()} | {identity}
            if len(kept) + len(missing - kept.keys()) > size:
                continue
        _take(files, names, identity, kept, "in the texts")
    if not keep and not counted:
        raise InputError("no text has any of its tokens: everything would go", where=where or None)
    return Selection(frozenset(kept), dict(Counter(kept.values())), tuple(unreachable))


def _take(files: TokenizerFiles, names: dict[int, str], identity: int, kept: dict[int, str], reason: str) -> None:
    for step in files.steps(names[identity]) or ():
        if files.tokens[step] != identity:
            kept.setdefault(files.tokens[step], "a step to another")
    if kept.get(identity) in {None, "a step to another"}:
        kept[identity] = reason


def _wanted(counts: Counter[int], least: int) -> list[int]:
    """Ids with at least that count, the most frequent first, ties by id."""
    return [
        identity for identity, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= least
    ]


def read_keep(path: Path, vocabulary: Vocabulary) -> list[int]:
    """The ids of a list: a token a line as the tokenizer spells it, or ``id:42``.

    Raises InputError naming the line of a token that there is not, or an id out of range.
    """
    if not path.is_file():
        raise InputError("no such file; expected a token a line", where=str(path))
    tokens, names = vocabulary.files.tokens, vocabulary.files.names
    found: list[int] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        where = f"{path}:{number}"
        if line in tokens:
            found.append(tokens[line])
        elif match := _BY_ID.fullmatch(line):
            identity = int(match[1])
            if identity not in names:
                raise InputError(f"no token has the id {identity}: they go from 0 to {max(names)}", where=where)
            found.append(identity)
        elif line.strip():
            raise InputError(f"no such token '{line[:60]}': {_near(line, tokens)}", where=where)
    if not found:
        raise InputError("is empty; expected a token a line", where=str(path))
    return found


def _near(line: str, tokens: Iterable[str]) -> str:
    # A vocabulary is too long a list to look for what is near in all of it.
    alike = [token for token in tokens if line.lower() in token.lower() or token.lower() in line.lower()]
    return did_you_mean(line, alike[:2000], limit=3) if alike else "write it as the tokenizer spells it"
