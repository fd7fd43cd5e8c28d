"""`model: {from: ..., graft: {...}}`: a model section read from a pretrained model's configuration. Torch-free."""

from zoo.spec.pretrained.checkpoint import Checkpoint, find_checkpoint
from zoo.spec.pretrained.expansion import expanded
from zoo.spec.pretrained.schemes import TYPES, own_scheme
from zoo.spec.pretrained.section import PretrainedSection
from zoo.spec.pretrained.zoo_folder import ZOO, tokenizer_sources

__all__ = [
    "TYPES",
    "ZOO",
    "Checkpoint",
    "PretrainedSection",
    "expanded",
    "find_checkpoint",
    "own_scheme",
    "tokenizer_sources",
]
