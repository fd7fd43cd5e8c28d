"""Instruments: quality, latency, throughput, memory, and what they were taken on. One instrument a file."""

from zoo.measure.baselines import copy_baseline
from zoo.measure.collapse import (
    collapse_probes,
    collapsed,
    distinct_output_ratio,
    top_four_gram_share,
    top_output_share,
)
from zoo.measure.device import default_device, hardware_class
from zoo.measure.distribution import Measured
from zoo.measure.environment import environment, load_average
from zoo.measure.evaluate import EvaluatedSample, Evaluation, ScoredMetric, evaluate, evaluation_examples, score_outputs
from zoo.measure.generation import Generated, generate_outputs
from zoo.measure.latency import timed_calls
from zoo.measure.memory import MemoryReading, probe_memory
from zoo.measure.performance import Performance, measure_performance
from zoo.measure.throughput import tokens_per_second

__all__ = [
    "EvaluatedSample",
    "Evaluation",
    "Generated",
    "Measured",
    "MemoryReading",
    "Performance",
    "ScoredMetric",
    "collapse_probes",
    "collapsed",
    "copy_baseline",
    "default_device",
    "distinct_output_ratio",
    "environment",
    "evaluate",
    "evaluation_examples",
    "generate_outputs",
    "hardware_class",
    "load_average",
    "measure_performance",
    "probe_memory",
    "score_outputs",
    "timed_calls",
    "tokens_per_second",
    "top_four_gram_share",
    "top_output_share",
]
