"""`zoo vocab prune|extend`: what is written, what is told, and what is refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from zoo.cli.main import main
from zoo.testing.checkpoints import texts


def told(capsys) -> str:
    """What the command complained of: one line."""
    lines = [line for line in capsys.readouterr().err.splitlines() if "warn" not in line.lower()]
    assert len(lines) == 1, lines
    return lines[0]


def test_prune_writes_a_folder_and_tells_what_changed(checkpoint, corpus_file, tmp_path, capsys):
    arguments = ["vocab", "prune", str(checkpoint("marian")), "--corpus", str(corpus_file(texts()[:20]))]
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main([*arguments, "--out", str(tmp_path / "two"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    rows = answer["rows"]
    assert lines[0].startswith(f"wrote {tmp_path / 'one'}: {rows['before']} rows before, {rows['after']} after; ")
    assert f"final_logits_bias: 1 x {rows['after']}" in lines
    assert f"generation_config.json: pad_token_id: {rows['before'] - 1} -> {rows['after'] - 1}" in lines
    assert "old_ids" not in answer
    report = json.loads((tmp_path / "one" / "vocabulary.json").read_text())
    assert report["from"]["path"] == str(checkpoint("marian"))
    assert report["from"]["revision"].startswith("sha256:")
    assert len(report["old_ids"]) == rows["after"] == sum(report["kept"].values())
    # Twice the same: no file differs but for the report's own folder.
    for file in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / file.name).read_bytes() == file.read_bytes(), file.name


def test_keep_takes_tokens_as_they_are_spelled_and_ids(checkpoint, tmp_path, capsys):
    tokens = json.loads((checkpoint("t5") / "tokenizer.json").read_text())["model"]["vocab"]
    names = [piece for piece, _ in tokens]
    keep = tmp_path / "keep.txt"
    keep.write_text(f"{names[20]}\nid:30\n\n{names[41]}\n")
    assert main(["vocab", "prune", str(checkpoint("t5")), "--keep", str(keep), "--out", str(tmp_path / "out")]) == 0
    old_ids = json.loads((tmp_path / "out" / "vocabulary.json").read_text())["old_ids"]
    assert {20, 30, 41, 0, 1, 2, 50, 51, 52} <= set(old_ids)
    assert len(old_ids) == 10  # and the piece of the lowest score
    assert "texts" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("▁nosuch\n", "keep.txt:1: no such token '▁nosuch'"),
        ("id:1\nid:999\n", "keep.txt:2: no token has the id 999: they go from 0 to 52"),
        ("\n", "keep.txt: is empty; expected a token a line"),
    ],
)
def test_a_list_that_is_wrong_is_refused_by_line(content, expected, checkpoint, tmp_path, capsys):
    keep = tmp_path / "keep.txt"
    keep.write_text(content)
    assert main(["vocab", "prune", str(checkpoint("t5")), "--keep", str(keep), "--out", str(tmp_path / "out")]) == 2
    assert expected in told(capsys)
    assert not (tmp_path / "out").exists()


def test_extend_takes_a_list_or_finds_tokens(checkpoint, corpus_file, tmp_path, capsys):
    tokens = corpus_file([" zvzvzv", "kgkgkg"], "tokens.txt")
    arguments = ["vocab", "extend", str(checkpoint("gpt2"))]
    assert main([*arguments, "--out", str(tmp_path / "one"), "--tokens", str(tokens), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    report = json.loads((tmp_path / "one" / "vocabulary.json").read_text())
    names = [token["token"] for token in report["new_tokens"]]
    assert {"Ġzvzvzv", "kgkgkg"} <= set(names)
    assert answer["steps"] == len(names) - 2 > 0
    assert answer["new_tokens"] == len(names)
    assert answer["init"] == {"use": "zoo-vocabulary/mean-of-pieces"}
    found = ["--corpus", str(corpus_file(["zvzvzv kgkgkg"] * 9)), "--size", "4", "--train"]
    init = ["--init", "{use: random, std: 0.02}", "--seed", "7"]
    assert main([*arguments, "--out", str(tmp_path / "two"), *found, *init]) == 0
    out = capsys.readouterr().out
    assert "tokens a word: " in out
    report = json.loads((tmp_path / "two" / "vocabulary.json").read_text())
    assert (report["init"], report["seed"]) == ({"use": "zoo-vocabulary/random", "std": 0.02}, 7)
    assert 0 < report["rows"]["after"] - report["rows"]["before"] == len(report["new_tokens"]) <= 4


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["prune"], "say what is needed: --corpus FILE, --spec SPEC or --keep FILE"),
        (["prune", "--corpus", "absent.txt"], "absent.txt: no such file; expected one text a line"),
        (["prune", "--corpus", "CORPUS", "--size", "3"], "--size: 3 is too small: 7 tokens must stay"),
        (["prune", "--corpus", "CORPUS", "--min-count", "999"], "no text has any of its tokens"),
        (["extend"], "say what is new: --tokens FILE, or --corpus FILE"),
        (["extend", "--corpus", "CORPUS"], "--size N goes with the texts that tokens are found in"),
        (["extend", "--tokens", "CORPUS", "--train"], "--train learns from texts"),
        (["extend", "--tokens", "CORPUS", "--init", "mean"], "--init: unknown vocabulary-init 'mean'"),
        (["extend", "--tokens", "CORPUS", "--init", "{use: random, st: 1}"], "unknown key 'st'"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, expected, checkpoint, corpus_file, tmp_path, capsys):
    corpus = str(corpus_file(texts()[:5]))
    verb, *rest = [corpus if argument == "CORPUS" else argument for argument in arguments]
    assert main(["vocab", verb, str(checkpoint("t5")), "--out", str(tmp_path / "out"), *rest]) == 2
    assert expected in told(capsys)
    assert not (tmp_path / "out").exists()


class TestAModelThatIsRefused:
    @pytest.fixture
    def refused(self, corpus_file, tmp_path, capsys):
        def run(folder, expected, out="out", status=2):
            corpus = str(corpus_file(texts()[:5]))
            before = sorted(tmp_path.iterdir())
            assert main(["vocab", "prune", str(folder), "--corpus", corpus, "--out", str(tmp_path / out)]) == status
            assert expected in told(capsys)
            assert sorted(tmp_path.iterdir()) == before  # nothing is left behind

        return run

    @pytest.fixture
    def copied(self, checkpoint, tmp_path):
        def copy(kind):
            shutil.copytree(checkpoint(kind), tmp_path / "model")
            return tmp_path / "model"

        return copy

    def test_no_folder(self, refused, tmp_path):
        refused(tmp_path / "absent", "no such folder; expected one with a saved model")

    def test_an_occupied_folder(self, refused, checkpoint, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("mine")
        refused(checkpoint("t5"), "is not empty, and not a run of zoo")
        assert (tmp_path / "out" / "mine").read_text() == "mine"

    def test_pickled_weights(self, refused, copied):
        folder = copied("t5")
        torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        refused(folder, "has its weights as the pickle pytorch_model.bin alone")

    def test_a_run_at_work(self, refused, copied):
        folder = copied("t5")
        outcome = {"format": "zoo.training/1", "status": "running", "error": "interrupted", "steps": 1, "facts": {}}
        outcome |= {"total_steps": 9, "model_step": 0, "seconds": 1.0, "tokens_per_second": None, "curve": []}
        (folder / "training.json").write_text(json.dumps(outcome))
        refused(folder, "holds an interrupted run")

    def test_a_tokenizer_with_ids_beyond_the_matrices(self, refused, copied):
        folder = copied("gpt2")
        document = json.loads((folder / "tokenizer.json").read_text())
        document["added_tokens"].append({**document["added_tokens"][0], "id": 340, "content": "<more>"})
        (folder / "tokenizer.json").write_text(json.dumps(document))
        refused(folder, "its tokenizer has the id 340 ('<more>'), its matrices 340 rows")

    def test_a_model_without_an_output_layer(self, refused, copied):
        folder = copied("llama")
        tensors = load_file(folder / "model.safetensors")
        del tensors["lm_head.weight"]
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        refused(folder, "its weights lack 'lm_head.weight'")

    def test_separate_vocabularies(self, refused, copied):
        folder = copied("marian")
        config = json.loads((folder / "tokenizer_config.json").read_text()) | {"separate_vocabs": True}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        shutil.copyfile(folder / "vocab.json", folder / "target_vocab.json")
        refused(folder, "its tokenizer numbers source and target each by itself, its model has one vocabulary")

    def test_a_tokenizer_that_is_damaged(self, refused, copied):
        folder = copied("t5")
        (folder / "tokenizer.json").write_text("{")
        refused(folder, "its tokenizer cannot be loaded")

    def test_what_fails_while_it_is_written(self, refused, checkpoint, monkeypatch):
        monkeypatch.setattr("zoo_vocabulary.folder._write_configs", lambda folder, remap, sizes: {})
        refused(checkpoint("t5"), "what was written does not load", status=1)


SPEC = {
    "name": "pruned",
    "task": {
        "use": "translation",
        "corpus": {"use": "generated", "pairs": 60, "dev_pairs": 5, "test_pairs": 5, "vocabulary": 30},
        "source": "qaa",
        "target": "qab",
    },
    "tokenizer": {"use": "bpe", "vocab_size": 120},
    "model": {
        "d_model": 16,
        "heads": 2,
        "feedforward": {"use": "mlp", "width": 24},
        "position": "sinusoidal",
        "normalization": "layer-norm",
        "block": "pre-norm",
        "encoder": {"layers": 1},
        "decoder": {"layers": 1},
        "fusion": "top",
        "max_positions": 64,
    },
    "training": {
        "steps": 2,
        "batch_tokens": 400,
        "objective": "cross-entropy",
        "optimizer": "adamw",
        "schedule": "constant",
        "clipping": "none",
    },
    "decoding": {"strategy": "greedy", "max_new_tokens": 8},
    "evaluation": {"metrics": ["bleu"]},
}


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def spec_file(tmp_path):
    def write(name="spec.yaml", **changes):
        path = tmp_path / name
        path.write_text(yaml.safe_dump({**SPEC, **changes}))
        return path

    return write


@pytest.mark.slow
@pytest.mark.both
def test_a_model_of_zoo_is_pruned_with_its_lock_and_evaluated(home, spec_file, tmp_path, capsys):
    from zoo.models import load_model, weights_hash
    from zoo.spec.lock import read_lock

    # Rare tokens go; special ones, characters and the steps of merges stay.
    spec, built, out = spec_file(), tmp_path / "built", tmp_path / "out"
    assert main(["build", str(spec), "--out", str(built)]) == 0
    assert main(["vocab", "prune", str(built), "--spec", str(spec), "--min-count", "30", "--out", str(out)]) == 0
    report = json.loads((out / "vocabulary.json").read_text())
    assert report["rows"]["after"] < report["rows"]["before"] == 120
    old, new = load_model(built).eval(), load_model(out).eval()
    assert new.config.vocab_size == report["rows"]["after"]
    kept = report["old_ids"]
    ids = torch.randint(len(kept), (2, 5), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = old(input_ids=torch.tensor(kept)[ids], decoder_input_ids=torch.tensor(kept)[ids]).logits[..., kept]
        found = new(input_ids=ids, decoder_input_ids=ids).logits
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    # The lock tells what stands there, and so that its spec alone gives another model.
    locks = [read_lock(folder / "zoo.lock.yaml").file for folder in (built, out)]
    assert locks[1].content.weights == weights_hash(new) != locks[0].content.weights
    assert locks[1].content.tokenizer != locks[0].content.tokenizer
    assert locks[1].content.data == locks[0].content.data
    assert locks[1].spec_hash == locks[0].spec_hash
    capsys.readouterr()
    assert main(["evaluate", str(out), "--max-examples", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 2
    # What is built of that lock is the model of the spec, and is said to be another than the one in the folder.
    assert main(["build", str(out / "zoo.lock.yaml"), "--out", str(tmp_path / "rebuilt")]) == 1
    complaint = capsys.readouterr().err
    assert "drift: content.tokenizer: locked sha256:" in complaint
    assert "drift: content.weights: locked sha256:" in complaint
    assert "content.data" not in complaint
    assert "this is not the locked model" in complaint
    assert load_model(tmp_path / "rebuilt").config.vocab_size == 120
    # Twice: pruning what was pruned finds nothing more to leave out.
    again = ["vocab", "prune", str(out), "--spec", str(spec), "--out", str(tmp_path / "again"), "--json"]
    assert main(again) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows["before"] == len(kept)


@pytest.mark.slow
@pytest.mark.both
@pytest.mark.parametrize("sides", [1, 2], ids=["shared", "separate"])
def test_training_begins_with_a_pruned_and_with_an_extended_model_of_zoo(home, spec_file, tmp_path, capsys, sides):
    from zoo.models import load_model
    from zoo.training import load_run

    changes = {"target_tokenizer": {"use": "unigram", "vocab_size": 80}} if sides == 2 else {}
    ties = {"tie_embeddings": "decoder"} if sides == 2 else {}
    spec, start, small, more = spec_file(model={**SPEC["model"], **ties}, **changes), *_places(tmp_path, 3)
    assert main(["train", str(spec), "--out", str(start)]) == 0
    assert main(["vocab", "prune", str(start), "--spec", str(spec), "--min-count", "30", "--out", str(small)]) == 0
    assert main(["vocab", "extend", str(small), "--spec", str(spec), "--size", "5", "--out", str(more)]) == 0
    sizes = [load_model(folder).config.vocab_size for folder in (start, small, more)]
    assert sizes[1] < min(sizes[0], sizes[2])
    for folder, size in ((small, sizes[1]), (more, sizes[2])):
        tune = spec_file(f"{folder.name}-tune.yaml", model={"from": str(folder)}, tokenizer="pretrained")
        out = tmp_path / f"{folder.name}-tuned"
        assert main(["train", str(tune), "--out", str(out)]) == 0
        report = json.loads((out / "graft.json").read_text())
        assert report["new"] == report["dropped"] == []
        run, begun = load_run(out), load_run(folder)
        assert run.model.config.vocab_size == size
        assert run.tokenizers.source.get_vocab() == begun.tokenizers.source.get_vocab()
        assert run.tokenizers.target.get_vocab() == begun.tokenizers.target.get_vocab()
    capsys.readouterr()
    shutil.rmtree(more)  # what was trained needs its start no more
    assert main(["evaluate", str(out), "--max-examples", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 2


def _places(folder, count):
    return [folder / f"place-{number}" for number in range(count)]


@pytest.mark.slow
@pytest.mark.both
def test_a_model_of_zoo_with_a_target_tokenizer_is_pruned_and_extended_on_each_side(
    home, spec_file, corpus_file, tmp_path, capsys
):
    from zoo.models import load_model, weights_hash
    from zoo.models.tokenizers import load_tokenizers
    from zoo.spec.lock import read_lock
    from zoo.training.preparation import tokenizers_hash

    changes = {"target_tokenizer": {"use": "unigram", "vocab_size": 80}}
    spec = spec_file(**changes, model={**SPEC["model"], "tie_embeddings": "decoder"})
    built, out, more = tmp_path / "built", tmp_path / "out", tmp_path / "more"
    assert main(["build", str(spec), "--out", str(built)]) == 0
    assert main(["vocab", "prune", str(built), "--spec", str(spec), "--min-count", "30", "--out", str(out)]) == 0
    sides = json.loads((out / "vocabulary.json").read_text())["vocabularies"]
    old, new = load_model(built).eval(), load_model(out).eval()
    kept = [torch.tensor(sides[side]["old_ids"]) for side in ("source", "target")]
    assert [new.config.encoder_vocab_size, new.config.vocab_size] == [len(kept[0]), len(kept[1])]
    assert all(sides[side]["rows"]["after"] < sides[side]["rows"]["before"] for side in sides)
    draw = torch.Generator().manual_seed(1)
    read, written = (torch.randint(len(rows), (2, 5), generator=draw) for rows in kept)
    with torch.no_grad():
        expected = old(input_ids=kept[0][read], decoder_input_ids=kept[1][written]).logits[..., kept[1]]
        found = new(input_ids=read, decoder_input_ids=written).logits
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    words, tokens = corpus_file([" bobobobo", " kikikiki"], "words.txt"), {}
    for place, side in ((more, "target"), (tmp_path / "both", "source")):
        start = out if side == "target" else more
        assert main(["vocab", "extend", str(start), "--tokens", str(words), "--side", side, "--out", str(place)]) == 0
        tokens[side] = json.loads((place / "vocabulary.json").read_text())["vocabularies"][side]["new_tokens"]
    read_by = load_tokenizers(tmp_path / "both")
    assert not read_by.shared
    for side, tokenizer in (("source", read_by.source), ("target", read_by.target)):
        ids = {token["id"] for token in tokens[side]}
        for word in ("bobobobo", "kikikiki"):
            assert len(ids & set(tokenizer(f"{word} {word}", add_special_tokens=False)["input_ids"])) == 1
    content = read_lock(tmp_path / "both" / "zoo.lock.yaml").file.content
    assert content.tokenizer == tokenizers_hash(read_by)
    assert content.weights == weights_hash(load_model(tmp_path / "both"))
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "both"), "--max-examples", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 2


@pytest.mark.slow
@pytest.mark.both
@pytest.mark.parametrize("kind", ["marian", "marian-apart", "t5"])
def test_a_pruned_checkpoint_begins_a_model_as_the_whole_one_does(
    kind, home, checkpoint, spec_file, corpus_file, tmp_path, capsys
):
    out = tmp_path / "pruned"
    corpus = str(corpus_file(texts()))
    assert main(["vocab", "prune", str(checkpoint(kind)), "--corpus", corpus, "--out", str(out)]) == 0
    report = json.loads((out / "vocabulary.json").read_text())
    spec = spec_file(model={"from": str(out)}, tokenizer="pretrained")
    sides = report.get("vocabularies") or {"both": report}
    capsys.readouterr()
    assert main(["build", str(spec), "--out", str(tmp_path / "built"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["graft"]["new"] == []
    config = json.loads((tmp_path / "built" / "config.json").read_text())
    rows = [part["rows"]["after"] for part in sides.values()]
    assert [config.get("encoder_vocab_size") or config["vocab_size"], config["vocab_size"]] == [rows[0], rows[-1]]
    # And what zoo has built of it is pruned in turn.
    again = tmp_path / "again"
    assert main(["vocab", "prune", str(tmp_path / "built"), "--corpus", corpus, "--out", str(again), "--json"]) == 0
    again_told = json.loads(capsys.readouterr().out)
    for side, part in (again_told.get("vocabularies") or {"both": again_told}).items():
        assert part["rows"] == {"before": sides[side]["rows"]["after"], "after": sides[side]["rows"]["after"]}
