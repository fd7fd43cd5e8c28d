"""The errors a user meets. Each is one clear line: where, what was found, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ZooError(Exception):
    """The run failed (exit status 1): the input was right, the world was not."""

    exit_code = 1


class InputError(ZooError):
    """The user's input is wrong (exit status 2).

    `where` is a place the user can open, such as ``spec.yaml:3:7`` or ``--set model.heads=x``.
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None) -> None:
        # A name from a stranger's file may hold newlines; the promise is one line.
        self.message = " ".join(message.split())
        self.where = where
        super().__init__(f"{where}: {self.message}" if where else self.message)


class InputErrorGroup(InputError):  # noqa: N818 - as ExceptionGroup
    """Several mistakes found in one pass, one line each."""

    def __init__(self, errors: Iterable[InputError]) -> None:
        self.errors = tuple(errors)
        if not self.errors:
            raise ValueError("InputErrorGroup needs at least one error")
        Exception.__init__(self, "\n".join(str(error) for error in self.errors))
        self.message = str(self)
        self.where = self.errors[0].where


def visible(text: str) -> str:
    """A stranger's text as one line that a terminal shows and does not obey: what is not printable is spelled out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def nearest(name: object, valid: Iterable[str]) -> str | None:
    """The valid name closest to `name`, or None where none is close."""
    matches = get_close_matches(str(name)[:200], list(valid), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(name: object, valid: Iterable[str], *, limit: int = 12) -> str:
    """A clause naming the nearest valid name and, while they are few, all of them."""
    names = sorted(set(valid))
    close = nearest(name, names)
    listed = ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
    if close:
        return f"did you mean '{close}'? (known: {listed})"
    return f"known: {listed}" if names else "none is installed"
