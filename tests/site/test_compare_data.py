"""The scripts that the compare page reads."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo.site.compare_data
from zoo.bench.selection import side
from zoo.bench.store import RecordStore
from zoo.site.build import build_site
from zoo.site.compare_data import LONGEST_TEXT
from zoo.site.script_data import script_call

CALL = re.compile(r"zooData\((.*)\);\n", re.DOTALL)


def read(file):
    """The name and the value that a data script hands over."""
    found = CALL.fullmatch(file.read_text(encoding="utf-8"))
    assert found is not None
    name, value = json.loads(f"[{found[1]}]")
    assert name == file.name.removesuffix(".js")
    return value


def of_model(site, name):
    slug = site.model_file(name).stem
    (file,) = [
        entry[4] for _, _, entries in read(site.folder / "data" / "index.js") for entry in entries if entry[0] == slug
    ]
    return dict(read(site.folder / "data" / f"{file}.js"))[slug]


def outputs_of(site, name):
    return read(site.folder / "data" / f"{site.model_file(name).stem}.outputs.js")


@given(st.text())
def test_a_script_hands_over_any_text_and_holds_no_markup_or_invisible_mark(text):
    script = script_call("zooData", "name", [text])
    assert json.loads(f"[{CALL.fullmatch(script)[1]}]") == ["name", [text]]
    assert not re.search("[<>&\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", script)
    script.encode()


def test_a_script_refuses_what_is_no_json():
    with pytest.raises(ValueError, match="JSON"):
        script_call("zooData", float("nan"))


def test_the_index_names_every_model_of_a_board_in_its_order(build, realistic):
    site = build(realistic)
    ((task, slug, entries),) = read(site.folder / "data" / "index.js")
    assert (task, slug) == ("office-zh-en", site.board_file().stem)
    assert [(name, state) for _, name, state, _, _ in entries] == [
        ("rotary", "ok"),
        ("alibi", "ok"),
        ("sinusoidal", "ok"),
        ("learned-lr-0.1", "collapsed"),
        ("copy", "baseline"),
        ("untrained", "baseline"),
    ]
    assert all((site.folder / "models" / f"{entry[0]}.html").is_file() for entry in entries)


def test_a_models_script_has_its_scores_measurements_and_settings(build, realistic):
    facts = of_model(build(realistic), "rotary")
    ((_, label, better, value, shown, detail), _) = facts["scores"]
    assert (label, better, shown, detail) == ("BLEU (points)", "higher", "24.6", "[22.9, 26.2]\n24.1 to 25.0, n=3")
    assert value == pytest.approx((24.6 + 24.1 + 25.0) / 3)
    assert [device for device, _ in facts["devices"]] == [
        "CPU AMD EPYC 7763 64-Core Processor, 2 threads, float32",
        "NVIDIA H100 80GB HBM3, bfloat16",
    ]
    assert ["model.position.use", "zoo-positional/rotary"] in facts["spec"]
    assert not {"name", "seed", "description"} & {path for path, _ in facts["spec"]}


def test_models_share_a_score_only_where_metric_and_settings_agree(build, make_record, part):
    records = [
        make_record(name="a"),
        make_record(name="b"),
        make_record(name="c", quality=[part.quality(20.0, signature="other")]),
    ]
    site = build(records)
    a, b, c = (of_model(site, name)["scores"][0][0] for name in "abc")
    assert a == b != c


def test_outputs_come_from_the_newest_counted_record(build, make_record, publish):
    old = publish(make_record(seed=1, minute=5), ["old"], scores={"BLEU": [1.0]})
    new = publish(make_record(seed=2, minute=9), ["new"], scores={"BLEU": [2.0]})
    found = outputs_of(build([old, new], store=publish.store), "rotary")
    assert (found["record"], found["outputs"]) == (new.id, ["new"])
    assert found["metrics"][0][1:] == ["BLEU", "points", "higher", "v1", [2.0]]


def test_examples_that_two_models_share_are_written_once(build, make_record, publish):
    records = [publish(make_record(name=name), ["x", "y"], scores={"BLEU": [1.0, 2.0]}) for name in ("a", "b")]
    site = build(records, store=publish.store)
    (examples,) = (site.folder / "data").glob("*.examples.js")
    assert read(examples)["sources"] == ["source 0", "source 1"]
    digests = {entry[3] for _, _, entries in [*read(site.folder / "data" / "index.js")] for entry in entries}
    assert digests == {examples.name.removesuffix(".examples.js")}


def test_a_long_text_is_cut_and_says_how_long_it_was(build, make_record, publish):
    record = publish(make_record(), ["x" * 1_000_000, "short"], scores={"BLEU": [1.0, 2.0]})
    site = build([record], store=publish.store)
    assert outputs_of(site, "rotary")["outputs"] == [["x" * LONGEST_TEXT, 1_000_000], "short"]


def test_scores_without_text_stay_scores(build, make_record, publish):
    record = publish(make_record(), None, scores={"BLEU": [1.0, float("nan")]})
    found = outputs_of(build([record], store=publish.store), "rotary")
    assert found["outputs"] is None
    assert found["metrics"][0][5] == [1.0, None]


def test_without_outputs_or_their_folder_the_reason_is_said(build, make_record, publish):
    with_outputs = publish(make_record(name="a"), ["x"], scores={"BLEU": [1.0]})
    site = build([with_outputs, make_record(name="b")])
    assert "built without the folder" in of_model(site, "a")["note"]
    assert of_model(site, "b")["note"] == "Its records have no per-example outputs."


def test_damaged_outputs_are_named_and_the_rest_is_served(make_record, publish, registry, tmp_path):
    good = publish(make_record(name="good"), ["x"], scores={"BLEU": [1.0]})
    bad = publish(make_record(name="bad"), ["x"], scores={"BLEU": [1.0]})
    (publish.store / bad.outputs.file).write_bytes(b"PAR1 not really")
    report = build_site([good, bad], tmp_path / "site", store=publish.store, registry=registry)
    assert [problem.path.name for problem in report.problems] == [bad.outputs.file]
    assert bad.outputs.file in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / "site" / "data").glob("*.outputs.js"))) == 1


def test_a_site_holds_so_many_bytes_of_outputs_best_models_first(make_record, part, publish, build, monkeypatch):
    records = [
        publish(make_record(name=name, quality=[part.quality(value)]), ["x" * 500], scores={"BLEU": [1.0]})
        for name, value in (("worst", 1.0), ("best", 50.0), ("middle", 20.0))
    ]
    monkeypatch.setattr(zoo.site.compare_data, "MOST_BYTES", 2000)
    site = build(records, store=publish.store)
    kept = [name for name in ("best", "middle", "worst") if not of_model(site, name)["note"]]
    assert kept == ["best", "middle"]
    assert "to keep it small" in of_model(site, "worst")["note"]


def test_a_setting_of_a_stranger_is_a_value_and_never_a_key(build, make_record):
    record = make_record(spec={"__proto__": {"toString": "</script>"}, "constructor": 1})
    facts = of_model(build([record]), "rotary")
    assert facts["spec"] == [["__proto__.toString", "</script>"], ["constructor", "1"]]


@pytest.mark.parametrize("name", ["rotary", "two words", "it's $HOME", "task:like"])
def test_the_bench_takes_the_name_that_the_page_shows(build, make_record, tmp_path, name):
    store = RecordStore(tmp_path / "records")
    records = [make_record(name=name), make_record(name=name, task="other-board"), make_record(name="x")]
    for record in records:
        store.append(record)
    (file,) = (build(records).folder / "data").glob("office-zh-en-*.js")
    facts = dict(read(file))
    (argument,) = [item["argument"] for item in facts.values() if item["name"] == name]
    (word,) = shlex.split(argument)
    (model,) = side(word, store.folder).models
    assert (model.standing.task, model.standing.name) == ("office-zh-en", name)
