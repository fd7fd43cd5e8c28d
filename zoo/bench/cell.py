"""A cell: everything that decides a result, and the key that names it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zoo import __version__
from zoo.bench.record import PeerPart, Record
from zoo.spec import Spec, distributions_of
from zoo.spec.lock import FRAMEWORKS
from zoo.spec.peer_spec import PeerSpec
from zoo.spec.sections import MeasurementSection
from zoo.tasks.peers import PeerFacts

CORE = "zoo-registry"
Job = Literal["model", "copy", "untrained"]
"""Train and measure a model, or score one of the two controls."""
BASELINES: tuple[Job, ...] = ("copy", "untrained")
"""The controls of a board of texts: see `controls_of`."""
BASELINE_SECTIONS = ("task", "tokenizer", "decoding", "evaluation")
"""What decides the score of a control: the sections of the spec that are in its key."""
DETECTOR_SECTIONS = ("task", "detection", "evaluation")
"""The same of a control on a board of detectors."""
GENERATOR_SECTIONS = ("task", "generation", "evaluation")
"""And of generators."""
_OPTIONAL_SECTIONS = ("target_tokenizer",)
"""Further ones that a spec may lack."""


def baseline_spec(spec: Mapping[str, Any], baseline: str = "untrained") -> dict[str, Any]:
    """The sections of a resolved spec that decide the score of a control. Raises KeyError where one is not there."""
    sections = {section: spec[section] for section in _sections(spec)}
    # Probes are read off models: a control is the same whichever are asked for.
    sections["evaluation"] = {name: value for name, value in sections["evaluation"].items() if name != "probes"}
    # Untrained, a model that begins with a pretrained one is a control of its own.
    optional = (*_OPTIONAL_SECTIONS, *(("model",) if baseline != "copy" and _begun(spec) else ()))
    return sections | {section: spec[section] for section in optional if spec.get(section) is not None}


def controls_of(spec: Spec) -> tuple[Job, ...]:
    """The controls of the board that a spec's model stands on. A source that is an image cannot be given back as a
    text, but as an image it can. A peer has none: those of its board are its models', whose tokenizers and decoding
    they share.
    """
    if isinstance(spec, PeerSpec):
        return ()
    return BASELINES if spec.model.makes_images or not spec.model.reads_images else ("untrained",)


def trained_spec(spec: Spec) -> Spec:
    """What decides the weights that an export is made of: cells that differ in nothing else share one training."""
    changes = {"name": "trained", "description": "", "export": None, "measurement": MeasurementSection()}
    return spec.model_copy(update=changes)


def key_of_training(spec: Spec, revision: str) -> str:
    """sha256 in hex of what `trained_spec` gives, the data and the versions of what trains it."""
    distributions = {CORE: __version__, **distributions_of(spec)}
    return _key({"spec": spec.plain(), "data_revision": revision, "distributions": distributions})


def recorded_name(spec: Spec, job: Job) -> str:
    """The name of a cell's record: that of the model or of the control. The untrained control of a model that begins
    with a pretrained one is named after the first model that has it: a board may hold several."""
    if job == "model":
        return spec.name
    return f"{job}+{spec.name}" if job == "untrained" and spec.model.pretrained is not None else job


def _sections(spec: Mapping[str, Any]) -> tuple[str, ...]:
    if "generation" in spec:
        return GENERATOR_SECTIONS
    return DETECTOR_SECTIONS if "detection" in spec else BASELINE_SECTIONS


def _begun(spec: Mapping[str, Any]) -> bool:
    return (spec.get("model") or {}).get("pretrained") is not None


@dataclass(frozen=True)
class Cell:
    """Resolved spec (its seed included) + data revision + plugin versions + hardware class, and of a peer what runs.

    The description of a spec changes nothing and is left out of the key. So are the versions of torch and of other
    libraries: they are in each record's environment, and `zoo bench --again` runs a finished cell anew.
    """

    spec: Spec
    data_revision: str
    hardware: str
    peer: PeerFacts | None = None

    @property
    def distributions(self) -> dict[str, str]:
        """Distribution -> version of the core and of every plugin that the spec uses."""
        return dict(sorted({CORE: __version__, **distributions_of(self.spec)}.items()))

    @property
    def key(self) -> str:
        """sha256 in hex."""
        identity = _identity(self.peer)
        return _model_key(self.spec.plain(), self.data_revision, self.distributions, self.hardware, identity)

    def baseline_key(self, baseline: str) -> str:
        """The key of a control on this cell's task: the same for every model with this data, tokenizer and scoring.

        A control tells what a score is worth, so it is run once for a board and not once for a model.
        """
        return _baseline_key(baseline, self.spec.plain(), self.data_revision)


def key_of_record(record: Record) -> str | None:
    """The key that follows from what a record says of its cell; None where it does not say enough.

    Records of the first schema do not name their hardware class, nor the spec of a baseline without a model.
    """
    if record.role == "baseline":
        known = all(section in record.spec for section in _sections(record.spec))
        baseline = record.name.partition("+")[0]
        return _baseline_key(baseline, record.spec, record.data_revision) if known else None
    if record.hardware is None:
        return None
    distributions = {name: version for name, version in record.distributions.items() if name not in FRAMEWORKS}
    return _model_key(record.spec, record.data_revision, distributions, record.hardware, _identity(record.peer))


def _model_key(
    spec: Mapping[str, Any],
    revision: str,
    distributions: Mapping[str, str],
    hardware: str,
    peer: Mapping[str, Any] | None,
) -> str:
    return _key(
        {
            "role": "model",
            "spec": {key: value for key, value in spec.items() if key != "description"},
            "data_revision": revision,
            "distributions": distributions,
            "hardware": hardware,
        }
        | ({} if peer is None else {"role": "peer", "peer": peer})
    )


def _identity(peer: PeerFacts | PeerPart | None) -> dict[str, Any] | None:
    """What of a peer makes another cell. The libraries below it do not, as those below a model do not."""
    return None if peer is None else {"engine": peer.engine, "version": peer.version, "models": dict(peer.models)}


def _baseline_key(baseline: str, spec: Mapping[str, Any], revision: str) -> str:
    return _key(
        {
            "role": "baseline",
            "baseline": baseline,
            "spec": baseline_spec(spec, baseline),
            "data_revision": revision,
        }
    )


def _key(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
