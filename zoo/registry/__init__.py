"""The registry: which components exist, who brings them, and how to import one on first use. Torch-free."""

from zoo.registry.component import Component, RegisteredComponent
from zoo.registry.discovery import LoadPolicy, PluginReport
from zoo.registry.hooks import (
    CommandContext,
    ModelContext,
    TrainingContext,
    hookimpl,
    hookspec,
)
from zoo.registry.kind import Kind
from zoo.registry.registry import Registry, current_registry, use_registry

__all__ = [
    "CommandContext",
    "Component",
    "Kind",
    "LoadPolicy",
    "ModelContext",
    "PluginReport",
    "RegisteredComponent",
    "Registry",
    "TrainingContext",
    "current_registry",
    "hookimpl",
    "hookspec",
    "use_registry",
]
