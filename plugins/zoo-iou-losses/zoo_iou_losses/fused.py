"""Value and gradient of a box loss in one pass over the boxes, compiled to one kernel where there is a compiler.

Autograd keeps some fifty tensors of ``[N]`` between forward and backward of CIoU. Each box stands for itself, so its
gradient can be had with its value: then ``[N, 4]`` is all that is kept.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.boxes.contracts import BoxLoss
from zoo_iou_losses.geometry import widened
from zoo_iou_losses.options import FusedOptions

CHUNK = 16_384
"""Boxes at a time on a CPU: in columns of this length they stay in its cache, and one kernel fits every number."""


class Compiled:
    """A function of tensors, compiled at its first call.

    Where that fails (no C++ compiler, no Triton) it warns once and runs as it is.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, Tensor]], *, enabled: bool, dynamic: bool) -> None:
        self._plain = function
        self._compiled: Callable[..., tuple[Tensor, Tensor]] | None = (
            torch.compile(function, dynamic=dynamic, fullgraph=True) if enabled else None
        )

    @property
    def is_compiled(self) -> bool:
        """Whether it runs, or will try to run, as a kernel."""
        return self._compiled is not None

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        if self._compiled is not None:
            try:
                return self._compiled(*tensors)
            except RuntimeError as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                warnings.warn(f"box losses are computed without a compiled kernel: {lines[0][:200]}", stacklevel=2)
                self._compiled = None
        return self._plain(*tensors)


class ColumnKernel:
    """Losses and gradients of boxes in columns ``[4, N]``, in which a CPU's vector units read them."""

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor], *, compiled: bool) -> None:
        def total(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            values = loss(predicted.t(), target.t())  # [N]
            return values.sum(), values

        derivative = torch.func.grad(total, has_aux=True)

        def run(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            gradient, values = derivative(predicted, target)
            return values, gradient

        self._of_one_length = Compiled(run, enabled=compiled, dynamic=False)
        self._of_any_length = Compiled(run, enabled=compiled, dynamic=True)

    @property
    def chunk(self) -> int | None:
        """The one number of boxes that it takes on a CPU; None where any will do."""
        return CHUNK if self._of_one_length.is_compiled else None

    def __call__(self, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """``[4, N]`` each -> losses ``[N]`` and the gradient of their sum ``[4, N]``."""
        run = self._of_one_length if predicted.device.type == "cpu" else self._of_any_length
        return run(predicted, target)


class _Kept(torch.autograd.Function):
    """The losses, with the gradient already there. The first backward pass takes it, a second one computes it again."""

    @staticmethod
    def forward(ctx: Any, predicted: Tensor, target: Tensor, kernel: ColumnKernel) -> Tensor:
        values, gradient = value_and_gradient(kernel, predicted, target)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(predicted, target)
            ctx.kernel, ctx.gradient = kernel, gradient
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        kept, ctx.gradient = ctx.gradient, None
        if kept is None:
            kept = value_and_gradient(ctx.kernel, *ctx.saved_tensors)[1]
        return kept.mul_(gradients[0][:, None]), None, None  # [N, 4]


def value_and_gradient(kernel: ColumnKernel, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """predicted and target ``[N, 4]`` of one dtype -> losses ``[N]`` and their gradients ``[N, 4]``."""
    if predicted.device.type != "cpu":
        values, gradient = kernel(predicted.t(), target.t())
        return values, gradient.t().contiguous()
    count = len(predicted)
    values, gradient = predicted.new_empty(count), torch.empty_like(predicted)
    # What is left over in the last chunk are boxes from before, whose losses nobody reads.
    columns = predicted.new_zeros(2, 4, kernel.chunk or min(CHUNK, count))
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        for column, boxes in zip(columns, (predicted, target), strict=True):
            torch.stack(boxes[start : start + size].unbind(-1), out=column[:, :size])  # [4, size]
        found, slope = kernel(columns[0], columns[1])
        values[start : start + size] = found[:size]
        gradient[start : start + size] = slope[:, :size].t()  # [size, 4]
    return values, gradient


class Fused(BoxLoss):
    """Another loss, value and gradient together: the same numbers, in less time and memory for many boxes."""

    options: FusedOptions

    def __init__(self, options: FusedOptions) -> None:
        super().__init__(options)
        self.of: BoxLoss = options.of.create()
        name = options.of.name
        if self.of.coordinates != 4 or next(self.of.buffers(), None) is not None or isinstance(self.of, Fused):
            raise InputError(
                f"box-loss fused: 'of' is '{name}': expected a loss of boxes x1, y1, x2, y2 that keeps no state and is "
                "not fused already"
            )
        self.bounds = self.of.bounds
        self.length = self.of.length
        for claim in ("zero_at_identity", "symmetric", "scale_invariant", "translation_invariant", "exact_gradient"):
            setattr(self, claim, getattr(self.of, claim))
        self._kernel = ColumnKernel(self.of, compiled=options.backend == "inductor")

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        if target.requires_grad or predicted.device.type == "meta":
            return self.of(predicted, target)  # type: ignore[no-any-return]
        predicted, target = torch.broadcast_tensors(widened(predicted), widened(target))
        shape = predicted.shape[:-1]
        dtype = torch.promote_types(predicted.dtype, target.dtype)
        predicted, target = (boxes.to(dtype).reshape(-1, 4) for boxes in (predicted, target))
        losses: Tensor = _Kept.apply(predicted, target, self._kernel)  # type: ignore[no-untyped-call]
        return losses.reshape(shape)
