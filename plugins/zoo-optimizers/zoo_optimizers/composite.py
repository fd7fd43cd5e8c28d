"""Several optimizers as one, each over some parameters, or over pieces of them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.training.contracts import StepsInBackward
from zoo_optimizers.pieces import Piece


@dataclass(frozen=True, eq=False)
class Part:
    """One of a composite's optimizers, with the pieces whose views it was given."""

    optimizer: Optimizer
    pieces: Sequence[Piece]
    lr: float

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that the pieces belong to, each once. No other part may have pieces of them."""
        return list(dict.fromkeys(piece.parameter for piece in self.pieces))


class Composite(Optimizer):
    """One group for each part, with its learning rate; what else a part's groups say stays inside.

    A schedule sets the rates here, and they reach the parts before each step.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(part for part in parts if part.pieces)
        super().__init__([{"params": part.parameters, "lr": part.lr} for part in self.parts], {})

    @property
    def state(self) -> dict[Any, Any]:  # type: ignore[override]
        """What the parts keep, by number, as plain data. To be looked at only."""
        return {number: part.optimizer.state_dict()["state"] for number, part in enumerate(self.parts)}

    @state.setter
    def state(self, value: Any) -> None:
        """torch's constructor sets an empty one."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Move every part. `closure`, where there is one, computes the loss anew and returns it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for number in range(len(self.parts)):
            self.step_part(number)
        return loss

    @torch.no_grad()
    def step_part(self, number: int) -> None:
        """Move one part, at the rate of its group."""
        part = self.parts[number]
        for group in part.optimizer.param_groups:
            group["lr"] = self.param_groups[number]["lr"]
        for piece in part.pieces:
            piece.refresh()
        part.optimizer.step()
        for piece in part.pieces:
            piece.let_go()

    def state_dict(self) -> dict[str, Any]:
        """As torch's, except that a group holds its part's groups, and the state is by part."""
        inner = [part.optimizer.state_dict() for part in self.parts]
        groups, first = [], 0
        for group, packed in zip(self.param_groups, inner, strict=True):
            count = len(group["params"])
            own = {key: value for key, value in group.items() if key != "params"}
            groups.append({**own, "params": list(range(first, first + count)), "groups": packed["param_groups"]})
            first += count
        return {"state": {number: packed["state"] for number, packed in enumerate(inner)}, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Raises ValueError where the state is of other parts."""
        groups = state_dict["param_groups"]
        if [len(group["params"]) for group in groups] != [len(group["params"]) for group in self.param_groups]:
            raise ValueError("loaded state dict is of an optimizer with other parameters")
        for number, (part, saved) in enumerate(zip(self.parts, groups, strict=True)):
            for piece in part.pieces:
                piece.refresh()
            part.optimizer.load_state_dict(
                {"state": state_dict["state"][number], "param_groups": saved["groups"]},
            )
            own = {key: value for key, value in saved.items() if key not in {"params", "groups"}}
            self.param_groups[number].update(own)


class CompositeInBackward(Composite, StepsInBackward):
    """A composite with one parameter in each part, moved when its gradient is complete."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__(parts)
        self._squares: list[Tensor] = []
        for number, part in enumerate(self.parts):
            (parameter,) = part.parameters
            handle = parameter.register_post_accumulate_grad_hook(_released(weakref.ref(self), number))
            # The parameter outlives the optimizer, and must not be moved by one that is gone.
            weakref.finalize(self, handle.remove)

    def step_part(self, number: int) -> None:
        """Move one part, if its gradient is there."""
        if self.param_groups[number]["params"][0].grad is not None:
            super().step_part(number)

    @torch.no_grad()
    def release(self, number: int) -> None:
        """Move the part's parameter and free its gradient."""
        (parameter,) = self.param_groups[number]["params"]
        self._squares.append(parameter.grad.float().square().sum())
        self.step_part(number)
        parameter.grad = None

    def gradient_norm(self) -> Tensor:
        squares, self._squares = self._squares, []
        if not squares:
            return torch.zeros((), device=self.param_groups[0]["params"][0].device)
        return torch.stack([square.to(squares[0].device) for square in squares]).sum().sqrt()


def _released(reference: weakref.ref[CompositeInBackward], number: int) -> Callable[[Tensor], None]:
    def hook(_: Tensor) -> None:
        optimizer = reference()
        if optimizer is not None:
            optimizer.release(number)

    return hook
