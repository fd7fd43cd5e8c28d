"""What training asks of its components: losses per token, optimizers, clipping of gradients and updates, schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.spec.options import Options

if TYPE_CHECKING:
    from zoo.models.contracts import Role

NamedParameters = Sequence[tuple[str, nn.Parameter]]


@dataclass(frozen=True)
class LossContext:
    """Where in training a loss is computed."""

    step: int
    total_steps: int
    log_probabilities: bool = False
    """Whether the scores are log-probabilities to be taken as they are, even where they do not sum to one."""
    examples: Tensor | None = None
    """``[M]``: a number for each token, the same for those of one text and for no others; these stand side by side and
    in order. A source that is learned too (`training.source_loss`) is a text of its own. None where nobody said."""


class TokenLoss(nn.Module):
    """Built as ``target(options)``. The host drops padding before and reduces after.

    What stands here as attributes of the class may depend on the options: then it is set in ``__init__``.
    """

    takes_log_probabilities: bool = False
    """Whether `forward` heeds ``context.log_probabilities``. If not, models that give such scores are refused."""
    passes: int = 1
    """How many passes of the same batch it compares, each with dropout masks of its own."""
    is_cross_entropy: bool = False
    """Whether it is the plain cross entropy: what a model whose loss is its own business is given."""
    row_wise: bool = True
    """Whether the loss of a token depends on nothing but its own logits and target. Then the host may ask for a few
    tokens at a time (`training.logits_chunk`)."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        """logits ``[M, V]`` of the M real target tokens, targets ``[M]`` -> loss per token ``[M]``, float32.

        With several `passes` the logits are ``[passes, M, V]``, and the loss is one for all of them.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class LayerMatrix:
    """A weight matrix ``[out, in]`` of an attention or feed-forward layer, as an optimizer may want to know it."""

    parameter: str
    """Name of the parameter that it stands in."""
    start: int
    """Its first row there: a fused parameter holds several matrices, one under another."""
    stop: int
    """The row after its last."""
    role: Role
    head_dim: int | None = None
    """Rows of one head, of a query, a key or a value."""


class OptimizerFactory(ABC):
    """Built as ``target(options)``."""

    clips_updates: bool = False
    """Whether the optimizer bounds its own updates (Adafactor): then gradient clipping is usually left off."""
    matrices: Sequence[LayerMatrix] = ()
    """The layers' matrices among the parameters. The host sets it before it calls `create`."""

    steps_in_backward: bool = False
    """Whether `create` makes a `StepsInBackward`."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def refuse(self, device: torch.device) -> None:  # noqa: B027 - most run anywhere
        """Raise ZooError, naming another, where `device` or what is installed cannot run it.

        The host asks before it prepares data or a model. `create` raises the same.
        """

    @abstractmethod
    def create(self, parameters: NamedParameters) -> Optimizer:
        """An optimizer over the named parameters. Raises ZooError, naming another, where this device cannot run it.

        Its `state_dict` is plain: dicts with text or integer keys, lists, tuples, tensors, text, numbers and None.
        """

    def state_bytes(self, parameters: NamedParameters) -> int | None:
        """Bytes that the optimizer keeps once each of the parameters has had a gradient, by its algorithm's own count.

        What `optimizer_state_bytes` must find: moments, factors, scales, step counters. None where nobody has counted.
        """
        return None

    def serving(self, optimizer: Optimizer) -> AbstractContextManager[None]:
        """While it is open, the parameters are the weights that the method is judged by and leaves behind.

        For methods whose gradients are taken elsewhere (schedule-free: its average is served). On leaving, parameters
        are what they were, bit for bit. A `state_dict` taken inside belongs to the served weights: an optimizer that
        loads it over them puts the parameters back to where training goes on.
        """
        return nullcontext()


class StepsInBackward(Optimizer, ABC):
    """An optimizer that moves a parameter as soon as its gradient is there, and frees the gradient.

    Nobody sees all gradients of a step at once: they are neither clipped nor accumulated. `step` moves only what has a
    gradient still.
    """

    @abstractmethod
    def gradient_norm(self) -> Tensor:
        """``[]``, float32: global L2 norm of the gradients freed since the last call."""


@dataclass(frozen=True)
class Clipped:
    """What one clipping did. Scalars on the gradients' device, so that nobody waits for it until they are logged."""

    norm: Tensor
    """``[]``: global L2 norm of the gradients before clipping."""
    clipped_norm: Tensor
    """``[]``: the same after clipping."""
    clipped: Tensor
    """``[]``, bool: whether any gradient was changed."""
    groups: Mapping[str, Clipped] = field(default_factory=dict)
    """What was done to groups of parameters that are clipped each on its own, by name; the same names in every step."""


class Clipping(ABC):
    """Built as ``target(options)``."""

    changes_gradients: bool = True
    """Whether it may change a gradient. If not, it goes with optimizers that step in the backward pass."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def clip(self, parameters: NamedParameters) -> Clipped:
        """Change the gradients in place. Parameters without a gradient are passed over."""


class UpdateClipping(ABC):
    """Built as ``target(options)``. Bounds what a step does to each tensor; `zoo.training.clipped_updates` hosts it.

    It goes with optimizers whose record says where their second moment is: the trait ``second_moment`` names the entry
    of the optimizer's state that holds, for each weight, the mean of squared gradients which decays by ``betas[1]`` and
    is corrected for its start by ``step``. Their steps, weight decay included, are linear in the learning rate, and
    they leave gradients as they were.
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def scale(self, gradient: Tensor, second_moment: Tensor, eps: float) -> Tensor:
        """What one tensor's learning rate is multiplied by in this step: ``[]``, in (0, 1], 1 to leave it.

        `second_moment` has this step's `gradient` in it, and its shape and type; `eps` is the optimizer's.
        """


class Schedule(ABC):
    """Built as ``target(options)``."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def factor(self, step: int, total_steps: int) -> float:
        """The multiple of the optimizer's learning rate at `step` (0 is the first optimizer step)."""
