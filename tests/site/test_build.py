"""Where the site is written, and what happens when it cannot be."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import zoo.site.build
from zoo.bench.store import Problem, RecordStore
from zoo.errors import InputError
from zoo.site import build_site
from zoo.site.build import MARKER, is_site


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_records_give_the_same_bytes_in_any_order(build, realistic):
    problems = [Problem(Path(f"/store/{name}.json"), "broken") for name in "ba"]
    one = build(realistic, problems, name="one")
    shuffled = random.Random(0).sample(realistic, len(realistic))
    other = build(shuffled, problems[::-1], name="other")
    assert content(one.folder) == content(other.folder)


def test_building_again_replaces_the_site_whole(build, realistic):
    site = build(realistic)
    first = content(site.folder)
    assert list((site.folder / "models").glob("alibi-*"))
    build([record for record in realistic if record.name != "alibi"])
    assert not list((site.folder / "models").glob("alibi-*"))
    build(realistic)
    assert content(site.folder) == first


def test_the_report_says_what_was_built(realistic, registry, tmp_path):
    report = build_site(realistic, tmp_path / "site", registry=registry)
    assert (report.records, report.models, report.boards) == (8, 6, ("office-zh-en",))
    assert report.index.is_file()


def test_an_empty_folder_is_taken(realistic, registry, tmp_path):
    (tmp_path / "site").mkdir()
    build_site(realistic, tmp_path / "site", registry=registry)
    assert is_site(tmp_path / "site")


@pytest.mark.parametrize("name", ["thesis.tex", ".git/config", "index.html"])
def test_a_folder_with_anything_of_somebody_else_is_refused_and_kept(realistic, registry, tmp_path, name):
    file = tmp_path / "home" / name
    file.parent.mkdir(parents=True)
    file.write_text("precious")
    with pytest.raises(InputError, match="which no built site has") as caught:
        build_site(realistic, tmp_path / "home", registry=registry)
    assert name.split("/")[0] in str(caught.value)
    assert content(tmp_path / "home") == {name: b"precious"}


def test_a_file_added_to_a_built_site_is_not_deleted(build, realistic):
    site = build(realistic)
    (site.folder / "CNAME").write_text("zoo.example")
    with pytest.raises(InputError, match="'CNAME'"):
        build(realistic)
    assert (site.folder / "CNAME").exists()


def test_a_file_in_place_of_the_folder_is_refused(realistic, registry, tmp_path):
    (tmp_path / "site").write_text("a file")
    with pytest.raises(InputError, match="found a file"):
        build_site(realistic, tmp_path / "site", registry=registry)


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"schema": "other/1", "files": []}', '{"schema": "zoo.site/1"}'])
def test_a_marker_that_is_not_ours_protects_the_folder(realistic, registry, tmp_path, marker):
    (tmp_path / MARKER).write_text(marker)
    with pytest.raises(InputError):
        build_site(realistic, tmp_path, registry=registry)


def test_a_failed_build_leaves_the_old_site(build, realistic, monkeypatch):
    site = build(realistic)
    before = content(site.folder)

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(zoo.site.build, "json_text", fail)
    with pytest.raises(OSError, match="no space left"):
        build(realistic[:1])
    assert content(site.folder) == before
    assert [path.name for path in site.folder.parent.iterdir()] == ["site"]


def test_a_link_to_the_site_stays_a_link(realistic, registry, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    build_site(realistic, tmp_path / "link", registry=registry)
    assert (tmp_path / "link").is_symlink()
    assert is_site(tmp_path / "real")


def test_records_read_back_from_a_store_give_the_same_site(build, realistic, tmp_path):
    store = RecordStore(tmp_path / "records")
    for record in realistic:
        store.append(record)
    (store.folder / "20261121T000000.000000Z-broken.json").write_text('{"schema": "zoo.record/5", ')
    reading = store.read()
    site = build(reading.records, reading.problems)
    assert "20261121T000000.000000Z-broken.json" in site.index().words
    direct = build(realistic, reading.problems, name="direct")
    assert content(site.folder) == content(direct.folder)


def test_a_file_with_half_a_character_is_named_and_the_rest_is_served(build, realistic, tmp_path):
    store = RecordStore(tmp_path / "records")
    for record in realistic:
        store.append(record)
    whole = (store.folder / f"{realistic[0].id}.json").read_text(encoding="utf-8")
    (store.folder / "20261121T000000.000000Z-broken.json").write_text(whole.replace("rotary", "lone \\ud800"))
    reading = store.read()
    site = build(reading.records, reading.problems)
    assert "20261121T000000.000000Z-broken.json" in site.index().words
    assert site.model("rotary").one("h1").words == "rotary"
