"""What models learn from and are scored by: corpora, tasks, tokenizers and metrics, as contracts. Torch-free."""

from zoo.tasks.contracts import (
    Check,
    Corpus,
    Example,
    Items,
    Metric,
    Pair,
    PreparedCorpus,
    PreparedTask,
    PretrainedTokenizer,
    Score,
    Side,
    Split,
    SummedMetric,
    Task,
    TokenizerSource,
    TokenizerTrainer,
)
from zoo.tasks.detection import Box, Detection, GroundTruth
from zoo.tasks.home import DataHome
from zoo.tasks.images import ImageSource, PixelImage

__all__ = [
    "Box",
    "Check",
    "Corpus",
    "DataHome",
    "Detection",
    "Example",
    "GroundTruth",
    "ImageSource",
    "Items",
    "Metric",
    "Pair",
    "PixelImage",
    "PreparedCorpus",
    "PreparedTask",
    "PretrainedTokenizer",
    "Score",
    "Side",
    "Split",
    "SummedMetric",
    "Task",
    "TokenizerSource",
    "TokenizerTrainer",
]
