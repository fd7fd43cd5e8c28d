"""From YAML to a validated, resolved spec, its hash and its lock. Torch-free."""

from zoo.spec.load import (
    Cell,
    chosen_components,
    distributions_of,
    load_cells,
    load_spec,
    resolve,
    resolve_model,
    spec_hash,
)
from zoo.spec.model_section import ModelSection
from zoo.spec.options import Chosen, NoOptions, Options, Slot
from zoo.spec.sections import Spec

__all__ = [
    "Cell",
    "Chosen",
    "ModelSection",
    "NoOptions",
    "Options",
    "Slot",
    "Spec",
    "chosen_components",
    "distributions_of",
    "load_cells",
    "load_spec",
    "resolve",
    "resolve_model",
    "spec_hash",
]
