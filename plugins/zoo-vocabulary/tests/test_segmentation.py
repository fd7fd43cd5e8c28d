"""Our cuts are the libraries' cuts, before pruning and after it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from zoo_vocabulary.fast import FastFiles
from zoo_vocabulary.learned import learn_pairs
from zoo_vocabulary.prune import select
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.segmentation import BytePairs, LongestFirst, Pieces, merge

LETTERS = "abcd"
WORDS = st.text(alphabet=LETTERS, min_size=1, max_size=9)
SPECIAL = ["<pad>", "</s>", "<unk>"]


@st.composite
def byte_pairs(draw: st.DrawFn):
    """A random vocabulary of byte pairs: merges of tokens that were there before, some making one token twice."""
    tokens = list(LETTERS)
    merges = []
    for _ in range(draw(st.integers(1, 14))):
        pair = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        if pair in merges or len("".join(pair)) > 6:
            continue
        merges.append(pair)
        if "".join(pair) not in tokens:
            tokens.append("".join(pair))
    return tokens, merges


def bpe(tokens, merges, **options):
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *tokens])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", **options))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def files_of(tokenizer, folder):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": PreTrainedTokenizerFast.__name__, **roles})
    )
    return FastFiles(folder)


def written(files, remap, folder, added=(), grown=None):
    folder.mkdir(parents=True, exist_ok=True)
    files.write(folder, remap, list(added), grown)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@given(byte_pairs(), WORDS)
@settings(max_examples=40, deadline=None)
def test_byte_pairs_are_merged_as_the_library_merges(model, word):
    tokens, merges = model
    ours = BytePairs({*SPECIAL, *tokens}, merges, unknown="<unk>")
    assert ours.segment(word) == [token.value for token in bpe(tokens, merges).model.tokenize(word)]


@given(model=byte_pairs(), data=st.data())
@settings(max_examples=40, deadline=None)
def test_byte_pairs_stay_closed_under_merges(tmp_path_factory, model, data):
    tokens, merges = model
    tokenizer = bpe(tokens, merges)
    files = files_of(tokenizer, tmp_path_factory.mktemp("bpe"))
    asked = data.draw(st.sets(st.sampled_from(sorted(files.vocabulary.values())), min_size=1))
    chosen = select(files, set(), sorted(asked), [])
    kept = chosen.kept
    assert asked <= kept
    remap = Remap.pruned(kept, len(files.tokens))
    after = written(files, remap, tmp_path_factory.mktemp("pruned"))
    names = files.names
    # No kept token is out of reach that was not so before.
    for identity in kept - {0, 1, 2}:
        before = tokenizer.encode(names[identity]).tokens == [names[identity]]
        assert (after.encode(names[identity]).tokens == [names[identity]]) == before
        assert before or names[identity] in chosen.unreachable
    # What was cut into kept tokens alone is cut as before.
    for word in data.draw(st.lists(WORDS, min_size=1, max_size=25)):
        ids = tokenizer.encode(word).ids
        if set(ids) <= kept:
            assert after.encode(word).ids == [remap.new_ids[identity] for identity in ids]
        else:
            assert 2 not in [remap.rows[identity] for identity in after.encode(word).ids]  # characters stay


@given(
    st.dictionaries(st.text(alphabet=LETTERS, min_size=1, max_size=4), st.floats(-20, -1), min_size=2, max_size=14),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_a_unigram_model_cuts_what_it_keeps_as_before(tmp_path_factory, scores, data):
    vocabulary = [*((token, 0.0) for token in SPECIAL), *scores.items()]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    files = files_of(tokenizer, tmp_path_factory.mktemp("unigram"))
    ours = files.segmenter()
    asked = data.draw(st.sets(st.integers(3, len(vocabulary) - 1), min_size=1))
    kept = select(files, set(), sorted(asked), []).kept
    remap = Remap.pruned(kept, len(vocabulary))
    after = written(files, remap, tmp_path_factory.mktemp("pruned"))
    for word in data.draw(st.lists(WORDS, min_size=1, max_size=25)):
        encoded = tokenizer.encode(word)
        total = sum(dict(vocabulary)[token] for token in encoded.tokens if token in dict(vocabulary))
        if "<unk>" not in ours.segment(word):
            assert ours.best(word)[1] == pytest.approx(total)
        if set(encoded.ids) <= kept:
            assert after.encode(word).ids == [remap.new_ids[identity] for identity in encoded.ids]


def test_without_the_lowest_score_unknown_characters_would_beat_kept_pieces(tmp_path):
    # "c" is worth -25, so that an unknown character is worth -35; with -20 for the lowest it would be -30,
    # and <unk> "def" (-31) would beat "cd" "ef" (-40), which stay.
    scores = [(token, 0.0) for token in SPECIAL]
    scores += [("c", -50.0), ("cd", -20.0), ("ef", -20.0), ("def", -1.0), ("d", -20.0), ("e", -20.0), ("f", -20.0)]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=2))
    assert tokenizer.encode("cdef").tokens == ["cd", "ef"]
    files = files_of(tokenizer, tmp_path / "one")
    chosen = select(files, set(), [4, 5, 6, 7, 8, 9], [])
    assert chosen.reasons["lowest score"] == 1
    after = written(files, Remap.pruned(chosen.kept, 10), tmp_path / "two")
    assert after.encode("cdef").tokens == ["cd", "ef"]
    careless = Tokenizer(models.Unigram([scores[i] for i in (0, 1, 2, 4, 5, 6, 7, 8, 9)], unk_id=2))
    assert careless.encode("cdef").tokens != ["cd", "ef"]


@pytest.mark.parametrize(
    "options", [{"continuing_subword_prefix": "##"}, {"end_of_word_suffix": "</w>"}, {"ignore_merges": True}], ids=str
)
def test_prefixes_suffixes_and_whole_words(tmp_path, options):
    prefix, suffix = options.get("continuing_subword_prefix", ""), options.get("end_of_word_suffix", "")
    a, b, c = "a", prefix + "b", prefix + "c" + suffix
    inner = [a, b, c, prefix + "a", "b", "c", a + "b", a + "b" + "c" + suffix]
    merges = [(a, b), (a + "b", c)]
    tokenizer = bpe(list(dict.fromkeys([*inner, "zz"])), merges, **options)
    files = files_of(tokenizer, tmp_path / "one")
    kept = select(files, set(), [files.vocabulary[a + "b" + "c" + suffix]], []).kept
    if not options.get("ignore_merges"):
        assert files.vocabulary[a + "b"] in kept
    assert files.vocabulary["zz"] not in kept
    after = written(files, Remap.pruned(kept, len(files.tokens)), tmp_path / "two")
    assert after.encode("abc").tokens == tokenizer.encode("abc").tokens == [a + "b" + "c" + suffix]


@given(st.sets(st.text(alphabet=LETTERS, min_size=1, max_size=4), min_size=1), WORDS)
@settings(max_examples=40, deadline=None)
def test_wordpiece_takes_the_longest_first_as_the_library_does(tokens, word):
    vocabulary = {*SPECIAL, *tokens, *(f"##{token}" for token in sorted(tokens)[::2])}
    theirs = models.WordPiece({token: index for index, token in enumerate(sorted(vocabulary))}, unk_token="<unk>")
    assert LongestFirst(vocabulary, unknown="<unk>").segment(word) == [token.value for token in theirs.tokenize(word)]


def test_byte_fallback_and_post_processor_and_padding_follow(tmp_path):
    from tokenizers import processors

    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "a", "b", "ab", "ba"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("a", "b"), ("b", "a")], unk_token="<unk>", byte_fallback=True))
    tokenizer.add_special_tokens(["<s>", "<sep>"])
    begin, between = (tokenizer.token_to_id(token) for token in ("<s>", "<sep>"))
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<s> $A <sep>", special_tokens=[("<s>", begin), ("<sep>", between)]),
        ]
    )
    tokenizer.enable_padding(pad_id=between, pad_token="<sep>")
    files = files_of(tokenizer, tmp_path / "one")
    chosen = select(files, set(), [vocabulary["ab"]], [])
    assert chosen.reasons["bytes"] == 256
    remap = Remap.pruned(chosen.kept, len(files.tokens))
    assert vocabulary["ba"] not in remap.new_ids
    after = written(files, remap, tmp_path / "two")
    assert after.encode("abé").tokens == tokenizer.encode("abé").tokens == ["<s>", "ab", "<0xC3>", "<0xA9>", "<sep>"]
    assert after.encode("ab").ids == [remap.new_ids[identity] for identity in tokenizer.encode("ab").ids]
    assert after.padding["pad_id"] == after.token_to_id("<sep>")


def test_a_new_token_of_byte_pairs_takes_the_merges_to_it_and_leaves_other_cuts(tmp_path):
    tokens, merges = [*LETTERS, "ab"], [("a", "b")]
    files = files_of(bpe(tokens, merges), tmp_path)
    grown = files.segmenter()
    assert grown.add("abab") == ["abab"]
    assert grown.add("cabd") == ["cab", "cabd"]
    assert grown.add("ab") == []
    for word, expected in {"abab": ["abab"], "cabd": ["cabd"], "dabc": ["d", "ab", "c"], "aab": ["a", "ab"]}.items():
        assert grown.segment(word) == expected


@given(byte_pairs(), st.lists(WORDS, min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_every_new_token_of_byte_pairs_comes_out_as_one(model, wanted):
    tokens, merges = model
    grown = BytePairs({*SPECIAL, *tokens}, merges, unknown="<unk>")
    for word in sorted(wanted, key=len):
        grown.add(word)
    theirs = bpe(sorted(grown.vocabulary - set(SPECIAL)), grown.merges).model
    for word in wanted:
        assert [token.value for token in theirs.tokenize(word)] == [word]


@given(
    st.dictionaries(st.text(alphabet=LETTERS, min_size=1, max_size=3), st.floats(-20, -1), min_size=1, max_size=10),
    st.lists(WORDS, min_size=1, max_size=6),
    WORDS,
)
@settings(max_examples=40, deadline=None)
def test_a_new_piece_comes_out_as_one_and_texts_without_it_are_cut_as_before(scores, wanted, other):
    scores = {**scores, **{letter: -15.0 - place for place, letter in enumerate(LETTERS)}}
    before, grown = Pieces(scores, unknown="<unk>"), Pieces(scores, unknown="<unk>")
    for word in sorted(wanted, key=len):
        grown.add(word)
    vocabulary = [("<unk>", 0.0), *grown.scores.items()]
    theirs = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    assert min(grown.scores.values()) == min(scores.values())
    for word in wanted:
        assert theirs.encode(word).tokens == [word]
    if not any(word in other for word in wanted):
        assert grown.segment(other) == before.segment(other)


def test_pairs_are_learned_as_byte_pair_encoding_learns_them():
    # Sennrich et al. 2016, figure 1: low 5, lower 2, newest 6, widest 3.
    words = {"low_": 5, "lower_": 2, "newest_": 6, "widest_": 3}
    grown = BytePairs(set("lowernstid_"), [])
    learned = learn_pairs(words, grown, 10, mergeable=lambda token: True)
    counted = []
    cut = {word: list(word) for word in words}
    for _ in range(10):  # the paper's algorithm, counted anew at every step
        totals = {}
        for word, count in words.items():
            for pair in zip(cut[word], cut[word][1:], strict=False):
                totals[pair] = totals.get(pair, 0) + count
        best = min(totals, key=lambda pair: (-totals[pair], pair))
        counted.append("".join(best))
        ranks = {best: 0}
        cut = {word: merge(cut[word], lambda a, b, r=ranks: r.get((a, b)), str.__add__)[0] for word in words}
    assert learned == counted
    assert learned[:2] == ["es", "est"]


def test_what_may_not_be_joined_is_not():
    grown = BytePairs({"a", "b", "<unk>"}, [], unknown="<unk>")
    learned = learn_pairs({"axb": 5, "ab": 2}, grown, 5, mergeable=lambda token: token != "<unk>")
    assert learned == ["ab"]
