"""Update clipping around an optimizer that knows nothing of it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.errors import ZooError
from zoo.training.contracts import NamedParameters, UpdateClipping

_NAMED = 16
"""Of how many tensors the facts say how often each was clipped."""


class ClippedUpdates:
    """Scales an optimizer's step down, tensor by tensor, where a clipping says so.

    A step that is linear in the learning rate is scaled by going less far from the weights before it to those after
    it: the same weights as with a smaller rate in that tensor alone, up to rounding, and bit for bit the optimizer's
    where nothing is clipped. So weight decay shrinks with the step (Wortsman et al. 2023, arXiv:2304.13013,
    algorithm 2), while the rates in the optimizer's groups stay the schedule's, and fused kernels run as before.

    It is called by the optimizer, through its hooks, and costs a copy of the weights during the step.
    """

    def __init__(
        self, clipping: UpdateClipping, optimizer: Optimizer, parameters: NamedParameters, second_moment: str
    ) -> None:
        self._clipping = clipping
        self._entry = second_moment
        self._places: dict[Any, int] = {parameter: place for place, (_, parameter) in enumerate(parameters)}
        self._names = [name for name, _ in parameters]
        device = parameters[0][1].device if parameters else torch.device("cpu")
        self._counts = torch.zeros(len(parameters), dtype=torch.int64, device=device)
        self._steps = 0
        self._untouched = torch.zeros((), dtype=torch.bool, device=device)
        self._before: dict[nn.Parameter, Tensor] = {}
        self.fraction: Tensor = torch.zeros((), device=device)
        """``[]``: share of the tensors with a gradient whose update was clipped in the newest step."""
        optimizer.register_step_pre_hook(self._begin)
        optimizer.register_step_post_hook(self._end)

    def _begin(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._before = {
            parameter: parameter.detach().clone() for parameter in self._places if parameter.grad is not None
        }

    @torch.no_grad()
    def _end(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        before, self._before = self._before, {}
        hits: dict[int, Tensor] = {}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                weights = before.pop(parameter, None)
                if weights is None:
                    continue
                moment = self._second_moment(optimizer.state[parameter], group)
                scale = self._clipping.scale(parameter.grad, moment, group["eps"])  # []
                parameter.copy_(weights.lerp_(parameter, scale.to(weights)))
                hits[self._places[parameter]] = scale < 1
        if hits:
            clipped = torch.stack([hits.get(place, self._untouched) for place in range(len(self._names))])  # [tensors]
            self._counts += clipped
            self.fraction = clipped.sum() / len(hits)
            self._steps += 1

    def _second_moment(self, state: Any, group: Any) -> Tensor:
        """The second moment of one tensor, corrected for having started at zero."""
        moment: Tensor | None = state.get(self._entry)
        if moment is None:
            raise ZooError(f"update clipping: the optimizer's record names '{self._entry}', but its state has none")
        beta = group["betas"][1]
        if beta == 0:
            return moment
        step = torch.as_tensor(state["step"]).to(torch.promote_types(moment.dtype, torch.float32))
        # 1 - beta^t without cancellation, on the device where the step is counted there.
        return moment / -torch.expm1(step * math.log(beta))

    def facts(self) -> dict[str, Any]:
        """Steps seen, `tensors`, the share of their updates that was `clipped`, and the tensors clipped most often with
        their numbers of steps.
        """
        counts = self._counts.tolist()
        often = sorted((item for item in zip(self._names, counts, strict=True) if item[1]), key=lambda item: -item[1])
        updates = self._steps * len(counts)
        return {
            "steps": self._steps,
            "tensors": len(counts),
            "clipped_fraction": sum(counts) / updates if updates else 0.0,
            "clipped_most": dict(often[:_NAMED]),
        }

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"steps": self._steps, "counts": self._counts.tolist()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._steps = state["steps"]
        self._counts = torch.tensor(state["counts"], dtype=torch.int64, device=self._counts.device)
