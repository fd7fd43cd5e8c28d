"""AdamW whose moments are kept in 8 bits."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch.optim import Optimizer

from zoo.errors import ZooError
from zoo.training.contracts import NamedParameters, OptimizerFactory
from zoo_optimizers.groups import decay_groups
from zoo_optimizers.optimizer_options import AdamW8bitOptions

_BLOCK = 256
_DEVICES = {"cpu", "cuda", "xpu"}
"""Where bitsandbytes has kernels for this optimizer."""
EXTRA = "pip install 'zoo-optimizers[bitsandbytes]'"


class AdamW8bit(OptimizerFactory):
    """Dettmers et al. 2022 (arXiv:2110.02861), by bitsandbytes: AdamW with block-wise quantised moments.

    Each block of 256 numbers of a moment is 256 codes of a dynamic 8-bit type (section 2.2) and one scale in single
    precision. Parameters with fewer than `min_8bit_size` numbers keep their moments in single precision. On a CPU it
    saves the same memory, but is slower than AdamW.
    """

    options: AdamW8bitOptions
    paged = False

    @property
    def _name(self) -> str:
        return "paged-adamw-8bit" if self.paged else "adamw-8bit"

    def refuse(self, device: torch.device) -> None:
        name = self._name
        if self.paged and device.type != "cuda":
            raise ZooError(
                f"{name} pages its moments out of a CUDA device, and the model is on {device}: take adamw-8bit"
            )
        if device.type not in _DEVICES:
            raise ZooError(f"{name} cannot run on {device}, which bitsandbytes has no kernels for: take adafactor")
        _bitsandbytes(name)

    def create(self, parameters: NamedParameters) -> Optimizer:
        self.refuse(next((parameter.device for _, parameter in parameters), torch.device("cpu")))
        library = _bitsandbytes(self._name)
        options = self.options
        kind = _restoring(library.optim.PagedAdamW8bit if self.paged else library.optim.AdamW8bit)
        optimizer: Optimizer = kind(
            decay_groups(parameters, options.weight_decay, options.no_decay),
            lr=options.lr,
            betas=(options.beta1, options.beta2),
            eps=options.eps,
            min_8bit_size=options.min_8bit_size,
        )
        return optimizer

    def state_bytes(self, parameters: NamedParameters) -> int:
        """Two bytes a number and two scales a block; the two tables of codes once; eight bytes a number of the small.

        On a CUDA device the same: managed memory counts, wherever its pages are.
        """
        sizes = [parameter.numel() for _, parameter in parameters]
        large = [size for size in sizes if size >= self.options.min_8bit_size]
        tables = 2 * 256 * 4 if large else 0
        return sum(2 * size + 8 * -(-size // _BLOCK) for size in large) + tables + 8 * (sum(sizes) - sum(large))


class PagedAdamW8bit(AdamW8bit):
    """`AdamW8bit` with the larger moments in CUDA's managed memory, which moves to the CPU's where the GPU's is short.

    Dettmers et al. 2023 (arXiv:2305.14314), section 3. A moment of fewer than 100,000 numbers stays on the GPU.
    """

    paged = True


def _bitsandbytes(name: str) -> Any:
    """The library; what it logs when it is imported, about kernels that no optimizer uses, is left out."""
    logger = logging.getLogger("bitsandbytes")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import bitsandbytes
    except ImportError as error:
        raise ZooError(f"{name} needs bitsandbytes ({error}): {EXTRA}") from None
    finally:
        logger.setLevel(level)
    return bitsandbytes


def _restoring(kind: Any) -> Any:
    """`kind` whose loaded state is laid out as one that it made: tables of codes shared, large moments paged."""

    class Restoring(kind):  # type: ignore[misc]
        def load_state_dict(self, state_dict: dict[str, Any], move_to_device: bool = True) -> None:
            super().load_state_dict(state_dict, move_to_device)
            for parameter, state in self.state.items():
                for key, table in (("qmap1", "dynamic"), ("qmap2", "udynamic")):
                    if key in state:
                        self.name2qmap[table] = self.name2qmap[table].to(parameter.device)
                        state[key] = self.name2qmap[table]
                if self.is_paged:
                    for key in ("state1", "state2"):
                        buffer = self.get_state_buffer(parameter, dtype=state[key].dtype)
                        buffer.copy_(state[key])
                        state[key] = buffer

    Restoring.__name__ = Restoring.__qualname__ = kind.__name__
    return Restoring
