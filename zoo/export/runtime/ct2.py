"""Runs exports for CTranslate2, which searches by itself: what it is told, and what it cannot be told.

Greedy outputs are those of the model in torch, with the same constraints, but that n-grams which must not repeat are
counted without the start token: a difference where a model writes that. Beam search differs from transformers' in

- when it ends: as soon as `width` hypotheses are finished (transformers' ``early_stopping``), but with a length penalty
  of 0 when the best of all is finished, which gives what transformers gives without ``early_stopping``;
- banned tokens: it normalises probabilities without them (transformers' ``renormalize_logits``), so that without that
  scores differ by how likely the model holds them;
- a forced first token: of the hypotheses that end right behind it only the likeliest counts;
- a forced last token: hypotheses of the greatest length are compared by what is likeliest in its place.

Refused are, with beams, constraints that take likely tokens away, unless probabilities are normalised without them;
with either search a repetition penalty, unigrams that must not repeat, and banned runs that begin with the start token,
as CTranslate2 leaves that out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError, ZooError
from zoo.export.runtime.devices import GPU, HOST, Device
from zoo.export.runtime.sessions import usable_cores
from zoo.export.runtime.settings import Search

_WAITING = "OMP_WAIT_POLICY"
WEIGHTS = "model.bin"
SHARED, SOURCE, TARGET = "shared_vocabulary.json", "source_vocabulary.json", "target_vocabulary.json"
"""Texts of tokens in the order of their ids: of both sides, or of each."""


def differences(search: Search) -> list[str]:
    """Where CTranslate2 does not search quite as it is asked to, a line each. Raises InputError where it cannot."""
    refuse_search(search)
    found = []
    if search.no_repeat_ngram and search.start not in search.banned:
        found.append(
            "decoding.strategy.no_repeat_ngram: CTranslate2 lets what stands behind the start token stand behind "
            "another one, where a model writes it"
        )
    if search.width == 1:
        return found
    if search.early_stopping != ends_when_full(search):
        found.append(
            "decoding.strategy: CTranslate2 ends a beam search "
            + (
                f"as soon as {search.width} hypotheses are finished (early_stopping: true)"
                if ends_when_full(search)
                else "when the best hypothesis is finished (early_stopping: false), as length_penalty is 0"
            )
        )
    if search.banned and not search.renormalize:
        found.append("decoding.strategy: CTranslate2 normalises a beam's probabilities without the banned tokens")
    if search.forced_first is not None:
        found.append(
            "decoding.strategy: of a beam's hypotheses that end right behind the forced first token CTranslate2 takes "
            "but the likeliest"
        )
    if search.forced_last is not None:
        found.append(
            "decoding.strategy: CTranslate2 compares hypotheses of the greatest length by the last token that is "
            "likeliest, before the forced one takes its place"
        )
    return found


def ends_when_full(search: Search) -> bool:
    """What CTranslate2's end of a beam search is in transformers' words: the value of ``early_stopping``."""
    return search.length_penalty != 0.0


def refuse_search(search: Search) -> None:
    """Raise InputError, naming the option, where CTranslate2 searches for something else."""
    if search.repetition_penalty != 1.0:
        raise InputError(
            "decoding.strategy.repetition_penalty: CTranslate2 leaves the start token out of it: expected 1, found "
            f"{search.repetition_penalty:g}"
        )
    if search.no_repeat_ngram == 1:
        raise InputError(
            "decoding.strategy.no_repeat_ngram: CTranslate2 leaves the start token out of it: expected 0 or at least "
            "2, found 1"
        )
    if any(run[0] == search.start for run in search.banned_runs):
        raise InputError("special.banned: CTranslate2 leaves the start token out of it, and a banned run begins there")
    if search.width == 1:
        return
    if search.banned_runs and not search.renormalize:
        raise InputError(
            "special.banned: in a beam search CTranslate2 gives the probability of what ends a banned run to other "
            "tokens: decode with a width of 1"
        )
    for name in ("no_repeat_ngram", "min_new_tokens"):
        if getattr(search, name) and not search.renormalize:
            raise InputError(
                f"decoding.strategy.{name}: in a beam search CTranslate2 gives the probability of what is forbidden to "
                f"other tokens: expected 0, found {getattr(search, name)}; or decode with a width of 1"
            )
    if search.log_probabilities:
        raise InputError("log_probabilities: CTranslate2 normalises what it gets")


def _forbidden(search: Search) -> list[tuple[int, ...]]:
    return [*((token,) for token in search.banned), *search.banned_runs]


class Ct2Engine:
    """An export for CTranslate2, opened. Any number of threads may use it at once; those that come while as many calls
    are computed as the process has cores for wait."""

    def __init__(self, folder: Path, threads: int | None = None, device: Device = HOST) -> None:
        """Each call computes on `threads` threads (None: as many as the process has cores), or on a GPU.

        Raises InputError where CTranslate2 cannot open it, on a device that was asked for by name, or a vocabulary is
        damaged; ZooError where CTranslate2 is not installed.
        """
        cores = usable_cores()
        chosen = threads or cores
        shared = folder / SHARED
        self._source = _tokens(shared if shared.is_file() else folder / SOURCE)
        self._target = self._source if shared.is_file() else _tokens(folder / TARGET)
        self._ids = {token: place for place, token in enumerate(self._target)}
        self._begins = _has_no_start(folder)
        self._translator = _opened(folder, chosen, max(1, cores // chosen), device)

    def written(
        self, sources: Sequence[Sequence[int]], search: Search, contexts: Sequence[Sequence[int]] | None = None
    ) -> list[list[int]]:
        """What is written for each source's ids, as one batch: without the start token, with an end token where there
        is one. For a source of special tokens alone nothing: CTranslate2 does not ask the model.

        Raises InputError where CTranslate2 cannot search so, or there are `contexts`.
        """
        if contexts is not None:
            raise InputError("a second source: no model of CTranslate2's reads one")
        refuse_search(search)
        first = search.forced_first
        found = self._translate(
            sources,
            None if first is None else [[first]] * len(sources),
            search.start,
            beam_size=search.width,
            length_penalty=search.length_penalty,
            no_repeat_ngram_size=search.no_repeat_ngram,
            min_decoding_length=search.min_new_tokens,
            max_decoding_length=search.max_new_tokens,
            suppress_sequences=[[self._target[token] for token in run] for run in _forbidden(search)] or None,
        )
        rows = [[self._ids[token] for token in result.hypotheses[0]] for result in found]
        if search.forced_last is not None:
            for row in rows:
                if len(row) == search.max_new_tokens:
                    row[-1] = search.forced_last
        return rows

    def logits(
        self, sources: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]], start: int | None = None
    ) -> list[NDArray[np.float32]]:
        """The scores ``[T, V]`` of each token of an output and of all others in its place, step by step from the cache,
        behind the token `start` where the model has none of its own; for a source of special tokens alone none,
        ``[0, V]``."""
        found = self._translate(
            sources,
            outputs,
            start,
            beam_size=1,
            min_decoding_length=0,
            max_decoding_length=max(map(len, outputs)),
            return_logits_vocab=True,
        )
        empty = np.empty((0, len(self._target)), np.float32)
        return [
            np.stack([np.asarray(step, dtype=np.float32) for step in result.logits[0][: len(output)]])
            if result.logits
            else empty
            for result, output in zip(found, outputs, strict=True)
        ]  # [T, V] each

    def _translate(
        self,
        sources: Sequence[Sequence[int]],
        prefixes: Sequence[Sequence[int]] | None,
        start: int | None,
        **options: Any,
    ) -> list[Any]:
        texts = [[self._source[token] for token in row] for row in sources]
        if self._begins:  # its results are without it
            assert start is not None
            prefixes = [[start, *row] for row in ([()] * len(sources) if prefixes is None else prefixes)]
        begins = None if prefixes is None else [[self._target[token] for token in row] for row in prefixes]
        found: list[Any] = self._translator.translate_batch(
            texts,
            target_prefix=begins,
            max_input_length=0,  # whoever gives sources has cut them
            return_end_token=True,
            **options,
        )
        return found


def missing_from_ctranslate2() -> str | None:
    """Why CTranslate2 finds no GPU here; None where it does."""
    library = _ctranslate2()
    if library.get_cuda_device_count():
        return None
    return (
        f"ctranslate2 {library.__version__} finds no CUDA device: it needs a driver (see nvidia-smi), and cuBLAS of "
        "CUDA 12 (pip install nvidia-cublas-cu12)"
    )


def _opened(folder: Path, threads: int, calls: int, device: Device) -> Any:
    library = _ctranslate2()
    level = library.get_log_level()
    library.set_log_level(40)  # errors: that weights of another precision are converted is no news
    where = {"device": device.kind, "device_index": device.number}
    try:
        return library.Translator(str(folder), **where, inter_threads=calls, intra_threads=threads)
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        told = f"ctranslate2 {library.__version__} cannot open it ({text})"
        if device.kind != GPU:
            raise InputError(told, where=str(folder)) from error
        device.not_had(told)
        return _opened(folder, threads, calls, HOST)
    finally:
        library.set_log_level(level)


def _has_no_start(folder: Path) -> bool:
    """Whether each call says with which token decoding begins, as a model does whose languages begin it."""
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path)) from None
    return isinstance(found, dict) and "decoder_start_token" in found and found["decoder_start_token"] is None


def _tokens(path: Path) -> list[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path)) from None
    if not isinstance(found, list) or not all(isinstance(token, str) for token in found):
        raise InputError("expected a list of tokens", where=str(path))
    return found


def _ctranslate2() -> Any:
    try:
        with _sleeping_threads():
            import ctranslate2
    except ImportError:
        raise ZooError("running this export needs ctranslate2: pip install 'zoo-registry[ctranslate2]'") from None
    return ctranslate2


@contextmanager
def _sleeping_threads() -> Iterator[None]:
    """Within the block: an OpenMP library that is loaded has threads that sleep as they wait, unless the environment
    says otherwise.

    By default they spin: in between the calls of a server, and where other processes need the cores, that costs more
    than what is computed. The library comes with CTranslate2; where torch has loaded its own before, that serves both,
    and is as it is.
    """
    if _WAITING in os.environ:
        yield
        return
    os.environ[_WAITING] = "PASSIVE"
    try:
        yield
    finally:
        del os.environ[_WAITING]
