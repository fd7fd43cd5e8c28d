"""How `zoo data show` lays its report out for a terminal."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from zoo.tasks.contracts import SPLITS
from zoo.tasks.corpus_report import LONG

_WIDTH = 100
_ROWS = 6
"""Domains and licences that get a row each; the rest is summed up. --json has all."""

Report = Mapping[str, Any]


def print_report(report: Report) -> None:
    """About 80 lines with 20 samples of two languages."""
    for line in _lines(report):
        click.echo(line)


def _lines(report: Report) -> Iterator[str]:
    yield f"{report['name']}  ({'-'.join(report['languages'])}, {report['licence']})"
    yield f"revision {report['revision']}"
    packages = [f"{name} {version}" for name, version in dict(report["facts"].get("packages", {})).items()]
    if packages:
        yield from _paragraph("from " + ", ".join(_some(packages, 8)))
    yield ""
    yield from _table(_size_rows(report), ("SIZE", *SPLITS, "all"))
    yield ""
    yield from _table(
        list(_length_rows(report)), ("LENGTH", "", "lower quartile", "median", "upper quartile", "maximum")
    )
    if report["dropped"]:
        yield ""
        counts = sorted(dict(report["dropped"]).items(), key=lambda item: (-item[1], item[0]))
        yield from _paragraph("DROPPED  " + ", ".join(f"{count:,} {reason}" for reason, count in counts if count))
    yield ""
    yield from _alignment_lines(report["alignment"])
    if report["samples"]:
        yield ""
        yield f"SAMPLES  {len(report['samples'])} of {sum(report['pairs'].values()):,} pairs, evenly spread"
        for sample in report["samples"]:
            yield from _texts(sample["texts"], report["languages"])


def _size_rows(report: Report) -> list[tuple[str, ...]]:
    rows = [_size_row("pairs", report["pairs"])]
    if report["long_pairs"] is not None:
        rows.append(_size_row(f"pairs of {LONG} English words or more", report["long_pairs"]))
    if any(report["documents"].values()):
        rows.append(_size_row("documents", report["documents"]))
    for what in ("domains", "licences"):
        groups = list(report[what].items())
        if [name for name, _ in groups] == ["-"]:
            continue
        rows += [_size_row(f"{what[:-1]} {name}", counts) for name, counts in groups[:_ROWS]]
        if rest := groups[_ROWS:]:
            summed: dict[str, int] = {split: sum(counts[split] for _, counts in rest) for split in SPLITS}
            rows.append(_size_row(f"{len(rest)} more {what}", summed))
    return rows


def _size_row(name: str, counts: Mapping[str, int]) -> tuple[str, ...]:
    numbers = [counts[split] for split in SPLITS]
    return (_cut(name, 48), *(f"{number:,}" for number in [*numbers, sum(numbers)]))


def _length_rows(report: Report) -> Iterator[tuple[str, ...]]:
    for language, splits in report["lengths"].items():
        for unit in ("characters", "words"):
            for split in SPLITS:
                if found := splits[split][unit]:
                    numbers = [found[key] for key in ("lower_quartile", "median", "upper_quartile", "maximum")]
                    yield (f"{language} {unit}", split, *(f"{number:g}" for number in numbers))


def _alignment_lines(found: Report) -> Iterator[str]:
    first, second = found["languages"]
    lengths, numbers, ibm1 = found["lengths"], found["numbers"], found["ibm1"]
    yield "ALIGNMENT"
    yield (
        f"  length   {_percent(lengths['share'])} of pairs lie beyond 3 robust deviations of the median ratio "
        f"({lengths['median_ratio']:.2f} characters of {first} to one of {second})"
    )
    if numbers["pairs"]:
        yield (
            f"  numbers  {_percent(numbers['share'])} of the {numbers['pairs']:,} pairs with digits on both sides "
            "have the same numbers"
        )
    else:
        yield "  numbers  no pair has digits on both sides"
    if "missing" in ibm1:
        yield f"  IBM-1    {ibm1['missing']}"
        return
    yield (
        f"  IBM-1    a pair scores above a mismatched one in {_percent(ibm1['auc'])}; at most about "
        f"{_percent(ibm1['misaligned_at_most'])} are misaligned"
    )
    yield f"           ({ibm1['scored']:,} pairs scored by a model of {ibm1['trained']:,} others); these fit worst:"
    for texts in ibm1["lowest"][:3]:
        yield from _texts(texts, found["languages"])


def _texts(texts: Mapping[str, str], languages: Sequence[str]) -> Iterator[str]:
    for place, language in enumerate(languages):
        yield f"  {'-' if place == 0 else ' '} {language}  {_cut(texts[language], _WIDTH - 10)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"


def _some(names: list[str], most: int) -> list[str]:
    return names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> Iterator[str]:
    """Columns of numbers to the right, names to the left."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    numbers = [all(row[column][:1].isdigit() for row in rows) for column in range(len(header))]
    for row in table:
        cells = zip(row, widths, numbers, strict=True)
        yield "  ".join(text.rjust(width) if right else text.ljust(width) for text, width, right in cells).rstrip()


def _cut(text: str, width: int) -> str:
    """At most `width` columns of a terminal, where wide characters take two; without control characters."""
    shown, taken = "", 0
    for character in text:
        character = character if character.isprintable() else " "
        taken += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if taken > width:
            return shown[:-1] + "…"
        shown += character
    return shown
