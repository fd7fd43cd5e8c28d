"""The translation task."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from zoo_tasks_text.tasks.options import TranslationOptions
from zoo_tasks_text.tasks.translation import Translation

from zoo.tasks import DataHome

CORPUS = {"use": "generated", "pairs": 300, "dev_pairs": 20, "test_pairs": 20}


def task(**options) -> Translation:
    given = {"corpus": CORPUS, "source": "qaa", "target": "qab", **options}
    return Translation(TranslationOptions.model_validate(given))


def test_a_direction_is_a_board():
    assert task().name == "generated-qaa-qab"
    assert task(source="qab", target="qaa").name == "generated-qab-qaa"
    office = {"corpus": "office-zh-en"}
    assert task(**office, source="zh", target="en").name == "office-zh-en"
    assert task(**office, source="en", target="zh").name == "office-en-zh"
    mine = {"use": "parallel-files", "name": "mine", "languages": ["de", "en"], "train": "a.tsv"}
    assert task(corpus=mine, source="en", target="de").name == "mine-en-de"


def test_directions_mirror_each_other(tmp_path):
    home = DataHome(tmp_path)
    there, back = task().prepare(home), task(source="qab", target="qaa").prepare(home)
    assert there.revision != back.revision
    assert [(e.source, e.target) for e in there.examples("test")] == [
        (e.target, e.source) for e in back.examples("test")
    ]


def test_tokenizers_see_the_training_split_only(tmp_path):
    prepared = task().prepare(DataHome(tmp_path))
    seen = set(prepared.tokenizer_texts())
    assert seen == {text for e in prepared.examples("train") for text in (e.source, e.target)}
    assert not seen & {
        text for split in ("dev", "test") for e in prepared.examples(split) for text in (e.source, e.target)
    }


def test_max_examples_limits_training_alone_and_a_larger_limit_keeps_the_smaller_choice(tmp_path):
    home = DataHome(tmp_path)
    whole, fifty, hundred = (task(max_examples=limit).prepare(home) for limit in (None, 50, 100))
    ids = [[example.id for example in prepared.examples("train")] for prepared in (whole, fifty, hundred)]
    assert [len(chosen) for chosen in ids] == [300, 50, 100]
    assert set(ids[1]) < set(ids[2]) < set(ids[0])
    assert ids[1] == [name for name in ids[0] if name in set(ids[1])]
    assert fifty.examples("test") == whole.examples("test")
    # One test set, one board: what a model was trained on stands in its spec.
    assert len({prepared.revision for prepared in (whole, fifty, hundred)}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "zh"}, "source 'zh' is not in corpus generated"),
        ({"target": "qaa"}, "source and target are both 'qaa'"),
        ({"corpus": "office-zh-en", "source": "ja", "target": "en"}, "has zh, en"),
        ({"max_examples": 0}, "max_examples"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_prepared(options, message):
    with pytest.raises(ValidationError, match=message):
        task(**options)
