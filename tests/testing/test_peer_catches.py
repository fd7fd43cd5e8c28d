"""The kit fails peers whose answers depend on more than their source, or that do not say what runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from zoo.errors import InputError
from zoo.spec.options import Chosen, NoOptions, Options
from zoo.tasks.images import Source
from zoo.tasks.peers import Peer, PeerFacts
from zoo.testing import PeerSuite

Installed = Callable[..., PeerSuite]


class Good(Peer):
    """Gives each text back in capitals."""

    def __init__(self, options: Options, threads: int = 1) -> None:
        super().__init__(options, threads)

    def facts(self) -> PeerFacts:
        return PeerFacts("good", "1", {"capitals.bin": "sha256:" + "0" * 64})

    def answer(self, sources: Sequence[Source]) -> list[str]:
        if not all(isinstance(source, str) for source in sources):
            raise InputError("expected texts")
        return [str(source).upper() for source in sources]


class Counting(Good):
    """Numbers its answers."""

    def answer(self, sources: Sequence[Source]) -> list[str]:
        return [f"{number} {answer}" for number, answer in enumerate(super().answer(sources))]


class Forgetful(Good):
    """Leaves out empty answers."""

    def answer(self, sources: Sequence[Source]) -> list[str]:
        return [answer for answer in super().answer(sources) if len(answer) > 1]


class Silent(Good):
    """Does not say which models it reads."""

    def facts(self) -> PeerFacts:
        return PeerFacts("silent", "1", {})


class Placed(Good):
    """Tells where its models lie on this machine."""

    def facts(self) -> PeerFacts:
        return PeerFacts("placed", "1", {"/home/me/a.bin": "sha256:" + "0" * 64})


class Greedy(Good):
    """Takes whatever it is given."""

    def answer(self, sources: Sequence[Source]) -> list[str]:
        return ["" for _ in sources]


_BEHAVIOUR = (
    "test_says_what_runs",
    "test_gives_one_text_for_each_source",
    "test_an_answer_depends_on_its_source_alone",
    "test_images_stay_as_they_are",
    "test_refuses_what_it_does_not_read",
)


def run(installed: Installed, implementation: type[Peer], test: str) -> None:
    suite = installed(PeerSuite, implementation)
    chosen = Chosen(suite.registered(), NoOptions())
    getattr(suite, test)(chosen.create(1))


@pytest.mark.parametrize("test", _BEHAVIOUR)
def test_a_good_peer_passes(installed: Installed, test: str) -> None:
    run(installed, Good, test)


@pytest.mark.parametrize(
    ("implementation", "test"),
    [
        (Counting, "test_an_answer_depends_on_its_source_alone"),
        (Forgetful, "test_gives_one_text_for_each_source"),
        (Silent, "test_says_what_runs"),
        (Placed, "test_says_what_runs"),
        (Greedy, "test_refuses_what_it_does_not_read"),
    ],
)
def test_a_bad_one_is_caught(installed: Installed, implementation: type[Peer], test: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(installed, implementation, test)
