"""Packages for third parties, written from templates. Torch-free."""

from zoo.scaffold.kinds import TEMPLATES
from zoo.scaffold.write import write_plugin

__all__ = ["TEMPLATES", "write_plugin"]
