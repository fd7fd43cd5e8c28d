"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import CommandContext, Component, Kind, hookimpl

_INITS = "zoo_vocabulary.inits"
_OPTIONS = "zoo_vocabulary.options"
_HEWITT = "https://nlp.stanford.edu/~johnhew/vocab-expansion.html"


@hookimpl
def zoo_kinds() -> Iterator[Kind]:
    yield Kind(
        "vocabulary-init",
        "What the rows of new tokens start with",
        "zoo_vocabulary.contracts:VocabularyInit",
        suite="zoo_vocabulary.testing:VocabularyInitSuite",
    )


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="vocabulary-init",
        name="mean-of-pieces",
        target=f"{_INITS}:MeanOfPieces",
        summary="The mean of the rows of the pieces that the token was before",
    )
    yield Component(
        kind="vocabulary-init",
        name="global-mean",
        target=f"{_INITS}:GlobalMean",
        summary="The mean of all old rows: the new token's odds are at first bounded by the old ones'",
        references=(_HEWITT,),
    )
    yield Component(
        kind="vocabulary-init",
        name="multivariate-normal",
        target=f"{_INITS}:MultivariateNormal",
        options=f"{_OPTIONS}:MultivariateNormalOptions",
        summary="Drawn from the normal distribution with the mean and covariance of the old rows",
        references=(_HEWITT,),
    )
    yield Component(
        kind="vocabulary-init",
        name="random",
        target=f"{_INITS}:Random",
        options=f"{_OPTIONS}:RandomOptions",
        summary="Drawn independently around zero, as if training began anew",
    )


@hookimpl
def zoo_cli_commands(context: CommandContext) -> None:
    from zoo_vocabulary.cli import vocab

    context.group.add_command(vocab)
