"""Images are prepared the same without torch, as exports do it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from zoo.images.patches import PATCHES, PatchMaker
from zoo.models import ZooImageProcessor
from zoo.spec.load import resolve_image, resolve_preparation
from zoo.testing.in_an_image_model import some_image

POLICIES: list[dict[str, Any]] = [
    {"use": "squash", "height": 16, "width": 48},
    {"use": "letterbox", "height": 32, "width": 48, "colour": [255]},
    {"use": "native", "max_patches": 8},
    {"use": "large", "long_side": 56},
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy["use"])
def test_what_an_export_says_prepares_bit_for_bit_what_the_image_processor_does(policy: dict[str, Any]) -> None:
    image = {"input": policy, "patch": {"height": 8, "width": 8}, "patch_position": "none", "channels": 1}
    images = [some_image(13, 70), some_image(40, 20), some_image(9, 9)[..., 0]]
    said = resolve_image(image).preparation().plain()
    assert "patch_position" not in said
    found = PatchMaker(resolve_preparation(said)).batch(images)
    expected = ZooImageProcessor(image)(images, return_tensors="np")
    for name in PATCHES:
        assert found[name].dtype == expected[name].dtype
        assert np.array_equal(found[name], expected[name])


def test_policies_import_no_torch() -> None:
    program = (
        "import sys\n"
        "from zoo.registry import current_registry\n"
        "for name in ('squash', 'letterbox', 'native', 'large'):\n"
        "    current_registry().get('image-input', name).load()\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
