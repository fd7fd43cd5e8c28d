"""The clipped distances that tables of relative positions are looked up by."""

from __future__ import annotations

from torch import Tensor

from zoo.models.contracts import Bucket


def clipped_distance(clip: int) -> Bucket:
    """Bucket ``clip(j - i, -k, k) + k``, in [0, 2k], of a query at i and a key at j (Shaw et al. 2018, section 3.2)."""

    def bucket(q_positions: Tensor, k_positions: Tensor) -> Tensor:
        return (k_positions - q_positions).clamp(-clip, clip) + clip

    return bucket
