"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_probes.options"
_COMMON = "zoo.probes.options:ProbeOptions"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="probe",
        name="source-swap",
        target="zoo_probes.source_swap:SourceSwap",
        options=_COMMON,
        summary="Rise of the loss when each example is given another one's source; near 0: the source is ignored",
        references=("arXiv:2005.03393",),
    )
    yield Component(
        kind="probe",
        name="shift",
        target="zoo_probes.shift:Shift",
        options=f"{_OPTIONS}:ShiftOptions",
        summary="Change of encoder states when every position grows by a constant",
        references=("arXiv:2109.05644",),
    )
    yield Component(
        kind="probe",
        name="index-r2",
        target="zoo_probes.index_r2:IndexR2",
        options=f"{_OPTIONS}:IndexR2Options",
        summary="Held-out R squared of a linear map from encoder states to a token's index",
        references=("arXiv:1610.01644", "arXiv:2305.19466"),
    )
    yield Component(
        kind="probe",
        name="reversal",
        target="zoo_probes.reversal:Reversal",
        options=_COMMON,
        summary="Encoder states of a sentence against those of its reverse; 0: they look alike",
        references=("arXiv:2108.12409",),
    )
    yield Component(
        kind="probe",
        name="cached-decoding",
        target="zoo_probes.cached_decoding:CachedDecoding",
        options=f"{_OPTIONS}:CachedDecodingOptions",
        summary="Largest difference of logits between one pass and decoding from a cache",
    )
    yield Component(
        kind="probe",
        name="cross-attention-mass",
        target="zoo_probes.cross_attention_mass:CrossAttentionMass",
        options=f"{_OPTIONS}:CrossAttentionMassOptions",
        summary="Cross-attention by class of source token, raw and value-norm weighted, and the loss without the sink",
        references=("arXiv:2004.10102", "arXiv:2309.17453"),
    )
    yield Component(
        kind="probe",
        name="source-mass",
        target="zoo_probes.source_mass:SourceMass",
        options=f"{_OPTIONS}:SourceMassOptions",
        summary="Share of the source in what attention adds to the decoder, by target step",
        references=("arXiv:2304.04052", "arXiv:2010.10907"),
    )
    yield Component(
        kind="probe",
        name="repetition",
        target="zoo_probes.repetition:Repetition",
        options=f"{_OPTIONS}:RepetitionOptions",
        summary="rep-n: share of an output's n-grams that repeat an earlier one",
        references=("arXiv:1908.04319",),
    )
    yield Component(
        kind="probe",
        name="embedding-norms",
        target="zoo_probes.embedding_norms:EmbeddingNorms",
        options=_COMMON,
        summary="Norms of embedding rows, and of position vectors beside them",
        references=("arXiv:1706.03762",),
    )
    yield Component(
        kind="probe",
        name="gradient-norms",
        target="zoo_probes.gradient_norms:GradientNorms",
        options=f"{_OPTIONS}:GradientNormsOptions",
        summary="Gradient norm of each layer, by depth, on one batch",
        references=("arXiv:2002.04745", "arXiv:2206.00330"),
    )
