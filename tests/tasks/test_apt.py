"""Fetching and reading Debian packages."""

from __future__ import annotations

import io
import shutil
import tarfile

import pytest

from zoo.errors import ZooError
from zoo.tasks.apt import Apt, AptError, read_members


def test_packages_are_fetched_with_version_and_hash(archive, tmp_path):
    archive.put("pack-a", "4:1.0-1+deb12u3", {"usr/share/a.txt": "a"})
    archive.mark("lists")
    package, path = Apt(tmp_path / "debs").fetch(["pack-a"])["pack-a"]
    assert package.version == "4:1.0-1+deb12u3"
    assert path.read_bytes() == next(archive.folder.glob("pack-a_*.deb")).read_bytes()


def test_a_complete_package_is_not_fetched_again(archive, tmp_path):
    archive.put("pack-a", "1", {"usr/a": "a"})
    archive.mark("lists")
    Apt(tmp_path / "debs").fetch(["pack-a"])
    archive.mark("offline")
    Apt(tmp_path / "debs").fetch(["pack-a"])
    assert sum("print=no" in call for call in archive.log()) == 1


def test_a_partial_package_is_continued(archive, tmp_path):
    deb = archive.put("pack-a", "1", {"usr/a": "a" * 2000})
    archive.mark("lists")
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs" / deb.name).write_bytes(deb.read_bytes()[:100])
    Apt(tmp_path / "debs").fetch(["pack-a"])
    assert "resume 100" in archive.log()


@pytest.mark.parametrize("damage", ["same length", "longer", "wrong start"])
def test_a_damaged_download_is_fetched_anew(archive, tmp_path, damage):
    deb = archive.put("pack-a", "1", {"usr/a": "a" * 2000})
    archive.mark("lists")
    data = deb.read_bytes()
    wrong = {"same length": b"x" * len(data), "longer": data + b"x", "wrong start": b"x" * 100}[damage]
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs" / deb.name).write_bytes(wrong)
    _, path = Apt(tmp_path / "debs").fetch(["pack-a"])["pack-a"]
    assert path.read_bytes() == data


def test_without_the_machines_lists_fresh_ones_are_fetched_into_the_cache(archive, tmp_path):
    archive.put("pack-a", "1", {"usr/a": "a"})
    Apt(tmp_path / "debs").fetch(["pack-a"])
    calls = [call for call in archive.log() if not call.startswith("resume")]
    assert [call.split()[:2] for call in calls] == [
        ["download", "private=no"],
        ["update", "private=yes"],
        ["download", "private=yes"],
        ["download", "private=yes"],
    ]
    configuration = (tmp_path / "debs" / "apt.conf").read_text()
    assert f'Dir::State "{tmp_path}/debs/apt-state"' in configuration
    assert f'Dir::Cache "{tmp_path}/debs/apt-cache"' in configuration


def test_a_package_that_never_has_its_hash_is_an_error_and_is_not_kept(archive, tmp_path):
    deb = archive.put("pack-a", "1", {"usr/a": "a"})
    archive.mark("lists")
    (archive.folder / f"{deb.name}.sha256").write_text("0" * 64)
    with pytest.raises(AptError, match="does not have the hash"):
        Apt(tmp_path / "debs").fetch(["pack-a"])
    assert not (tmp_path / "debs" / deb.name).exists()


def test_an_unreachable_archive_is_an_error_in_apts_words(archive, tmp_path):
    archive.put("pack-a", "1", {"usr/a": "a"})
    archive.mark("offline")
    with pytest.raises(AptError, match="no route to the archive"):
        Apt(tmp_path / "debs").fetch(["pack-a"])


def test_with_the_network_cut_and_no_lists_the_archive_is_blamed_and_not_the_package(archive, tmp_path):
    """apt's update only warns then, and what fails is that no package is known."""
    archive.put("pack-a", "1", {"usr/a": "a"})
    archive.mark("cut")
    with pytest.raises(AptError) as caught:
        Apt(tmp_path / "debs").fetch(["pack-a"])
    assert str(caught.value) == (
        "the archive cannot be reached: Failed to fetch http://archive.test/debian/dists/bookworm/InRelease "
        "Could not connect"
    )


def test_with_the_network_cut_the_lists_and_packages_of_before_do(archive, tmp_path):
    archive.put("pack-a", "1", {"usr/a": "a"})
    first = Apt(tmp_path / "debs").fetch(["pack-a"])
    archive.mark("cut")
    assert Apt(tmp_path / "debs").fetch(["pack-a"]) == first


def test_a_refresh_asks_the_archive_though_the_machine_has_lists(archive, tmp_path):
    archive.put("pack-a", "1", {"usr/a": "a"})
    archive.mark("lists")
    (archive.folder / "old").mkdir()
    for file in archive.folder.glob("pack-a_1_*"):
        shutil.copy(file, archive.folder / "old")
    archive.put("pack-a", "2", {"usr/a": "new"})
    assert Apt(tmp_path / "debs").fetch(["pack-a"])["pack-a"][0].version == "1"
    assert Apt(tmp_path / "debs").fetch(["pack-a"], refresh=True)["pack-a"][0].version == "2"
    archive.mark("cut")
    with pytest.raises(AptError, match="the archive cannot be reached: Failed to fetch"):
        Apt(tmp_path / "debs").fetch(["pack-a"], refresh=True)


def test_a_machine_without_apt_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AptError, match="'apt-get' is not on this machine"):
        Apt(tmp_path / "debs").fetch(["pack-a"])


def test_members_are_read_and_maintainer_scripts_do_not_run(archive):
    files = {
        "usr/share/help/a.html": "A",
        "usr/share/help/deep/b.html": "B",
        "usr/share/help/c.js": "C",
        "etc/x.html": "X",
    }
    deb = archive.put("pack-a", "1", files)
    assert dict(read_members(deb, "./usr/share/help", ".html")) == {"a.html": b"A", "deep/b.html": b"B"}
    assert not (archive.folder / "postinst-ran").exists()
    several = read_members(deb, "./usr/share/help", (".js", "deep/b.html"))
    assert dict(several) == {"c.js": b"C", "deep/b.html": b"B"}


def test_members_above_the_limit_are_passed_over(archive):
    deb = archive.put("pack-a", "1", {"usr/help/a.html": "A" * 100, "usr/help/b.html": "B" * 101})
    assert [name for name, _ in read_members(deb, "./usr/help", ".html", limit=100)] == ["a.html"]


def test_links_are_passed_over(archive):
    deb = archive.put("pack-a", "1", {"usr/help/a.html": "A"}, links={"usr/help/secret.html": "/etc/passwd"})
    assert [name for name, _ in read_members(deb, "./usr/help", ".html")] == ["a.html"]


def test_paths_that_climb_out_are_passed_over(archive, tmp_path):
    # dpkg-deb builds no such package, so a stand-in gives the tar of a forged one.
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as forged:
        for name in ("./usr/help/../../../../evil.html", "/usr/help/absolute.html", "./usr/help/good.html"):
            member = tarfile.TarInfo(name)
            member.size = 1
            forged.addfile(member, io.BytesIO(b"x"))
    (tmp_path / "forged.tar").write_bytes(data.getvalue())
    tool = tmp_path / "bin" / "dpkg-deb"
    tool.write_text(f"#!/bin/sh\ncat '{tmp_path}/forged.tar'\n")
    tool.chmod(0o755)
    assert [name for name, _ in read_members(tmp_path / "forged.deb", "./usr/help", ".html")] == ["good.html"]


def test_a_broken_package_is_an_error_that_names_it(archive, tmp_path):
    deb = archive.put("pack-a", "1", {"usr/help/a.html": "A" * 5000})
    cut = tmp_path / "cut.deb"
    cut.write_bytes(deb.read_bytes()[:-200])
    with pytest.raises(ZooError, match="cut.deb cannot be read"):
        list(read_members(cut, "./usr/help", ".html"))
