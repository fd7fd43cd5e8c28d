"""What models of one component with losses of its own (a detector, a generator) have in common: no tokens."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers.utils import ModelOutput

from zoo.errors import InputError
from zoo.models.base import ZooModel


class OwnLossModel(ZooModel):
    """A model that reads and writes no text. Its losses are named, and their weighted sum is what is learned by."""

    own_loss = True
    main_input_name = "pixel_values"
    who: ClassVar[str]
    """What it is, for errors."""

    def initialised(self) -> None:
        """End of `__init__`: the component has initialised itself, and nothing is tied."""
        self._tied_weights_keys: dict[str, str] = {}
        for module in self.modules():
            module._is_hf_initialized = True
        self.post_init()

    @classmethod
    def can_generate(cls) -> bool:
        return False  # what transformers means by it: tokens

    @property
    def attention_backend(self) -> str | None:
        """None: what the component is made of is its own business."""
        return None

    def get_input_embeddings(self) -> nn.Module:
        return nn.Identity()

    def get_output_embeddings(self) -> None:  # type: ignore[override]
        return None

    def resize_token_embeddings(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Raises InputError: there are no tokens."""
        raise InputError(f"{self.who} has no tokens")

    def source_limit(self, new_tokens: int) -> int:
        return sys.maxsize  # no sequence that could be too long

    def prompts(self, encoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(encoded)

    def weighed(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float],
        pixel_values: Tensor,
        num_items_in_batch: Tensor | int | None,
    ) -> Tensor:
        """The weighted sum ``[]`` of the losses of images ``[B, C, H, W]``; with `num_items_in_batch` (images of a
        step), B times that over these."""
        loss = sum((losses[name].float() * weight for name, weight in weights.items()), pixel_values.new_zeros(()))
        return loss if num_items_in_batch is None else loss * len(pixel_values) / num_items_in_batch

    def returned(self, output: ModelOutput, return_dict: bool | None) -> Any:
        """`output`, or its tuple where that is asked for."""
        wanted = self.config.return_dict if return_dict is None else return_dict
        return output if wanted else output.to_tuple()
