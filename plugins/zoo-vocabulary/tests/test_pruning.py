"""What is kept of a pruned model is what it was: logits first, then ids, outputs and texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel
from zoo_vocabulary.folder import open_model
from zoo_vocabulary.prune import prune
from zoo_vocabulary.texts import Corpus
from zoo_vocabulary.weights import vocabulary_tensors

from zoo.errors import InputError
from zoo.testing.checkpoints import CHECKPOINTS, TIED, texts

KINDS = [kind for kind in CHECKPOINTS if kind not in {"marian-apart", "mbart50"}]
LANGUAGE_MODELS = {"gpt2", "llama"}


def load(folder: Path, kind: str):
    cls = AutoModelForCausalLM if kind in LANGUAGE_MODELS else AutoModelForSeq2SeqLM
    return cls.from_pretrained(folder).eval()


def logits(model, ids: torch.Tensor, **more) -> torch.Tensor:
    both = {"decoder_input_ids": ids.flip(1)} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=ids, **both, **more).logits


@pytest.fixture(scope="module")
def pruned(checkpoint, tmp_path_factory):
    """``pruned("marian")``: the folder, pruned to what 40 texts need, and the report."""
    made = {}

    def of(kind: str):
        if kind not in made:
            folder = tmp_path_factory.mktemp("pruned")
            corpus = folder / "corpus.txt"
            corpus.write_text("\n".join(texts()[:12]))
            out = folder / kind
            made[kind] = out, prune(open_model(checkpoint(kind)), out, corpus=Corpus((corpus,)))
        return made[kind]

    return of


@pytest.mark.parametrize("kind", KINDS)
def test_kept_logits_are_the_same(kind, checkpoint, pruned):
    out, report = pruned(kind)
    kept = report["old_ids"]
    assert len(kept) < report["rows"]["before"]
    old, new = load(checkpoint(kind), kind), load(out, kind)
    draw = torch.Generator().manual_seed(5)
    ids = torch.randint(len(kept), (2, 7), generator=draw)
    expected = logits(old, torch.tensor(kept)[ids])[..., kept]
    assert expected.std() > 0.05
    torch.testing.assert_close(logits(new, ids), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_the_old_ones_bit_for_bit_and_all_other_weights_are_untouched(kind, checkpoint, pruned):
    out, report = pruned(kind)
    old, new = (load_file(folder / "model.safetensors") for folder in (checkpoint(kind), out))
    assert old.keys() == new.keys()
    names = {name for matrix in report["matrices"] for name in (matrix["name"], *matrix["tied"])}
    kept = torch.tensor(report["old_ids"])
    for name in old:
        expected = old[name]
        if name in names:
            expected = expected[..., kept] if name == "final_logits_bias" else expected[kept]
        assert torch.equal(new[name], expected), name


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_tied_is_tied(kind, pruned):
    out, _ = pruned(kind)
    model = load(out, kind)
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tied == TIED.get(kind, True)
    assert model.get_input_embeddings().num_embeddings == model.config.vocab_size
    assert model.get_output_embeddings().weight.shape[0] == model.config.vocab_size


@pytest.mark.parametrize("kind", KINDS)
def test_texts_of_kept_tokens_are_cut_as_before(kind, checkpoint, pruned):
    out, report = pruned(kind)
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (checkpoint(kind), out))
    new_ids = {old: new for new, old in enumerate(report["old_ids"])}
    seen = 0
    for text in [*texts()[:12], *texts(seed=8, count=100)]:
        expected = [new_ids.get(identity) for identity in before(text)["input_ids"]]
        if None in expected:
            continue
        assert after(text)["input_ids"] == expected
        assert after.decode(expected, skip_special_tokens=True) == before.decode(
            before(text)["input_ids"], skip_special_tokens=True
        )
        seen += 1
    assert seen >= 12


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_have_the_new_ids_everywhere(kind, checkpoint, pruned):
    out, report = pruned(kind)
    new_ids = {old: new for new, old in enumerate(report["old_ids"])}
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (checkpoint(kind), out))
    assert report["tokens"]["after"] == len(report["old_ids"])
    if not kind.startswith("m2m100"):  # transformers leaves its language codes out
        assert len(after) == len(report["old_ids"])
    for name in ("pad_token_id", "eos_token_id", "bos_token_id", "unk_token_id"):
        old = getattr(before, name)
        assert getattr(after, name) == (None if old is None else new_ids[old]), name
    for file in ("config.json", "generation_config.json"):
        was, now = (json.loads((folder / file).read_text()) for folder in (checkpoint(kind), out))
        for key, old in was.items():
            if key.endswith("_token_id") and old is not None:
                expected = [new_ids[item] for item in old] if isinstance(old, list) else new_ids[old]
                assert now[key] == expected, key
    tokens = before.convert_ids_to_tokens(report["old_ids"])
    assert after.convert_ids_to_tokens(list(range(len(tokens)))) == tokens


@pytest.mark.parametrize("kind", ["m2m100", "m2m100-bpe", "nllb", "mbart"])
def test_language_codes_follow_and_outputs_still_begin_with_the_forced_one(kind, checkpoint, pruned):
    out, report = pruned(kind)
    tokenizer, model = AutoTokenizer.from_pretrained(out), load(out, kind)
    english, deutsch = {"nllb": ("eng_Latn", "deu_Latn"), "mbart": ("en_XX", "de_DE")}.get(kind, ("__en__", "__de__"))
    german = tokenizer.convert_tokens_to_ids(deutsch)
    assert model.generation_config.forced_bos_token_id == german
    assert report["old_ids"][german] == load(checkpoint(kind), kind).generation_config.forced_bos_token_id
    source = tokenizer(texts()[0], return_tensors="pt")
    marked = tokenizer.convert_ids_to_tokens(source["input_ids"][0])[-1 if kind == "mbart" else 0]
    assert marked == english
    assert model.generate(**source, max_new_tokens=3, num_beams=1)[0, 1] == german
    assert tokenizer(text_target=texts()[0])["input_ids"].count(german) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_outputs_are_the_same_where_no_dropped_token_would_win(kind, checkpoint, tmp_path):
    old = load(checkpoint(kind), kind)
    before = AutoTokenizer.from_pretrained(checkpoint(kind))
    saved, out = open_model(checkpoint(kind)), tmp_path / "out"
    options = {"max_new_tokens": 8, "do_sample": False, "num_beams": 1}
    sources = [before(text, return_tensors="pt") for text in texts()[:3]]
    sources = [{name: source[name] for name in ("input_ids", "attention_mask")} for source in sources]
    # A random model also writes rows that have no token, which go.
    nameless = sorted(set(range(saved.vocabulary().size)) - set(saved.vocabulary().token_ids)) or None
    outputs = [old.generate(**source, **options, suppress_tokens=nameless)[0].tolist() for source in sources]
    emitted = {identity for output in outputs for identity in output}
    read = {identity for source in sources for identity in source["input_ids"][0].tolist()}
    report = prune(saved, out, keep=sorted(emitted | read))
    assert len(report["old_ids"]) < saved.vocabulary().size
    new_ids = {identity: new for new, identity in enumerate(report["old_ids"])}
    model = load(out, kind)
    for source, output in zip(sources, outputs, strict=True):
        mapped = torch.tensor([[new_ids[identity] for identity in source["input_ids"][0].tolist()]])
        found = model.generate(input_ids=mapped, attention_mask=source["attention_mask"], **options)[0].tolist()
        assert found == [new_ids[identity] for identity in output]


def test_a_banned_sequence_leaves_with_its_tokens_and_stays_without_loss_otherwise(checkpoint, tmp_path):
    saved = open_model(checkpoint("marian"))
    pad = saved.model.config.pad_token_id
    keep = [identity for identity in saved.vocabulary().token_ids if identity not in {6}]
    prune(saved, tmp_path / "out", keep=keep)
    found = json.loads((tmp_path / "out" / "generation_config.json").read_text())["bad_words_ids"]
    assert found == [[pad - 1], [5]]


def test_pruning_to_what_is_there_changes_nothing(checkpoint, pruned, tmp_path):
    for kind in ("marian", "t5", "gpt2"):
        once, _ = pruned(kind)
        saved = open_model(once)
        report = prune(saved, tmp_path / kind, keep=saved.vocabulary().token_ids)
        assert report["old_ids"] == list(range(saved.vocabulary().size))
        for file in sorted(once.iterdir()):
            if file.name != "vocabulary.json":
                assert (tmp_path / kind / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_tensor_that_happens_to_be_as_long_as_the_vocabulary_stays_whole(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint("gpt2"), tmp_path / "model")
    config, tensors = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("wpe.weight"))
    tensors[name] = torch.randn(config["vocab_size"], config["n_embd"])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**config, "n_positions": config["vocab_size"]}))
    report = prune(open_model(folder), tmp_path / "out", keep=[300])
    assert report["rows"]["after"] < config["vocab_size"]
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")[name], tensors[name])


def test_a_tensor_over_the_vocabulary_that_is_not_known_is_refused():
    class Odd(GPT2LMHeadModel):
        def __init__(self, config):
            super().__init__(config)
            self.table = torch.nn.Linear(4, config.vocab_size)

    model = Odd(GPT2Config(n_embd=8, n_layer=1, n_head=1, n_positions=8, vocab_size=20))
    with pytest.raises(InputError, match=r"'table.weight' is \[20, 4\] and grows with the vocabulary"):
        vocabulary_tensors(model, {"vocab_size": (None, 20)}, "here")


def test_size_is_the_most_that_is_kept_and_the_frequent_stay(checkpoint, tmp_path, corpus_file):
    saved = open_model(checkpoint("t5"))
    lines = ["zvz zvz zvz"] * 5 + texts()
    report = prune(saved, tmp_path / "out", corpus=Corpus((corpus_file(lines),)), size=20)
    assert report["rows"]["after"] == 20
    counts = {}
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("t5"))
    for line in lines:
        for identity in tokenizer(line)["input_ids"]:
            counts[identity] = counts.get(identity, 0) + 1
    kept = set(report["old_ids"])
    dropped = {identity: count for identity, count in counts.items() if identity not in kept}
    frequent = [count for identity, count in counts.items() if identity in kept and identity > 2]
    assert dropped
    assert max(dropped.values()) <= sorted(frequent)[1]  # one piece stays for its score


def test_the_report_tells_what_texts_became(checkpoint, tmp_path, corpus_file):
    saved = open_model(checkpoint("t5"))
    lines = texts()[:60]
    report = prune(saved, tmp_path / "out", corpus=Corpus((corpus_file(lines),)), min_count=6)
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (checkpoint("t5"), tmp_path / "out"))
    new_ids = {old: new for new, old in enumerate(report["old_ids"])}
    cut = [[tokenizer(line)["input_ids"][:-1] for line in lines] for tokenizer in (before, after)]
    different = sum([new_ids.get(i) for i in was] != now for was, now in zip(*cut, strict=True))
    assert 0 < report["texts"]["different"] == different
    words = sum(len(line.split()) for line in lines)
    for name, ids in zip(("before", "after"), cut, strict=True):
        told = report["texts"][name]
        assert told["texts"] == len(lines)
        assert told["tokens"] == sum(map(len, ids))
        assert told["tokens_per_word"] == pytest.approx(sum(map(len, ids)) / words)
        assert told["longest"] == max(map(len, ids))
        assert told["unknown"] == sum(row.count(tokenizer.unk_token_id) for row in ids for tokenizer in [before])
    on_disk = json.loads((tmp_path / "out" / "vocabulary.json").read_text())
    assert on_disk == json.loads(json.dumps(report))
    numbers = [
        sum(parameter.numel() for parameter in load(folder, "t5").parameters())
        for folder in (checkpoint("t5"), tmp_path / "out")
    ]
    assert [report["parameters"]["before"], report["parameters"]["after"]] == numbers
    assert report["logit_difference"] <= 1e-5
