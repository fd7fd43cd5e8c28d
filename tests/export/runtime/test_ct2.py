"""An export for CTranslate2, run by it, against its model in torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.errors import InputError
from zoo.export.exporting import export_model
from zoo.export.folder import read_export
from zoo.export.runtime import Translator, load
from zoo.export.runtime.ct2 import SHARED, WEIGHTS, Ct2Engine, differences
from zoo.export.runtime.settings import Search
from zoo.export.runtime.texts import padded
from zoo.measure.reading import TextReader
from zoo.models.decoding import run_generate
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.tasks import DataHome
from zoo.testing.surroundings import one_thread
from zoo.training import build, load_run
from zoo.training.preparation import prepare_task


@dataclass(frozen=True)
class Pair:
    """A model of ``zoo build``, its export, and sources with their ids."""

    folder: Path
    run: Any
    export: Path
    texts: tuple[str, ...]
    sources: list[list[int]]

    def generated(self, max_new_tokens: int = 20, **settings: Any) -> list[list[int]]:
        """What transformers' `generate` writes with these settings, without the start token, to the end token."""
        config = self.run.model.config
        ids, mask = padded(self.sources, config.pad_token_id)  # [B, S] each
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        with one_thread(), torch.no_grad():
            written = run_generate(self.run.model, inputs, settings, max_new_tokens=max_new_tokens)  # [B, 1 + T]
        end = config.eos_token_id
        return [row[: row.index(end) + 1] if end in row else row for row in written[:, 1:].tolist()]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, twin_spec: Callable[..., Any]) -> Pair:
    """Untrained, but sure of itself, so that outputs differ and some end."""
    home = DataHome(tmp_path_factory.mktemp("home"))
    folder, out = tmp_path_factory.mktemp("models") / "tiny", tmp_path_factory.mktemp("exports") / "tiny"
    spec = twin_spec(**{"task.corpus.dev_pairs": 12})
    texts = tuple(example.source for example in prepare_task(spec, home).examples("dev"))
    with one_thread():
        build(spec, folder, home)
        model = load_run(folder).model
        with torch.no_grad():
            for matrix in model.parameters():
                if matrix.ndim == 2:
                    matrix.mul_(2.0)
            model.lm_head.weight[model.config.eos_token_id] *= 2.0
        model.save_pretrained(folder)
        exporter = current_registry().get("exporter", "ctranslate2")
        export_model(folder, out, Chosen(exporter, exporter.load_options()()), sources=texts[:5])
    run = load_run(folder)
    run.model.eval()
    encoded = TextReader(run.tokenizers.source).encoded(texts, torch.device("cpu"), limit=24)
    kept = zip(encoded["input_ids"], encoded["attention_mask"].bool(), strict=True)
    return Pair(folder, run, out, texts, [ids[real].tolist() for ids, real in kept])


@pytest.fixture(scope="module")
def translator(pair: Pair) -> Translator:
    return load(pair.export, threads=1)


@pytest.fixture(scope="module")
def engine(pair: Pair) -> Ct2Engine:
    return Ct2Engine(pair.export, threads=1)


def search_of(pair: Pair, **changes: Any) -> Search:
    config = pair.run.model.config
    return Search(
        **{"start": config.decoder_start_token_id, "end": config.eos_token_id, "max_new_tokens": 20, **changes}
    )


@pytest.mark.parametrize("length_penalty", [0.8, 2.0])
def test_beams_are_those_of_transformers_that_end_early(pair: Pair, engine: Ct2Engine, length_penalty: float) -> None:
    expected = pair.generated(num_beams=3, length_penalty=length_penalty, early_stopping=True)
    assert len({len(row) for row in expected}) > 3
    search = search_of(pair, width=3, length_penalty=length_penalty, early_stopping=True)
    assert differences(search) == []
    assert engine.written(pair.sources, search) == expected


def test_beams_without_a_length_penalty_are_those_of_transformers_that_end_when_nothing_can_be_better(
    pair: Pair, engine: Ct2Engine
) -> None:
    search = search_of(pair, width=3, length_penalty=0.0, early_stopping=False)
    assert differences(search) == []
    expected = pair.generated(num_beams=3, length_penalty=0.0, early_stopping=False)
    assert engine.written(pair.sources, search) == expected


@pytest.mark.parametrize(
    ("settings", "search"),
    [
        ({}, {}),
        ({"no_repeat_ngram_size": 2, "bad_words_ids": [[0]]}, {"no_repeat_ngram": 2, "banned": (0,)}),
        ({"min_new_tokens": 12}, {"min_new_tokens": 12}),
        (
            {"bad_words_ids": [[0], [7], [9], [55, 1], [58, 58]]},
            {"banned": (0, 7, 9), "banned_runs": ((55, 1), (58, 58))},
        ),
        ({"forced_bos_token_id": 9, "forced_eos_token_id": 1}, {"forced_first": 9, "forced_last": 1}),
        ({"max_new_tokens": 1, "forced_bos_token_id": 9}, {"max_new_tokens": 1, "forced_first": 9}),
    ],
    ids=str,
)
def test_greedy_outputs_are_those_of_transformers_with_the_same_constraints(
    pair: Pair, engine: Ct2Engine, settings: dict[str, Any], search: dict[str, Any]
) -> None:
    expected = pair.generated(**settings)
    assert engine.written(pair.sources, search_of(pair, **search)) == expected
    if search:
        assert settings.get("max_new_tokens") or expected != pair.generated()


def test_greedy_constraints_hold_in_beams_where_probabilities_are_normalised_without_what_is_forbidden(
    pair: Pair, engine: Ct2Engine
) -> None:
    beams = {"num_beams": 3, "early_stopping": True, "renormalize_logits": True}
    banned = [[0], [7], [9]]
    expected = pair.generated(**beams, no_repeat_ngram_size=2, min_new_tokens=4, bad_words_ids=banned)
    plain = search_of(pair, width=3, early_stopping=True, renormalize=True)
    search = replace(plain, no_repeat_ngram=2, min_new_tokens=4, banned=(0, 7, 9))
    assert differences(search) == []
    assert engine.written(pair.sources, search) == expected != engine.written(pair.sources, plain)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"repetition_penalty": 1.1}, "repetition_penalty: .* expected 1, found 1.1"),
        ({"no_repeat_ngram": 1}, "no_repeat_ngram: .* expected 0 or at least 2"),
        ({"no_repeat_ngram": 2, "width": 3}, "no_repeat_ngram: in a beam search"),
        ({"min_new_tokens": 2, "width": 3}, "min_new_tokens: in a beam search"),
        ({"banned_runs": ((4, 5),), "width": 3}, "special.banned: in a beam search"),
        ({"banned_runs": ((0, 5),)}, "special.banned: .* a banned run begins there"),
    ],
    ids=str,
)
def test_a_search_that_ctranslate2_does_not_have_is_refused_by_its_option(
    pair: Pair, engine: Ct2Engine, changes: dict[str, Any], expected: str
) -> None:
    search = search_of(pair, **changes)
    with pytest.raises(InputError, match=expected):
        differences(search)
    with pytest.raises(InputError, match=expected):
        engine.written(pair.sources, search)


def test_each_known_difference_of_a_beam_search_is_told(pair: Pair) -> None:
    def told(**changes: Any) -> list[str]:
        return differences(search_of(pair, width=3, **{"early_stopping": True, **changes}))

    assert told() == []
    for changes, words in [
        ({"early_stopping": False}, "as soon as 3 hypotheses are finished"),
        ({"length_penalty": 0.0}, "when the best hypothesis is finished"),
        ({"banned": (4,)}, "without the banned tokens"),
        ({"forced_first": 4}, "behind the forced first token"),
        ({"forced_last": 1}, "before the forced one takes its place"),
    ]:
        (line,) = told(**changes)
        assert words in line
    assert differences(search_of(pair, banned=(4,), forced_first=4)) == []
    (line,) = differences(search_of(pair, no_repeat_ngram=2))
    assert "the start token" in line
    assert differences(search_of(pair, no_repeat_ngram=2, banned=(0,))) == []  # which is never written again


def test_lower_precision_keeps_the_tokens_texts_and_says_what_was_changed(pair: Pair, tmp_path: Path) -> None:
    exporter = current_registry().get("exporter", "ctranslate2")
    chosen = Chosen(exporter, exporter.load_options().model_validate({"weights": "int8"}))
    with one_thread():
        export = export_model(pair.folder, tmp_path / "int8", chosen, sources=pair.texts[:3])
    assert (export.weights, export.exact_parity is not None) == ("int8", True)
    assert (tmp_path / "int8" / SHARED).read_bytes() == (pair.export / SHARED).read_bytes()
    assert set(export.sizes) == {WEIGHTS, "config.json", SHARED}


def test_texts_are_translated_as_the_exported_search_says_in_any_batch(pair: Pair, translator: Translator) -> None:
    export = read_export(pair.export)
    assert (export.kind, export.opset, set(export.sizes)) == ("ctranslate2", None, {WEIGHTS, "config.json", SHARED})
    assert export.sequence is not None
    assert export.sequence.decoding.options["early_stopping"] is True
    assert len(export.notes) == 1
    rows = pair.generated(num_beams=3, length_penalty=0.8, early_stopping=True)
    expected = pair.run.tokenizers.target.batch_decode(rows, skip_special_tokens=True)
    assert len(set(expected)) > len(expected) / 2
    assert translator.translate(pair.texts) == expected
    assert translator.translate(pair.texts, batch_size=12) == expected
    assert list(translator.stream(pair.texts[:5])) == expected[:5]
    greedy = pair.run.tokenizers.target.batch_decode(pair.generated(9), skip_special_tokens=True)
    assert translator.translate(pair.texts, width=1, max_new_tokens=9) == greedy
    assert translator.translate([]) == []


def test_spaces_line_breaks_and_texts_of_special_tokens_are_read_as_in_torch(
    pair: Pair, translator: Translator
) -> None:
    odd = [f" {pair.texts[0]}", "tep\nta", "\t", "a  b\u00a0c", "<s> </s> <pad>", "▁", "e\u0301é", '"\\0']
    reader = TextReader(pair.run.tokenizers.source)
    encoded = reader.encoded(odd, torch.device("cpu"), limit=24)
    kept = zip(encoded["input_ids"], encoded["attention_mask"].bool(), strict=True)
    sources = [ids[real].tolist() for ids, real in kept]
    texts = pair.run.tokenizers.target.batch_decode(
        replace(pair, sources=sources).generated(), skip_special_tokens=True
    )
    empty = [len(row) < 2 for row in sources]  # of which CTranslate2 does not ask the model
    expected = ["" if nothing else text for text, nothing in zip(texts, empty, strict=True)]
    assert sum(empty) < 3
    assert translator.translate(odd, width=1) == expected


def test_one_translator_serves_several_threads(pair: Pair, translator: Translator) -> None:
    calls = [{"width": width, "batch_size": size} for width in (1, 3) for size in (4, 11)]
    expected = [translator.translate(pair.texts, **call) for call in calls]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda call: translator.translate(pair.texts, **call), calls * 2))
    assert again == expected * 2


@pytest.mark.soak
def test_eight_threads_for_a_minute_write_the_same_and_leave_no_memory_behind(
    pair: Pair, translator: Translator, served_for_a_minute: Any
) -> None:
    served_for_a_minute(
        [
            partial(translator.translate, pair.texts, width=width, batch_size=size, max_new_tokens=5 + 2 * size)
            for width in (1, 3)
            for size in range(1, 8)
        ]
    )


@pytest.mark.parametrize("name", [WEIGHTS, SHARED])
def test_a_damaged_folder_is_told_by_its_place(pair: Pair, tmp_path: Path, name: str) -> None:
    for file in pair.export.iterdir():
        (tmp_path / file.name).write_bytes(b"{}" if file.name == name else file.read_bytes())
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)


TALK = """
import os, sys
from zoo.cli.main import main
code = main(["translate", *sys.argv[1:]])
heavy = {"torch", "transformers", "onnxruntime"} & set(sys.modules)
assert not heavy, heavy
assert "OMP_WAIT_POLICY" not in os.environ  # what threads are told is told to them alone
sys.exit(code)
"""


@pytest.mark.slow
def test_the_command_runs_it_without_torch_and_without_onnxruntime(pair: Pair, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(pair.texts[:4]))
    done = subprocess.run(
        [sys.executable, "-c", TALK, str(pair.export), str(lines), "--threads", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == load(pair.export, threads=1).translate(pair.texts[:4])
