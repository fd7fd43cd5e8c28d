"""RT-DETR (Zhao et al. 2024): transformers' encoder, decoder and heads, with our backbone, matcher and box loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, ResNetConfig, RTDetrConfig, RTDetrForObjectDetection
from transformers.models.rt_detr.modeling_rt_detr import get_contrastive_denoising_training_group

from zoo.errors import InputError
from zoo.models.detection import Choice, Detector, Labels, Matcher, Scored
from zoo.models.detection.contracts import box_loss_of, real_sizes
from zoo_detection.backbone import Backbone
from zoo_detection.options import RtDetrOptions
from zoo_detection.published_weights import begin_as_published
from zoo_detection.real_places import RealPlaces, leave_padding_out
from zoo_detection.set_losses import Answered, Answers, box_losses, class_and_distance, matched, paired, weighed

_MARGIN = 0.01
"""Places whose centre is nearer to the image's edge, as a share of its side, ask no query, as in the paper's code."""
_SIDE = 0.05
"""The share of an image's sides that a box of the finest level begins with; twice as much at each next."""


class RtDetr(Detector):
    """transformers' `RTDetrModel`, trained from nothing: hybrid encoder, query selection, decoder, denoising.

    Its submodules and heads are transformers', with the paper's initial weights. Ours are the backbone (theirs is a
    ResNet whose normalisation is frozen, which needs pretrained weights), the matcher, the losses, and what runs the
    submodules: in theirs padding is read like anything else, and boxes are shares of the padded frame, though labels
    are shares of the image. Here padding is left out (see `zoo_detection.real_places`), in batch statistics too; in a
    batch without padding outputs and losses are theirs, but for places at the very edge: theirs may choose them, with a
    box of the whole image, though it hides what is there from the choice.

    Losses, each summed over the chosen queries and the decoder's layers: ``class`` (varifocal), ``l1`` and ``box``,
    over the number of true boxes, as `transformers.loss.loss_rt_detr` has them, but with the chosen box loss in the
    place of GIoU; ``denoising`` is the weighted sum of the three over queries made of true boxes (contrastive
    denoising, arXiv:2203.03605, section 3.3), whose pairs are known. It is 0 outside of training.
    """

    options: RtDetrOptions
    choice = Choice(several=True)
    padding_invariant = True
    needs_labels = True
    name: ClassVar[str] = "rt-detr"
    published: ClassVar[type[PreTrainedModel]] = RTDetrForObjectDetection

    def __init__(self, options: RtDetrOptions, classes: int) -> None:
        """Raises InputError where the matcher gives a box several queries: none would be taken away."""
        super().__init__(options, classes)
        self.matcher: Matcher = options.matcher.create()
        if not self.matcher.one_to_one:
            raise InputError(f"{self.name}: the matcher '{options.matcher.name}' is not of one to one: take hungarian")
        self.box_loss = box_loss_of(options.box_loss)
        self.backbone = Backbone(options.width, options.depth, options.levels[-1])
        channels = [self.backbone.channels[stride] for stride in options.levels]
        self.model = self.published(self.configuration(channels)).model
        self.model.backbone = nn.Identity()
        begin_as_published(self.model)
        self.places = RealPlaces()
        self.most = options.queries
        self.stride = options.levels[-1]
        leave_padding_out(self.model, self.places, options.heads, options.dropout)

    def configuration(self, channels: Sequence[int]) -> Any:
        """transformers' configuration, for feature maps of so many channels."""
        return RTDetrConfig(**self._common(channels))

    def _common(self, channels: Sequence[int]) -> dict[str, Any]:
        options, levels = self.options, len(channels)
        # A ResNet as small as can be: nothing of it stays, but what it gives decides the width of what reads it.
        unused = ResNetConfig(
            embedding_size=4,
            hidden_sizes=list(channels),
            depths=[1] * levels,
            layer_type="basic",
            out_features=[f"stage{number + 1}" for number in range(levels)],
        )
        return {
            "backbone_config": unused,
            "num_labels": self.classes,
            "encoder_hidden_dim": options.d_model,
            "encoder_in_channels": list(channels),
            "feat_strides": list(options.levels),
            "encoder_layers": options.encoder_layers,
            "encoder_ffn_dim": options.feedforward,
            "encoder_attention_heads": options.heads,
            "encode_proj_layers": [levels - 1],
            "hidden_expansion": options.expansion,
            "d_model": options.d_model,
            "num_queries": options.queries,
            "decoder_in_channels": [options.d_model] * levels,
            "num_feature_levels": levels,
            "decoder_ffn_dim": options.feedforward,
            "decoder_n_points": options.points,
            "decoder_layers": options.decoder_layers,
            "decoder_attention_heads": options.heads,
            "dropout": options.dropout,
            "num_denoising": options.denoising,
            "label_noise_ratio": options.label_noise,
            "box_noise_scale": options.box_noise,
            "eval_size": None,
            "anchor_image_size": None,
        }

    @property
    def weights(self) -> Mapping[str, float]:
        options = self.options
        return {
            "class": options.class_weight,
            "l1": options.l1_weight,
            "box": options.box_weight,
            "denoising": 1.0,
        }

    def forward(
        self, pixel_values: Tensor, pixel_mask: Tensor, labels: Sequence[Labels] | None = None
    ) -> Mapping[str, Any]:
        """``layers``: `Answers` of the queries as they are chosen and after every decoder layer, the last one last;
        ``alive`` ``[B, Q]``: those that are of an image. Only an image with fewer places than queries has others.

        In training, with labels that have boxes, ``denoising`` are the answers of the queries made of them, layer by
        layer, and ``noised`` ``(queries, targets)`` which of them are which boxes.
        """
        sizes = real_sizes(pixel_mask)  # [B, 2]
        found = self.backbone(pixel_values, pixel_mask)
        maps = [found[stride] for stride in self.options.levels]
        last = self.options.levels[-1]
        rows, columns = maps[-1][0].shape[-2:]
        share = torch.stack((sizes[:, 1] / (columns * last), sizes[:, 0] / (rows * last)), dim=1)  # [B, 2]
        with self.places.of([real for _, real in maps], share):
            return self._read([features for features, _ in maps], sizes, labels)

    def _read(self, maps: list[Tensor], sizes: Tensor, labels: Sequence[Labels] | None) -> dict[str, Any]:
        model = self.model
        projected = [project(item) for project, item in zip(model.encoder_input_proj, maps, strict=True)]
        sources = [
            project(item) for project, item in zip(model.decoder_input_proj, model.encoder(projected)[0], strict=True)
        ]
        shapes = [(item.shape[-2], item.shape[-1]) for item in sources]
        memory = torch.cat([item.flatten(2).transpose(1, 2) for item in sources], dim=1)  # [B, S, D]
        anchors, valid = self._anchors(shapes, sizes)  # [B, S, 4], [B, S]

        content = model.enc_output(memory * valid[..., None].to(memory.dtype))  # [B, S, D]
        logits = model.enc_score_head(content)  # [B, S, C]
        surest = logits.detach().float().amax(-1).masked_fill(~valid, -torch.inf)  # [B, S]
        chosen = surest.topk(torch.sym_min(self.options.queries, surest.shape[1]), dim=1).indices  # [B, Q]
        alive = valid.gather(1, chosen)  # [B, Q]
        content, logits, anchors = (
            item.gather(1, chosen[..., None].expand(-1, -1, item.shape[-1])) for item in (content, logits, anchors)
        )
        points = model.enc_bbox_head(content) + anchors  # [B, Q, 4], logits of boxes
        first = Answers(logits.float(), points.float().sigmoid())

        noise = self._noise(labels, chosen.shape[1])
        queries, seen = content.detach(), alive
        if noise is not None:
            queries, points = torch.cat((noise["content"], queries), 1), torch.cat((noise["points"], points), 1)
            seen = F.pad(seen, (noise["count"], 0), value=True)  # [B, T]
        mask = seen[:, None, None].expand(-1, -1, seen.shape[1], -1)  # [B, 1, T, T]
        if noise is not None:
            mask = mask & noise["mask"]
        # One by one, as they are symbols where a graph is made of this.
        sides = [torch.full((), side, device=memory.device) for pair in shapes for side in pair]
        shape = torch.stack(sides).view(-1, 2)  # [levels, 2]
        decoded = model.decoder(
            inputs_embeds=queries,
            encoder_hidden_states=memory,
            encoder_attention_mask=mask,
            reference_points=points.detach().to(model.enc_score_head.weight.dtype),  # what its own layers are held in
            spatial_shapes=shape,
            spatial_shapes_list=shapes,
            level_start_index=F.pad(shape.prod(1).cumsum(0)[:-1], (1, 0)),
        )
        count = 0 if noise is None else noise["count"]
        predictions = {
            "layers": [first, *self._layers(decoded, slice(count, None))],
            "alive": alive,
            "sizes": sizes,
        }
        if noise is not None:
            predictions |= {"denoising": self._layers(decoded, slice(count)), "noised": noise["pairs"]}
        return predictions

    def _anchors(self, shapes: Sequence[tuple[int, int]], sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the boxes that places begin with ``[B, S, 4]``, and whether they may ask a query ``[B, S]``.

        A place lies in the middle of what its cell has of the image.
        """
        anchors = []
        for level, (stride, shape) in enumerate(zip(self.options.levels, shapes, strict=True)):
            centres = []
            for side, size in zip(shape, sizes.T, strict=True):  # rows, then columns
                low = torch.arange(side, device=sizes.device) * float(stride)
                high = torch.minimum(low + stride, size[:, None])  # [B, side]
                centres.append((low + high) / 2 / size[:, None])
            y, x = centres[0][:, :, None].expand(-1, *shape), centres[1][:, None].expand(-1, *shape)  # [B, h, w] each
            wide = torch.full_like(x, _SIDE * 2.0**level)
            anchors.append(torch.stack((x, y, wide, wide), dim=-1).flatten(1, 2))  # [B, h * w, 4]
        boxes = torch.cat(anchors, dim=1)
        valid = ((boxes > _MARGIN) & (boxes < 1 - _MARGIN)).all(-1) & self.places.flat
        return torch.where(valid[..., None], boxes, 0.5).logit(), valid

    def _noise(self, labels: Sequence[Labels] | None, queries: int) -> dict[str, Any] | None:
        """Queries made of the true boxes, T' in number: ``content`` ``[B, T', D]``, ``points`` ``[B, T', 4]``, and
        ``mask`` ``[T, T]``, what may be seen by them and by `queries` more behind them."""
        options = self.options
        if not self.training or labels is None or not options.denoising:
            return None
        if not any(len(one["class_labels"]) for one in labels):
            return None
        content, points, mask, told = get_contrastive_denoising_training_group(
            targets=labels,
            num_classes=self.classes,
            num_queries=queries,
            class_embed=self.model.denoising_class_embed,
            num_denoising_queries=options.denoising,
            label_noise_ratio=options.label_noise,
            box_noise_scale=options.box_noise,
        )
        targets = [
            torch.arange(len(one["class_labels"]), device=content.device).tile(told["dn_num_group"]) for one in labels
        ]
        pairs = (told["dn_positive_idx"], targets, told["dn_num_group"])
        return {"content": content, "points": points, "mask": mask == 0, "count": content.shape[1], "pairs": pairs}

    def _layers(self, decoded: Any, queries: slice) -> list[Answers]:
        """What the decoder's layers answer for some of the queries."""
        logits, boxes = decoded.intermediate_logits, decoded.intermediate_reference_points  # [B, L, T, ...]
        return [
            Answers(logits[:, layer, queries].float(), boxes[:, layer, queries].float())
            for layer in range(logits.shape[1])
        ]

    def losses(self, predictions: Mapping[str, Any], labels: Sequence[Labels]) -> Mapping[str, Tensor]:
        layers, alive = predictions["layers"], predictions["alive"]
        count = max(1, sum(len(one["class_labels"]) for one in labels))
        asked = [Answered(layers, [matched(self.matcher, layer, alive, labels) for layer in layers], alive, count)]
        noisy = predictions.get("denoising")
        if noisy:
            queries, targets, groups = predictions["noised"]
            pairs = paired(queries, targets, labels)
            everywhere = torch.ones_like(noisy[0].logits[..., 0], dtype=torch.bool)
            asked.append(Answered(noisy, [pairs] * len(noisy), everywhere, count * groups))
        boxes = box_losses(self.box_loss, asked)
        found = [{**self._losses(item), "box": box} for item, box in zip(asked, boxes, strict=True)]
        denoising = weighed(found[1], self.weights) if noisy else layers[0].logits.new_zeros(())
        return {**found[0], "denoising": denoising}

    def _losses(self, answered: Answered) -> dict[str, Tensor]:
        """All but the box loss, over all layers."""
        return class_and_distance(answered, self.options.alpha, self.options.gamma)

    def scored(self, predictions: Mapping[str, Any]) -> Scored:
        """Every query with every class: of them, the surest pairs are found, as many as there are queries."""
        last = predictions["layers"][-1]
        return Scored(last.logits.sigmoid(), last.boxes, predictions["alive"])
