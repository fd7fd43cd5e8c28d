"""Recall of words by training frequency, counted by hand."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from pydantic import ValidationError
from zoo_tasks_text.metrics.options import RareTokenRecallOptions
from zoo_tasks_text.metrics.rare_token_recall import RareTokenRecall

from zoo.errors import InputError, ZooError
from zoo.tasks import Example, PreparedTask

# the: 6 times, cat: 3, sat: 2, dog: 1, "." : 7
TRAINING = [
    "the cat sat .",
    "the cat sat .",
    "the cat .",
    "the dog .",
    "the the .",
    ".",
    ".",
]


class Trained(PreparedTask):
    revision = "sha256:" + "0" * 64

    def __init__(self, targets):
        self.facts = {}
        self.targets = targets

    def examples(self, split):
        return [Example(str(place), "s", target) for place, target in enumerate(self.targets)]


def metric(targets=TRAINING, **options):
    made = RareTokenRecall(RareTokenRecallOptions(**{"bands": [2, 5], **options}))
    made.learn(Trained(targets))
    return made


def scored(outputs, references, **options):
    return metric(**options).score(outputs, references, ["s"] * len(outputs))


def test_words_count_in_the_band_of_their_training_frequency():
    # By hand. Reference words: the (6) x2, cat (3), dog (1), zebra (0), "." (7); sat (2) x2, "." (7).
    references = ["the cat , the dog . zebra", "sat sat ."]
    # The output has "the" once, no cat, the dog; and one of the two sats, with a stop.
    score = scored(["dog the dog zebra", "sat ."], references, tokenize="none")
    assert score.value == pytest.approx(2 / 3)  # dog, and one sat of two
    assert score.metric == "token-recall-1-2"
    assert score.details == {
        "unseen": {"recall": 0.5, "words": 2},  # zebra is there, the comma is not
        "1-2": {"recall": pytest.approx(2 / 3), "words": 3},
        "3-5": {"recall": 0.0, "words": 1},
        "above-5": {"recall": 0.5, "words": 4},  # the (one of two), a stop of two
    }


@pytest.mark.parametrize(("band", "value"), [(0, 1.0), (1, 0.0), (2, 1.0), (3, 0.5)])
def test_the_score_is_of_the_chosen_band(band, value):
    assert scored(["cat zebra the"], ["dog cat zebra the the"], band=band).value == value


def test_a_word_said_too_often_counts_as_often_as_it_is_asked_for():
    assert scored(["dog dog dog"], ["dog sat"]).value == 0.5


def test_all_bands_together_are_unigram_recall():
    draw = random.Random(5)
    words = ["the", "cat", "sat", "dog", "zebra", "ant", "."]
    texts = [[" ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(30)] for _ in range(2)]
    items = metric().items(*texts, texts[1])
    matches, asked = np.split(np.sum(items, axis=0), 2)
    outputs, references = ([Counter(text.split()) for text in side] for side in texts)
    overlap = sum((said & wanted).total() for said, wanted in zip(outputs, references, strict=True))
    assert matches.sum() / asked.sum() == overlap / sum(wanted.total() for wanted in references)


def test_words_are_split_as_bleu_splits_them():
    assert scored(["(dog)"], ["dog, sat"]).value == 0.5  # 13a parts punctuation
    assert scored(["(dog)"], ["dog, sat"], tokenize="none", band=0).details["unseen"]["words"] == 1  # "dog,"
    assert scored(["DOG"], ["dog"], lowercase=True).value == 1.0
    assert metric(["ab", "b"], bands=[1], tokenize="char").score(["ba"], ["ab"], ["s"]).details == {
        "unseen": {"recall": None, "words": 0},
        "1": {"recall": 1.0, "words": 1},
        "above-1": {"recall": 1.0, "words": 1},
    }


def test_the_signature_names_the_bands_and_what_was_counted():
    signature = metric().signature
    assert signature.startswith("token-recall-1-2|bands:unseen,1-2,3-5,above-5|counts:")
    assert metric(TRAINING[::-1]).signature == signature, "the order of the training data is nothing to it"
    assert metric(TRAINING[1:]).signature != signature
    assert metric(bands=[2, 6]).signature != signature


def test_a_test_set_without_words_of_the_band_is_refused_before_training():
    examples = [Example("1", "s", "the cat"), Example("2", "s", "zebra cat")]
    with pytest.raises(
        InputError, match=r"token-recall-1-2: no word .* by band: unseen \(1\), 3-5 \(2\), above-5 \(1\)"
    ):
        metric().accept(examples)
    metric(band=2).accept(examples)


def test_an_example_without_words_of_the_band_has_no_score_by_itself():
    made = metric()
    assert np.isnan(made.segments(made.items(["the"], ["the"], ["s"]))[0])


def test_without_the_training_data_nothing_is_counted():
    unaware = RareTokenRecall(RareTokenRecallOptions())
    with pytest.raises(ZooError, match="training targets"):
        unaware.items(["a"], ["a"], ["a"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bands": [5, 5]}, "above the one before"),
        ({"bands": [5], "band": 3}, "there are 0 to 2"),
        ({"bands": []}, "1"),
    ],
)
def test_bands_that_are_none_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        RareTokenRecallOptions(**options)
