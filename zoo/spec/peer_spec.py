"""Specs of peers: systems that are evaluated as they come, in the place of a model that is trained here.

`zoo.spec.sections.Spec` makes one of these where there is a ``peer``, so that whoever reads a spec need not know. A
peer is laid over the spec of a model, or over what the specs of models extend, so that both do the same task and are
scored alike: what these files say of models is left aside.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, model_validator

from zoo.errors import InputError
from zoo.spec.explain import error_at
from zoo.spec.node import Node
from zoo.spec.options import Chosen, Slot
from zoo.spec.overlay import varied_paths
from zoo.spec.sections import Spec

ASIDE = frozenset(
    {"model", "tokenizer", "target_tokenizer", "training", "decoding", "detection", "generation", "seed", "seeds"}
)
"""Keys of a spec that are about a model, its training and its outputs. A peer draws nothing: it has no seed either."""
_OF_MODELS = frozenset({"model", "tokenizer", "target_tokenizer", "training", "decoding", "seeds"})
"""Those that are None in a peer's spec."""


def _not_asked(spec: PeerSpec) -> PeerSpec:
    """In the place of what is asked of the sections of a model."""
    return spec


class PeerSpec(Spec):
    """The resolved spec of a peer. What stands in every other spec is None here; its seed is 1 and means nothing."""

    model_config = ConfigDict(json_schema_extra=lambda schema: _of_files(schema))
    later: ClassVar[frozenset[str]] = (Spec.later | _OF_MODELS) - {"peer"}

    peer: Annotated[Chosen, Slot("peer")] = Field(description="What is evaluated in the place of a model")
    model: None = Field(default=None, description="None")  # type: ignore[assignment]
    tokenizer: None = Field(default=None, description="None")  # type: ignore[assignment]
    target_tokenizer: None = Field(default=None, description="None")
    training: None = Field(default=None, description="None")  # type: ignore[assignment]
    decoding: None = Field(default=None, description="None")  # type: ignore[assignment]
    seeds: None = Field(default=None, description="None")

    @model_validator(mode="after")
    def _the_model_reads_and_writes_what_the_task_has(self) -> PeerSpec:
        traits = self.task.component.traits
        reads = self.peer.component.traits.get("inputs", "text")
        for trait, does, found in (("inputs", "reads", reads), ("outputs", "writes", "text")):
            given = traits.get(trait, "text")
            if given != found:
                message = (
                    f"the {trait} of the task '{self.task.name}' are of the kind '{given}', but the peer "
                    f"'{self.peer.name}' {does} '{found}': take another task, or another peer"
                )
                raise ValidationError.from_exception_data("Spec", [error_at(("peer",), message, self.peer.name)])
        return self

    _one_stack_has_one_vocabulary = model_validator(mode="after")(_not_asked)
    _separate_vocabularies_share_no_matrix = model_validator(mode="after")(_not_asked)
    _pretrained_tokenizers_come_with_their_model = model_validator(mode="after")(_not_asked)
    _packed_rows_have_no_context = model_validator(mode="after")(_not_asked)
    _fused_scores_are_made_whole = model_validator(mode="after")(_not_asked)
    _probing_needs_probes = model_validator(mode="after")(_not_asked)

    @model_validator(mode="wrap")
    @classmethod
    def _without_what_is_of_models(cls, data: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if not isinstance(data, dict):
            return handler(data)
        kept = {key: value for key, value in data.items() if key not in ASIDE}
        evaluation = kept.get("evaluation")
        if isinstance(evaluation, dict):
            kept["evaluation"] = {key: value for key, value in evaluation.items() if key != "probes"}
        return handler(kept)


def is_of_a_peer(data: Any) -> bool:
    """Whether a spec, as plain data or as a tree, is that of a peer."""
    if isinstance(data, Node):
        entry = (data.entries or {}).get("peer")
        return entry is not None and entry.node.value is not None
    return isinstance(data, dict) and data.get("peer") is not None


def refuse_varied_models(root: Node) -> None:
    """Raise InputError where a grid varies what a peer leaves aside: its cells would be one peer under many names."""
    grid = root.entries.get("grid") if root.entries else None
    axes = (grid.node.entries or {}) if grid else {}
    for axis, entry in axes.items():
        for path, mark in varied_paths(axis, entry):
            if path.split(".")[0] in ASIDE:
                raise InputError(
                    f"'grid': '{path}' is of a model, and a peer stands in its place: extend a file without this grid",
                    where=str(mark),
                )


def refuse_peer(spec: Spec) -> None:
    """Raise InputError where there is no model to build or to train, but a peer."""
    if isinstance(spec, PeerSpec):
        raise InputError(
            f"the peer '{spec.peer.name}' comes as it is, and nothing of it is built or trained here: "
            "'zoo bench' evaluates it",
            where=spec.name,
        )


def _of_files(schema: dict[str, Any]) -> None:
    """In the JSON Schema: what files give of models is not looked at."""
    for name in ASIDE:
        schema["properties"][name] = {"description": "Of models: left aside, as there is a peer"}
