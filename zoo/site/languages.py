"""The languages of a task, where its name tells."""

from __future__ import annotations

import re

_ISO_639_1 = re.compile(
    "a[abefkmnrsvyz]|b[aeghimnors]|c[aehorsuvy]|d[aevz]|e[elnostu]|f[afijory]|g[adlnuv]|h[aeiortuyz]|i[adegikostu]|"
    "j[av]|k[agijklmnorsuvwy]|l[abgilnotuv]|m[ghiklnrsty]|n[abdeglnorvy]|o[cjmrs]|p[ailst]|qu|r[mnouw]|"
    "s[acdegiklmnoqrstuvw]|t[aeghiklnorstwy]|u[gkrz]|v[eio]|w[ao]|xh|y[io]|z[ahu]"
)
_PAIR = re.compile(r"(?:^|-)([a-z]{2})-([a-z]{2})$")


def languages(task: str) -> tuple[str, str] | None:
    """Source and target language of a task named ``...-zh-en``; None where the name does not tell."""
    match = _PAIR.search(task)
    if match is None or not (_ISO_639_1.fullmatch(match[1]) and _ISO_639_1.fullmatch(match[2])):
        return None
    return match[1], match[2]
