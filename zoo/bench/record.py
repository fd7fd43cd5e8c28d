"""`zoo.record/5`: one immutable JSON file per attempt at a cell. Older files are read through `zoo.bench.migration`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

SCHEMA: Literal["zoo.record/5"] = "zoo.record/5"

Status = Literal["ok", "collapsed", "nan", "oom", "timeout", "invalid", "infra"]
"""ok; collapsed: one output whatever the input; nan: a loss that is not finite; oom; timeout; invalid: the cell
cannot be built; infra: the machine failed, not the cell (the only status that is retried)."""


LARGEST = 2**53 - 1
"""Integers up to here are exact for every reader of JSON (RFC 7493, section 2.2), Parquet and SQL."""
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[int, Field(ge=1, le=LARGEST)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Quality(_Part):
    """One metric on one split."""

    metric: str
    value: float
    direction: Literal["higher", "lower"]
    unit: str = Field(description="Unit of the value, such as 'points' or 'fraction'")
    signature: str = Field(description="Version and settings of the metric")
    split: str
    examples: Count = Field(description="Number of scored examples")
    interval: tuple[float, float] | None = Field(default=None, description="95% interval over examples")


STEADY = 1.5
"""Fresh processes that do the same, undisturbed, differ by less than this factor."""


class Distribution(_Part):
    """Repeated samples of one quantity."""

    unit: str
    samples: Positive
    median: float = Field(description="Of the processes' medians where there are several, else of the samples")
    minimum: float
    maximum: float
    p90: float | None = Field(default=None, description="Only from 100 samples")
    p99: float | None = Field(default=None, description="Only from 1000 samples")
    processes: list[float] = Field(
        default_factory=list, description="The median of each fresh process, in the order they ran"
    )
    warmup: list[Count] = Field(
        default_factory=list, description="Calls that each process made before its first sample"
    )
    values: list[float] = Field(default_factory=list, description="The samples themselves, in order")

    @property
    def spread(self) -> float | None:
        """How many times as long the slowest process took as the fastest; None where there are not two to compare."""
        if len(self.processes) < 2 or min(self.processes) <= 0:
            return None
        return max(self.processes) / min(self.processes)

    @property
    def is_unsteady(self) -> bool:
        """Whether the processes differ so much that they cannot have had the machine to themselves."""
        return self.spread is not None and self.spread > STEADY


class Throughput(_Part):
    """Many sources (sentences, images) at once. A batch that the memory does not hold is on record as that, never as a
    smaller one."""

    batch: Positive = Field(description="Sentences generated at once")
    status: Literal["ok", "oom", "untried"] = Field(
        default="ok", description="untried: a smaller batch was too large for the memory already"
    )
    tokens_per_second: float | None = Field(default=None, description="Generated tokens a second")
    sentences_per_second: float | None = Field(default=None, description="Outputs a second, of whatever is read")


class Memory(_Part):
    """What a fresh process that loads the model and generates needs, in bytes."""

    kind: str = Field(description="What is counted: 'rss' or 'cuda-allocated'")
    batch: Positive | None = Field(default=None, description="Sentences generated at once")
    peak: Count
    before_load: Count | None = None
    after_load: Count | None = None
    reserved: Count | None = Field(default=None, description="Peak that torch's allocator held on the GPU")
    device: Annotated[int, Field(ge=-LARGEST, le=LARGEST)] | None = Field(
        default=None, description="By how much the GPU's used memory grew: context, kernels and libraries included"
    )


class TrainingMemory(_Part):
    """What the steps of training took at most, in bytes, in the first of its processes; what is done between them, such
    as evaluations and checkpoints, is left out."""

    kind: str = Field(
        description="What is counted: 'rss', 'cuda-allocated', or, where the system cannot begin a peak anew, "
        "'rss-process': everything since the process began"
    )
    peak: Count
    before: Count | None = Field(
        default=None, description="The same just before the first step: of 'rss' interpreter, libraries and data too"
    )
    reserved: Count | None = Field(
        default=None, description="Peak that torch's allocator held on the GPU, between the steps too"
    )

    @property
    def growth(self) -> int | None:
        """What training took beyond what was there before its first step; None where that is not known."""
        return None if self.before is None else max(0, self.peak - self.before)


class Energy(_Part):
    """Experimental: the GPU's own counter (NVML) over one throughput run; everything that ran on the GPU is in it."""

    joules: float = Field(ge=0)
    seconds: float = Field(gt=0)
    tokens: Count = Field(description="Tokens generated meanwhile")
    source: str


class Calibration(_Part):
    """A fixed kernel timed before and after: how far the machine itself moved while it measured."""

    kernel: str
    before: float = Field(gt=0, description="Median seconds")
    after: float = Field(gt=0, description="Median seconds")


class Performance(_Part):
    """What was measured on one device. Absent parts were not measured."""

    device: str = Field(description="'cpu' or the name of the GPU")
    device_kind: Literal["cpu", "cuda"]
    threads: Positive
    dtype: str
    attention: str = Field(description="Attention backend that ran")
    latency: Distribution | None = Field(default=None, description="End-to-end, one source, seconds")
    device_time: Distribution | None = Field(
        default=None,
        description="Generation alone by CUDA events, one source that is on the device, seconds between the events",
    )
    encode: Distribution | None = Field(
        default=None, description="Reading the source alone (the encoder), one source, seconds"
    )
    decode_per_token: Distribution | None = Field(
        default=None, description="Generation of one output, the source being read, seconds per generated token"
    )
    throughput: list[Throughput] = Field(default_factory=list, description="One for each batch size")
    memory: Memory | None = None
    energy: Energy | None = None
    calibration: Calibration | None = None
    training_tokens_per_second: float | None = Field(
        default=None, description="Tokens of sources (patches, of images) and targets"
    )
    training_steps_per_second: float | None = Field(
        default=None, description="Optimizer steps by the time in them: evaluations and checkpoints left out"
    )
    training_memory: TrainingMemory | None = None
    optimizer_state_bytes: Count | None = Field(default=None, description="Tensors of the optimizer's state")
    disk_bytes: Count | None = Field(
        default=None, description="Files with the model's weights and graphs; left out where it was not looked at"
    )

    @model_serializer(mode="wrap")
    def _without_a_size_that_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        if self.disk_bytes is None:
            plain.pop("disk_bytes", None)  # so that records without one are as they were
        return plain


class OutputsFile(_Part):
    """The Parquet file beside the record: one row per scored example."""

    file: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{7,150}$", description="Name in the record's folder")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    examples: Count
    text: bool = Field(description="Whether sources, references and outputs are in it, or scores alone")


class Sample(_Part):
    """One example with its output, for the model page."""

    id: str
    source: str
    reference: str
    output: str


class CurvePoint(_Part):
    """One logged point of training."""

    step: Count
    loss: float | None = None
    dev_loss: float | None = None
    learning_rate: float | None = None
    gradient_norm: float | None = Field(default=None, description="Of all gradients together, before clipping")
    clipped_norm: float | None = Field(default=None, description="The same after clipping")
    clipped_fraction: float | None = Field(default=None, description="Share of the steps whose gradients were clipped")
    update_clipped_fraction: float | None = Field(
        default=None, description="Share of the tensors whose update was clipped"
    )
    gradients: dict[str, float] = Field(
        default_factory=dict,
        description="Of parts of the gradients, by <part>.<name>: norm and clipped_norm, before and after clipping, of "
        "groups that are clipped each on its own (and their clipped_fraction), and of embedding rows by frequency",
    )
    probes: dict[str, float] = Field(
        default_factory=dict, description="Scalars of probes on the development split, by <probe>.<name>"
    )
    losses: dict[str, float] = Field(
        default_factory=dict,
        description="The parts of a loss that is a weighted sum of several (a detector's), unweighed; else left out",
    )
    averaged_dev_loss: float | None = Field(
        default=None, description="The dev_loss of averaged weights, where the spec averages; else left out"
    )

    @model_serializer(mode="wrap")
    def _without_an_average_that_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        if self.averaged_dev_loss is None:
            plain.pop("averaged_dev_loss", None)  # so that records without one are as they were
        if not self.losses:
            plain.pop("losses", None)
        return plain


class ProbeSeries(_Part):
    """What a probe found along an axis, such as layers or classes of tokens."""

    axis: str = Field(description="What the places are, such as 'decoder layer'")
    unit: str = Field(description="What the values are, such as 'share of attention'")
    x: list[float] | list[str] = Field(description="The places, in order: numbers, or names")
    lines: dict[str, list[float | None]] = Field(
        description="Name of a line -> its values, one for each place; null where there is none"
    )


class PeerPart(_Part):
    """What ran where nothing was trained here. What its models were trained on is not known to zoo."""

    engine: str = Field(description="The program, such as 'tesseract'")
    version: str
    models: dict[str, str] = Field(description="File name of each model that was read -> sha256:<hex> of its bytes")
    libraries: dict[str, str] = Field(default_factory=dict, description="Name -> version of what it computes with")
    precision: str = Field(default="unknown", description="What its models' weights are held in")


class ExportPart(_Part):
    """What was evaluated and measured where it was not the model in torch."""

    exporter: str = Field(description="Component that wrote it, such as 'onnx'")
    weights: str = Field(description="What the weights are held in, such as 'int8'")
    runtime: dict[str, str] = Field(description="Name -> version of what ran it")
    made_with: dict[str, str] = Field(default_factory=dict, description="Name -> version of what wrote it")
    parity: dict[str, Any] | None = Field(default=None, description="How far it is from the model in torch")


class Record(_Part):
    """One attempt. `id` is the file's name without its ending."""

    schema_: Literal["zoo.record/5"] = Field(default=SCHEMA, alias="schema")
    id: str = Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{7,127}$")
    created: str = Field(description="UTC, ISO 8601")
    cell: str = Field(
        description="Key of the cell: sha256 of spec, seed, data revision, plugin versions, hardware class"
    )
    name: str = Field(description="Name of the model in the spec")
    role: Literal["model", "baseline", "peer"] = Field(
        default="model",
        description="baseline: a control such as copying the source or an untrained model; peer: a system that does "
        "the task as it comes, not trained here",
    )
    task: str = Field(description="Board, such as office-zh-en")
    status: Status
    error: str | None = Field(default=None, description="One line for every status but ok")
    seed: Count
    spec: dict[str, Any] = Field(
        description="Resolved spec; of a baseline without a model the sections that decide its score"
    )
    spec_hash: str
    data_revision: str
    hardware: str | None = Field(
        default=None, description="Hardware class in the cell's key, such as 'cuda: NVIDIA H100'; null for a baseline"
    )
    distributions: dict[str, str] = Field(description="Distribution -> version")
    parameters: Count | None = Field(default=None, description="Trainable parameters, each tied matrix once")
    steps: Count | None = None
    training_seconds: float | None = None
    training_tokens: Count | None = Field(
        default=None, description="Source and target tokens that training read, padding left out"
    )
    quality: list[Quality] = Field(default_factory=list)
    performance: list[Performance] = Field(default_factory=list)
    probes: dict[str, float] = Field(default_factory=dict, description="Named scalars, such as distinct_output_ratio")
    probe_series: dict[str, ProbeSeries] = Field(
        default_factory=dict, description="What the spec's probes found along an axis, by <probe>.<name>"
    )
    curve: list[CurvePoint] = Field(default_factory=list)
    samples: list[Sample] = Field(default_factory=list)
    outputs: OutputsFile | None = None
    environment: dict[str, Any] = Field(
        default_factory=dict, description="Host, CPU, GPU, clocks, versions, git commit"
    )
    attempt: Positive = 1
    peer: PeerPart | None = Field(default=None, description="What ran, of a peer; else left out")
    export: ExportPart | None = Field(default=None, description="What ran, of an exported model; else left out")

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        for name in ("peer", "export"):
            if getattr(self, name) is None:
                plain.pop(name, None)  # so that records of models are as they were
        return plain
