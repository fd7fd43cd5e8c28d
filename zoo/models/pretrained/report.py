"""Which weights of a pretrained model a zoo model has, which are its own, and which it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.atomic import write_atomic

REPORT_NAME = "graft.json"


@dataclass(frozen=True)
class Kept:
    """A tensor of the zoo model that is made of the pretrained model's `sources`."""

    target: str
    sources: tuple[str, ...]
    new_rows: int = 0
    """Rows behind them that are freshly initialised: tokens that the pretrained model does not have."""


@dataclass(frozen=True)
class GraftReport:
    """`kept` and `new` together are every tensor of the zoo model; `kept` and `dropped` every pretrained one.

    Tied matrices count once, under the name they are saved by. `new` and `dropped` map names to reasons.
    """

    path: str
    type: str
    revision: str
    kept: Sequence[Kept]
    new: Mapping[str, str]
    dropped: Mapping[str, str]
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Numbers of the zoo model that are ``kept`` and ``new``."""

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "path": self.path,
            "type": self.type,
            "revision": self.revision,
            "parameters": dict(self.parameters),
            "kept": [
                {
                    "to": item.target,
                    "from": list(item.sources),
                    **({"new_rows": item.new_rows} if item.new_rows else {}),
                }
                for item in self.kept
            ],
            "new": [{"to": name, "because": reason} for name, reason in self.new.items()],
            "dropped": [{"from": name, "because": reason} for name, reason in self.dropped.items()],
        }

    def lines(self) -> list[str]:
        """For people: one line of sums, then one a reason."""
        kept, new = self.parameters["kept"], self.parameters["new"]
        lines = [
            f"read from {self.path} ({self.type}): {len(self.kept)} tensors kept ({kept:,} numbers), "
            f"{len(self.new)} new ({new:,}), {len(self.dropped)} left behind"
        ]
        for word, names in (("new", self.new), ("left behind", self.dropped)):
            for reason, group in _by_reason(names).items():
                shown = ", ".join(group[:3]) + (f" and {len(group) - 3} more" if len(group) > 3 else "")
                lines.append(f"  {word}, {reason}: {shown}")
        lines += [f"  new rows in {item.target}: {item.new_rows}" for item in self.kept if item.new_rows]
        return lines


def write_report(report: GraftReport, folder: Path) -> None:
    """Write the report into the folder of the built model."""
    write_atomic(folder / REPORT_NAME, json.dumps(report.plain(), indent=1, ensure_ascii=False) + "\n")


def _by_reason(names: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, reason in names.items():
        groups.setdefault(reason, []).append(name)
    return groups
