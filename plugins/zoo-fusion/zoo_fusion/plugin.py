"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_fusion.options"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield from _fusions()
    yield from _output_fusions()
    yield from _probes()


def _fusions() -> Iterator[Component]:
    yield Component(
        kind="fusion",
        name="top",
        target="zoo_fusion.top:Top",
        summary="Every decoder layer reads the encoder's last layer",
        references=("arXiv:1706.03762",),
    )
    yield Component(
        kind="fusion",
        name="free-scalar",
        target="zoo_fusion.free_scalar:FreeScalar",
        options=f"{_OPTIONS}:FreeScalarOptions",
        summary="Every decoder layer reads a sum of all encoder outputs, each with a free, unnormalised weight",
    )
    yield Component(
        kind="fusion",
        name="transparent",
        target="zoo_fusion.layer_attention:Transparent",
        options=f"{_OPTIONS}:LayerAttentionOptions",
        summary="Every decoder layer reads a mean of all encoder outputs by its own softmax weights, normalised",
        references=("arXiv:1808.07561",),
    )
    yield Component(
        kind="fusion",
        name="fine-grained",
        target="zoo_fusion.layer_attention:FineGrained",
        options=f"{_OPTIONS}:LayerAttentionOptions",
        summary="As transparent, with softmax weights for every feature",
        references=("arXiv:2012.14768",),
    )


def _output_fusions() -> Iterator[Component]:
    yield Component(
        kind="output-fusion",
        name="surface-hard",
        target="zoo_fusion.surface:SurfaceHard",
        options=f"{_OPTIONS}:SurfaceHardOptions",
        summary="Adds log-probabilities read off the source embeddings to the decoder's, at a fixed rate",
        references=("arXiv:2012.14768",),
    )
    yield Component(
        kind="output-fusion",
        name="surface-soft",
        target="zoo_fusion.surface:SurfaceSoft",
        summary="Adds log-probabilities read off the source embeddings to the decoder's logits",
        references=("arXiv:2012.14768",),
    )


def _probes() -> Iterator[Component]:
    yield Component(
        kind="probe",
        name="layer-shares",
        target="zoo_fusion.layer_shares:LayerShares",
        options="zoo.probes.options:ProbeOptions",
        summary="Effective share of each encoder output in each decoder layer, and the loss without it",
        references=("arXiv:2109.07152",),
    )
