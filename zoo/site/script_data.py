"""Data as classic scripts: a page opened from ``file://`` may load a script, and nothing else."""

from __future__ import annotations

import json
import re

_ESCAPED = re.compile("[<>&\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\uffff]")


def script_call(function: str, *values: object) -> str:
    """``function(...values);`` with `values` as JSON that is a literal of the script and no markup in any page.

    Keys of objects must be our own: ``{"__proto__": ...}`` would be more than a key. Raises ValueError on NaN.
    """
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    safe = _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text[1:-1])
    return f"{function}({safe});\n"
