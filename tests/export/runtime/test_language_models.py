"""An exported language model, against its model in torch."""

from __future__ import annotations
