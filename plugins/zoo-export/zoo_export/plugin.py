"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="exporter",
        name="onnx",
        target="zoo_export.onnx_exporter:OnnxExporter",
        options="zoo_export.options:OnnxOptions",
        summary="Three ONNX graphs (encoder, first step, cached step), as onnxruntime and optimum read them",
        references=("https://onnx.ai", "https://onnxruntime.ai"),
    )
