"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="fusion",
        name="top",
        target="zoo_fusion.top:Top",
        summary="Every decoder layer reads the encoder's last layer",
        references=("arXiv:1706.03762",),
    )
