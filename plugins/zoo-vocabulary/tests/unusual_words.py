"""Words that a checkpoint of the kit has no token for."""

from __future__ import annotations

import random
from pathlib import Path

from zoo_vocabulary.folder import open_model


def unusual(folder: Path, count: int = 3) -> list[str]:
    """Words of the checkpoint's letters that are several tokens now, with the space before them."""
    files, draw, found = open_model(folder).vocabulary().files, random.Random(5), []
    while len(found) < count:
        line = " " + "".join(draw.choices("abdegik", k=6))
        if len(files.cut(files.word_of(line))) > 2:
            found.append(line)
    return found
