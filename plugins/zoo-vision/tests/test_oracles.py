"""transformers' ViT and BEiT, with their weights copied into our encoder."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BeitConfig, BeitModel, ViTConfig, ViTModel

from zoo.models import ZooForImageCTC, assemble
from zoo.spec import resolve_model

SIDE, PATCH, LAYERS = 32, 8, 2
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "image_size": SIDE,
    "patch_size": PATCH,
    "layer_norm_eps": 1e-5,
}
_RENAMED = (
    (r"^encoder\.layer\.", "layers."),
    (r"attention\.attention\.relative_position_bias", "relative_position_bias"),
    (r"attention\.attention\.(query|key|value)\.", lambda found: f"attention.{found[1][0]}_proj."),
    (r"attention\.output\.dense", "attention.o_proj"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"output\.dense", "mlp.fc2"),
)


def ours(patch_position: Any) -> ZooForImageCTC:
    """An encoder of the same sizes, one register for the class token."""
    section = {
        "architecture": "image-ctc",
        "d_model": 16,
        "heads": 2,
        "encoder": {"layers": LAYERS},
        "block": "zoo-blocks/pre-norm",
        "normalization": "zoo-blocks/layer-norm",
        "feedforward": {"use": "zoo-blocks/mlp", "width": 40, "activation": "zoo-blocks/gelu"},
        "dropout": 0.0,
        "image": {
            "input": {"use": "zoo-vision/squash", "height": SIDE, "width": SIDE},
            "patch": {"height": PATCH, "width": PATCH},
            "patch_position": patch_position,
            "registers": 1,
        },
    }
    model = assemble(resolve_model(section), 7, seed=1)
    assert isinstance(model, ZooForImageCTC)
    return model.eval()


def random_weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights under the names of transformers 5, none of them as it was initialised."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    found = {}
    for name, weight in model.state_dict().items():
        for old, new in _RENAMED:
            name = re.sub(old, new, name)
        found[name] = weight
    return found


def copy_layers(model: ZooForImageCTC, theirs: dict[str, Tensor]) -> None:
    """Patch projection and layers."""
    encoder = model.encoder
    with torch.no_grad():
        encoder.patch_projection.weight.copy_(theirs["embeddings.patch_embeddings.projection.weight"].flatten(1))
        encoder.patch_projection.bias.copy_(theirs["embeddings.patch_embeddings.projection.bias"])
        for index, layer in enumerate(encoder.layers):
            own = {name.removeprefix(f"layers.{index}."): item for name, item in theirs.items()}
            parts = [own[f"attention.{part}_proj.weight"] for part in "qkv"]
            layer.self_attention.qkv.weight.copy_(torch.cat(parts))
            zero = torch.zeros(16)  # BEiT's keys have no bias
            biases = [own.get(f"attention.{part}_proj.bias", zero) for part in "qkv"]
            layer.self_attention.qkv.bias.copy_(torch.cat(biases))
            pairs = [
                (layer.self_attention.out, "attention.o_proj"),
                (layer.feedforward.up, "mlp.fc1"),
                (layer.feedforward.down, "mlp.fc2"),
                (layer.block.norms[0], "layernorm_before"),
                (layer.block.norms[1], "layernorm_after"),
            ]
            for module, name in pairs:
                module.weight.copy_(own[f"{name}.weight"])
                module.bias.copy_(own[f"{name}.bias"])


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    """Two images ``[2, 3, SIDE, SIDE]``."""
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def as_patches(pixels: Tensor) -> dict[str, Tensor]:
    """Images cut by torch's own unfold, whose columns are C, Ph, Pw as a convolution's weights are."""
    cut = F.unfold(pixels, PATCH, stride=PATCH).transpose(1, 2)  # [B, N, C*Ph*Pw]
    grid = SIDE // PATCH
    places = torch.cartesian_prod(torch.arange(grid), torch.arange(grid)).expand(len(pixels), -1, -1)
    return {
        "pixel_values": cut,
        "patch_positions": places,
        "patch_grid": torch.tensor([grid, grid]).expand_as(places),
    }


def tokens(model: ZooForImageCTC, pixels: Tensor) -> Tensor:
    """The last states with the class token first, ``[B, 1 + N, D]``."""
    with torch.no_grad():
        output = model.encoder(**as_patches(pixels), output_hidden_states=True)
    return output.hidden_states[-1]


def test_absolute_positions_make_transformers_vit(pixels: Tensor) -> None:
    """The class token is a register whose position is added to it beforehand."""
    vit = ViTModel(ViTConfig(**SIZES), add_pooling_layer=False).eval()
    theirs = random_weights(vit)
    model = ours({"use": "zoo-vision/absolute-interpolated", "rows": SIDE // PATCH, "columns": SIDE // PATCH})
    copy_layers(model, theirs)
    with torch.no_grad():
        positions = theirs["embeddings.position_embeddings"][0]  # [1 + N, D]
        model.encoder.registers.copy_(theirs["embeddings.cls_token"][0] + positions[:1])
        model.encoder.position.table.copy_(positions[1:].view_as(model.encoder.position.table))
        model.encoder.final_norm.weight.copy_(theirs["layernorm.weight"])
        model.encoder.final_norm.bias.copy_(theirs["layernorm.bias"])
        expected = vit(pixels).last_hidden_state
    torch.testing.assert_close(tokens(model, pixels), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_relative_biases_make_transformers_beit(pixels: Tensor, shared: bool) -> None:
    """A register has the biases of BEiT's class token. Its last normalisation stands in its pooler."""
    config = BeitConfig(
        **SIZES,
        use_relative_position_bias=not shared,
        use_shared_relative_position_bias=shared,
        layer_scale_init_value=0.0,
        use_mean_pooling=True,
        drop_path_rate=0.0,
    )
    beit = BeitModel(config, add_pooling_layer=False).eval()
    theirs = random_weights(beit)
    side = SIDE // PATCH
    model = ours({"use": "zoo-vision/relative-bias-2d", "rows": side, "columns": side, "shared": shared})
    copy_layers(model, theirs)
    tables = [theirs[name] for name in theirs if name.endswith("relative_position_bias_table")]
    assert len(tables) == len(model.encoder.position.parts)
    with torch.no_grad():
        model.encoder.registers.copy_(theirs["embeddings.cls_token"][0])
        for part, table in zip(model.encoder.position.parts, tables, strict=True):
            part.table.copy_(table.T)
        expected = F.layer_norm(beit(pixels).last_hidden_state, (16,))
    torch.testing.assert_close(tokens(model, pixels), expected, rtol=0, atol=2e-5)
