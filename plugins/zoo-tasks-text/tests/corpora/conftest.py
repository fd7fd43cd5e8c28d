"""Files as programs ship them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import pytest


def _pack(
    resources: Mapping[int, bytes], aliases: Mapping[int, int] | None = None, *, version: int = 5, encoding: int = 1
) -> bytes:
    aliases = aliases or {}
    if version == 4:
        header = struct.pack("<IIB", 4, len(resources), encoding)
    else:
        header = struct.pack("<IBxxxHH", version, encoding, len(resources), len(aliases))
    offset = len(header) + 6 * (len(resources) + 1) + 4 * len(aliases)
    table, body = b"", b""
    for number, content in resources.items():
        table += struct.pack("<HI", number, offset + len(body))
        body += content
    table += struct.pack("<HI", 0, offset + len(body))
    return header + table + b"".join(struct.pack("<HH", *alias) for alias in aliases.items()) + body


@pytest.fixture(scope="session")
def pack() -> Callable[..., bytes]:
    """A data pack of Chromium (.pak) of number -> content; `aliases` maps a number to the place of the equal entry."""
    return _pack
