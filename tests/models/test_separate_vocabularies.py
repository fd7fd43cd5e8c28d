"""Models whose source has a vocabulary of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

from zoo.errors import InputError
from zoo.models import assemble, count_parameters

SOURCE, TARGET = 37, 53


@pytest.fixture(params=["decoder", "none"])
def model(request: pytest.FixtureRequest, make_section: Callable[..., Any]) -> Any:
    section = make_section(tie_embeddings=request.param)
    return assemble(section, TARGET, source_vocabulary_size=SOURCE, seed=3).eval()


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        "input_ids": torch.randint(4, SOURCE, (2, 6), generator=draw),
        "labels": torch.randint(SOURCE, TARGET, (2, 5), generator=draw),
    }


def test_parameters_are_those_of_a_shared_vocabulary_less_the_missing_rows(
    model: Any, make_section: Callable[..., Any]
) -> None:
    shared = assemble(make_section(tie_embeddings=model.section.tie_embeddings), TARGET, seed=3)
    assert count_parameters(shared) - count_parameters(model) == (TARGET - SOURCE) * model.section.d_model


def test_equal_sizes_give_the_model_of_a_shared_vocabulary(
    make_section: Callable[..., Any], sentences: dict[str, torch.Tensor]
) -> None:
    section = make_section(tie_embeddings="decoder")
    logits = [
        assemble(section, TARGET, source_vocabulary_size=size, seed=3).eval()(**sentences).logits
        for size in (None, TARGET)
    ]
    assert torch.equal(*logits)


def test_what_is_saved_loads_as_the_same(model: Any, inputs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert (loaded.config.vocab_size, loaded.config.encoder_vocab_size) == (TARGET, SOURCE)
    assert torch.equal(loaded(**inputs).loss, model(**inputs).loss)


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_writes_target_ids(model: Any, inputs: dict[str, torch.Tensor], beams: int) -> None:
    written = model.generate(input_ids=inputs["input_ids"], num_beams=beams, max_new_tokens=5, do_sample=False)
    assert written.shape[0] == 2
    if beams == 1:
        logits = model(input_ids=inputs["input_ids"], decoder_input_ids=written[:, :-1]).logits
        ended = torch.cumsum(written.eq(1), dim=1)[:, :-1].bool()
        assert torch.equal(logits.argmax(-1)[~ended], written[:, 1:][~ended])


def test_resizing_is_the_targets(model: Any, inputs: dict[str, torch.Tensor]) -> None:
    before = model(**inputs).logits
    model.resize_token_embeddings(TARGET + 4)
    assert model.config.vocab_size == TARGET + 4
    assert (model.encoder.embed_tokens.num_embeddings, model.config.encoder_vocab_size) == (SOURCE, SOURCE)
    assert model.decoder.embed_tokens.num_embeddings == model.lm_head.out_features == TARGET + 4
    tied = model.section.tie_embeddings == "decoder"
    assert (model.lm_head.weight is model.decoder.embed_tokens.weight) == tied
    assert torch.allclose(model(**inputs).logits[..., :TARGET], before, atol=1e-6)


def test_the_source_is_resized_by_a_method_of_its_own(
    model: Any, inputs: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    before = model(**inputs).loss
    assert model.resize_source_embeddings(SOURCE + 3).num_embeddings == SOURCE + 3
    assert model.config.encoder_vocab_size == SOURCE + 3
    assert model.lm_head.out_features == TARGET
    assert torch.equal(model(**inputs).loss, before)
    model.save_pretrained(tmp_path)
    assert torch.equal(AutoModelForSeq2SeqLM.from_pretrained(tmp_path)(**inputs).loss, before)


def test_a_shared_vocabulary_has_no_source_to_resize(make_model: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="share a vocabulary: resize_token_embeddings"):
        make_model().resize_source_embeddings(60)


def test_separate_vocabularies_cannot_share_a_matrix(make_section: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="set model.tie_embeddings to 'decoder' or 'none'"):
        assemble(make_section(tie_embeddings="all"), TARGET, source_vocabulary_size=SOURCE, seed=3)
