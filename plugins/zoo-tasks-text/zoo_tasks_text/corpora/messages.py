"""Messages and their translations, from compiled gettext catalogues (.mo)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from zoo.errors import InputError

_MAGIC = 0x950412DE
_CHARSET = re.compile(rb"^Content-Type:[^\n]*charset=([\w.:-]+)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Message:
    """One message of a program: what it says in English, and in another language."""

    context: str | None
    """gettext's msgctxt."""
    text: str
    """Of a message with plural forms, the singular."""
    translation: str
    """Of a message with plural forms, the first: Chinese and Japanese have no other."""


def catalogue(data: bytes, where: str | None = None) -> list[Message]:
    """The translated messages of a .mo file, sorted by the bytes of context and text.

    The format is that of the GNU gettext manual, 'The Format of GNU MO Files'. Raises InputError, naming `where`, for
    bytes that are no catalogue.
    """
    try:
        entries = sorted(_entries(data))
        charset = "utf-8"
        if entries and not entries[0][0] and (found := _CHARSET.search(entries[0][1])):
            charset = found[1].decode("ascii")
        return [_message(key, value, charset) for key, value in entries if key and value.partition(b"\0")[0]]
    except (ValueError, LookupError, struct.error) as error:
        # A UnicodeDecodeError is a ValueError, an unknown charset a LookupError.
        raise InputError(f"no gettext catalogue (.mo): {error}", where=where) from error


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of original and translation as they stand in the file."""
    order = next((order for order in "<>" if data[:4] == struct.pack(f"{order}I", _MAGIC)), None)
    if order is None:
        raise ValueError(f"it begins with {data[:4]!r}")
    revision, count, originals, translations = struct.unpack_from(f"{order}4I", data, 4)
    if revision >> 16 > 1:
        raise ValueError(f"revision {revision >> 16}.{revision & 0xFFFF} is not known")
    for index in range(count):
        sides = []
        for table in (originals, translations):
            length, start = struct.unpack_from(f"{order}2I", data, table + 8 * index)
            if start + length > len(data):
                raise ValueError(f"message {index} ends at byte {start + length} of {len(data)}")
            sides.append(data[start : start + length])
        yield sides[0], sides[1]


def _message(key: bytes, value: bytes, charset: str) -> Message:
    context, separator, text = key.rpartition(b"\x04")
    return Message(
        context=context.decode(charset) if separator else None,
        text=text.partition(b"\0")[0].decode(charset),
        translation=value.partition(b"\0")[0].decode(charset),
    )
