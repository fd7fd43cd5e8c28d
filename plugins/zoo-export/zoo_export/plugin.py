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
    yield Component(
        kind="exporter",
        name="ctranslate2",
        target="zoo_export.ct2.exporter:Ctranslate2Exporter",
        options="zoo_export.options:Ctranslate2Options",
        summary="A model of CTranslate2, of the components that it has",
        references=("https://opennmt.net/CTranslate2/",),
        traits={
            "components": {
                "block": "zoo-blocks/pre-norm",
                "normalization": "zoo-blocks/layer-norm",
                "feedforward": "zoo-blocks/mlp",
                "fusion": "zoo-fusion/top",
            }
        },
    )
    yield Component(
        kind="exporter",
        name="torch",
        target="zoo_export.torch_exporter:TorchExporter",
        options="zoo_export.options:TorchOptions",
        summary="The model's own folder, in bfloat16 or float16: torch runs it",
        references=("arXiv:1905.12322",),
    )
