"""Values of a checkpoint's config.json, each of the type it must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from zoo.errors import InputError

T = TypeVar("T")
_REQUIRED: Any = object()
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "an object"}


class Fields:
    """Reads keys of a JSON object. Raises InputError, naming file and key, for what is missing or of another type."""

    def __init__(self, plain: Mapping[str, Any], where: str) -> None:
        self.plain = plain
        self.where = where

    def integer(self, name: str, default: int = _REQUIRED) -> int:
        return self._of_type(name, int, default)

    def boolean(self, name: str, default: bool = _REQUIRED) -> bool:
        return self._of_type(name, bool, default)

    def text(self, name: str, default: str = _REQUIRED) -> str:
        return self._of_type(name, str, default)

    def number(self, name: str, default: float = _REQUIRED) -> float:
        return float(self._of_type(name, float, default))

    def mapping(self, name: str, default: Mapping[str, Any] = _REQUIRED) -> Mapping[str, Any]:
        return self._of_type(name, dict, default)

    def token(self, name: str) -> int | None:
        """A token's id. Of several (``eos_token_id: [2, 3]``) there is no telling which one ends a training text."""
        return None if self.plain.get(name) is None else self.integer(name)

    def _of_type(self, name: str, kind: type[T], default: T) -> T:
        value = self.plain.get(name)
        if value is None:
            if default is _REQUIRED:
                raise InputError(f"'{name}' is missing", where=self.where)
            return default
        accepted = (int, float) if kind is float else kind
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"'{name}': expected {_NAMES[kind]}, found {str(value)[:60]!r}", where=self.where)
        return value  # type: ignore[return-value]
