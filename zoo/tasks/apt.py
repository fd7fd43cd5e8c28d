"""Debian packages through apt's own client and the machine's own sources: no root, no maintainer scripts."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo.atomic import locked, write_atomic
from zoo.errors import ZooError
from zoo.tasks.contracts import Progress, silent

_URI = re.compile(r"^'[^']*' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})\s*$")
_COMPLAINTS = ("W: Failed to fetch", "E: Failed to fetch")
_MEMBER_LIMIT = 16 * 2**20
"""Bytes of the largest member that is read unless more are asked for: help pages stay far below."""


@dataclass(frozen=True)
class Package:
    """A package file as apt's signed lists describe it."""

    name: str
    version: str
    file: str
    size: int
    sha256: str


class AptError(ZooError):
    """apt is absent, or cannot fetch what is asked for."""


class _UnreachableError(AptError):
    def __init__(self, failure: str) -> None:
        super().__init__(f"the archive cannot be reached: {failure}")


class Apt:
    """Fetches packages into `folder`. What is there complete is not fetched again; what is partial is continued."""

    def __init__(self, folder: Path, progress: Progress = silent) -> None:
        self.folder = folder
        self._progress = progress

    def fetch(self, names: Sequence[str], *, refresh: bool = False) -> dict[str, tuple[Package, Path]]:
        """The newest versions of `names`, verified against the hashes of apt's lists. Raises AptError.

        The machine's own lists are believed, however old, unless `refresh` asks for fresh ones.
        """
        for tool in ("apt-get", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise AptError(f"'{tool}' is not on this machine")
        # One at a time: two corpora share packages, and a file that one fetches would look damaged to the other.
        with locked(self.folder / ".lock"):
            if not refresh:
                # No lists, lists without these packages, or lists so old that the files are gone: take fresh ones.
                with suppress(AptError):
                    return self._fetch(names, private=False)
            failure = self._update()
            if failure is not None and refresh:
                raise _UnreachableError(failure)
            try:
                return self._fetch(names, private=True)
            except AptError as error:
                # Lists of an earlier time might have done, and a source that is not needed may fail.
                raise (error if failure is None else _UnreachableError(failure)) from error.__cause__

    def _fetch(self, names: Sequence[str], *, private: bool) -> dict[str, tuple[Package, Path]]:
        packages = self._lookup(names, private=private)
        missing = [package for package in packages.values() if not self._complete(package)]
        if missing:
            self._download(missing, private=private)
        for package in missing:
            if not self._complete(package):
                (self.folder / package.file).unlink(missing_ok=True)
                raise AptError(f"{package.file} does not have the hash that apt's lists give")
        return {name: (package, self.folder / package.file) for name, package in packages.items()}

    def _lookup(self, names: Sequence[str], *, private: bool) -> dict[str, Package]:
        # From a folder of its own: apt does not print a file that is there already.
        place = self.folder / "lookup"
        place.mkdir(exist_ok=True)
        output = self._run(["download", "--print-uris", *names], private=private, place=place)
        found: dict[str, Package] = {}
        for line in output.splitlines():
            if match := _URI.match(line):
                # name_version_architecture.deb, with the epoch's colon written %3a
                name, version, _ = match["file"].split("_", 2)
                if "/" in match["file"]:
                    raise AptError(f"apt names the file {match['file']}, expected a plain name")
                package = Package(name, version.replace("%3a", ":"), match["file"], int(match["size"]), match["sha256"])
                found[name] = package
        if absent := [name for name in names if name not in found]:
            raise AptError(f"apt's lists do not have {', '.join(absent)} with a SHA-256")
        return found

    def _complete(self, package: Package) -> bool:
        path = self.folder / package.file
        if not path.is_file() or path.stat().st_size != package.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == package.sha256

    def _download(self, packages: Sequence[Package], *, private: bool) -> None:
        for package in packages:
            path = self.folder / package.file
            if path.is_file() and path.stat().st_size >= package.size:
                # As long as the file and yet not it: nothing to continue.
                path.unlink()
        wanted = [f"{package.name}={package.version}" for package in packages]
        total = sum(package.size for package in packages)
        files = [self.folder / package.file for package in packages]
        self._run(["download", *wanted], private=private, watch=("download", files, total))

    def _update(self) -> str | None:
        """Fetch lists into a place of our own, from the sources and keys of this machine.

        Returns apt's first complaint about a list that cannot be had: for apt itself that is no failure.
        """
        self._progress("package lists", 0, 0)
        try:
            output = self._run(["update"], private=True)
        except AptError as error:
            return str(error)
        complaints = [" ".join(line[2:].split()) for line in output.splitlines() if line.startswith(_COMPLAINTS)]
        return complaints[0] if complaints else None

    def _configuration(self) -> Path:
        """An apt configuration that keeps lists and caches below `folder`, and runs nobody's update hooks."""
        state, cache = self.folder / "apt-state", self.folder / "apt-cache"
        for directory in (state / "lists" / "partial", cache / "archives" / "partial"):
            directory.mkdir(parents=True, exist_ok=True)
        path = self.folder / "apt.conf"
        text = (
            f'Dir::State "{state.resolve()}";\n'
            f'Dir::Cache "{cache.resolve()}";\n'
            'Acquire::Languages "none";\n'
            "#clear APT::Update::Pre-Invoke;\n"
            "#clear APT::Update::Post-Invoke;\n"
            "#clear APT::Update::Post-Invoke-Success;\n"
        )
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomic(path, text)
        return path

    def _run(
        self,
        arguments: Sequence[str],
        *,
        private: bool,
        place: Path | None = None,
        watch: tuple[str, Sequence[Path], int] | None = None,
    ) -> str:
        """Run apt-get in `place`, else `folder`; return its output. Raises AptError with apt's own first error."""
        options = [
            "-q",
            "-o",
            "Acquire::Retries=2",
            "-o",
            "Acquire::http::Timeout=60",
            "-o",
            "Acquire::https::Timeout=60",
        ]
        if os.geteuid() == 0:
            # Root would otherwise drop to a user that may not write here.
            options += ["-o", "APT::Sandbox::User=root"]
        if private:
            options += ["-c", str(self._configuration().resolve())]
        # The child inherits the lock: should this process be killed, the next one waits until apt has ended, and two
        # never write one file.
        with locked(self.folder / ".apt-lock") as lock:
            process = subprocess.Popen(
                ["apt-get", *options, *arguments],
                cwd=place or self.folder,
                env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],
            )
            if watch is not None:
                stage, files, total = watch
                while process.poll() is None:
                    done = sum(path.stat().st_size for path in files if path.exists())
                    self._progress(stage, min(done, total), total)
                    time.sleep(0.1)
                self._progress(stage, total, total)
            output = process.communicate()[0].decode(errors="replace")
        if process.returncode != 0:
            errors = [line[2:].strip() for line in output.splitlines() if line.startswith("E:")]
            raise AptError(f"apt-get {arguments[0]} failed: {errors[0] if errors else f'status {process.returncode}'}")
        return output


def read_members(
    package: Path,
    prefix: str,
    suffix: str | tuple[str, ...],
    wanted: Callable[[str], bool] = lambda path: True,
    *,
    limit: int = _MEMBER_LIMIT,
) -> Iterator[tuple[str, bytes]]:
    """The regular files below `prefix` of a .deb, as (path relative to `prefix`, content), in the package's order.

    Of these, the ones whose relative path ends in `suffix` (or in one of several) and is `wanted`: no others are held
    in memory, one at a time, and none of more than `limit` bytes.
    Nothing is unpacked to disk and no maintainer script runs: links, devices and paths with '..' are passed over.
    """
    process = subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    root = PurePosixPath(prefix)
    try:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if not member.isreg() or ".." in path.parts or not path.is_relative_to(root):
                    continue
                name = str(path.relative_to(root))
                if name.endswith(suffix) and wanted(name) and member.size <= limit:
                    stream = archive.extractfile(member)
                    if stream is not None:
                        yield name, stream.read()
    except tarfile.TarError as error:
        raise ZooError(f"{package} cannot be read: {error}") from error
    finally:
        process.stdout.close()
        message = process.stderr.read().decode(errors="replace").strip()
        process.stderr.close()
        status = process.wait()
    if status != 0:
        raise ZooError(f"{package} cannot be read: dpkg-deb: {message.splitlines()[0] if message else status}")


def versions(packages: Mapping[str, tuple[Package, Path]]) -> dict[str, str]:
    """Package -> version, by name."""
    return {name: packages[name][0].version for name in sorted(packages)}
