"""What surgery on a vocabulary tells of itself: `vocabulary.json` beside the model."""

from __future__ import annotations

from typing import Any

from zoo.tasks.contracts import Progress
from zoo_vocabulary.folder import SavedModel, Written
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.texts import Corpus, Reader, Reading, chunks

FORMAT = "zoo.vocabulary/1"
_LONG = ("old_ids", "new_tokens")
"""Lists as long as the vocabulary; the command prints how many."""


def describe(
    operation: str, saved: SavedModel, remap: Remap, written: Written, parameters: int, **more: Any
) -> dict[str, Any]:
    """What every operation has in common; `parameters` are those of the model before."""
    matrices = [
        {
            "name": item.names[0],
            "tied": list(item.names[1:]),
            "role": item.role,
            "before": list(item.tensor.shape),
            "after": [*item.tensor.shape[:-1], remap.size]
            if item.role == "bias"
            else [remap.size, *item.tensor.shape[1:]],
        }
        for item in saved.tensors
    ]
    per_row = sum(item.tensor.numel() // saved.size for item in saved.tensors if item.learned)
    known = set(saved.token_ids)
    return {
        "format": FORMAT,
        "operation": operation,
        "from": {"path": str(saved.folder), "revision": saved.revision},
        "rows": {"before": saved.size, "after": remap.size},
        "tokens": {"before": len(known), "after": len(known & set(remap.kept)) + len(remap.fresh)},
        "parameters": {"before": parameters, "after": parameters + per_row * (remap.size - saved.size)},
        "matrices": matrices,
        "configuration": written.changes,
        "logit_difference": written.difference,
        **more,
        "old_ids": list(remap.rows),
    }


def compare_texts(
    corpus: Corpus, saved: SavedModel, remap: Remap, written: Written, before: Reading, progress: Progress
) -> dict[str, Any] | None:
    """Fertility and lengths before and after, and how many texts are cut otherwise; None without texts."""
    if not corpus:
        return None
    old = Reader(saved.tokenizers, two_sided=saved.files.two_sided)
    new = Reader(written.tokenizers, two_sided=saved.files.two_sided)
    different = 0
    for chunk in chunks(corpus.texts(), progress, "reading again"):
        for was, now in zip(old.read(chunk), new.read(chunk), strict=True):
            different += [remap.new_ids.get(identity) for identity in was] != now
    return {"before": before.plain(), "after": new.reading().plain(), "different": different}


def shown(document: dict[str, Any]) -> dict[str, Any]:
    """The report without the lists that are as long as the vocabulary."""
    return {key: len(value) if key in _LONG else value for key, value in document.items() if key != "old_ids"}


def lines(document: dict[str, Any], out: str) -> list[str]:
    """The report for people."""
    rows, tokens, parameters = (document[name] for name in ("rows", "tokens", "parameters"))
    found = [
        f"wrote {out}: {rows['before']} rows before, {rows['after']} after; "
        f"{tokens['before']} tokens before, {tokens['after']} after; "
        f"{parameters['before']:,} parameters before, {parameters['after']:,} after",
    ]
    if "kept" in document:
        found.append("kept: " + ", ".join(f"{count} {reason}" for reason, count in document["kept"].items()))
    if document.get("unreachable"):
        found.append(f"{len(document['unreachable'])} kept tokens come out of no text, neither before nor after")
    if document.get("steps"):
        found.append(f"{document['steps']} of the new tokens are steps on the way to others")
    for name, size in ((item["name"], item["after"]) for item in document["matrices"]):
        found.append(f"{name}: {' x '.join(map(str, size))}")
    found += [f"{field}: {was} -> {now}" for field, (was, now) in document["configuration"].items()]
    found.append(f"logits of old tokens differ by {document['logit_difference']:.2g} at the most, on one sequence")
    texts = document.get("texts")
    if texts:
        was, now = texts["before"], texts["after"]
        found.append(f"{texts['different']} of {now['texts']} texts are cut otherwise than before")
        for label, key in (("tokens a word", "tokens_per_word"), ("tokens a character", "tokens_per_character")):
            if was[key] is not None:
                found.append(f"{label}: {was[key]:.3f} before, {now[key]:.3f} after")
        found.append(f"tokens of a text: {was['mean_length']:.1f} before, {now['mean_length']:.1f} after")
        found.append(f"unknown tokens: {was['unknown']} before, {now['unknown']} after")
    return found
