"""SentencePiece's byte pairs: cut as the library cuts them, and extended without a change to other texts."""

from __future__ import annotations

import json
import shutil

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer
from unusual_words import unusual
from zoo_vocabulary.cli import _init
from zoo_vocabulary.extend import extend
from zoo_vocabulary.folder import open_model
from zoo_vocabulary.scored_pairs import ScoredPairs
from zoo_vocabulary.sentencepiece_files import schema

LETTERS, SPACE = "abcd", "▁"
PIECE = schema.ModelProto.SentencePiece
TEXTS = st.lists(st.text(alphabet=LETTERS, min_size=1, max_size=9), min_size=1, max_size=3).map(" ".join)
WORDS = st.text(alphabet=LETTERS, min_size=2, max_size=8).map(lambda word: SPACE + word)


@st.composite
def pieces(draw: st.DrawFn):
    """Scores of random pieces, of which some come out of nothing and some are unused; letters are always there."""
    found = draw(st.lists(st.text(alphabet=LETTERS, min_size=2, max_size=5), max_size=14, unique=True))
    marked = [draw(st.sampled_from(["", SPACE])) + piece for piece in found]
    order = draw(st.permutations(marked))
    scores = {piece: -float(place) for place, piece in enumerate(order)}
    unused = {piece for piece in order if draw(st.integers(0, 3)) == 0}
    return {**scores, **dict.fromkeys(LETTERS + SPACE, -100.0)}, unused


def library(scores, unused):
    """sentencepiece itself, with these pieces."""
    model = schema.ModelProto()
    model.trainer_spec.model_type = schema.TrainerSpec.BPE
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.pieces.add(piece="<unk>", type=PIECE.UNKNOWN)
    for piece, score in scores.items():
        model.pieces.add(piece=piece, score=score, type=PIECE.UNUSED if piece in unused else PIECE.NORMAL)
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())


def cut(processor, text):
    return processor.encode(text, out_type=str)


@given(pieces(), TEXTS)
@settings(max_examples=60, deadline=None)
def test_texts_are_cut_as_the_library_cuts_them(model, text):
    scores, unused = model
    assert ScoredPairs(scores, unused=unused).segment(SPACE + text.replace(" ", SPACE)) == cut(library(*model), text)


@given(model=pieces(), words=st.lists(WORDS, min_size=1, max_size=5, unique=True), texts=st.lists(TEXTS, max_size=12))
@settings(max_examples=60, deadline=None)
def test_new_words_come_out_and_texts_without_them_are_cut_as_before(model, words, texts):
    scores, unused = model
    before = library(scores, unused)
    words = [word for word in sorted(words, key=len) if word not in scores]
    old = ScoredPairs(scores, unused=unused)
    while True:
        grown = ScoredPairs(scores, unused=unused)
        for word in words:
            assert grown.add(word) == [word]
        refused = {word for found in grown.disturbed(old).values() for word in found}
        if not refused:
            break
        words = [word for word in words if word not in refused]
    after = library(grown.scores, grown.unused)
    assert grown.helpers.keys() <= grown.unused
    for word in words:
        body = word.removeprefix(SPACE)
        assert cut(after, body) == [word]
        assert cut(after, f"ab {body} {body}") == [*cut(after, "ab"), word, word]
    for text in texts:
        spelled = SPACE + text.replace(" ", SPACE)
        if not any(word in spelled for word in words):
            assert cut(after, text) == cut(before, text)
        assert not grown.helpers.keys() & set(cut(after, text))


def test_what_was_marked_as_unused_comes_back_with_its_own_score():
    scores = {**dict.fromkeys("abc", -9.0), "ab": -1.0, "abc": -2.0}
    grown = ScoredPairs(scores, unused={"abc"})
    assert grown.segment("abc") == ["ab", "c"]
    assert grown.add("abc") == ["abc"]
    assert (grown.segment("abc"), grown.scores, grown.helpers) == (["abc"], scores, {})


def test_a_user_defined_piece_is_cut_out_before_anything_merges():
    model = schema.ModelProto()
    model.trainer_spec.model_type = schema.TrainerSpec.BPE
    model.normalizer_spec.name = "identity"
    model.pieces.add(piece="<unk>", type=PIECE.UNKNOWN)
    scores = {**dict.fromkeys(LETTERS + SPACE, -9.0), "ab": -1.0, "bc": -2.0, "abcd": -3.0}
    for piece, score in scores.items():
        model.pieces.add(piece=piece, score=score, type=PIECE.USER_DEFINED if piece == "bc" else PIECE.NORMAL)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    ours = ScoredPairs(scores, whole={"bc"})
    for text in ("abcd", "abab", "bcbc", "cdabc"):
        assert ours.segment(SPACE + text) == cut(processor, text)
    assert ours.segment("abcd") == ["a", "bc", "d"]


def test_a_word_whose_pieces_would_change_other_texts_is_told_and_not_taken(checkpoint, tmp_path):
    # A piece that came out of no text would, once the first two of its three pieces merge.
    folder = shutil.copytree(checkpoint("m2m100-bpe"), tmp_path / "model")
    files = open_model(folder).vocabulary().files
    bad, good = sorted(unusual(folder, 2), key=lambda line: -len(files.cut(files.word_of(line))))
    three = [files.names[identity] for identity in files.cut(files.word_of(bad))[:3]]
    hidden = "".join(three)
    model = schema.ModelProto()
    model.ParseFromString((folder / "sentencepiece.bpe.model").read_bytes())
    last = min((piece for piece in model.pieces if len(piece.piece) > 1), key=lambda piece: piece.score)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    renamed = {hidden if token == last.piece else token: index for token, index in vocabulary.items()}
    last.piece = hidden
    (folder / "sentencepiece.bpe.model").write_bytes(model.SerializeToString())
    (folder / "vocab.json").write_text(json.dumps(renamed))
    before = AutoTokenizer.from_pretrained(folder)
    text = hidden.replace(SPACE, " ").strip()
    assert before.tokenize(text) == three  # the piece is there, and does not come out
    report = extend(open_model(folder), tmp_path / "out", _init("mean-of-pieces"), tokens=[bad, good])
    assert [refused["token"] for refused in report["refused"]] == [files.word_of(bad)]
    assert hidden in report["refused"][0]["reason"]
    assert [new["token"] for new in report["new_tokens"]] == [files.word_of(good)]
    after = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert after.tokenize(text) == three
    assert after.tokenize(good) == [files.word_of(good)]
    with pytest.raises(Exception, match="none of these can be taken in"):
        extend(open_model(folder), tmp_path / "none", _init("mean-of-pieces"), tokens=[bad])
