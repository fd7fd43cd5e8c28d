"""A kind is a slot that components can fill: its protocol, the base of its options, its conformance suite."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
OPTIONS = "zoo.spec.options:Options"
"""The base of all options."""
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    `protocol`, `options_base` and `suite` are ``module:attribute`` references, imported on first use, so that a
    plugin that declares a kind stays light.
    """

    name: str
    summary: str
    protocol: str
    options_base: str = OPTIONS
    suite: str | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"kind name {self.name!r}: expected lower-case letters, digits, '-', '_' or '.'")
        for field, target in (
            ("protocol", self.protocol),
            ("options_base", self.options_base),
            ("suite", self.suite),
        ):
            if target is not None and not TARGET.fullmatch(target):
                raise ValueError(f"kind {self.name!r}: {field} {target!r}: expected 'module:attribute'")
