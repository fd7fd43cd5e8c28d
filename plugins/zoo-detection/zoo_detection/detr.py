"""DETR (Carion et al. 2020): transformers' transformer and heads, with our backbone, matcher and box loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

from zoo.errors import InputError
from zoo.models.detection import Candidates, Choice, Detector, Labels, Matched, Matcher, Scored
from zoo.models.detection.contracts import box_loss_of, in_shape, real_sizes
from zoo_detection.backbone import Backbone
from zoo_detection.options import DetrOptions


class Detr(Detector):
    """transformers' `DetrForObjectDetection`, trained from nothing.

    Its encoder, decoder, queries and heads are transformers', with the paper's initial weights. Ours are the backbone
    (theirs is a ResNet whose normalisation is frozen, which needs pretrained weights, and which sees the padding), the
    matcher, and the losses: ``class`` (cross-entropy, over the weights of the queries), ``l1`` and ``box`` (over the
    number of true boxes), as `transformers.loss.loss_for_object_detection` has them, but with the chosen box loss in
    the place of GIoU. With `auxiliary` each is the sum over the decoder's layers.
    """

    options: DetrOptions
    choice = Choice(several=False)
    padding_invariant = True

    def __init__(self, options: DetrOptions, classes: int) -> None:
        """Raises InputError where the matcher gives a box several queries: none would be taken away."""
        super().__init__(options, classes)
        self.most = options.queries
        self.stride = options.stride
        self.matcher: Matcher = options.matcher.create()
        if not self.matcher.one_to_one:
            raise InputError(f"detr: the matcher '{options.matcher.name}' is not of one to one: take hungarian")
        self.box_loss = box_loss_of(options.box_loss)
        backbone = Backbone(options.width, options.depth, options.stride)
        channels = backbone.channels[options.stride]
        self.model = DetrForObjectDetection(_configuration(options, classes, channels))
        body = self.model.model
        # transformers 4.57 has the positions beside its convolutions, in one more module.
        if hasattr(body.backbone, "conv_encoder"):
            body.backbone.conv_encoder = LastMap(backbone)
        else:
            body.backbone = LastMap(backbone)

        _begin_as_published(self.model)

    @property
    def weights(self) -> Mapping[str, float]:
        options = self.options
        return {"class": options.class_weight, "l1": options.l1_weight, "box": options.box_weight}

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> Mapping[str, Any]:
        """Of the decoder's layers that have losses, the last one last: ``logits`` ``[L, B, Q, C + 1]``, the last class
        being none, and ``boxes`` ``[L, B, Q, 4]``."""
        output = self.model.model(pixel_values=pixel_values, pixel_mask=pixel_mask.long(), return_dict=True)
        states = output.intermediate_hidden_states if self.options.auxiliary else output.last_hidden_state[None]
        return {
            "logits": self.model.class_labels_classifier(states).float(),
            "boxes": self.model.bbox_predictor(states).float().sigmoid(),
            "sizes": real_sizes(pixel_mask),
        }

    def losses(self, predictions: Mapping[str, Any], labels: Sequence[Labels]) -> Mapping[str, Tensor]:
        logits, boxes = predictions["logits"], predictions["boxes"]
        classes = torch.full(logits.shape[:-1], self.classes, device=logits.device)  # [L, B, Q]
        found, wanted, shapes = [], [], []
        for layer in range(len(logits)):
            for image, one in enumerate(labels):
                candidates = Candidates(logits[layer, image].detach().softmax(-1)[:, :-1], boxes[layer, image].detach())
                matched: Matched = self.matcher(candidates, one)
                classes[layer, image, matched.candidates] = one["class_labels"][matched.targets]
                found.append(boxes[layer, image, matched.candidates])  # [m, 4]
                wanted.append(one["boxes"][matched.targets].float())
                shapes.append(one["size"])
        count = max(1, sum(len(one["class_labels"]) for one in labels))
        weights = logits.new_ones(self.classes + 1)
        weights[-1] = self.options.no_object
        # A mean over each layer's queries by their weights.
        entropies = [
            F.cross_entropy(a.flatten(0, 1), b.flatten(), weights) for a, b in zip(logits, classes, strict=True)
        ]
        pairs = [
            tuple(in_shape(item, size) for item in (one, other))
            for one, other, size in zip(found, wanted, shapes, strict=True)
        ]
        box = self.box_loss(torch.cat([pair[0] for pair in pairs]), torch.cat([pair[1] for pair in pairs]))
        return {
            "class": torch.stack(entropies).sum(),
            "l1": (torch.cat(found) - torch.cat(wanted)).abs().sum() / count,
            "box": box.sum() / count,
        }

    def scored(self, predictions: Mapping[str, Any]) -> Scored:
        """Every query with every class but the one that is none."""
        scores, boxes = predictions["logits"][-1].softmax(-1)[..., :-1], predictions["boxes"][-1]
        return Scored(scores, boxes, torch.ones_like(scores[..., 0], dtype=torch.bool))


class LastMap(nn.Module):
    """The backbone's last feature map and mask, as DETR's convolutional encoder gives them."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """pixel_values ``[B, 3, H, W]``, pixel_mask ``[B, H, W]`` -> features ``[B, C, h, w]``, mask ``[B, h, w]``."""
        features, real = self.backbone(pixel_values, pixel_mask.bool())[self.backbone.last]
        return [(features, real[:, 0].bool())]


def _begin_as_published(model: DetrForObjectDetection) -> None:
    """Initial weights as the paper has them (section 4, technical details), and its code those of queries and heads.

    transformers draws all with a deviation of .02, which pretrained weights then replace: queries begin nearly alike,
    and take long to part.
    """
    for stack in (model.model.encoder, model.model.decoder):
        for weight in stack.parameters():
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight)
    nn.init.normal_(model.model.query_position_embeddings.weight)
    for module in (model.class_labels_classifier, *model.bbox_predictor.modules(), model.model.input_projection):
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.reset_parameters()


def _configuration(options: DetrOptions, classes: int, channels: int) -> DetrConfig:
    # A ResNet as small as can be: nothing of it stays, but what it gives decides the width of what reads it.
    unused = ResNetConfig(
        embedding_size=4,
        hidden_sizes=[4, 4, 4, channels],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage4"],
    )
    return DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=unused,
        num_labels=classes,
        d_model=options.d_model,
        num_queries=options.queries,
        encoder_layers=options.encoder_layers,
        decoder_layers=options.decoder_layers,
        encoder_attention_heads=options.heads,
        decoder_attention_heads=options.heads,
        encoder_ffn_dim=options.feedforward,
        decoder_ffn_dim=options.feedforward,
        dropout=options.dropout,
        auxiliary_loss=options.auxiliary,
    )
