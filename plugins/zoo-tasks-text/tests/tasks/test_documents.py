"""Doc2Sent and Doc2Doc: what is read, what is written, and the controls."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from zoo_tasks_text.tasks.doc2doc import DocToDoc, PreparedDocToDoc
from zoo_tasks_text.tasks.doc2sent import DocToSent, PreparedDocToSent
from zoo_tasks_text.tasks.documents import DocumentOrder
from zoo_tasks_text.tasks.options import DocToDocOptions, DocToSentOptions

from zoo.export.runtime.documents import Document
from zoo.tasks import Pair

BASE = {"corpus": "office-zh-en", "source": "zh", "target": "en"}


def doc2sent(corpus, **options):
    return PreparedDocToSent(corpus, DocToSentOptions.model_validate({**BASE, **options}))


def doc2doc(corpus, **options):
    return PreparedDocToDoc(corpus, DocToDocOptions.model_validate({**BASE, **options}))


def test_the_context_is_the_sentences_before_in_the_document_a_line_each(documents):
    sources = [example.source for example in doc2sent(documents, context_sentences=2).examples("test")]
    assert sources == [
        "源 a.0",
        "源 a.0\n源 a.1",
        "源 a.0\n源 a.1\n源 a.2",
        "源 a.1\n源 a.2\n源 a.3",
        "源 b.0\n源 b.1",
        "源 None.0",
        "源 b.0",
        "源 None.1",
    ]


def test_one_sentence_is_written_and_metrics_see_the_sentence_that_it_translates(documents):
    examples = doc2sent(documents, context_sentences=3).examples("test")
    assert examples[3].target == "target a.3"
    assert examples[3].translated == "源 a.3"
    assert examples[1].checks
    assert examples[1].contrasts == ("wrong a.1",)


def test_as_a_second_input_the_context_stands_beside_the_source(documents):
    examples = doc2sent(documents, context_sentences=2, context_as="second-input").examples("test")
    assert (examples[2].source, examples[2].context) == ("源 a.2", "源 a.0\n源 a.1")
    assert (examples[0].source, examples[0].context) == ("源 a.0", "")


def reading_of(**options):
    return DocToSent(DocToSentOptions.model_validate({**BASE, **options})).context


@pytest.mark.parametrize("context_as", ["prefix", "second-input"])
def test_lines_of_a_document_are_read_as_the_task_reads_them(documents, context_as):
    options = {"context_sentences": 2, "context_as": context_as}
    examples = [item for item in doc2sent(documents, **options).examples("test") if item.document == "a"]
    document = Document(reading_of(**options), len, None)
    for example in sorted(examples, key=lambda item: item.id):
        expected = example.source if example.context is None else (example.source, example.context)
        assert document.source(example.translated) == expected
    assert len(examples) == 4


def test_a_control_reads_no_line_of_the_document():
    assert reading_of(context="noise") is None
    assert reading_of(context="shuffled", evaluation_context="true").sentences == 1
    beside = reading_of(context="none", context_as="second-input")
    assert Document(beside, len, None).source("a") == ("a", "")
    assert beside.sentences == 0


def test_shuffled_context_comes_from_another_document_and_is_as_long(many):
    true = doc2sent(many(20), context_sentences=2).examples("test")
    shuffled = doc2sent(many(20), context_sentences=2, context="shuffled").examples("test")
    assert list(shuffled) == list(doc2sent(many(20), context_sentences=2, context="shuffled").examples("test"))
    for one, other in zip(true, shuffled, strict=True):
        assert other.source.count("\n") == one.source.count("\n")
        assert other.target == one.target
        for line in other.source.split("\n")[:-1]:
            assert not line.startswith(f"源 {one.document}.")


def test_noise_has_the_length_of_the_true_context_and_words_of_the_corpus(many):
    words = {word for pair in many(20).pairs("test") for word in pair.texts["zh"].split()}
    true = doc2sent(many(20)).examples("test")
    noise = doc2sent(many(20), context="noise").examples("test")
    changed = 0
    for one, other in zip(true, noise, strict=True):
        assert [len(line.split()) for line in other.source.split("\n")] == [
            len(line.split()) for line in one.source.split("\n")
        ]
        assert set(other.source.split()) <= words
        changed += other.source != one.source
    assert changed > 50


def test_noise_for_a_line_of_one_word_is_a_word_and_for_wide_text_characters(lines):
    spaced = ["Yes.", "Go away now.", "Stay here, please."] * 20
    wide = ["好。", "LibreOffice 的帮助页面打开了。", "请不要打开这个文件。"] * 20
    for texts in (spaced, wide):
        units = {word for text in texts for word in (text.split() if texts is spaced else set(text) - {" "})}
        examples = doc2sent(lines(texts), context="noise", context_sentences=1).examples("test")
        contexts = [e.source.split("\n")[0] for e in examples if (e.sentence or "").startswith(texts[1])]
        assert len(contexts) == 20
        for context in contexts:
            found = context.split() if texts is spaced else list(context)
            assert len(found) == (1 if texts is spaced else len(texts[0]))
            assert set(found) <= units


def test_context_can_be_left_out_at_evaluation_alone(documents):
    prepared = doc2sent(documents, evaluation_context="none")
    assert prepared.examples("train")[1].source == "源 a.0\n源 a.1"
    assert prepared.examples("test")[1].source == "源 a.1"


def test_the_sentences_of_a_test_set_are_one_board_however_they_are_read(documents):
    kinds = [doc2sent(documents, context=kind) for kind in ("true", "shuffled", "noise", "none")]
    assert len({prepared.revision for prepared in kinds}) == 1
    assert len({tuple((e.id, e.target) for e in prepared.examples("test")) for prepared in kinds}) == 1
    assert DocToSent(DocToSentOptions.model_validate(BASE)).name == "office-zh-en"
    assert DocToDoc(DocToDocOptions.model_validate({**BASE, "sentences": 3})).name == "office-zh-en-doc2doc3"


def test_doc2doc_writes_as_many_lines_as_it_reads_and_every_sentence_once(documents):
    examples = doc2doc(documents, sentences=3).examples("test")
    assert [example.id for example in examples] == ["a#0-2", "a#3-3", "b#0-1", "test:3", "test:4"]
    assert examples[0].source == "源 a.0\n源 a.1\n源 a.2"
    assert examples[0].target == "target a.0\ntarget a.1\ntarget a.2"
    assert examples[0].contrasts == ("target a.0\nwrong a.1\ntarget a.2",)
    lines = [line for example in examples for line in example.target.split("\n")]
    assert sorted(lines) == sorted(pair.texts["en"] for pair in documents.pairs("test"))


def test_shuffled_doc2doc_has_the_same_sentences_in_other_company(many):
    true = doc2doc(many(20)).examples("test")
    shuffled = doc2doc(many(20), context="shuffled").examples("test")
    lines = [[line for e in examples for line in e.target.split("\n")] for examples in (true, shuffled)]
    assert lines[0] != lines[1]
    assert sorted(lines[0]) == sorted(lines[1])
    assert [e.target.count("\n") for e in true] == [e.target.count("\n") for e in shuffled]


@pytest.mark.parametrize("context", ["true", "shuffled"])
def test_a_tagged_doc2doc_example_is_of_one_domain(many, documents, context):
    domains = ("formal", "formal", "plain", "formal")
    mixed = [Pair({"zh": f"源 m.{n}", "en": f"m.{n}"}, "m", n, domain) for n, domain in enumerate(domains)]
    documents._splits["train"] = [*documents.pairs("train"), *mixed]
    for corpus in (many(20), documents):
        domains = {pair.texts["zh"]: pair.domain for pair in corpus.pairs("train")}
        examples = doc2doc(corpus, context=context, tag="domain").examples("train")
        lines = []
        for example in examples:
            own = example.source.removeprefix(f"{example.tag} ").split("\n")
            assert {domains[line] for line in own} == {example.domain}
            assert example.tag == (f"<{example.domain}>" if example.domain else None)
            lines += own
        assert sorted(lines) == sorted(domains)
        assert max(example.target.count("\n") for example in examples) > 0


def test_the_line_feed_is_one_token_and_tokenizers_learn_sentences_without_it(documents):
    for prepared in (doc2sent(documents), doc2doc(documents)):
        assert prepared.special_tokens[0] == "\n"
        texts = list(prepared.tokenizer_texts())
        assert texts
        assert not any("\n" in text for text in texts)
        assert set(prepared.tokenizer_texts("target")) == {pair.texts["en"] for pair in documents.pairs("train")}


@pytest.mark.parametrize(
    ("options", "model"),
    [({"context_sentences": 0}, DocToSentOptions), ({"sentences": 1}, DocToDocOptions)],
)
def test_nothing_to_read_together_is_refused(options, model):
    with pytest.raises(ValidationError, match="expected a number at least"):
        model.model_validate({**BASE, **options})


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), min_size=1, max_size=40, unique=True),
    st.integers(1, 6),
)
def test_documents_stay_together_in_order_and_every_pair_is_placed_once(rows, size):
    pairs = [Pair({"zh": "x", "en": "y"}, None if name == "d" else name, order) for name, order in rows]
    order = DocumentOrder(pairs)
    assert sorted(order.order) == list(range(len(pairs)))
    chunks = order.chunks(size)
    assert sorted(item for chunk in chunks for item in chunk) == list(range(len(pairs)))
    for chunk in chunks:
        assert len(chunk) <= size
        assert len({pairs[item].document for item in chunk}) == 1
        assert len(chunk) == 1 or pairs[chunk[0]].document is not None
        assert [pairs[item].order - pairs[chunk[0]].order for item in chunk] == list(range(len(chunk)))
    for index, pair in enumerate(pairs):
        before = order.previous(index, size)
        assert all(pairs[item].document == pair.document for item in before)
        orders = {other.order for other in pairs if other.document == pair.document}
        expected = []
        while pair.document is not None and pair.order - len(expected) - 1 in orders and len(expected) < size:
            expected.insert(0, pair.order - len(expected) - 1)
        assert [pairs[item].order for item in before] == expected


def test_neither_context_nor_chunk_reaches_over_a_missing_sentence(gapped):
    sources = [example.source for example in doc2sent(gapped, context_sentences=3).examples("train")]
    assert sources == ["源 a.0", "源 a.0\n源 a.1", "源 a.3", "源 a.3\n源 a.4"]
    chunks = [example.source for example in doc2doc(gapped, sentences=3).examples("train")]
    assert chunks == ["源 a.0\n源 a.1", "源 a.3\n源 a.4"]
