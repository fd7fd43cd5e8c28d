"""Pretrained models read into zoo's own skeleton, with parts of them replaced."""

from zoo.models.pretrained.grafting import graft_weights
from zoo.models.pretrained.report import GraftReport

__all__ = ["GraftReport", "graft_weights"]
