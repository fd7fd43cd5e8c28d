"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_decoding.options"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="decoding",
        name="greedy",
        target="zoo_decoding.search:Greedy",
        options=f"{_OPTIONS}:GreedyOptions",
        summary="The likeliest token at every step",
    )
    yield Component(
        kind="decoding",
        name="beam",
        target="zoo_decoding.search:Beam",
        options=f"{_OPTIONS}:BeamOptions",
        summary="The best of several hypotheses that grow together, by length-normalised log-probability",
        references=("arXiv:1609.08144",),
    )
    yield Component(
        kind="decoding",
        name="sampling",
        target="zoo_decoding.sampling:Sampling",
        options=f"{_OPTIONS}:SamplingOptions",
        summary="Tokens drawn at random, tempered and cut off, repeatable example by example",
        references=("arXiv:1904.09751", "arXiv:2407.01082"),
        traits={"random": True},
    )
