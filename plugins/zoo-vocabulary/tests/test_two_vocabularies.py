"""Models whose source and target have vocabularies of their own: each side is operated on by its own texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from zoo_vocabulary.cli import _init
from zoo_vocabulary.extend import extend
from zoo_vocabulary.folder import open_model
from zoo_vocabulary.prune import prune
from zoo_vocabulary.texts import Corpus

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.testing.checkpoints import PAD_OF_BOTH, texts

SOURCE, TARGET = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
SIDES = ("source", "target")


@pytest.fixture(scope="module")
def folder(checkpoint) -> Path:
    return checkpoint("marian-apart")


def load(folder: Path):
    return AutoModelForSeq2SeqLM.from_pretrained(folder).eval()


def logits(model, read: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=read, decoder_input_ids=written).logits


def encoded(tokenizer, side: str, lines: list[str]) -> list[list[int]]:
    return tokenizer(**{"text" if side == "source" else "text_target": lines})["input_ids"]


def old_ids(report, side):
    return report["vocabularies"][side]["old_ids"]


@pytest.fixture(scope="module")
def pruned(folder, tmp_path_factory):
    """The folder, each side pruned to what 12 texts of its own need, and the report."""
    place = tmp_path_factory.mktemp("apart")
    files = {side: (place / f"{side}.txt",) for side in SIDES}
    files["source"][0].write_text("\n".join(texts()[:8]))
    files["target"][0].write_text("\n".join(texts()[20:32]))
    return place / "out", prune(open_model(folder), place / "out", corpus=Corpus(**files))


class TestPruned:
    def test_each_side_keeps_what_its_own_texts_have(self, folder, pruned):
        out, report = pruned
        before, after = (AutoTokenizer.from_pretrained(place) for place in (folder, out))
        for side, lines, others in (("source", texts()[:8], texts()[20:32]), ("target", texts()[20:32], texts()[:8])):
            kept = old_ids(report, side)
            assert len(kept) < report["vocabularies"][side]["rows"]["before"]
            new_ids = {old: new for new, old in enumerate(kept)}
            ids = encoded(before, side, lines)
            assert encoded(after, side, lines) == [[new_ids[identity] for identity in row] for row in ids]
            foreign = {identity for row in encoded(before, side, others) for identity in row}
            assert foreign - set(kept), "nothing has gone that only the other side's texts have"
        assert report["vocabularies"]["source"]["rows"] != report["vocabularies"]["target"]["rows"]

    def test_kept_logits_are_the_same(self, folder, pruned):
        out, report = pruned
        kept = {side: torch.tensor(old_ids(report, side)) for side in SIDES}
        draw = torch.Generator().manual_seed(5)
        read, written = (torch.randint(len(kept[side]), (2, 7), generator=draw) for side in SIDES)
        expected = logits(load(folder), kept["source"][read], kept["target"][written])[..., kept["target"]]
        assert expected.std() > 0.05
        torch.testing.assert_close(logits(load(out), read, written), expected, atol=1e-6, rtol=1e-6)

    def test_rows_are_the_old_ones_and_nothing_else_has_changed(self, folder, pruned):
        out, report = pruned
        old, new = (load_file(place / "model.safetensors") for place in (folder, out))
        assert old.keys() == new.keys()
        for name, tensor in old.items():
            if name == SOURCE:
                tensor = tensor[old_ids(report, "source")]
            elif name in {TARGET, "lm_head.weight"}:
                tensor = tensor[old_ids(report, "target")]
            elif name == "final_logits_bias":
                tensor = tensor[:, old_ids(report, "target")]
            assert torch.equal(new[name], tensor), name
        model = load(out)
        assert model.lm_head.weight is model.model.decoder.embed_tokens.weight
        assert model.model.encoder.embed_tokens.weight is not model.model.decoder.embed_tokens.weight

    def test_an_id_that_both_sides_have_in_common_is_still_one(self, folder, pruned):
        out, report = pruned
        config = json.loads((out / "config.json").read_text())
        for side, field in (("source", "vocab_size"), ("target", "decoder_vocab_size")):
            rows = report["vocabularies"][side]["rows"]["after"]
            assert config[field] == rows != PAD_OF_BOTH + 1
            assert old_ids(report, side)[config["pad_token_id"]] == PAD_OF_BOTH
            assert old_ids(report, side)[config["eos_token_id"]] == 0
        tokenizer = AutoTokenizer.from_pretrained(out)
        assert tokenizer.pad_token_id == config["pad_token_id"] == config["decoder_start_token_id"]
        assert json.loads((out / "generation_config.json").read_text())["bad_words_ids"] == [[config["pad_token_id"]]]
        for name in ("vocab.json", "target_vocab.json"):
            vocabulary = json.loads((out / name).read_text())
            assert vocabulary["<pad>"] == config["pad_token_id"]
            assert sorted(vocabulary.values()) == list(range(len(vocabulary)))

    def test_greedy_outputs_are_the_same_where_no_dropped_token_would_win(self, folder, tmp_path):
        old, before = load(folder), AutoTokenizer.from_pretrained(folder)
        options = {"max_new_tokens": 8, "do_sample": False, "num_beams": 1}
        sources = [before(text, return_tensors="pt") for text in texts()[:3]]
        outputs = [old.generate(**source, **options)[0].tolist() for source in sources]
        assert len({tuple(output) for output in outputs}) > 1
        saved = open_model(folder)
        written = sorted({identity for output in outputs for identity in output})
        report = prune(saved, tmp_path / "one", keep=written, side="target")
        assert len(old_ids(report, "target")) < len(old_ids(report, "source"))
        read_ids = sorted({identity for source in sources for identity in source["input_ids"][0].tolist()})
        places = [old_ids(report, "source").index(identity) for identity in read_ids]
        again = prune(open_model(tmp_path / "one"), tmp_path / "two", keep=places, side="source")
        new = {side: [old_ids(report, side)[middle] for middle in old_ids(again, side)] for side in SIDES}
        assert len(new["source"]) < len(old_ids(report, "source"))
        model, after = load(tmp_path / "two"), AutoTokenizer.from_pretrained(tmp_path / "two")
        for text, source, output in zip(texts()[:3], sources, outputs, strict=True):
            read = torch.tensor([[new["source"].index(identity) for identity in source["input_ids"][0].tolist()]])
            assert after(text)["input_ids"] == read[0].tolist()
            found = model.generate(input_ids=read, attention_mask=source["attention_mask"], **options)[0].tolist()
            assert [new["target"][identity] for identity in found] == output
            assert after.decode(found, skip_special_tokens=True) == before.decode(output, skip_special_tokens=True)

    def test_the_command_tells_of_both_sides(self, folder, tmp_path, corpus_file, capsys):
        read, written = corpus_file(texts()[:8], "source.txt"), corpus_file(texts()[20:32], "target.txt")
        arguments = ["vocab", "prune", str(folder), "--source-corpus", str(read), "--target-corpus", str(written)]
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(f"wrote {tmp_path / 'out'}: ")
        assert [line.partition(":")[0] for line in lines if "rows before" in line] == ["source", "target"]
        assert "0 of 20 texts are cut otherwise than before" in lines

    @pytest.mark.parametrize(
        ("kind", "arguments", "expected"),
        [
            ("marian-apart", ["prune", "--keep", "FILE"], "--keep: source and target have vocabularies of their own"),
            ("marian-apart", ["extend", "--tokens", "FILE"], "--tokens: source and target have vocabularies of their"),
            (
                "marian",
                ["prune", "--corpus", "FILE", "--side", "source"],
                "--side: source and target share a voc",
            ),
        ],
    )
    def test_what_does_not_go_together_is_refused(
        self, kind, arguments, expected, checkpoint, tmp_path, corpus_file, capsys
    ):
        verb, *rest = [str(corpus_file(["ab"])) if argument == "FILE" else argument for argument in arguments]
        assert main(["vocab", verb, str(checkpoint(kind)), *rest, "--out", str(tmp_path / "out")]) == 2
        assert expected in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


class TestExtended:
    def test_each_side_gets_words_of_its_own_texts(self, folder, tmp_path, corpus_file):
        read, written = (corpus_file([line] * 9, f"{line[:2]}.txt") for line in ("zvzvzv kgkgkg", "tztztz pupupu"))
        corpus = Corpus(source=(read,), target=(written,))
        report = extend(open_model(folder), tmp_path / "out", _init("mean-of-pieces"), corpus=corpus, size=2)
        before, after = (AutoTokenizer.from_pretrained(place) for place in (folder, tmp_path / "out"))
        old, new = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "out"))
        for side, expected in (("source", {"▁zvzvzv", "▁kgkgkg"}), ("target", {"▁tztztz", "▁pupupu"})):
            told = report["vocabularies"][side]
            assert {token["token"] for token in told["new_tokens"]} == expected
            for token in told["new_tokens"]:
                word = token["token"].removeprefix("▁")
                assert encoded(after, side, [word])[0] == [token["id"], 0]
                assert encoded(before, side, [word])[0][:-1] == token["pieces"]
                for name in (SOURCE,) if side == "source" else (TARGET, "final_logits_bias"):
                    rows, found = (tensors[name] for tensors in (old, new))
                    if name == "final_logits_bias":
                        rows, found = rows.T, found.T
                    mean = sum(rows[piece].double() for piece in token["pieces"]) / len(token["pieces"])
                    assert torch.equal(found[token["id"]], mean.to(rows.dtype))
        places = {side: [new for new, old in enumerate(old_ids(report, side)) if old is not None] for side in SIDES}
        ids = torch.randint(PAD_OF_BOTH, (2, 7), generator=torch.Generator().manual_seed(5))
        model = load(tmp_path / "out")
        read_, written_ = (torch.tensor(places[side])[ids] for side in SIDES)
        expected = logits(load(folder), ids, ids)
        torch.testing.assert_close(
            logits(model, read_, written_)[..., places["target"]], expected, atol=1e-6, rtol=1e-6
        )
        assert model.generate(**after("zvzvzv", return_tensors="pt"), max_new_tokens=4).shape[1] > 1

    def test_one_side_alone_leaves_the_other_as_it_was(self, folder, tmp_path):
        extend(open_model(folder), tmp_path / "out", _init("global-mean"), tokens=[" zvzvzv"], side="target")
        old, new = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "out"))
        assert torch.equal(old[SOURCE], new[SOURCE])
        assert len(new[TARGET]) == len(old[TARGET]) + 1
        for name in ("vocab.json", "source.spm"):
            read = json.loads if name.endswith("json") else bytes
            assert read((folder / name).read_bytes()) == read((tmp_path / "out" / name).read_bytes())


def test_a_tokenizer_and_a_model_that_do_not_agree_are_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps({**config, "separate_vocabs": False}))
    with pytest.raises(InputError, match="separate vocabularies for source and target, its tokenizer has one for both"):
        open_model(tmp_path / "model")
