"""The user's own parallel text."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import tracemalloc

import pytest
from pydantic import ValidationError
from zoo_tasks_text.corpora.files import FilesCorpus
from zoo_tasks_text.corpora.options import FilesOptions
from zoo_tasks_text.corpora.text_files import LONGEST_LINE, lines

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.tasks import DataHome, Pair
from zoo.tasks.contracts import SPLITS
from zoo.testing.tasks import CorpusSuite

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


class TestConformance(CorpusSuite):
    """The kit over a file of this test's own."""

    component = "parallel-files"
    options = ({"name": "mine", "languages": ["zh", "en"], "train": "a.jsonl", "test_fraction": 0.2},)

    @pytest.fixture
    def chosen(self, given, tmp_path_factory):
        path = tmp_path_factory.mktemp("files") / "a.jsonl"
        rows = [{"zh": zh, "en": en, "document": f"d{number // 4}"} for number, (zh, en) in enumerate(ROWS)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        record = current_registry().get("corpus", "parallel-files")
        options = record.load_options().model_validate({**given, "train": str(path), "dev_fraction": 0.2})
        return Chosen(record, options)


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


def test_given_dev_and_test_stay_as_they_are(tmp_path, monkeypatch, capsys):
    dev = [("再见", "Goodbye."), ROWS[0], ("再见", "Goodbye."), ("你好", "Hello.")]
    test = [("你好", "Hello."), ("第1个", "item 1"), ("第2个", "item 2"), ("你好", "Hello."), ROWS[1]]
    files = {
        "train": tsv(tmp_path / "train.tsv"),
        "dev": tsv(tmp_path / "dev.tsv", dev),
        "test": tsv(tmp_path / "test.tsv", test),
    }
    prepared = prepare(tmp_path, **files)
    for split, rows in (("dev", dev), ("test", test)):
        assert [(pair.texts["zh"], pair.texts["en"]) for pair in prepared.pairs(split)] == rows
    assert len(prepared.pairs("train")) == len(ROWS) - 2
    assert prepared.facts["kept"] == {"duplicates in dev": 1, "duplicates in test": 2, "dev pairs seen in test": 1}
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    sets = {"name": "mine", "languages": "[zh, en]", **files}
    assert main(["data", "prepare", "parallel-files", *(f"--set={key}={value}" for key, value in sets.items())]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "dropped 2 (train pairs seen in dev or test)" in printed
    assert "kept 2 (duplicates in test), 1 (dev pairs seen in test), 1 (duplicates in dev)" in printed


def test_dev_that_is_cut_from_train_gives_way_to_given_test_and_the_other_way_round(tmp_path):
    for given, cut in (("test", "dev"), ("dev", "test")):
        options = {given: tsv(tmp_path / "given.tsv", ROWS[:40]), f"{cut}_fraction": 0.4}
        prepared = prepare(tmp_path, train=tsv(tmp_path / "train.tsv"), **options)
        assert [pair.texts["zh"] for pair in prepared.pairs(given)] == [zh for zh, _ in ROWS[:40]]
        found = [pair.texts["zh"] for split in SPLITS for pair in prepared.pairs(split)]
        assert sorted(found) == sorted(zh for zh, _ in ROWS)


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
    assert caught.value.where == f"{files[1]}:{len(ROWS) + 1}"


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
        ({"train": "a.gz"}, "set format"),
        ({"train": "a.tsv", "columns": ["zh"]}, "columns lack en"),
        ({"train": "a.tsv", "columns": ["zh", "en", "en"]}, "column 'en' is named twice"),
        ({"train": "a.tsv", "columns": ["zh", "en", "notes"]}, "column 'notes' is none of zh, en, document"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        FilesOptions.model_validate({"name": "mine", "languages": ["zh", "en"], **options})


def big(rows=ROWS):
    return "".join(f"{left}\t{right}\n" for left, right in rows).encode()


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_compressed_files_are_read(tmp_path, ending, pack):
    path = tmp_path / f"a.tsv{ending}"
    path.write_bytes(pack(big()))
    assert everything(prepare(tmp_path, train=str(path), dev_fraction=0.1, test_fraction=0.1)) == sorted(ROWS)


def test_everything_a_line_of_json_tells_fills_the_pair(tmp_path):
    path = tmp_path / "a.jsonl"
    row = {"zh": "他走了。", "en": "He left.", "document": "d", "order": 9, "domain": "talk", "licence": "MIT"}
    path.write_text(
        json.dumps({**row, "contrasts": ["She left."]})
        + "\n"
        + json.dumps({**row, "zh": "完", "en": "end", "order": None, "contrasts": {"zh": ["始"], "en": []}})
        + "\n"
    )
    dev = jsonl(tmp_path / "dev.jsonl", [("甲", "one")])
    test = jsonl(tmp_path / "test.jsonl", [("乙", "two")])
    first, second = prepare(tmp_path, train=str(path), dev=dev, test=test).pairs("train")
    assert first == Pair({"zh": "他走了。", "en": "He left."}, "d", 9, "talk", "MIT", contrasts={"en": ("She left.",)})
    assert (second.order, second.contrasts) == (1, {"zh": ("始",)})


def test_columns_of_a_tsv_may_hold_more(tmp_path):
    train = tmp_path / "a.tsv"
    train.write_text("d\t5\tone\tnews\t一\n\t\ttwo\t\t二\n", encoding="utf-8")
    options = {"columns": ["document", "order", "en", "domain", "zh"]}
    for name, row in (("dev", "\t\tthree\t\t三\n"), ("test", "\t\tfour\t\t四\n")):
        (tmp_path / f"{name}.tsv").write_text(row, encoding="utf-8")
        options[name] = str(tmp_path / f"{name}.tsv")
    assert list(prepare(tmp_path, train=str(train), **options).pairs("train")) == [
        Pair({"zh": "一", "en": "one"}, "d", 5, "news"),
        Pair({"zh": "二", "en": "two"}, None, 1),
    ]


def test_a_document_of_given_test_data_leaves_train(tmp_path):
    train = [*ROWS[:10], *ROWS[20:]]
    prepared = prepare(
        tmp_path,
        train=jsonl(tmp_path / "a.jsonl", train, document="d"),
        dev=jsonl(tmp_path / "b.jsonl", ROWS[10:12], document="other"),
        test=jsonl(tmp_path / "c.jsonl", ROWS[12:14], document="e"),
    )
    assert len(prepared.pairs("train")) == len(train)
    with pytest.raises(InputError, match="leave the train split empty"):
        prepare(
            tmp_path,
            train=str(tmp_path / "a.jsonl"),
            dev=str(tmp_path / "b.jsonl"),
            test=jsonl(tmp_path / "c.jsonl", ROWS[12:14], document="d"),
        )


MALFORMED = {
    "UTF-16": ("a.tsv", big().decode().encode("utf-16"), ":1", "byte order mark of UTF-16.*iconv -f UTF-16"),
    "UTF-16 without mark": ("a.tsv", "甲\tone\n".encode("utf-16-le"), ":1", "byte 4 is NUL.*UTF-16"),
    "UTF-32": ("a.tsv", "甲\tone\n".encode("utf-32"), ":1", "byte order mark of UTF-32"),
    "Shift-JIS": ("a.tsv", "a\tb\n日本語のテキスト\tJapanese\n".encode("shift_jis"), ":2", "not UTF-8.*Shift-JIS"),
    "GB18030": ("a.tsv", "简体中文\tChinese\n".encode("gb18030"), ":1", "not UTF-8.*GB18030"),
    "surrogates as UTF-8": ("a.tsv", b"a\t\xed\xa0\x80\n", ":1", r"byte 3 \(0xed\) is not UTF-8"),
    "NUL": ("a.tsv", "甲\tone\n乙\ttw\0o\n".encode(), ":2", "byte 7 is NUL"),
    "NUL in JSON": ("a.jsonl", b'{"zh": "a\\u0000b", "en": "b"}\n', ":1", "field 'zh' holds a NUL"),
    "10 MB line": ("a.tsv", b"a\tb\n" * 5 + b"x" * 10_000_000 + b"\ty\n", ":6", r"longer than 1,048,576 bytes"),
    "10 MB line of JSON": ("a.jsonl", b'{"zh": "' + b"x" * 10_000_000 + b'"}\n', ":1", "longer than 1,048,576 bytes"),
    "no line feeds": ("a.tsv", big().replace(b"\n", b"\r"), ":1", "byte 27 is a carriage return.*old Macs"),
    "no line feeds, large": ("a.tsv", b"a\tb\r" * 1_000_000, ":1", "byte 4 is a carriage return"),
    "empty": ("a.tsv", b"", "", "the file is empty"),
    "only a mark": ("a.tsv", b"\xef\xbb\xbf", "", "the file is empty"),
    "empty gzip": ("a.tsv.gz", gzip.compress(b""), "", "the file is empty"),
    "gzip cut off": ("a.tsv.gz", gzip.compress(big())[:-30], r":\d+", "the .gz file is cut off"),
    "xz cut off": ("a.tsv.xz", lzma.compress(big())[:-60], r":\d+", "the .xz file is cut off"),
    "bz2 cut off": ("a.tsv.bz2", bz2.compress(big())[:-30], r":\d+", "the .bz2 file is cut off"),
    "no gzip": ("a.tsv.gz", big(), "", "the .gz file does not hold what its ending says"),
    "no bz2": ("a.tsv.bz2", big(), "", "the .bz2 file does not hold what its ending says"),
    "no xz": ("a.tsv.xz", big(), "", "the .xz file does not hold what its ending says"),
    "gzip of a 100 MB line": ("a.tsv.gz", gzip.compress(b"x" * 10**8), ":1", "longer than 1,048,576 bytes"),
    "JSON field twice": ("a.jsonl", b'{"zh": "a", "en": "b", "en": "c"}\n', ":1", "field 'en' stands twice"),
    "JSON names with escapes": ("a.jsonl", b'{"\\n\\u001b[31m": 1}\n', ":1", r"no field 'zh' \(has \\n\\x1b\[31m\)"),
    "JSON order": ("a.jsonl", b'{"zh": "a", "en": "b", "order": "1"}\n', ":1", "field 'order' is str"),
    "JSON order below 0": ("a.jsonl", b'{"zh": "a", "en": "b", "order": -1}\n', ":1", "expected a whole number from 0"),
    "JSON domain": ("a.jsonl", b'{"zh": "a", "en": "b", "domain": 1}\n', ":1", "field 'domain' is int"),
    "contrasts no list": ("a.jsonl", b'{"zh": "a", "en": "b", "contrasts": "c"}\n', ":1", "expected a list of wrong"),
    "contrasts of no language": ("a.jsonl", b'{"zh": "a", "en": "b", "contrasts": {"ja": []}}\n', ":1", "'ja'"),
    "contrast that is right": ("a.jsonl", b'{"zh": "a", "en": "b", "contrasts": ["b "]}\n', ":1", "the right en text"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_end_the_command_with_one_line_and_leave_the_rest_alone(tmp_path, monkeypatch, capsys, case):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    cached = prepare(tmp_path, train=tsv(tmp_path / "good.tsv"), dev_fraction=0.1, test_fraction=0.1)
    before = sorted((tmp_path / "home").rglob("*"))
    name, content, place, message = MALFORMED[case]
    path = tmp_path / name
    path.write_bytes(content)
    assert prepare_by_command(path) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert re.fullmatch(rf"zoo: {re.escape(str(path))}{place}: .*{message}.*\n", captured.err)
    assert sorted((tmp_path / "home").rglob("*")) == before
    found = prepare(tmp_path, train=str(tmp_path / "good.tsv"), dev_fraction=0.1, test_fraction=0.1)
    assert found.revision == cached.revision


def prepare_by_command(path):
    sets = ["name=mine", "languages=[zh, en]", f"train={path}"]
    return main(["data", "prepare", "parallel-files", *[part for text in sets for part in ("--set", text)]])


@pytest.mark.parametrize(("kind", "found"), [("folder", "is a folder"), ("pipe", "is a pipe or device")])
def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch, capsys, kind, found):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    path = tmp_path / "a.tsv"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert prepare_by_command(path) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"zoo: {path}: {found}, expected a file")
    assert len(error.splitlines()) == 1


def test_a_long_line_is_refused_in_little_memory(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_bytes(b"x" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="longer than"):
            for _ in lines(path):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * LONGEST_LINE
