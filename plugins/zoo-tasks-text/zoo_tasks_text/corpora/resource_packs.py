"""Texts by number, from Chromium's data packs (.pak)."""

from __future__ import annotations

import struct
from itertools import pairwise

from zoo.errors import InputError

_CHARSETS = {1: "utf-8", 2: "utf-16-le"}
"""What the header's byte for the encoding says; 0 stands for a pack without text."""
_COMPRESSED = (b"\x1f\x8b", b"\x1e\x9b")
"""How gzip and the packs' mark of Brotli begin."""
_ENTRY = struct.Struct("<HI")
_ALIAS = struct.Struct("<HH")


def texts(data: bytes, where: str | None = None) -> dict[int, str]:
    """Resource number -> text, by ascending number, of a pack of version 4 or 5.

    The format is that of Chromium's ``ui/base/resource/data_pack.cc``. A number means the same message in all packs of
    one build, and only there. Resources that are kept compressed (whole pages) are passed over. Raises InputError,
    naming `where`, for bytes that are no pack of text.
    """
    try:
        found = dict(sorted(_entries(data).items()))
        charset = _CHARSETS[_encoding(data)]
        return {
            number: content.decode(charset) for number, content in found.items() if not content.startswith(_COMPRESSED)
        }
    except KeyError as error:
        raise InputError(f"data pack (.pak) of encoding {error}, expected text", where=where) from error
    except (ValueError, struct.error) as error:
        # A UnicodeDecodeError is a ValueError.
        raise InputError(f"no data pack (.pak): {error}", where=where) from error


def _encoding(data: bytes) -> int:
    version = struct.unpack_from("<I", data)[0]
    return data[8] if version == 4 else data[4]


def _entries(data: bytes) -> dict[int, bytes]:
    version = struct.unpack_from("<I", data)[0]
    aliases = 0
    if version == 4:
        count, start = struct.unpack_from("<I", data, 4)[0], 9
    elif version == 5:
        (count, aliases), start = struct.unpack_from("<HH", data, 8), 12
    else:
        raise ValueError(f"version {version}, expected 4 or 5")
    # One entry more than there are resources: it ends the last one.
    entries = [_ENTRY.unpack_from(data, start + _ENTRY.size * index) for index in range(count + 1)]
    found: dict[int, bytes] = {}
    for (number, begin), (_, end) in pairwise(entries):
        if not begin <= end <= len(data):
            raise ValueError(f"resource {number} stands at bytes {begin} to {end} of {len(data)}")
        found[number] = data[begin:end]
    start += _ENTRY.size * (count + 1)
    for index in range(aliases):
        number, place = _ALIAS.unpack_from(data, start + _ALIAS.size * index)
        if place >= count:
            raise ValueError(f"resource {number} is said to equal entry {place} of {count}")
        found[number] = found[entries[place][0]]
    return found
