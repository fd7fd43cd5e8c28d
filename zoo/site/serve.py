"""A look at the built site over HTTP, from this machine only."""

from __future__ import annotations

import errno
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from zoo.errors import InputError, ZooError
from zoo.site.build import is_site

ADDRESS = "127.0.0.1"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A line per request would bury the address that the user needs."""


def site_server(site: Path, port: int) -> ThreadingHTTPServer:
    """A server of `site` bound to 127.0.0.1; port 0 takes a free one.

    Raises InputError where `site` is no built site, ZooError where the port is taken.
    """
    if not is_site(site):
        raise InputError("no built site here; run 'zoo leaderboard build' first", where=str(site))
    try:
        return ThreadingHTTPServer((ADDRESS, port), partial(_Quiet, directory=str(site)))
    except OSError as error:
        hint = "another program has it; choose another with --port" if error.errno == errno.EADDRINUSE else str(error)
        raise ZooError(f"port {port}: {hint}") from error
