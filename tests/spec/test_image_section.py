"""Model sections of images: what each architecture needs and lacks, said alike by the loader and the schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from zoo.errors import InputError
from zoo.spec import resolve_model
from zoo.spec.schema import spec_schema

IMAGE = {"input": "native", "patch_position": "rotary-2d"}
BOTH = {
    "d_model": 16,
    "heads": 2,
    "encoder": {"layers": 1},
    "block": "pre-norm",
    "normalization": "layer-norm",
    "feedforward": "mlp",
    "image": IMAGE,
}
TO_TEXT = {
    **BOTH,
    "architecture": "image-to-text",
    "decoder": {"layers": 1},
    "position": "sinusoidal",
    "fusion": "top",
}
CTC = {**BOTH, "architecture": "image-ctc"}
TRANSLATOR = {name: item for name, item in TO_TEXT.items() if name not in {"architecture", "image"}}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    whole = spec_schema()
    return {"$ref": "#/$defs/ModelSection", "$defs": whole["$defs"]}


def without(section: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: item for name, item in section.items() if name not in names}


@pytest.mark.parametrize("section", [TO_TEXT, CTC, TRANSLATOR], ids=["image-to-text", "image-ctc", "encoder-decoder"])
def test_a_section_is_valid_as_given_and_as_resolved(schema: dict[str, Any], section: dict[str, Any]) -> None:
    resolved = resolve_model(section)
    for plain in (section, resolved.plain()):
        jsonschema.Draft202012Validator(schema).validate(plain)
    assert resolve_model(resolved.plain()) == resolved


def test_a_translators_plain_form_says_nothing_of_images() -> None:
    """Else specs written before would have other hashes."""
    assert "image" not in resolve_model(TRANSLATOR).plain()


MISTAKES = {
    "no image": (without(TO_TEXT, "image"), "missing key 'image'"),
    "no decoder": (without(TO_TEXT, "decoder"), "missing key 'decoder'"),
    "no position of the decoder": (without(TO_TEXT, "position"), "missing key 'position'"),
    "decoder of a ctc": ({**CTC, "decoder": {"layers": 1}}, "an image-ctc has no decoder"),
    "fusion of a ctc": ({**CTC, "fusion": "top"}, "an image-ctc has no fusion"),
    "image of a translator": ({**TRANSLATOR, "image": IMAGE}, "an encoder-decoder has no image"),
    "positions of text for patches": (
        {**TO_TEXT, "encoder": {"layers": 1, "position": "rotary"}},
        "see image.patch_position",
    ),
    "positions in cross-attention": (
        {**TO_TEXT, "decoder": {"layers": 1, "cross_position": "rotary"}},
        "cross-attention to patches has no positions",
    ),
    "frames of a decoder": ({**TO_TEXT, "image": {**IMAGE, "frames": 2}}, "frames are of an image-ctc"),
    "registers that nobody sees": (
        {**CTC, "image": {**IMAGE, "registers": 1, "registers_in_memory": True}},
        "no decoder to see the registers",
    ),
    "two matrices to tie": ({**TO_TEXT, "tie_embeddings": "decoder"}, "expected 'all' .one. or 'none'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_and_is_invalid_to_the_schema(schema: dict[str, Any], name: str) -> None:
    section, says = MISTAKES[name]
    with pytest.raises(InputError, match=says):
        resolve_model(section)
    assert not jsonschema.Draft202012Validator(schema).is_valid(section)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"registers_in_memory": True}, "no registers for the decoder"),
        ({"mean": [0.1, 0.2]}, "expected 1 number or 3"),
        ({"channels": 1, "std": [0.1, 0.2, 0.3]}, "expected 1 number or 1"),
        ({"std": [0.0]}, "above 0"),
    ],
)
def test_what_no_schema_says_of_an_image_is_told(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        resolve_model({**TO_TEXT, "image": {**IMAGE, **change}})
