"""Domain tags on the source."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from zoo_tasks_text.tasks.options import TranslationOptions
from zoo_tasks_text.tasks.tags import EVALUATION_TAGS, tag_of, with_tag
from zoo_tasks_text.tasks.translation import PreparedTranslation

from zoo.errors import InputError
from zoo.tasks import Pair

BASE = {"corpus": "office-zh-en", "source": "zh", "target": "en", "tag": "domain"}


def prepared(corpus, **options):
    return PreparedTranslation(corpus, TranslationOptions.model_validate({**BASE, **options}))


def tags(task, split):
    return [
        example.source.split(" ")[0] if example.source.startswith("<") else None for example in task.examples(split)
    ]


def test_the_source_begins_with_the_tag_of_its_domain(documents):
    task = prepared(documents)
    assert task.special_tokens == ("<formal>", "<plain>")
    assert task.examples("test")[0].source == "<formal> 源 a.0"
    assert task.examples("test")[0].translated == "源 a.0"
    assert tags(task, "test") == ["<formal>"] * 4 + ["<plain>", None, "<plain>", "<plain>"]


def test_a_share_of_training_goes_untagged_and_evaluation_does_not(many):
    task = prepared(many(100), untagged=0.25)
    assert 85 < sum(tag is None for tag in tags(task, "train")) < 165  # binomial(500, 1/4), 4 deviations
    assert None not in tags(task, "test")


@pytest.mark.parametrize("kind", ["wrong", "random", "none"])
def test_evaluation_may_carry_another_tag(many, kind):
    right, task = prepared(many(100)), prepared(many(100), evaluation_tag=kind)
    assert tags(task, "train") == tags(right, "train")
    hits = sum(one == other for one, other in zip(tags(right, "test"), tags(task, "test"), strict=True))
    assert (150 < hits < 350) if kind == "random" else hits == 0
    if kind == "none":
        assert set(tags(task, "test")) == {None}


def test_text_that_spells_a_tag_is_text(documents):
    documents._splits["test"] = [Pair({"zh": "写 <plain> 吧", "en": "write"}, "c", 0, "formal")]
    assert prepared(documents).examples("test")[0].source == "<formal> 写 < plain> 吧"


def test_a_domain_that_training_does_not_know_has_no_tag(documents):
    documents._splits["test"] = [Pair({"zh": "源", "en": "target"}, "c", 0, "unseen")]
    assert prepared(documents).examples("test")[0].source == "源"


def test_a_tag_holds_no_space():
    assert tag_of("very formal/old") == "<very_formal_old>"


def test_a_corpus_without_domains_is_refused(documents):
    documents._splits["train"] = [Pair({"zh": "源", "en": "target"})]
    with pytest.raises(InputError, match="no training pair of corpus given has a domain"):
        prepared(documents)


@pytest.mark.parametrize("options", [{"untagged": 0.5}, {"evaluation_tag": "wrong"}])
def test_what_needs_tags_is_refused_without_them(options):
    with pytest.raises(ValidationError, match="set tag to domain"):
        TranslationOptions.model_validate({**BASE, "tag": "none", **options})


@pytest.mark.parametrize("kind", EVALUATION_TAGS)
def test_an_example_can_be_given_the_tag_that_evaluation_would_have_given(many, kind):
    """Whatever it carries: what one model is asked under each tag is what four specs would have asked."""
    asked = list(prepared(many(20), evaluation_tag=kind).examples("test"))
    for other in EVALUATION_TAGS:
        task = prepared(many(20), evaluation_tag=other)
        assert [with_tag(example, task.special_tokens, kind) for example in task.examples("test")] == asked
