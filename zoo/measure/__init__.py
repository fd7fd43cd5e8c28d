"""Instruments: quality, latency, throughput, memory, and what they were taken on. One instrument a file.

The public names are imported on first use, so that what measures an export does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.measure.baselines import copy_baseline
    from zoo.measure.batches import Rate
    from zoo.measure.collapse import (
        collapse_probes,
        collapsed,
        distinct_output_ratio,
        top_four_gram_share,
        top_output_share,
    )
    from zoo.measure.cpu import load_average
    from zoo.measure.device import default_device, device_kind, device_name, hardware_class
    from zoo.measure.distribution import Measured
    from zoo.measure.environment import environment
    from zoo.measure.evaluate import (
        EvaluatedSample,
        Evaluation,
        ScoredMetric,
        evaluate,
        evaluation_examples,
        prepare_metrics,
        score_outputs,
    )
    from zoo.measure.generation import Generated, generate_outputs
    from zoo.measure.latency import timed_calls
    from zoo.measure.memory import MemoryReading
    from zoo.measure.oom import free_memory, is_out_of_memory, kernel_oom_kills
    from zoo.measure.performance import Performance, measure_performance

_HOMES = {
    "copy_baseline": "baselines",
    "collapse_probes": "collapse",
    "collapsed": "collapse",
    "distinct_output_ratio": "collapse",
    "top_four_gram_share": "collapse",
    "top_output_share": "collapse",
    "load_average": "cpu",
    "default_device": "device",
    "device_kind": "device",
    "device_name": "device",
    "hardware_class": "device",
    "Measured": "distribution",
    "environment": "environment",
    "EvaluatedSample": "evaluate",
    "Evaluation": "evaluate",
    "ScoredMetric": "evaluate",
    "evaluate": "evaluate",
    "evaluation_examples": "evaluate",
    "prepare_metrics": "evaluate",
    "score_outputs": "evaluate",
    "Generated": "generation",
    "generate_outputs": "generation",
    "timed_calls": "latency",
    "MemoryReading": "memory",
    "free_memory": "oom",
    "is_out_of_memory": "oom",
    "kernel_oom_kills": "oom",
    "Performance": "performance",
    "measure_performance": "performance",
    "Rate": "batches",
}

__all__ = [
    "EvaluatedSample",
    "Evaluation",
    "Generated",
    "Measured",
    "MemoryReading",
    "Performance",
    "Rate",
    "ScoredMetric",
    "collapse_probes",
    "collapsed",
    "copy_baseline",
    "default_device",
    "device_kind",
    "device_name",
    "distinct_output_ratio",
    "environment",
    "evaluate",
    "evaluation_examples",
    "free_memory",
    "generate_outputs",
    "hardware_class",
    "is_out_of_memory",
    "kernel_oom_kills",
    "load_average",
    "measure_performance",
    "prepare_metrics",
    "score_outputs",
    "timed_calls",
    "top_four_gram_share",
    "top_output_share",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
