"""RT-DETR and D-FINE: outputs and losses against those of transformers, and what their options and padding do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers import DFineForObjectDetection, RTDetrForObjectDetection
from transformers.loss.loss_d_fine import DFineLoss
from transformers.loss.loss_rt_detr import RTDetrHungarianMatcher, RTDetrLoss
from zoo_detection.set_losses import Answers

from zoo.errors import InputError
from zoo.models.detection import Candidates
from zoo.testing.detector import some_images

Labels = list[dict[str, Tensor]]
BOTH = ("rt-detr", "d-fine")
CLASSES, QUERIES, LAYERS, BINS = 3, 9, 3, 8
COSTS = {"class_cost": 1.3, "l1_cost": 4.0, "box_cost": 2.5}
FOCAL = {"use": "hungarian", "class_form": "focal", "box_loss": "giou", **COSTS}
WEIGHTS = {"class_weight": 1.2, "l1_weight": 5.5, "box_weight": 1.5}
FINE = {"fgl_weight": 0.3, "ddf_weight": 1.7}
MOVES = {"reg_max": BINS, "a": 0.4, "c": 0.2}
SMALL = {"width": 4, "levels": [16, 32], "d_model": 16, "heads": 2, "feedforward": 8, "points": 2, "expansion": 0.5}
THEIRS: dict[str, Any] = {"rt-detr": RTDetrForObjectDetection, "d-fine": DFineForObjectDetection}
CRITERIA: dict[str, Any] = {"rt-detr": RTDetrLoss, "d-fine": DFineLoss}
FOUR = int(transformers.__version__.partition(".")[0]) < 5


def detector(created: Callable[..., Any], name: str, classes: int = CLASSES, **options: Any) -> Any:
    torch.manual_seed(0)
    fine = {**MOVES, **FINE} if name == "d-fine" else {}
    chosen = {"matcher": FOCAL, "box_loss": "giou", "queries": QUERIES, "decoder_layers": LAYERS - 1}
    return created("detector", name, classes, **{**SMALL, **WEIGHTS, **fine, **chosen, **options})


def configured(ours: Any) -> Any:
    """transformers' configuration with our weights of costs and losses."""
    options = ours.options
    config = ours.configuration([ours.backbone.channels[stride] for stride in options.levels])
    config.matcher_class_cost, config.matcher_bbox_cost, config.matcher_giou_cost = COSTS.values()
    config.weight_loss_vfl, config.weight_loss_bbox, config.weight_loss_giou = WEIGHTS.values()
    config.weight_loss_fgl, config.weight_loss_ddf = FINE.values()
    return config


def total(model: Any, losses: dict[str, Tensor]) -> Tensor:
    return sum((losses[name] * weight for name, weight in model.weights.items()), torch.zeros(()))


# --- Losses against transformers' criteria -----------------------------------------------------------------------


def random_layers(name: str, queries: int, leaves: list[Tensor], seed: int, before: int = 1) -> list[Answers]:
    """Answers of all layers, of which those of D-FINE have distributions behind the first `before`, and what of them
    wants gradients."""
    draw = torch.Generator().manual_seed(seed)
    layers = []
    for layer in range(LAYERS):
        logits = (2 * torch.randn(2, queries, CLASSES, generator=draw)).requires_grad_()
        boxes = torch.randn(2, queries, 4, generator=draw).sigmoid().requires_grad_()
        leaves += [logits, boxes]
        sides = start = None
        if name == "d-fine" and layer >= before:
            sides = torch.randn(2, queries, 4, BINS + 1, generator=draw).requires_grad_()
            start = torch.randn(2, queries, 4, generator=draw).sigmoid()
            leaves.append(sides)
        layers.append(Answers(logits, boxes, sides, start))
    return layers


def as_theirs(layers: list[Answers]) -> list[dict[str, Tensor]]:
    """Each layer as transformers' criteria have it, the last one being the teacher."""
    last = layers[-1]
    found = []
    for layer in layers:
        one = {"logits": layer.logits, "pred_boxes": layer.boxes}
        if layer.sides is not None and layer.start is not None and last.sides is not None:
            one |= {"pred_corners": layer.sides.flatten(2), "ref_points": layer.start}
            one |= {"teacher_corners": last.sides.flatten(2), "teacher_logits": last.logits}
        found.append(one)
    return found


@pytest.mark.parametrize("name", BOTH)
def test_with_giou_the_losses_and_their_gradients_are_those_of_transformers_criterion(
    created: Callable[..., Any], labels: Labels, name: str
) -> None:
    """Of matched queries and of noised true boxes: two groups of four positive and four negative ones each."""
    model, leaves = detector(created, name), list[Tensor]()
    layers, noisy = random_layers(name, QUERIES, leaves, 0), random_layers(name, 16, leaves, 1, before=0)
    counts, groups = [len(one["class_labels"]) for one in labels], 2
    assert counts == [4, 1]
    queries = tuple(torch.cat([8 * group + torch.arange(count) for group in range(groups)]) for count in counts)
    targets = [torch.arange(count).tile(groups) for count in counts]
    alive = torch.ones(2, QUERIES, dtype=torch.bool)
    predictions = {"layers": layers, "alive": alive, "denoising": noisy, "noised": (queries, targets, groups)}
    found = dict(model.losses(predictions, labels))

    *before, last = as_theirs(layers)
    outputs: dict[str, Any] = {**last, "auxiliary_outputs": before, "dn_auxiliary_outputs": as_theirs(noisy)}
    outputs["denoising_meta_values"] = {"dn_positive_idx": queries, "dn_num_group": groups}
    expected = CRITERIA[name](configured(model))(outputs, labels)

    for ours, theirs in {"class": "vfl", "l1": "bbox", "box": "giou", "fgl": "fgl", "ddf": "ddf"}.items():
        values = [value for key, value in expected.items() if key.startswith(f"loss_{theirs}") and "_dn_" not in key]
        if ours in found:
            assert float(found[ours].detach()) * model.weights[ours] == pytest.approx(
                float(sum(values).detach()), rel=1e-5
            )
        else:
            assert not values
    noise = sum(value for key, value in expected.items() if "_dn_" in key)
    assert float(found["denoising"].detach()) == pytest.approx(float(noise.detach()), rel=1e-5)
    pairs = zip(
        torch.autograd.grad(total(model, found), leaves),
        torch.autograd.grad(sum(expected.values()), leaves),
        strict=True,
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_with_giou_the_pairs_are_transformers_own(created: Callable[..., Any], labels: Labels) -> None:
    matcher = created("matcher", "hungarian", **{key: value for key, value in FOCAL.items() if key != "use"})
    theirs = RTDetrHungarianMatcher(configured(detector(created, "rt-detr")))
    for seed in range(5):
        layer = random_layers("rt-detr", QUERIES, [], seed)[0]
        expected = theirs({"logits": layer.logits, "pred_boxes": layer.boxes}, labels)
        for image, (rows, columns) in enumerate(expected):
            candidates = Candidates(layer.logits[image].detach().sigmoid(), layer.boxes[image].detach())
            found = matcher(candidates, labels[image])
            assert (found.candidates.tolist(), found.targets.tolist()) == (rows.tolist(), columns.tolist())


@pytest.mark.parametrize("name", BOTH)
def test_loss_and_matcher_have_a_box_loss_each(created: Callable[..., Any], labels: Labels, name: str) -> None:
    """Another one in the loss leaves the pairs; another one in the matcher changes them, and with them all losses."""
    layers = random_layers(name, QUERIES, [], 0)
    predictions = {"layers": layers, "alive": torch.ones(2, QUERIES, dtype=torch.bool)}

    def losses(loss: str, cost: str) -> dict[str, float]:
        matcher = {**FOCAL, "box_loss": cost, "class_cost": 0.0, "l1_cost": 0.0}
        model = detector(created, name, matcher=matcher, box_loss=loss)
        return {key: float(value.detach()) for key, value in model.losses(predictions, labels).items()}

    giou, ciou, swapped = losses("giou", "giou"), losses("ciou", "giou"), losses("giou", "l2")
    assert {key for key in giou if giou[key] != ciou[key]} == {"box"}
    assert swapped["l1"] != giou["l1"]
    assert swapped["class"] != giou["class"]


# --- Whole models against transformers ---------------------------------------------------------------------------


class TheirMaps(nn.Module):
    """Our backbone as their convolutional encoder."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.backbone, self.levels = ours.backbone, ours.options.levels

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        maps = self.backbone(pixel_values, pixel_mask.bool())
        return [(maps[stride][0], maps[stride][1][:, 0].bool()) for stride in self.levels]


def theirs_with_weights_of(ours: Any) -> Any:
    """transformers' own model with our weights, made of our own weights' names."""
    config = configured(ours)
    model = THEIRS[ours.name](config)
    model.model.backbone = nn.Identity()
    weights = {key.replace(".theirs.", "."): value for key, value in ours.model.state_dict().items()}
    if FOUR:
        weights = {key.replace("self_attn.o_proj", "self_attn.out_proj"): value for key, value in weights.items()}
    model.model.load_state_dict(weights)
    model.model.backbone = TheirMaps(ours)
    return model


@pytest.mark.parametrize("training", [False, True], ids=["evaluating", "training"])
@pytest.mark.parametrize("name", BOTH)
def test_in_a_full_frame_all_outputs_are_those_of_transformers(
    created: Callable[..., Any], labels: Labels, name: str, training: bool
) -> None:
    """Batch statistics and noise included. A square frame: positions of transformers 4 are mixed up in others."""
    ours = detector(created, name, denoising=20)
    for parameter in ours.model.parameters():  # heads that are not 0
        nn.init.normal_(parameter, std=0.1) if not parameter.any() else None
    theirs = theirs_with_weights_of(ours)
    ours.train(training), theirs.train(training)
    images = some_images(2, 96, 96)
    torch.manual_seed(3)
    found = ours(**images, labels=labels)
    torch.manual_seed(3)
    expected = theirs.model(**images, labels=labels)
    count = QUERIES
    clamp = (lambda item: item.clamp(0, 1)) if name == "d-fine" else (lambda item: item)
    first, *layers = found["layers"]
    torch.testing.assert_close(first.logits, expected.enc_topk_logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.boxes, clamp(expected.enc_topk_bboxes), rtol=1e-4, atol=1e-5)
    assert len(layers) == expected.intermediate_logits.shape[1]
    assert ("denoising" in found) == training
    for number, layer in enumerate(layers):
        logits, boxes = expected.intermediate_logits[:, number], expected.intermediate_reference_points[:, number]
        torch.testing.assert_close(layer.logits, logits[:, -count:], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(layer.boxes, clamp(boxes[:, -count:]), rtol=1e-4, atol=1e-4)
        if training:
            noisy = found["denoising"][number]
            torch.testing.assert_close(noisy.logits, logits[:, :-count], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(noisy.boxes, clamp(boxes[:, :-count]), rtol=1e-4, atol=1e-4)
    statistics = {key: value for key, value in theirs.model.named_buffers() if "running" in key}
    assert statistics
    for key, value in ours.model.named_buffers():
        if "running" in key:
            torch.testing.assert_close(value, statistics[key], rtol=1e-4, atol=1e-6)


def test_the_whole_loss_of_rt_detr_in_training_is_transformers_own(created: Callable[..., Any], labels: Labels) -> None:
    if FOUR:
        pytest.skip("transformers 4 matches queries made of true boxes too in the last layer (transformers #48528)")
    ours = detector(created, "rt-detr", denoising=20)
    theirs = theirs_with_weights_of(ours)
    ours.train(), theirs.train()
    images = some_images(2, 64, 96)
    torch.manual_seed(3)
    loss = total(ours, ours.losses(ours(**images, labels=labels), labels))
    torch.manual_seed(3)
    expected = theirs(**images, labels=labels).loss
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    expected.backward()
    wanted = {key: value.grad for key, value in theirs.model.named_parameters()}
    loss.backward()
    compared = 0
    for key, value in ours.model.named_parameters():
        theirs_gradient = wanted[key.replace(".theirs.", ".")]
        if value.grad is not None and theirs_gradient is not None:
            torch.testing.assert_close(value.grad, theirs_gradient, rtol=1e-3, atol=1e-5)
            compared += 1
    assert compared > 50


@pytest.mark.parametrize("name", BOTH)
def test_queries_begin_unsure_with_the_boxes_of_their_places_and_look_around_them(
    created: Callable[..., Any], name: str
) -> None:
    """Also with one class, of which transformers' own begins half sure; directions of the points are theirs."""
    model = detector(created, name, classes=1, width=8, d_model=64, feedforward=64).eval()
    theirs = THEIRS[name](configured(model)).model.decoder
    for ours, other in zip(model.model.decoder.layers, theirs.layers, strict=True):
        attention = ours.encoder_attn.theirs
        torch.testing.assert_close(attention.sampling_offsets.bias, other.encoder_attn.sampling_offsets.bias)
        assert not attention.sampling_offsets.weight.any()
    with torch.no_grad():
        layers = model(**some_images(1, 64, 64))["layers"]
    for head in (model.model.enc_score_head, *model.model.decoder.class_embed):
        assert float(head.bias.detach().sigmoid()) == pytest.approx(0.01)
    for layer in layers:
        torch.testing.assert_close(layer.boxes, layers[0].boxes, rtol=0, atol=1e-5)
    centres, sides = layers[0].boxes[0].split(2, dim=-1)
    places = {0.05: {0.125, 0.375, 0.625, 0.875}, 0.1: {0.25, 0.75}}  # of strides 16 and 32 in 64 pixels
    for (x, y), (w, h) in zip(centres.tolist(), sides.tolist(), strict=True):
        assert w == pytest.approx(h)
        level = places[round(w, 5)]
        assert {round(x, 5), round(y, 5)} <= level


# --- Padding, small images, and what is refused -------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_padding_changes_nothing_in_training_either(created: Callable[..., Any], labels: Labels, name: str) -> None:
    """Losses, gradients and the statistics that are kept: batch statistics are those of the images' own places."""
    image = some_images(1, 60, 100)["pixel_values"]
    one = labels[:1]
    results = []
    for height, width in ((60, 100), (128, 160)):
        model = detector(created, name, denoising=20).train()
        pixels, mask = torch.zeros(1, 3, height, width), torch.zeros(1, height, width, dtype=torch.bool)
        pixels[..., :60, :100], mask[..., :60, :100] = image, True
        torch.manual_seed(3)
        losses = model.losses(model(pixels, mask, labels=one), one)
        total(model, losses).backward()
        buffers = {key: value for key, value in model.named_buffers() if "running" in key}
        gradients = {key: value.grad for key, value in model.named_parameters() if value.grad is not None}
        results.append((losses, buffers, gradients))
    for alone, padded in zip(*results, strict=True):
        assert alone.keys() == padded.keys()
        for key, value in alone.items():
            torch.testing.assert_close(
                value, padded[key], rtol=2e-3, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}"
            )


@pytest.mark.parametrize("name", BOTH)
def test_places_fewer_than_queries_ask_once_each_and_those_behind_the_image_never(
    created: Callable[..., Any], name: str
) -> None:
    model = detector(created, name, queries=200).eval()
    small = some_images(1, 32, 64)
    with torch.no_grad():
        (alone,) = model.found(model(**small))
        frame = {"pixel_values": torch.zeros(1, 3, 64, 96), "pixel_mask": torch.zeros(1, 64, 96, dtype=torch.bool)}
        frame["pixel_values"][..., :32, :64], frame["pixel_mask"][..., :32, :64] = small["pixel_values"], True
        (padded,) = model.found(model(**frame))
    assert len(alone.scores) == len(padded.scores) == 2 * 4 + 1 * 2  # of strides 16 and 32
    torch.testing.assert_close(alone.scores, padded.scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("counts", [(2, 0), (0, 0)])
def test_in_training_losses_are_finite_whatever_there_is_to_find(
    created: Callable[..., Any], labels: Labels, name: str, counts: tuple[int, int]
) -> None:
    """Degenerate boxes too: the first of each image has no width."""
    model = detector(created, name, denoising=20).train()
    given = [
        {"class_labels": one["class_labels"][:count], "boxes": one["boxes"][:count].clone(), "size": one["size"]}
        for one, count in zip((labels[0], labels[0]), counts, strict=True)
    ]
    for one in given:
        one["boxes"][:1, 2] = 0.0
    losses = model.losses(model(**some_images(2, 64, 64), labels=given), given)
    assert set(losses) == set(model.weights)
    assert all(torch.isfinite(value) for value in losses.values())
    assert bool(losses["denoising"] > 0) == any(counts)
    total(model, losses).backward()
    assert all(torch.isfinite(item.grad).all() for item in model.parameters() if item.grad is not None)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", BOTH)
def test_on_a_gpu_a_step_in_half_precision_is_finite(created: Callable[..., Any], labels: Labels, name: str) -> None:
    model = detector(created, name, denoising=20).train().cuda()
    given = [{key: value.cuda() for key, value in one.items()} for one in labels]
    images = {key: value.cuda() for key, value in some_images(2, 64, 96).items()}
    with torch.autocast("cuda", torch.bfloat16):
        losses = model.losses(model(**images, labels=given), given)
        loss = sum(losses[key] * weight for key, weight in model.weights.items())
    loss.backward()
    assert all(torch.isfinite(value) for value in losses.values())
    assert all(torch.isfinite(item.grad).all() for item in model.parameters() if item.grad is not None)
    with torch.no_grad():
        assert all(item.boxes.isfinite().all() for item in model.eval().found(model(**images)))


def test_a_query_may_be_found_as_two_classes(created: Callable[..., Any]) -> None:
    model = detector(created, "rt-detr")
    logits = torch.tensor([[[4.0, 3.0, -9.0], [1.0, -9.0, -9.0]]])
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.3, 0.3, 0.1, 0.1]]])
    alive = torch.ones(1, 2, dtype=torch.bool)
    (found,) = model.found({"layers": [Answers(logits, boxes)], "alive": alive})
    assert found.labels.tolist() == [0, 1]
    assert torch.equal(found.boxes, boxes[0, :1].expand(2, -1))
    torch.testing.assert_close(found.scores, torch.tensor([4.0, 3.0]).sigmoid())


@pytest.mark.parametrize("name", BOTH)
def test_a_matcher_that_gives_a_box_several_queries_is_refused(created: Callable[..., Any], name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: the matcher 'task-aligned' is not of one to one: take hungarian"):
        detector(created, name, matcher="task-aligned")


def test_levels_that_skip_one_are_refused(created: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="expected each to be twice the one before"):
        detector(created, "rt-detr", levels=[8, 32])
