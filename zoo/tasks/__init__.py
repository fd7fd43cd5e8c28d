"""What models learn from and are scored by: corpora, tasks, tokenizers and metrics, as contracts. Torch-free."""

from zoo.tasks.contracts import (
    Corpus,
    Example,
    Items,
    Metric,
    Pair,
    PreparedCorpus,
    PreparedTask,
    Score,
    Split,
    SummedMetric,
    Task,
    TokenizerTrainer,
)
from zoo.tasks.home import DataHome

__all__ = [
    "Corpus",
    "DataHome",
    "Example",
    "Items",
    "Metric",
    "Pair",
    "PreparedCorpus",
    "PreparedTask",
    "Score",
    "Split",
    "SummedMetric",
    "Task",
    "TokenizerTrainer",
]
