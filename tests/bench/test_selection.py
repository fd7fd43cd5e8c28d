"""What a name, an id, a file or a folder stands for, and who meets whom."""

from __future__ import annotations

import pytest

from zoo.bench.selection import pairing, side
from zoo.errors import InputError


@pytest.fixture
def store(tmp_path):
    return tmp_path / "records"


def small(add_model, *arguments, **changes):
    return add_model(*arguments, examples=4, metrics=["exact-match"], outputs=False, **changes)


def records_of(found):
    return [record.id for model in found.models for record in model.records]


def test_a_model_is_all_its_seeds_and_a_record_is_itself(add_model, store):
    seeds = [small(add_model, store, "rotary", seed=seed).id for seed in (1, 2)]
    assert records_of(side("rotary", store)) == seeds
    assert records_of(side(seeds[1], store)) == seeds[1:]
    assert records_of(side(seeds[1][:-2], store)) == seeds[1:]
    assert records_of(side(str(store / f"{seeds[0]}.json"), store / "elsewhere")) == seeds[:1]


def test_a_beginning_that_several_ids_share_is_refused(add_model, store):
    for seed in (1, 2):
        small(add_model, store, id=f"20261123T00000{seed}-record", seed=seed)
    with pytest.raises(InputError, match="begins the ids of 2 records"):
        side("20261123T", store)


def test_a_task_and_a_beginning_of_the_data_revision_tell_models_apart(add_model, store):
    for task in ("zh", "ja"):
        for revision in ("sha256:aa11", "sha256:bb22"):
            small(add_model, store, task=task, data_revision=revision)

    def found(text):
        return sorted((model.standing.task, model.standing.data_revision) for model in side(text, store).models)

    assert len(found("rotary")) == 4
    assert found("ja:rotary") == [("ja", "sha256:aa11"), ("ja", "sha256:bb22")]
    assert found("ja:rotary@bb") == found("ja:rotary@sha256:bb") == [("ja", "sha256:bb22")]
    assert found("rotary@aa") == [("ja", "sha256:aa11"), ("zh", "sha256:aa11")]


def test_a_name_may_hold_the_signs_that_part_a_name(add_model, store):
    odd = small(add_model, store, "ja:rotary@2")
    small(add_model, store, "rotary", task="ja")
    assert records_of(side("ja:rotary@2", store)) == [odd.id]


def test_a_model_goes_before_a_control_of_its_name(add_model, store):
    small(add_model, store, "copy", role="baseline")
    model = small(add_model, store, "copy")
    assert records_of(side("copy", store)) == [model.id]


def test_a_model_goes_before_a_folder_of_its_name_unless_a_path_is_meant(add_model, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small(add_model, store, "main")
    inside = small(add_model, tmp_path / "main", "other")
    assert not side("main", store).is_folder
    assert side("./main", store).is_folder
    assert records_of(side("./main", store)) == [inside.id]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rotray", "no model, record, file or folder 'rotray': did you mean 'rotary'"),
        ("zh-en:rotary", "did you mean 'office-zh-en:rotary'"),
        ("./nowhere", "./nowhere: there is no such file or folder"),
        ("", "found nothing"),
    ],
)
def test_what_names_nothing_is_told_with_the_nearest(add_model, store, text, says):
    small(add_model, store)
    with pytest.raises(InputError) as caught:
        side(text, store)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_record_and_a_folder_without_any_are_named(tmp_path, store):
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(InputError, match="broken.json: "):
        side(str(tmp_path / "broken.json"), store)
    (tmp_path / "notes.md").write_text("no record")
    with pytest.raises(InputError, match=r"notes.md: expected a record \(ID.json\) or a folder"):
        side(str(tmp_path / "notes.md"), store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no records in this folder"):
        side(str(tmp_path / "empty"), store)
    with pytest.raises(InputError, match="no such folder of records"):
        side("rotary", store)
    store.mkdir()
    with pytest.raises(InputError, match="no file or folder 'rotary', and no records in the store"):
        side("rotary", store)


def test_unreadable_files_stop_nobody_and_are_told(add_model, store):
    small(add_model, store)
    (store / "torn.json").write_text("{")
    assert [problem.path.name for problem in side("rotary", store).problems] == ["torn.json"]


def test_of_several_data_revisions_the_newest_that_both_have_is_compared(add_model, store):
    for minute, (name, revision) in enumerate([("a", "1"), ("b", "1"), ("a", "2"), ("b", "2"), ("a", "3")]):
        created = f"2026-11-23T00:0{minute}:00+00:00"
        small(add_model, store, name, data_revision=f"sha256:{revision}", created=created)
    ((one, other),) = pairing(side("a", store), side("b", store)).pairs
    assert one.standing.data_revision == other.standing.data_revision == "sha256:2"


def test_the_task_that_only_one_side_names_is_taken_for_both(add_model, store):
    for task in ("zh", "ja"):
        for name in ("a", "b"):
            small(add_model, store, name, task=task)
    ((one, other),) = pairing(side("ja:a", store), side("b", store)).pairs
    assert (one.standing.task, other.standing.task) == ("ja", "ja")
    with pytest.raises(InputError, match="'a' is a model of 2 tasks: write ja:a or zh:a"):
        pairing(side("a", store), side("b", store))


def test_folders_without_a_common_model_are_refused_but_of_one_model_each_compared(add_model, tmp_path, store):
    old, new = tmp_path / "old", tmp_path / "new"
    small(add_model, old, "a")
    small(add_model, new, "b")
    ((one, other),) = pairing(side(str(old), store), side(str(new), store)).pairs
    assert (one.standing.name, other.standing.name) == ("a", "b")
    small(add_model, new, "c")
    with pytest.raises(InputError, match=r"no model of .*old' is in .*new' by task and name \(there: b, c\)"):
        pairing(side(str(old), store), side(str(new), store))
