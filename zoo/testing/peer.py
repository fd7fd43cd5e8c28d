"""What is asked of peers."""

from __future__ import annotations

import os
import re
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.errors import InputError
from zoo.spec.options import Chosen
from zoo.tasks.images import PixelImage, Source
from zoo.tasks.peers import Peer, PeerFacts
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_INPUTS = ("text", "image")
_LAST: dict[str, Peer] = {}
"""The peer that was built last, by name and options: what it loads takes time, and memory."""


class PeerSuite(ComponentSuite):
    """Peers: see `zoo.tasks.peers.Peer`. What is not installed is skipped, but where the environment has CI."""

    kind: ClassVar[str] = "peer"

    @pytest.fixture
    def peer(self, chosen: Chosen) -> Peer:
        """The peer with the options of this case, loaded, where it is installed: the same for all tests of a case."""
        name = repr(chosen.plain())
        if name not in _LAST:
            found: Peer = chosen.create(1)
            assert isinstance(found, Peer)
            try:
                found.facts()
            except InputError as error:
                if os.environ.get("CI"):
                    raise
                pytest.skip(str(error))
            found.load()
            _LAST.clear()
            _LAST[name] = found
        return _LAST[name]

    def sources(self) -> list[Source]:
        """Three sources of different sizes and a very small one."""
        if self.registered().traits.get("inputs", "text") == "text":
            return ["one", "two words", "three words here", "."]
        return [PixelImage(pixels) for pixels in (bars(24, 120), bars(40, 90), blank(32, 200), blank(1, 1))]

    def other_kind(self) -> Source:
        """A source that the peer does not read."""
        return PixelImage(blank(8, 8)) if self.registered().traits.get("inputs", "text") == "text" else "a text"

    def test_says_what_it_reads(self) -> None:
        assert self.registered().traits.get("inputs", "text") in _INPUTS, f"the trait 'inputs': one of {_INPUTS}"

    def test_says_what_runs(self, peer: Peer) -> None:
        with untouched_surroundings():
            facts = peer.facts()
        assert isinstance(facts, PeerFacts)
        assert facts.engine.strip()
        assert facts.version.strip()
        assert facts.models, "its outputs are those of the models that it reads: name them"
        for name, digest in facts.models.items():
            assert "/" not in name, f"{name}: a file's name, and not where it lies on this machine"
            assert _DIGEST.fullmatch(digest), f"{name}: expected sha256:<hex>, found {digest}"
        assert peer.facts() == facts

    def test_gives_one_text_for_each_source(self, peer: Peer) -> None:
        sources = self.sources()
        with untouched_surroundings():
            answers = peer.answer(sources)
        assert len(answers) == len(sources)
        assert all(isinstance(answer, str) for answer in answers)
        assert peer.answer([]) == []

    def test_an_answer_depends_on_its_source_alone(self, peer: Peer) -> None:
        sources = self.sources()
        together = peer.answer(sources)
        assert peer.answer(sources[::-1]) == together[::-1], "another order gives other answers"
        assert [peer.answer([source])[0] for source in sources] == together, "company changes answers"

    def test_images_stay_as_they_are(self, peer: Peer) -> None:
        images = [source for source in self.sources() if isinstance(source, PixelImage)]
        before = [image.pixels.copy() for image in images]
        peer.answer(images)
        for image, pixels in zip(images, before, strict=True):
            assert np.array_equal(image.pixels, pixels)

    def test_refuses_what_it_does_not_read(self, peer: Peer) -> None:
        with pytest.raises(InputError):
            peer.answer([self.other_kind()])


def blank(height: int, width: int) -> NDArray[np.uint8]:
    """A white image ``[H, W, 3]``."""
    return np.full((height, width, 3), 255, dtype=np.uint8)


def bars(height: int, width: int) -> NDArray[np.uint8]:
    """Black bars on white ``[H, W, 3]``, which look like letters from afar."""
    image = blank(height, width)
    for left in range(6, width - 6, 12):
        image[height // 4 : -(height // 4), left : left + 4] = 0
    return image
