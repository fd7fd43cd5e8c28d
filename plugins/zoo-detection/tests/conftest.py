"""Components by name, as a spec has them, and labels to try them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.registry import current_registry
from zoo.spec.options import Chosen


def create(kind: str, name: str, *arguments: Any, **options: Any) -> Any:
    """The component ``zoo-detection/<name>``, as the host builds it."""
    record = current_registry().get(kind, f"zoo-detection/{name}")
    return Chosen(record, record.load_options().model_validate(options)).create(*arguments)


@pytest.fixture(scope="session")
def created() -> Callable[..., Any]:
    """``created(kind, name, *arguments, **options)``"""
    return create


@pytest.fixture(scope="session")
def labels() -> list[dict[str, Tensor]]:
    """Of two images of 60 x 100 and 80 x 40 pixels: four boxes and one."""
    draw = torch.Generator().manual_seed(3)
    sizes = ((60, 100), (80, 40))
    found = []
    for size, count in zip(sizes, (4, 1), strict=True):
        sides = 0.1 + 0.4 * torch.rand(count, 2, generator=draw)
        centres = sides / 2 + torch.rand(count, 2, generator=draw) * (1 - sides)
        classes = torch.randint(3, (count,), generator=draw)
        found.append({"class_labels": classes, "boxes": torch.cat((centres, sides), 1), "size": torch.tensor(size)})
    return found
