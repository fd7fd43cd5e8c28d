"""AdamW on gradients projected to a low rank."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from pytorch_optimizer import GaLore as LibraryGaLore
from pytorch_optimizer.optimizer.utils.galore import GaLoreProjector
from torch import Tensor
from torch.optim import Optimizer

from zoo.errors import ZooError
from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.composite import Composite, CompositeInBackward, Part
from zoo_optimizers.groups import piece_groups
from zoo_optimizers.optimizer_options import GaLoreOptions
from zoo_optimizers.pieces import Piece, pieces_of

_KEY = "projector"


class _Projector(GaLoreProjector):  # type: ignore[misc]
    """The library's, at the paper's steps: decompositions at t = 0, T, 2T, ... where it counts from 1."""

    def project(self, grad: Tensor, num_steps: int, *args: Any, **kwargs: Any) -> Tensor:
        return super().project(grad, num_steps - 1, *args, **kwargs)  # type: ignore[no-any-return]

    def update_ortho_matrix(self, x: Tensor, from_random_matrix: bool) -> None:
        # What is not finite shows in the step, and so in the loss; a decomposition of it would raise instead.
        super().update_ortho_matrix(x.nan_to_num(0.0, 0.0, 0.0), from_random_matrix)
        # A decomposition lies by columns, a loaded matrix by rows: products of the two differ in their last bits.
        self.ortho_matrix = self.ortho_matrix.contiguous()


class _GaLore(LibraryGaLore):  # type: ignore[misc]
    """The library's, whose projections are saved as tensors instead of objects."""

    def __init__(self, groups: Sequence[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, **defaults)
        for group in self.param_groups:
            if "rank" in group:
                for parameter in group["params"]:
                    self.state[parameter][_KEY] = _projector(group)

    def state_dict(self) -> dict[str, Any]:
        packed: dict[str, Any] = super().state_dict()
        packed["state"] = {
            number: {key: _plain(value) if key == _KEY else value for key, value in state.items()}
            for number, state in packed["state"].items()
        }
        return packed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                if _KEY in state:
                    plain, state[_KEY] = state[_KEY], _projector(group)
                    state[_KEY].ortho_matrix, state[_KEY].last_svd_step = plain["matrix"], plain["step"]


def _projector(group: dict[str, Any]) -> _Projector:
    return _Projector(rank=group["rank"], update_proj_gap=group["update_proj_gap"], scale=group["scale"])


def _plain(projector: _Projector) -> dict[str, Any]:
    return {"matrix": projector.ortho_matrix, "step": projector.last_svd_step}


class GaLore(OptimizerFactory):
    """Zhao et al. 2024 (arXiv:2403.03507), algorithm 2, by pytorch-optimizer.

    The gradient G of an m x n matrix of an attention or feed-forward layer becomes ``R = P^T G`` with the r first left
    singular vectors P of one gradient every T steps (``G Q`` with right ones where m >= n); AdamW's step N of R comes
    back as ``alpha P N``. Queries, keys and values are matrices by themselves, though one parameter holds them.
    Everything else is AdamW's. Moments are kept when the projection changes, as in the paper's experiments.

    With `per_layer` each parameter moves as soon as its gradient is there, which is then freed (section 4.3): of all
    gradients, those of one layer or so exist at a time.
    """

    options: GaLoreOptions

    def __init__(self, options: GaLoreOptions) -> None:
        super().__init__(options)
        self.steps_in_backward = options.per_layer

    def create(self, parameters: NamedParameters) -> Optimizer:
        pieces = self._pieces(parameters)
        if not self.options.per_layer:
            return Composite([self._part(pieces)])
        by_parameter = groupby(pieces, key=lambda piece: piece.name)
        return CompositeInBackward([self._part(list(of_one)) for _, of_one in by_parameter])

    def _part(self, pieces: Sequence[Piece]) -> Part:
        options = self.options
        projected = [piece for piece in pieces if piece.matrix is not None]
        others = [piece for piece in pieces if piece.matrix is None]
        groups = piece_groups(projected, options.weight_decay, options.no_decay)
        for group in groups:
            group |= {"rank": options.rank, "update_proj_gap": options.update_gap, "scale": options.scale}
            group |= {"projection_type": "std"}
        groups += piece_groups(others, options.weight_decay, options.no_decay)
        optimizer = _GaLore(groups, lr=options.lr, betas=(options.beta1, options.beta2), eps=options.eps)
        return Part(optimizer, pieces, options.lr)

    def _pieces(self, parameters: NamedParameters) -> list[Piece]:
        pieces = pieces_of(parameters, self.matrices)
        if all(piece.matrix is None for piece in pieces):
            raise ZooError("galore projects matrices of attention and feed-forward layers: there are none, take adamw")
        return pieces

    def state_bytes(self, parameters: NamedParameters) -> int:
        """Of a matrix with sides m <= n: a projection of m r numbers, two moments of n r; two moments of the rest."""
        numbers = 0
        for piece in self._pieces(parameters):
            if piece.matrix is None:
                numbers += 2 * piece.view.numel()
                continue
            short, long = sorted(piece.view.shape)
            rank = min(self.options.rank, short)
            numbers += short * rank + 2 * long * rank
        return 4 * numbers
