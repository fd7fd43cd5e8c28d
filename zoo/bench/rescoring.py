"""Scores made again from what each example contributed, by the metric that is installed here."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import TypeAdapter, ValidationError

from zoo.bench.outputs import MetricOutputs
from zoo.errors import ZooError
from zoo.registry import current_registry
from zoo.spec import Chosen, Slot
from zoo.tasks import Metric

_METRIC: TypeAdapter[Chosen] = TypeAdapter(Annotated[Chosen, Slot("metric")])


def metric_of(kept: MetricOutputs) -> Metric:
    """The metric that a file of outputs names. Raises ZooError where it cannot be loaded here."""
    name = kept.component.get("use", kept.metric)
    try:
        chosen = _METRIC.validate_python(kept.component, context={"registry": current_registry()})
        metric: Metric = chosen.create()
    except ValidationError as error:
        said = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise ZooError(f"the metric '{name}' cannot be loaded here: {' '.join(said.split())}") from None
    except (ZooError, ImportError) as error:
        raise ZooError(f"the metric '{name}' cannot be loaded here: {error}") from None
    return metric


def rescored(metric: Metric, kept: MetricOutputs) -> float:
    """The corpus score of what the examples contributed. Raises ValueError where that is none of the metric's."""
    if not kept.items:
        raise ValueError("no example is in it")
    try:
        return float(metric.combined(kept.items, np.ones((1, len(kept.items))))[0])
    except Exception as error:  # whatever a plugin's code raises over a stranger's numbers is said of its file
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"its items are not the metric's: {said}") from None
