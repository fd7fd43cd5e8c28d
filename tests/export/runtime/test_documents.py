"""Lines of documents as sources, and the command that translates them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zoo.cli.main import main
from zoo.export.runtime import load
from zoo.export.runtime.documents import Document
from zoo.tasks import Example
from zoo.tasks.context import ContextReading
from zoo.tasks.fitting import fitted


def words(text: str) -> int:
    """Tokens of a text, an end token counted."""
    return len(text.split()) + 1


def test_each_line_has_those_before_it_in_its_document() -> None:
    ahead = Document(ContextReading(2, second_input=False), words, None)
    assert [ahead.source(line) for line in ("a", " b  c ", "d", "e")] == ["a", "a\nb c", "a\nb c\nd", "b c\nd\ne"]
    ahead.ends()
    assert ahead.source("f") == "f"
    beside = Document(ContextReading(2, second_input=True), words, None)
    assert [beside.source(line) for line in ("a", "b", "c", "d")] == [
        ("a", ""),
        ("b", "a"),
        ("c", "a\nb"),
        ("d", "b\nc"),
    ]


@pytest.mark.parametrize("second_input", [False, True])
@pytest.mark.parametrize("limit", [1, 4, 5, 6, 99])
def test_a_context_that_is_too_long_gives_way_as_in_training(second_input: bool, limit: int) -> None:
    def tokenizer(texts: list[str], **_: Any) -> dict[str, Any]:
        return {"input_ids": [[0] * words(text) for text in texts]}

    document = Document(ContextReading(2, second_input), words, limit)
    found = [document.source(line) for line in ("a b", "c", "d e")][-1]
    example = Example(
        "1", "d e" if second_input else "a b\nc\nd e", "", context="a b\nc" if second_input else None, context_lines=2
    )
    (expected,) = fitted(tokenizer, [example], limit)
    assert found == ((expected.source, expected.context) if second_input else expected.source)


def translated(model: Path, lines: Path, capfdbinary: pytest.CaptureFixture[bytes], *options: str) -> list[str]:
    assert main(["translate", str(model), str(lines), "--threads", "1", *options]) == 0
    return capfdbinary.readouterr().out.decode().splitlines()


def assert_documents_are_read(twins: Any, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The same in torch and from the export: with what comes before each line, and, where asked for, without."""
    sentences = [source[0] if isinstance(source, tuple) else source.split("\n")[-1] for source in twins.sources[:20]]
    lines = folder / "lines.txt"
    lines.write_text("\n".join([*sentences[:10], "", *sentences[10:]]) + "\n")
    found = translated(twins.export, lines, capfdbinary)
    assert found == translated(twins.torch, lines, capfdbinary)
    alone = translated(twins.export, lines, capfdbinary, "--no-context")
    assert alone == translated(twins.torch, lines, capfdbinary, "--no-context")
    assert found != alone
    assert found[10] == ""
    translator = load(twins.export, threads=1)
    document = translator.document()
    assert document is not None
    assert found[:10] == translator.translate([document.source(line) for line in sentences[:10]])


@pytest.mark.slow
def test_a_language_model_reads_the_sentences_before_in_one_source(
    language_twins: Any, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert_documents_are_read(language_twins, tmp_path, capfdbinary)


@pytest.mark.soak
def test_a_model_with_two_encoders_reads_them_as_its_second_source(
    context_twins: Any, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert_documents_are_read(context_twins, tmp_path, capfdbinary)
