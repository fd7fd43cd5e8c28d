"""The user's own parallel text."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from zoo_tasks_text.corpora.files import FilesCorpus
from zoo_tasks_text.corpora.options import FilesOptions

from zoo.errors import InputError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS

ROWS = [(f"第{word}句", f"the {word} sentence") for word in "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"]
ROWS += [(a + b, f"{a} {b}") for a in "天地玄黄宇宙洪荒" for b in "日月盈昃辰宿列张寒来暑往"]


def prepare(tmp_path, **options):
    given = {"name": "mine", "languages": ["zh", "en"], **options}
    return FilesCorpus(FilesOptions.model_validate(given)).prepare(DataHome(tmp_path / "home"))


def tsv(path, rows=ROWS):
    path.write_text("".join(f"{left}\t{right}\n" for left, right in rows), encoding="utf-8")
    return str(path)


def jsonl(path, rows=ROWS, fields=("zh", "en"), **extra):
    lines = [json.dumps({fields[0]: left, fields[1]: right, **extra}) for left, right in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def text(folder, rows=ROWS):
    names = []
    for column, language in enumerate(("zh", "en")):
        path = folder / f"data.{language}"
        path.write_text("".join(row[column] + "\n" for row in rows), encoding="utf-8")
        names.append(str(path))
    return names


def everything(prepared):
    return sorted((pair.texts["zh"], pair.texts["en"]) for split in SPLITS for pair in prepared.pairs(split))


@pytest.mark.parametrize("form", ["tsv", "jsonl", "text"])
def test_each_form_gives_every_pair(tmp_path, form):
    files = {
        "tsv": lambda: tsv(tmp_path / "a.tsv"),
        "jsonl": lambda: jsonl(tmp_path / "a.jsonl"),
        "text": lambda: text(tmp_path),
    }[form]()
    prepared = prepare(tmp_path, train=files, dev_fraction=0.1, test_fraction=0.1)
    assert everything(prepared) == sorted(ROWS)
    assert prepared.name == "mine"
    assert prepared.languages == ("zh", "en")


def test_fields_of_jsonl_may_be_named_and_documents_are_kept(tmp_path):
    given = jsonl(tmp_path / "a.jsonl", fields=("src", "tgt"), doc=17)
    other = jsonl(tmp_path / "b.jsonl", rows=[("别的", "other")], fields=("src", "tgt"), doc="b")
    last = jsonl(tmp_path / "c.jsonl", rows=[("末", "last")], fields=("src", "tgt"))
    options = {"fields": ["src", "tgt"], "document_field": "doc"}
    prepared = prepare(tmp_path, train=given, dev=other, test=last, **options)
    assert {pair.document for pair in prepared.pairs("train")} == {"17"}
    assert [pair.document for pair in prepared.pairs("dev")] == ["b"]


def test_given_dev_and_test_are_used_and_their_pairs_leave_train(tmp_path):
    prepared = prepare(
        tmp_path,
        train=tsv(tmp_path / "train.tsv"),
        dev=tsv(tmp_path / "dev.tsv", ROWS[:4]),
        test=tsv(tmp_path / "test.tsv", [(ROWS[10][0], "another wording")]),
    )
    assert len(prepared.pairs("dev")) == 4
    assert len(prepared.pairs("train")) == len(ROWS) - 5
    assert prepared.facts["dropped"]["train pairs seen in dev or test"] == 5


def test_the_content_names_the_corpus_wherever_it_lies(tmp_path):
    first = prepare(tmp_path, train=tsv(tmp_path / "a.tsv"), dev_fraction=0.1, test_fraction=0.1)
    options = {"name": "mine", "languages": ["zh", "en"], "dev_fraction": 0.1, "test_fraction": 0.1}
    moved = FilesCorpus(FilesOptions.model_validate({**options, "train": tsv(tmp_path / "b.tsv")}))
    found = moved.find(DataHome(tmp_path / "home"))
    assert found is not None
    assert found.revision == first.revision
    tsv(tmp_path / "b.tsv", ROWS[1:])
    assert moved.find(DataHome(tmp_path / "home")) is None
    assert moved.prepare(DataHome(tmp_path / "home")).revision != first.revision


def test_a_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + "".join(f"{a}\t{b}\r\n" for a, b in ROWS).encode())
    assert everything(prepare(tmp_path, train=str(path), dev_fraction=0.1, test_fraction=0.1)) == sorted(ROWS)


@pytest.mark.parametrize(
    ("name", "content", "place", "message"),
    [
        ("a.tsv", b"\xe4\xb8\x80\tone\nbad \xff\ttwo\n", ":2", r"byte 5 \(0xff\) is not UTF-8"),
        ("a.tsv", b"\xe4\xb8\x80\tone\n\xe4\xba\x8c two\n", ":2", "found 1 columns, expected 2"),
        ("a.tsv", b"a\tb\tc\n", ":1", "found 3 columns, expected 2"),
        ("a.tsv", b"a\tb\n\n", ":2", "found 1 columns"),
        ("a.tsv", b"a\t \n", ":1", "the en column is empty"),
        ("a.jsonl", b'{"zh": "a", "en": "b"}\n{"zh": "a"\n', ":2", "not a JSON object"),
        ("a.jsonl", b"[1]\n", ":1", "expected a JSON object, found list"),
        ("a.jsonl", b'{"zh": "a", "eng": "b"}\n', ":1", r"no field 'en' \(has zh, eng\)"),
        ("a.jsonl", b'{"zh": "a", "en": 3}\n', ":1", "field 'en' is int, expected a string"),
        ("a.jsonl", b'{"zh": "a", "en": "\\ud800"}\n', ":1", "half of a surrogate pair"),
        ("a.jsonl", b'{"zh": "a", "en": "b", "document": []}\n', ":1", "no document id"),
        ("a.jsonl", b"[" * 100_000 + b"\n", ":1", "not a JSON object"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, name, content, place, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        prepare(tmp_path, train=str(path))
    assert str(caught.value).startswith(f"{path}{place}: ")
    assert "\n" not in str(caught.value)


def test_unequal_numbers_of_lines_are_named(tmp_path):
    files = text(tmp_path)
    with open(files[1], "a", encoding="utf-8") as stream:
        stream.write("one more\n")
    with pytest.raises(InputError, match=f"has {len(ROWS)} lines, .* has {len(ROWS) + 1}") as caught:
        prepare(tmp_path, train=files)
    assert caught.value.where == f"{files[0]}:{len(ROWS) + 1}"


def test_a_missing_file_is_the_users_mistake(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        prepare(tmp_path, train=str(tmp_path / "none.tsv"))


def test_an_error_tells_where_a_relative_name_was_looked_for(tmp_path, monkeypatch):
    tsv(tmp_path / "here.tsv")
    monkeypatch.chdir(tmp_path)
    assert prepare(tmp_path, train="here.tsv", dev_fraction=0.1, test_fraction=0.1).name == "mine"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=f"working directory, {tmp_path}/elsewhere"):
        prepare(tmp_path, train="here.tsv")


def test_too_few_pairs_for_the_splits_are_refused_with_advice(tmp_path):
    with pytest.raises(InputError, match="give more data, files for dev and test, or larger fractions"):
        prepare(tmp_path, train=tsv(tmp_path / "a.tsv", ROWS[:2]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "a.csv"}, "set format"),
        ({"train": ["a", "b", "c"]}, "lists 3 files"),
        ({"train": ["a", "b"], "format": "tsv"}, "format is tsv"),
        ({"train": "a.txt", "format": "text"}, "takes a list of two files"),
        ({"train": "a.tsv", "languages": ["zh", "zh"]}, "languages are both 'zh'"),
        ({"train": "a.tsv", "languages": ["zh"]}, "languages"),
        ({"train": "a.tsv", "name": "../up"}, "name"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        FilesOptions.model_validate({"name": "mine", "languages": ["zh", "en"], **options})
