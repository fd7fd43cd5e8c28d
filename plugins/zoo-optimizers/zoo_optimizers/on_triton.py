"""Whether torch-optimi's Triton kernels can move a set of parameters."""

from __future__ import annotations

import torch
from optimi.utils import HAS_TRITON

from zoo.training.contracts import NamedParameters


def use_triton(parameters: NamedParameters) -> bool:
    """True where Triton is installed and every parameter is on a GPU that it compiles for."""
    return bool(HAS_TRITON) and all(
        parameter.is_cuda and torch.cuda.is_bf16_supported() and parameter.is_floating_point()
        for _, parameter in parameters
    )
