"""Instruments: quality, latency, throughput, memory, and what they were taken on. One instrument a file."""

from zoo.measure.baselines import copy_baseline
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
from zoo.measure.throughput import Rate

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
