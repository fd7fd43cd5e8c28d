"""Lines of text files, plain or compressed, read as a stream. What is wrong with a user's file is said in one line."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from zoo.errors import InputError, visible

LONGEST_LINE = 2**20
"""Bytes. Nobody's sentence is that long: such a file has no line feeds, or is no text."""
_UNPACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_MARKS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_FOREIGN = (("gb18030", "GB18030"), ("shift_jis", "Shift-JIS"))


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex. Raises InputError where it is no regular file that can be read."""
    try:
        # Without O_NONBLOCK a pipe under this name would let us wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode):
                return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        if not isinstance(error, IsADirectoryError):
            place = "" if path.is_absolute() else f" (in the working directory, {Path.cwd()})"
            raise InputError(f"cannot be read: {error.strerror}{place}", where=visible(str(path))) from error
        mode = stat.S_IFDIR
    found = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
    raise InputError(f"is {found}, expected a file: name a file, it is read more than once", where=visible(str(path)))


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """(``file:line``, text) for each line, without its end. Only ``\\n`` and ``\\r\\n`` end a line.

    Raises InputError at a line that is longer than `LONGEST_LINE`, not UTF-8, or holds NUL bytes or lone carriage
    returns; also where a compressed file is damaged, or a file is empty.
    """
    name = visible(str(path))
    empty = True
    for number, raw in enumerate(_raw_lines(path, name), start=1):
        where = f"{name}:{number}"
        if number == 1:
            for mark, encoding in _MARKS:
                if raw.startswith(mark):
                    raise InputError(
                        f"the file begins with the byte order mark of {encoding}: convert it to UTF-8, for example "
                        f"with 'iconv -f {encoding} -t UTF-8'",
                        where=where,
                    )
            raw = raw.removeprefix(b"\xef\xbb\xbf")
            if not raw:
                continue
        empty = False
        yield where, _text(raw, where)
    if empty:
        raise InputError("the file is empty, expected one pair a line", where=name)


def _raw_lines(path: Path, name: str) -> Iterator[bytes]:
    """Lines with their ends, none longer than `LONGEST_LINE` + 1 bytes: the rest of a longer one comes as the next."""
    opener = _UNPACKED.get(path.suffix.lower())
    number = 0
    try:
        with path.open("rb") as file:
            stream: BinaryIO = io.BufferedReader(opener(file)) if opener else file
            while raw := stream.readline(LONGEST_LINE + 1):
                yield raw
                number += 1
    except EOFError as error:
        raise InputError(
            f"the {path.suffix} file is cut off: fetch or compress it again", where=f"{name}:{number + 1}"
        ) from error
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise _not_compressed(path, name, number) from error
    except OSError as error:
        if opener and error.errno is None:  # what bz2 says of bytes that are not its own
            raise _not_compressed(path, name, number) from error
        raise InputError(f"cannot be read: {error.strerror}", where=name) from error


def _not_compressed(path: Path, name: str, number: int) -> InputError:
    found = "is damaged: fetch or compress it again" if number else "does not hold what its ending says: rename it"
    return InputError(f"the {path.suffix} file {found}", where=f"{name}:{number + 1}" if number else name)


def _text(raw: bytes, where: str) -> str:
    if 0 in raw:
        raise InputError(
            f"byte {raw.index(0) + 1} is NUL, which no text has: is this UTF-16 or a binary file? Convert it to UTF-8",
            where=where,
        )
    body = raw.removesuffix(b"\n").removesuffix(b"\r")
    if b"\r" in body:
        raise InputError(
            f"byte {body.index(13) + 1} is a carriage return without a line feed (line ends of old Macs?): end lines "
            "in \\n or \\r\\n, for example with 'mac2unix'",
            where=where,
        )
    if len(raw) > LONGEST_LINE:
        raise InputError(
            f"the line is longer than {LONGEST_LINE:,} bytes, expected one sentence or paragraph a line: cut it",
            where=where,
        )
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start + 1} (0x{body[error.start]:02x}) is not UTF-8: convert the file to UTF-8"
            f"{_foreign(body)}",
            where=where,
        ) from error


def _foreign(body: bytes) -> str:
    """Which encodings of Chinese and Japanese a line could be in."""
    fitting = []
    for codec, name in _FOREIGN:
        try:
            body.decode(codec)
        except UnicodeDecodeError:
            continue
        fitting.append(name)
    return f" (it may be {' or '.join(fitting)})" if fitting else ""
