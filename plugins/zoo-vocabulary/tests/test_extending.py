"""An extended model computes what it did for its old tokens; rows of new ones are what their initialisation says."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from unusual_words import unusual
from zoo_vocabulary.cli import _init
from zoo_vocabulary.extend import extend
from zoo_vocabulary.folder import open_model
from zoo_vocabulary.prune import prune
from zoo_vocabulary.texts import Corpus

from zoo.errors import InputError
from zoo.testing.checkpoints import TIED, texts

KINDS = ["marian", "m2m100", "m2m100-bpe", "nllb", "mbart", "t5", "mt5", "llama"]
LANGUAGE_MODELS = {"gpt2", "llama"}


def load(folder: Path, kind: str):
    cls = AutoModelForCausalLM if kind in LANGUAGE_MODELS else AutoModelForSeq2SeqLM
    return cls.from_pretrained(folder).eval()


def logits(model, ids: torch.Tensor) -> torch.Tensor:
    both = {"decoder_input_ids": ids.flip(1)} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=ids, **both).logits


@pytest.fixture(scope="module")
def extended(checkpoint, tmp_path_factory):
    """``extended("marian")``: the folder with three more words, the report, and the words."""
    made = {}

    def of(kind: str):
        if kind not in made:
            words = unusual(checkpoint(kind))
            out = tmp_path_factory.mktemp("extended") / kind
            made[kind] = out, extend(open_model(checkpoint(kind)), out, _init("mean-of-pieces"), tokens=words), words
        return made[kind]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_old_logits_are_the_same(kind, checkpoint, extended):
    out, report, _ = extended(kind)
    places = [new for new, old in enumerate(report["old_ids"]) if old is not None]
    assert [report["old_ids"][new] for new in places] == list(range(report["rows"]["before"]))
    old, new = load(checkpoint(kind), kind), load(out, kind)
    ids = torch.randint(report["rows"]["before"], (2, 7), generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(
        logits(new, torch.tensor(places)[ids])[..., places], logits(old, ids), atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_new_tokens_are_the_mean_of_their_pieces_in_every_matrix(kind, checkpoint, extended):
    out, report, _ = extended(kind)
    before = AutoTokenizer.from_pretrained(checkpoint(kind))
    after = AutoTokenizer.from_pretrained(out)
    old, new = (load_file(folder / "model.safetensors") for folder in (checkpoint(kind), out))
    names = [name for item in report["matrices"] for name in (item["name"], *item["tied"]) if name in old]
    assert len({old[name].data_ptr() for name in names if "bias" not in name}) >= (1 if TIED.get(kind, True) else 2)
    assert report["new_tokens"]
    for token in report["new_tokens"]:
        assert after.convert_tokens_to_ids(token["token"]) == token["id"]
        # The pieces are those that the old tokenizer cuts the token into.
        assert "".join(before.convert_ids_to_tokens(token["pieces"])) == token["token"]
        for name in names:
            rows = old[name].reshape(-1, 1) if name == "final_logits_bias" else old[name]
            found = new[name].reshape(-1, 1) if name == "final_logits_bias" else new[name]
            expected = sum(rows[piece].double() for piece in token["pieces"]) / len(token["pieces"])
            assert torch.equal(found[token["id"]], expected.to(rows.dtype)), name


@pytest.mark.parametrize("kind", KINDS)
def test_new_words_are_one_token_and_other_texts_are_cut_as_before(kind, checkpoint, extended):
    out, report, words = extended(kind)
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (checkpoint(kind), out))
    new_ids = {old: new for new, old in enumerate(report["old_ids"]) if old is not None}
    fresh = {token["id"] for token in report["new_tokens"]}
    for word in words:
        found = after("ab" + word, add_special_tokens=False)["input_ids"]
        expected = before("ab", add_special_tokens=False)["input_ids"]
        assert found[:-1] == [new_ids[identity] for identity in expected]
        assert found[-1] in fresh
        whole = after(f"ab{word} ab", add_special_tokens=False)["input_ids"]
        assert after.decode(whole).strip() == f"ab{word} ab"
    unchanged = 0
    # What M2M100's byte pairs are led through to a new word is no token; elsewhere it is one, and has its rows.
    assert (report["helpers"] > 0) == (kind == "m2m100-bpe")
    assert (report["steps"] > 0) == (kind in {"nllb", "llama"})
    assert report["reached"] == {"asked": len(words), "alone": len(words), "in_a_sentence": len(words)}
    for text in texts(count=40):
        found = after(text)["input_ids"]
        if not fresh & set(found):
            assert found == [new_ids[identity] for identity in before(text)["input_ids"]]
            unchanged += 1
    assert unchanged > 10


@pytest.mark.parametrize("kind", KINDS)
def test_special_ids_follow(kind, checkpoint, extended):
    out, report, _ = extended(kind)
    new_ids = {old: new for new, old in enumerate(report["old_ids"]) if old is not None}
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (checkpoint(kind), out))
    for token in before.all_special_tokens:
        assert after.convert_tokens_to_ids(token) == new_ids[before.convert_tokens_to_ids(token)], token
    for file in ("config.json", "generation_config.json"):
        was, now = (json.loads((folder / file).read_text()) for folder in (checkpoint(kind), out))
        for key, old in was.items():
            if key.endswith("_token_id") and old is not None:
                assert now[key] == ([new_ids[i] for i in old] if isinstance(old, list) else new_ids[old]), key


@pytest.mark.parametrize("train", [False, True], ids=["words", "learned"])
@pytest.mark.parametrize("kind", ["marian", "bart", "t5"])
def test_tokens_found_in_texts_make_them_shorter(kind, train, checkpoint, tmp_path, corpus_file):
    draw = random.Random(2)
    words = ["".join(draw.choices("abdegik", k=7)) for _ in range(6)]
    lines = [" ".join(draw.choices(words, k=4)) for _ in range(60)]
    report = extend(
        open_model(checkpoint(kind)),
        tmp_path / "out",
        _init("mean-of-pieces"),
        corpus=Corpus((corpus_file(lines),)),
        size=20,
        train=train,
    )
    assert 0 < len(report["new_tokens"]) <= 20
    assert report["rows"]["after"] == report["rows"]["before"] + len(report["new_tokens"])
    told = report["texts"]
    for name, folder in (("before", checkpoint(kind)), ("after", tmp_path / "out")):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        sides = ["text", "text_target"] if kind == "marian" else ["text"]
        counted = [
            len(ids) for side in sides for ids in tokenizer(**{side: lines}, add_special_tokens=False)["input_ids"]
        ]
        assert told[name]["tokens"] == sum(counted)
        assert told[name]["mean_length"] == pytest.approx(sum(counted) / len(counted))
    assert told["after"]["tokens"] < 0.8 * told["before"]["tokens"]
    assert told["different"] > 0


@pytest.mark.parametrize("init", ["global-mean", "multivariate-normal", "random"])
def test_an_untied_head_has_rows_of_its_own_from_its_own_statistics(init, checkpoint, tmp_path):
    words = unusual(checkpoint("llama"))
    for name in ("one", "two"):
        extend(open_model(checkpoint("llama")), tmp_path / name, _init(init), tokens=words, seed=4)
    extend(open_model(checkpoint("llama")), tmp_path / "other", _init(init), tokens=words, seed=5)
    old = load_file(checkpoint("llama") / "model.safetensors")
    one, two, other = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two", "other"))
    report = json.loads((tmp_path / "one" / "vocabulary.json").read_text())
    fresh = [token["id"] for token in report["new_tokens"]]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        rows = one[name][fresh]
        assert torch.equal(rows, two[name][fresh])
        if init == "global-mean":
            expected = old[name].double().mean(0).float()
            torch.testing.assert_close(rows, expected.expand_as(rows), atol=1e-7, rtol=1e-6)
        else:
            assert not torch.equal(rows, other[name][fresh])
            assert rows.std() == pytest.approx(old[name].std(), rel=0.5)
    drawn = one["model.embed_tokens.weight"][fresh], one["lm_head.weight"][fresh]
    assert not torch.allclose(*drawn)


@pytest.mark.parametrize("kind", ["marian", "m2m100-bpe", "nllb", "llama"])
def test_pruned_and_then_extended_with_what_was_there_is_like_the_original(kind, checkpoint, tmp_path):
    saved = open_model(checkpoint(kind))
    files, ids = saved.vocabulary().files, saved.vocabulary().token_ids
    word = next(
        token
        for token in sorted(files.tokens)
        if token[:1] in "▁Ġ" and len(token) > 3 and files.cut(token) == (files.tokens[token],)
    )
    keep = [identity for identity in ids if len(files.names[identity]) < len(word) and files.names[identity] != word]
    prune(saved, tmp_path / "pruned", keep=keep)
    smaller = open_model(tmp_path / "pruned")
    assert word not in smaller.vocabulary().files.tokens
    line = " " + word[1:]
    extend(smaller, tmp_path / "again", _init("mean-of-pieces"), tokens=[line])
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (checkpoint(kind), tmp_path / "again"))
    text = "ab" + line
    assert word in before.tokenize(text)
    assert after.tokenize(text)[-1] == word
    model = load(tmp_path / "again", kind)
    languages = 8 if kind.startswith("m2m100") else 0  # transformers leaves its language codes out
    assert model.get_input_embeddings().num_embeddings == len(after) + languages


@pytest.mark.parametrize("kind", KINDS)
def test_an_extended_model_generates(kind, extended):
    out, report, words = extended(kind)
    tokenizer, model = AutoTokenizer.from_pretrained(out), load(out, kind)
    source = tokenizer("ab" + words[0], return_tensors="pt")
    assert {token["id"] for token in report["new_tokens"]} & set(source["input_ids"][0].tolist())
    ids = {name: source[name] for name in ("input_ids", "attention_mask")}
    output = model.generate(**ids, max_new_tokens=4, do_sample=False, num_beams=1)
    assert int(output.max()) < report["rows"]["after"]
    assert output.shape[1] > 1


def test_what_cannot_be_taken_in_is_refused(checkpoint, tmp_path):
    def refused(kind, tokens, match):
        with pytest.raises(InputError, match=match):
            extend(open_model(checkpoint(kind)), tmp_path / "out", _init("mean-of-pieces"), tokens=tokens)
        assert not (tmp_path / "out").exists()

    refused("gpt2", ["two words"], "'two words' is no part of a word for this tokenizer")
    refused("t5", ["ab"[:1]], "every one of these is a token already")
