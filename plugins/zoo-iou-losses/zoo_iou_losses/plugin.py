"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import CommandContext, Component, hookimpl

_OPTIONS = "zoo_iou_losses.options"


def _loss(name: str, target: str, summary: str, *references: str, options: str | None = None) -> Component:
    return Component(
        kind="box-loss",
        name=name,
        target=f"zoo_iou_losses.{target}",
        options=f"{_OPTIONS}:{options}" if options else None,
        summary=summary,
        references=references,
    )


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield _loss("l1", "distances:L1", "Sum of the coordinates' absolute differences")
    yield _loss("l2", "distances:L2", "Sum of the coordinates' squared differences")
    yield _loss(
        "smooth-l1",
        "distances:SmoothL1",
        "Squared differences of coordinates, absolute ones where they are large",
        "arXiv:1504.08083",
        options="SmoothL1Options",
    )
    yield _loss("iou", "overlap:IoU", "One minus intersection over union", "arXiv:1608.01471")
    yield _loss("giou", "overlap:GIoU", "IoU, and the share of the hull that neither box covers", "arXiv:1902.09630")
    yield _loss("diou", "overlap:DIoU", "IoU, and the centres' distance over the hull's diagonal", "arXiv:1911.08287")
    yield _loss(
        "ciou",
        "overlap:CIoU",
        "DIoU, and the difference of the aspect ratios",
        "arXiv:1911.08287",
        "arXiv:2005.03572",
        options="CIoUOptions",
    )
    yield _loss(
        "iou-published",
        "published:PublishedIoU",
        "IoU with the gradient that the authors of DIoU published as code",
        "https://github.com/Zzh-tju/DIoU",
    )
    yield _loss(
        "giou-published",
        "published:PublishedGIoU",
        "GIoU with the gradient that the authors of DIoU published as code",
        "https://github.com/Zzh-tju/DIoU",
    )
    yield _loss(
        "diou-published",
        "published:PublishedDIoU",
        "DIoU with the gradient that its authors published as code, which is not its derivative",
        "arXiv:1911.08287",
        "https://github.com/Zzh-tju/DIoU-darknet",
        options="PublishedOptions",
    )
    yield _loss(
        "ciou-published",
        "published:PublishedCIoU",
        "CIoU with the gradient that its authors published as code, which is not its derivative",
        "arXiv:1911.08287",
        "https://github.com/Zzh-tju/DIoU-darknet",
        options="PublishedOptions",
    )
    yield _loss(
        "eiou", "sides:EIoU", "DIoU, and the differences of width and height over the hull's", "arXiv:2101.08158"
    )
    yield _loss(
        "siou",
        "sides:SIoU",
        "IoU, the centres' distance weighed by its direction, and shape",
        "arXiv:2205.12740",
        options="SIoUOptions",
    )
    yield _loss(
        "alpha-iou",
        "powers:AlphaIoU",
        "Powers of the overlap and of a penalty",
        "arXiv:2110.13675",
        options="AlphaIoUOptions",
    )
    yield _loss("wiou-v1", "wise:WIoUv1", "IoU weighed by the centres' distance", "arXiv:2301.10051")
    yield _loss(
        "wiou-v3",
        "wise:WIoUv3",
        "The same, with little weight for exact boxes and for outliers",
        "arXiv:2301.10051",
        options="WIoUv3Options",
    )
    yield _loss(
        "inner-iou",
        "inner:InnerIoU",
        "Another loss with the overlap of boxes shrunk or grown about their centres",
        "arXiv:2311.02877",
        options="InnerIoUOptions",
    )
    yield _loss(
        "nwd",
        "gaussian:Nwd",
        "Wasserstein distance of the boxes as normal distributions, for tiny objects",
        "arXiv:2110.13389",
        options="NwdOptions",
    )
    yield _loss(
        "kfiou",
        "gaussian:KFIoU",
        "Overlap of rotated boxes as normal distributions, and the centres' distance",
        "arXiv:2201.12558",
        options="KFIoUOptions",
    )
    yield Component(
        kind="box-loss",
        name="fused",
        target="zoo_iou_losses.fused:Fused",
        options=f"{_OPTIONS}:FusedOptions",
        summary="Value and gradient of another loss in one compiled pass, for very many boxes",
        traits={"example": {"backend": "eager"}},
    )


@hookimpl
def zoo_cli_commands(context: CommandContext) -> None:
    from zoo_iou_losses.command import boxes

    context.group.add_command(boxes)
