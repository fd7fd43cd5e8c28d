"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_blocks.options"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield from _blocks()
    yield from _normalizations()
    yield from _activations()
    yield from _feedforwards()


def _blocks() -> Iterator[Component]:
    yield Component(
        kind="block",
        name="pre-norm",
        target="zoo_blocks.residual:PreNorm",
        summary="Normalise what enters a sublayer: x + f(norm(x)), one more normalisation after the last layer",
        references=("arXiv:2002.04745",),
    )
    yield Component(
        kind="block",
        name="post-norm",
        target="zoo_blocks.residual:PostNorm",
        summary="Normalise after the residual connection: norm(x + f(x))",
        references=("arXiv:1706.03762",),
    )


def _normalizations() -> Iterator[Component]:
    yield Component(
        kind="normalization",
        name="layer-norm",
        target="zoo_blocks.normalization:LayerNorm",
        options=f"{_OPTIONS}:LayerNormOptions",
        summary="Zero mean and unit variance over the features, then a trained gain and shift",
        references=("arXiv:1607.06450",),
    )
    yield Component(
        kind="normalization",
        name="rms-norm",
        target="zoo_blocks.normalization:RmsNorm",
        options=f"{_OPTIONS}:RmsNormOptions",
        summary="Unit mean square over the features, then a trained gain",
        references=("arXiv:1910.07467",),
    )


def _activations() -> Iterator[Component]:
    yield Component(
        kind="activation",
        name="relu",
        target="zoo_blocks.activation:Relu",
        summary="max(x, 0)",
        references=("arXiv:1803.08375",),
    )
    yield Component(
        kind="activation",
        name="leaky_relu",
        target="zoo_blocks.activation:LeakyRelu",
        options=f"{_OPTIONS}:LeakyReluOptions",
        summary="x where positive, a small multiple of x elsewhere",
        references=("arXiv:1505.00853",),
    )
    yield Component(
        kind="activation",
        name="gelu",
        target="zoo_blocks.activation:Gelu",
        options=f"{_OPTIONS}:GeluOptions",
        summary="x times the probability that a normal variable is below x",
        references=("arXiv:1606.08415",),
    )
    yield Component(
        kind="activation",
        name="silu",
        target="zoo_blocks.activation:Silu",
        summary="x times its sigmoid (also called swish)",
        references=("arXiv:1702.03118", "arXiv:1710.05941"),
    )


def _feedforwards() -> Iterator[Component]:
    yield Component(
        kind="feedforward",
        name="mlp",
        target="zoo_blocks.feedforward:Mlp",
        options=f"{_OPTIONS}:MlpOptions",
        summary="Two projections with an activation between them",
        references=("arXiv:1706.03762",),
    )
    yield Component(
        kind="feedforward",
        name="swiglu",
        target="zoo_blocks.feedforward:Swiglu",
        options=f"{_OPTIONS}:SwigluOptions",
        summary="A projection gated by the SiLU of another",
        references=("arXiv:2002.05202",),
    )
