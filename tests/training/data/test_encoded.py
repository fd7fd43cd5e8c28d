"""Encoded examples on disk: made once, checked, mapped; and the second input."""

from __future__ import annotations

import errno
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.errors import InputError
from zoo.models.tokenizers import Tokenizers
from zoo.spec import Spec
from zoo.tasks import DataHome, Example, PreparedTask
from zoo.training import prepare, train
from zoo.training.data import encoded
from zoo.training.data.batching import TokenBatches
from zoo.training.data.collate import Collator
from zoo.training.data.encoded import encoded_pairs
from zoo.training.data.encoding import CHUNK, encode_pairs
from zoo.training.data.loader import batches_for
from zoo.training.data.ragged import EncodedPairs, Ragged

EOS = 1


class Letters:
    """A tokenizer of one id per letter, as the contract of tokenizers wants it."""

    eos_token_id = EOS

    def __init__(self, name: str = "letters") -> None:
        self._name = name

    @property
    def backend_tokenizer(self) -> Letters:
        return self

    def to_str(self) -> str:
        return self._name

    def __call__(self, texts: list[str], **kwargs: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[ord(letter) for letter in text] + [EOS] for text in texts]}


LETTERS = Tokenizers(Letters(), Letters())


def examples(count: int = 50) -> list[Example]:
    return [Example(str(n), chr(97 + n % 26) * (n % 7), chr(65 + n % 26) * (n % 5)) for n in range(count)]


class Source:
    """Examples, and how often they were asked for."""

    def __init__(self, items: Sequence[Example] | None = None) -> None:
        self.items = examples() if items is None else items
        self.asked = 0

    def __call__(self) -> Sequence[Example]:
        self.asked += 1
        return self.items


def stored(home: Path, source: Source, *, revision: str = "r", split: str = "train", **more: Any) -> EncodedPairs:
    arguments: dict[str, Any] = {"tokenizers": LETTERS, "max_tokens": 6} | more
    return encoded_pairs(DataHome(home), revision, split, examples=source, **arguments)


def rows(sequences: Ragged) -> list[list[int]]:
    return [sequences[index].tolist() for index in range(len(sequences))]


def same(one: EncodedPairs, other: EncodedPairs) -> bool:
    return one.dropped == other.dropped and list(map(rows, one.sides)) == list(map(rows, other.sides))


def folder_of(home: Path) -> Path:
    (folder,) = (path for path in (home / "encoded").iterdir() if path.is_dir())
    return folder


def test_what_is_on_disk_is_what_is_encoded_in_memory(tmp_path: Path) -> None:
    source = Source(examples(2 * CHUNK + 100))
    on_disk = stored(tmp_path, source)
    in_memory = encode_pairs(LETTERS, source.items, 6)
    assert 0 < in_memory.dropped < len(source.items)
    assert same(on_disk, in_memory)
    assert on_disk.sources.files is not None
    assert isinstance(on_disk.sources.ids.base, np.memmap)


def test_a_second_run_finds_it_and_asks_for_no_examples(tmp_path: Path) -> None:
    first = stored(tmp_path, Source())
    again = Source()
    assert same(stored(tmp_path, again), first)
    assert again.asked == 0


@pytest.mark.parametrize(
    "change",
    [
        {"revision": "other"},
        {"split": "dev"},
        {"max_tokens": 5},
        {"tokenizers": Tokenizers(Letters("other"), Letters())},
        {"tokenizers": Tokenizers(Letters(), Letters("other"))},
    ],
    ids=["revision", "split", "max_tokens", "source", "target"],
)
def test_another_identity_is_another_folder(tmp_path: Path, change: dict[str, Any]) -> None:
    stored(tmp_path, Source())
    other = Source()
    stored(tmp_path, other, **change)
    assert other.asked == 1


def truncate(folder: Path) -> None:
    file = folder / "target.ids"
    file.write_bytes(file.read_bytes()[:-4])


def flip(folder: Path) -> None:
    file = folder / "source.ids"
    data = bytearray(file.read_bytes())
    data[8] ^= 1
    file.write_bytes(data)


def lose(folder: Path) -> None:
    (folder / "source.offsets").unlink()


def garble(folder: Path) -> None:
    (folder / encoded.ABOUT).write_text('{"files": [')


def forget(folder: Path) -> None:
    about = json.loads((folder / encoded.ABOUT).read_text())
    about["files"] = {}
    (folder / encoded.ABOUT).write_text(json.dumps(about))


@pytest.mark.parametrize("damage", [truncate, flip, lose, garble, forget])
def test_a_damaged_folder_is_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    first = stored(tmp_path, Source())
    expected = encode_pairs(LETTERS, examples(), 6)
    assert same(first, expected)
    damage(folder_of(tmp_path))
    again = Source()
    assert same(stored(tmp_path, again), expected)
    assert again.asked == 1
    assert stored(tmp_path, Source()).sources.files is not None


def test_an_interrupted_encoding_leaves_nothing(tmp_path: Path) -> None:
    class Breaks(list[Example]):
        def __iter__(self) -> Any:
            yield from examples(CHUNK + 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored(tmp_path, Source(Breaks(examples(CHUNK + 2))))
    assert [path.name for path in (tmp_path / "encoded").iterdir() if not path.name.endswith(".lock")] == []


def test_what_a_killed_encoding_left_is_swept_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "encoded" / ".tmp-killed"
    left.mkdir(parents=True)
    (left / "source.ids").write_bytes(b"half")
    stored(tmp_path, Source())
    assert not left.exists()


def test_a_bound_that_leaves_nothing_is_told_and_kept_nowhere(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"max_tokens 6 leaves no example \(the shortest of 1 has 10\)"):
        stored(tmp_path, Source([Example("0", "a" * 9, "b")]))
    with pytest.raises(InputError, match="there are none"):
        stored(tmp_path, Source([]))
    assert not [path for path in (tmp_path / "encoded").iterdir() if path.is_dir()]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("step", ["locked", "atomic_directory"])
def test_a_home_that_cannot_be_written_to_leaves_the_ids_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    @contextmanager
    def refused(path: Path) -> Any:
        raise OSError(number, "no", str(path))
        yield

    monkeypatch.setattr(encoded, step, refused)
    found = stored(tmp_path, Source())
    assert found.sources.files is None
    assert same(found, encode_pairs(LETTERS, examples(), 6))


def test_examples_that_may_not_be_read_are_no_home_that_may_not_be_written(tmp_path: Path) -> None:
    def refused() -> Sequence[Example]:
        raise PermissionError(errno.EACCES, "no", "corpus.jsonl")

    with pytest.raises(PermissionError, match=r"corpus\.jsonl"):
        encoded_pairs(DataHome(tmp_path), "r", "train", LETTERS, refused, 6)


def test_who_comes_second_waits_and_finds_it(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Source):
        def __call__(self) -> Sequence[Example]:
            begun.set()
            assert go_on.wait(30)
            return super().__call__()

    slow, second, found = Slow(), Source(), []
    threads = [
        threading.Thread(target=lambda source=source: found.append(stored(tmp_path, source)))
        for source in (slow, second)
    ]
    threads[0].start()
    assert begun.wait(30)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert (slow.asked, second.asked) == (1, 0)
    assert same(*found)


def test_a_process_that_gets_mapped_sequences_maps_the_same_files(tmp_path: Path) -> None:
    pairs = stored(tmp_path, Source(examples(5000)))
    sent = pickle.dumps(pairs)
    assert len(sent) < 2000
    assert same(pickle.loads(sent), pairs)


def test_a_run_is_the_same_with_ids_found_made_or_in_memory(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weights(run: Path) -> bytes:
        return (run / "model.safetensors").read_bytes()

    train(make_spec(), tmp_path / "made", home=home)
    assert list(home.encoded.glob("train-*/about.json"))
    train(make_spec(), tmp_path / "found", home=home)
    monkeypatch.setattr(
        "zoo.training.data.layouts.encoded_pairs",
        lambda home, revision, split, tokenizers, examples, *more: encode_pairs(tokenizers, examples(), *more),
    )
    train(make_spec(), tmp_path / "memory", home=home)
    assert weights(tmp_path / "made") == weights(tmp_path / "found") == weights(tmp_path / "memory")


WITH_CONTEXT = [Example("0", "ab", "x"), Example("1", "a", "y", context="cde"), Example("2", "b", "z")]


@pytest.mark.parametrize("late", [0, CHUNK + 5], ids=["at once", "after the first chunk"])
def test_the_second_input_is_encoded_and_an_example_without_has_eos_alone(tmp_path: Path, late: int) -> None:
    before = [Example(f"b{n}", "q", "r" * (n % 9)) for n in range(late)]
    for pairs in (
        stored(tmp_path, Source([*before, *WITH_CONTEXT])),
        encode_pairs(LETTERS, [*before, *WITH_CONTEXT], 6),
    ):
        assert pairs.contexts is not None
        assert len(pairs.contexts) == len(pairs.sources) == late - pairs.dropped + 3
        assert rows(pairs.contexts)[-3:] == [[EOS], [99, 100, 101, EOS], [EOS]]
        assert all(row == [EOS] for row in rows(pairs.contexts)[:-3])


def test_examples_without_a_second_input_have_none(tmp_path: Path) -> None:
    assert stored(tmp_path, Source()).contexts is None


def test_a_second_input_past_the_bound_leaves_its_example_out() -> None:
    pairs = encode_pairs(LETTERS, [*WITH_CONTEXT, Example("3", "a", "b", context="c" * 9)], 6)
    assert (len(pairs), pairs.dropped) == (3, 1)


def test_the_second_input_counts_in_the_budget_and_reaches_the_model() -> None:
    items = [Example(str(n), "ab", "cd", context="e" * (n % 30)) for n in range(200)]
    pairs = encode_pairs(LETTERS, items, 40)
    batches = batches_for(pairs, 90, 1)
    assert isinstance(batches, TokenBatches)
    collate = Collator(pairs, pad_id=0, start_id=0)
    seen = []
    for chosen in batches.micro_batches(0):
        batch = collate(chosen)
        assert batch.context_input_ids is not None
        assert batch.context_input_ids.numel() <= 90
        inputs = batch.model_inputs()
        mask = inputs.get("context_attention_mask", torch.ones_like(batch.context_input_ids))
        for row, index in enumerate(chosen.indices.tolist()):
            expected = [ord("e")] * (index % 30) + [EOS]
            assert inputs["context_input_ids"][row][mask[row] == 1].tolist() == expected
        seen += chosen.indices.tolist()
    assert sorted(seen) == list(range(200))


def test_a_second_input_that_the_model_does_not_read_is_refused_before_training(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_spec()
    kind = type(prepare(spec, home).task)
    original = kind.examples

    def with_context(self: PreparedTask, split: Any) -> list[Example]:
        return [Example(item.id, item.source, item.target, context="ka") for item in original(self, split)]

    monkeypatch.setattr(kind, "examples", with_context)
    monkeypatch.setattr(kind, "revision", "sha256:other", raising=False)
    with pytest.raises(InputError, match="second input .* reads one: .*context_as: prefix"):
        train(spec, tmp_path / "out", home=DataHome(tmp_path / "home"))
    assert not (tmp_path / "out").exists()


MEASURE = """
import resource, sys
from collections.abc import Sequence
from pathlib import Path
from zoo.models.tokenizers import Tokenizers
from zoo.tasks import DataHome, Example
from zoo.training.data.batching import TokenBatches
from zoo.training.data.encoded import encoded_pairs

class Letters:
    eos_token_id = 1
    backend_tokenizer = property(lambda self: self)
    def to_str(self): return "letters"
    def __call__(self, texts, **more): return {"input_ids": [[*map(ord, text), 1] for text in texts]}

class Lazy(Sequence):
    def __init__(self, count): self.count = count
    def __len__(self): return self.count
    def __getitem__(self, index): raise AssertionError("walked through, not indexed")
    def __iter__(self):
        for n in range(self.count):
            yield Example(str(n), "source %d " % n * 4, "target %d " % n * 4)

pairs = encoded_pairs(DataHome(Path(sys.argv[1])), "r", "train", Tokenizers(Letters(), Letters()),
                      lambda: Lazy(int(sys.argv[2])), 500)
assert len(pairs) == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, sum(len(side.ids) * 4 for side in pairs.sides))
"""
BYTES_AN_EXAMPLE = 16
"""By which encoding may raise the peak: the offsets of two sides. (Ids alone are some 400 bytes an example here.)"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_encoding_ten_times_the_examples_costs_no_more_memory_than_their_offsets(tmp_path: Path) -> None:
    def peak(count: int) -> tuple[int, int]:
        command = [sys.executable, "-c", MEASURE, str(tmp_path / str(count)), str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200)
        most, ids = map(int, done.stdout.split())
        return most, ids

    (few, _), (many, ids) = peak(20_000), peak(200_000)
    noise = 4 * 2**20  # of the allocator
    bound = 180_000 * BYTES_AN_EXAMPLE + noise
    assert many - few < bound, f"{(many - few) / 2**20:.1f} MiB"
    assert ids > 5 * bound, "the control: in memory the ids alone would break the bound"
