"""Plain models of several languages, exported once and asked for pairs, against transformers itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from zoo.cli.main import main
from zoo.export.exporting import export_model
from zoo.export.runtime import load
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.testing.checkpoints import texts, write_checkpoint
from zoo.testing.surroundings import one_thread
from zoo.training.quiet import errors_only, quiet

PAIRS = {
    "m2m100": [("ja", "is"), ("de", "en")],
    "nllb": [("deu_Latn", "eng_Latn"), ("zho_Hans", "zho_Hans")],
    "mbart": [("ro_RO", "fr_XX"), ("de_DE", "en_XX")],
    "mbart50": [("ro_RO", "fr_XX"), ("de_DE", "en_XX")],
    "mt5": [("en", "de"), ("de", "en")],
}
"""Of each kind: none is the pair that it was saved with."""
TASKS = {
    "translation_en_to_de": {"prefix": "a de: "},
    "translation_de_to_en": {"prefix": "da a: ", "num_beams": 4},
    "summarization": {"prefix": "da: "},
}
LINES = texts(seed=11, count=8)
SEARCH = {"num_beams": 3, "max_length": 12, "early_stopping": True, "renormalize_logits": True}


@quiet()
@errors_only()
def of_transformers(folder: Path, kind: str, source: str, target: str, **settings: Any) -> list[str]:
    """As its documents say that a pair is asked for."""
    options = {} if kind == "mt5" else {"src_lang": source}
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder, **options)
    lines = LINES
    if kind == "mt5":
        lines = [TASKS[f"translation_{source}_to_{target}"]["prefix"] + line for line in LINES]  # type: ignore[operator]
    else:
        token = tokenizer.get_lang_id(target) if kind == "m2m100" else tokenizer.convert_tokens_to_ids(target)
        settings["forced_bos_token_id"] = token
        if kind == "mbart":
            settings["decoder_start_token_id"] = token
    encoded = tokenizer(lines, padding=True, return_tensors="pt")
    with torch.no_grad():
        ids = model.eval().generate(encoded["input_ids"], attention_mask=encoded["attention_mask"], **settings)
    found: list[str] = tokenizer.batch_decode(ids, skip_special_tokens=True)
    return found


def checkpoint(kind: str, folder: Path) -> Path:
    write_checkpoint(kind, folder)
    for name, settings in (("generation_config.json", SEARCH), ("config.json", {"task_specific_params": TASKS})):
        if kind == "mt5" or name != "config.json":
            found = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps(found | settings))
    return folder


def exported(folder: Path, form: str) -> Path:
    exporter = current_registry().get("exporter", form)
    out = folder.parent / form
    with one_thread():
        export_model(folder, out, Chosen(exporter, exporter.load_options()()), sources=LINES)
    return out


@pytest.mark.soak
@pytest.mark.parametrize("kind", PAIRS)
def test_each_pair_of_one_export_is_what_transformers_writes_for_it(
    tmp_path: Path, kind: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Of graphs and of the folder itself by the same command; of CTranslate2's greedily, as its beams end otherwise."""
    folder = checkpoint(kind, tmp_path / "model")
    graphs, other = exported(folder, "onnx"), exported(folder, "ctranslate2")
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(LINES))
    seen = []
    for source, target in PAIRS[kind]:
        languages = {"source_language": source, "target_language": target}
        expected = of_transformers(folder, kind, source, target)
        greedy = of_transformers(folder, kind, source, target, num_beams=1, early_stopping=False)
        with one_thread():
            for out in (graphs, other):
                assert load(out, threads=1).translate(LINES, width=1, **languages) == greedy
            options = ["--threads", "1", "--source-language", source, "--target-language", target]
            for model in (folder, graphs):
                capfdbinary.readouterr()
                assert main(["translate", str(model), str(lines), *options]) == 0
                written = capfdbinary.readouterr().out.decode().splitlines()
                assert [line.strip() for line in written] == [line.strip() for line in expected]
        seen.append(expected)
    assert seen[0] != seen[1]
    assert seen[0] != load(graphs, threads=1).translate(LINES)
    assert main(["translate", str(graphs), str(lines), "--target-language", "xx_YYY"]) == 2
