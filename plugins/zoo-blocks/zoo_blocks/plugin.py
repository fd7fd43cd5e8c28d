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
    yield from _initializations()


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
    yield Component(
        kind="block",
        name="b2t",
        target="zoo_blocks.residual:BottomToTop",
        summary="Post-norm, with the layer's input added again before its last normalisation",
        references=("arXiv:2206.00330",),
    )
    yield Component(
        kind="block",
        name="sandwich",
        target="zoo_blocks.residual:Sandwich",
        summary="Normalise what enters a sublayer and what it adds: x + norm(f(norm(x)))",
        references=("arXiv:2105.13290",),
    )
    yield Component(
        kind="block",
        name="deep-norm",
        target="zoo_blocks.residual:DeepNorm",
        summary="Post-norm with a residual path that grows with depth: norm(alpha x + f(x))",
        references=("arXiv:2203.00555",),
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
    yield Component(
        kind="activation",
        name="sigmoid",
        target="zoo_blocks.activation:Sigmoid",
        summary="1 / (1 + exp(-x)), the gate of a GLU",
        references=("arXiv:1612.08083",),
    )
    yield Component(
        kind="activation",
        name="identity",
        target="zoo_blocks.activation:Identity",
        summary="x as it is, the gate of a bilinear layer",
        references=("arXiv:2002.05202",),
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
    yield Component(
        kind="feedforward",
        name="glu",
        target="zoo_blocks.feedforward:Glu",
        options=f"{_OPTIONS}:GluOptions",
        summary="A projection gated by an activation of another: GLU, Bilinear, ReGLU, GEGLU, SwiGLU",
        references=("arXiv:2002.05202", "arXiv:1612.08083"),
    )


def _initializations() -> Iterator[Component]:
    yield Component(
        kind="initialization",
        name="xavier",
        target="zoo_blocks.initialization:Xavier",
        options=f"{_OPTIONS}:XavierOptions",
        summary="Variance by fan-in and fan-out, times a gain",
        references=("https://proceedings.mlr.press/v9/glorot10a.html",),
    )
    yield Component(
        kind="initialization",
        name="normal",
        target="zoo_blocks.initialization:Normal",
        options=f"{_OPTIONS}:NormalOptions",
        summary="One standard deviation for every matrix",
        references=("arXiv:1810.04805",),
    )
    yield Component(
        kind="initialization",
        name="small",
        target="zoo_blocks.initialization:Small",
        summary="SmallInit: every matrix N(0, 2 / (5 D))",
        references=("arXiv:1910.05895",),
    )
    yield Component(
        kind="initialization",
        name="deep-norm",
        target="zoo_blocks.initialization:DeepNormInitialization",
        options=f"{_OPTIONS}:DeepNormInitializationOptions",
        summary="Xavier with a gain by depth on value, output and feed-forward matrices; for the block deep-norm",
        references=("arXiv:2203.00555",),
    )
    yield Component(
        kind="initialization",
        name="depth-scaled",
        target="zoo_blocks.initialization:DepthScaled",
        options=f"{_OPTIONS}:DepthScaledOptions",
        summary="Every matrix times L^(-1/2), as in the code of the B2T paper; for the block b2t",
        references=("arXiv:2206.00330", "https://github.com/takase/b2t_connection"),
    )
