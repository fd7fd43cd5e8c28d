"""The hooks a plugin may implement. Each behavioural hook gets one context object, so that it can grow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pluggy

from zoo.registry.component import Component
from zoo.registry.kind import Kind

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = "zoo"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True)
class ModelContext:
    """What `zoo_model_built` sees: the assembled model and the resolved spec it was built from."""

    model: Any
    spec: Any


@dataclass
class TrainingContext:
    """What `zoo_training_callbacks` sees: the run before its first step."""

    model: Any
    spec: Any
    directory: Path
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandContext:
    """What `zoo_cli_commands` sees: the click group to add commands to."""

    group: Any


class Specifications:
    """Hook specifications of the core."""

    @hookspec
    def zoo_kinds(self) -> Iterable[Kind]:  # type: ignore[empty-body]
        """Yield the kinds that this plugin adds."""

    @hookspec
    def zoo_components(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Yield the components that this plugin brings. Import nothing heavy here."""

    @hookspec
    def zoo_model_built(self, context: ModelContext) -> None:
        """Called once after a model has been assembled and its weights initialised."""

    @hookspec
    def zoo_training_callbacks(self, context: TrainingContext) -> Iterable[Any]:  # type: ignore[empty-body]
        """Yield transformers.TrainerCallback instances for this run."""

    @hookspec
    def zoo_cli_commands(self, context: CommandContext) -> None:
        """Add commands to the command line."""
