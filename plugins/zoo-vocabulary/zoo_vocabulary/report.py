"""What surgery on a vocabulary tells of itself: `vocabulary.json` beside the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.errors import visible
from zoo.tasks.contracts import Progress
from zoo_vocabulary.folder import SavedModel, Written
from zoo_vocabulary.sides import Change, Of, Vocabulary
from zoo_vocabulary.texts import Corpus, Reader, Reading, chunks

FORMAT = "zoo.vocabulary/1"
_LONG = ("old_ids", "new_tokens")
"""Lists as long as the vocabulary; the command prints how many."""
_SHOWN = 10
"""Words that were not taken in which the command names."""


def describe(
    operation: str, saved: SavedModel, changes: Mapping[Of, Change], written: Written, parameters: int, **more: Any
) -> dict[str, Any]:
    """What every operation has in common; `parameters` are those of the model before.

    What is about one vocabulary stands at the top where both sides share it, else under ``vocabularies``.
    """
    sizes = {found.side: found.size for found in saved.vocabularies}
    matrices = [
        {
            "name": item.names[0],
            "tied": list(item.names[1:]),
            "role": item.role,
            **({} if item.side is None else {"side": item.side}),
            "before": list(item.tensor.shape),
            "after": [*item.tensor.shape[:-1], changes[item.side].remap.size]
            if item.role == "bias"
            else [changes[item.side].remap.size, *item.tensor.shape[1:]],
        }
        for item in saved.tensors
    ]
    grown = sum(
        item.tensor.numel() // sizes[item.side] * (changes[item.side].remap.size - sizes[item.side])
        for item in saved.tensors
        if item.learned
    )
    each = {found.side: _of_one(found, changes[found.side]) for found in saved.vocabularies}
    return {
        "format": FORMAT,
        "operation": operation,
        "from": {"path": str(saved.folder), "revision": saved.revision},
        "parameters": {"before": parameters, "after": parameters + grown},
        "matrices": matrices,
        "configuration": written.changes,
        "logit_difference": written.difference,
        **more,
        **({"vocabularies": each} if saved.apart else each[None]),
    }


def _of_one(vocabulary: Vocabulary, change: Change) -> dict[str, Any]:
    remap, known = change.remap, set(vocabulary.token_ids)
    return {
        "rows": {"before": vocabulary.size, "after": remap.size},
        "tokens": {"before": len(known), "after": len(known & set(remap.kept)) + len(remap.fresh)},
        **change.facts,
        "old_ids": list(remap.rows),
    }


def compare_texts(
    corpus: Corpus,
    saved: SavedModel,
    changes: Mapping[Of, Change],
    written: Written,
    before: Reading,
    progress: Progress,
    only: Of = None,
) -> dict[str, Any] | None:
    """Fertility and lengths before and after, and how many texts are cut otherwise; None without texts.

    Of new tokens also how many of them the texts have.
    """
    if not corpus:
        return None
    modes: dict[str, Any] = {
        "two_sided": saved.vocabulary("source").files.two_sided,
        "apart": saved.apart,
        "only": only,
    }
    old, new = Reader(saved.tokenizers, **modes), Reader(written.tokenizers, **modes)
    different = 0
    for chunk in chunks(corpus.texts(), progress, "reading again"):
        for (of, was), (_, now) in zip(old.read(chunk), new.read(chunk), strict=True):
            new_ids = changes[of].remap.new_ids
            different += [new_ids.get(identity) for identity in was] != now
    found: dict[str, Any] = {"before": before.plain(), "after": new.reading().plain(), "different": different}
    fresh = {side: change.remap.fresh for side, change in changes.items() if change.remap.fresh}
    if fresh:
        found["new_tokens_used"] = sum(
            new.counts[side][identity] > 0 for side, ids in fresh.items() for identity in ids
        )
    return found


def shown(document: dict[str, Any]) -> dict[str, Any]:
    """The report without the lists that are as long as the vocabulary."""
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key == "vocabularies":
            found[key] = {side: shown(part) for side, part in value.items()}
        elif key != "old_ids":
            found[key] = len(value) if key in _LONG else value
    return found


def lines(document: dict[str, Any], out: str) -> list[str]:
    """The report for people."""
    parameters = document["parameters"]
    parts = document.get("vocabularies") or {"": document}
    found: list[str] = []
    for side, part in parts.items():
        rows, tokens = part["rows"], part["tokens"]
        counted = (
            f"{rows['before']} rows before, {rows['after']} after; "
            f"{tokens['before']} tokens before, {tokens['after']} after"
        )
        found += [f"{side}: {counted}" if side else counted, *_details(part)]
    counted = f"{parameters['before']:,} parameters before, {parameters['after']:,} after"
    if "" in parts:
        found[0] = f"wrote {out}: {found[0]}; {counted}"
    else:
        found.insert(0, f"wrote {out}: {counted}")
    for name, size in ((item["name"], item["after"]) for item in document["matrices"]):
        found.append(f"{name}: {' x '.join(map(str, size))}")
    found += [f"{field}: {was} -> {now}" for field, (was, now) in document["configuration"].items()]
    found.append(f"logits of old tokens differ by {document['logit_difference']:.2g} at the most, on one sequence")
    return found + _of_texts(document.get("texts"))


def _details(part: dict[str, Any]) -> list[str]:
    found: list[str] = []
    if "kept" in part:
        found.append("kept: " + ", ".join(f"{count} {reason}" for reason, count in part["kept"].items()))
    if part.get("unreachable"):
        found.append(f"{len(part['unreachable'])} kept tokens come out of no text, neither before nor after")
    if part.get("steps"):
        found.append(
            f"{part['steps']} of the new tokens are steps on the way to others, with rows made in the same way"
        )
    if part.get("helpers"):
        found.append(f"{part['helpers']} pieces lead to new tokens without being tokens: they have no rows")
    if "reached" in part:
        reached = part["reached"]
        found.append(
            f"of {reached['asked']} new words {reached['alone']} come out alone, "
            f"{reached['in_a_sentence']} in a sentence"
        )
    for refused in part.get("refused", [])[:_SHOWN]:
        cut = " ".join(refused["cut"])
        found.append(f"not taken in: '{visible(refused['token'])}' {refused['reason']} (it is cut into {visible(cut)})")
    if len(part.get("refused", [])) > _SHOWN:
        found.append(f"and {len(part['refused']) - _SHOWN} more: see vocabulary.json")
    return found


def _of_texts(texts: dict[str, Any] | None) -> list[str]:
    if not texts:
        return []
    was, now = texts["before"], texts["after"]
    found = [f"{texts['different']} of {now['texts']} texts are cut otherwise than before"]
    for label, key in (("tokens a word", "tokens_per_word"), ("tokens a character", "tokens_per_character")):
        if was[key] is not None:
            found.append(f"{label}: {was[key]:.3f} before, {now[key]:.3f} after")
    found.append(f"tokens of a text: {was['mean_length']:.1f} before, {now['mean_length']:.1f} after")
    found.append(f"unknown tokens: {was['unknown']} before, {now['unknown']} after")
    if "new_tokens_used" in texts:
        found.append(f"new tokens that the texts have: {texts['new_tokens_used']}")
    return found
