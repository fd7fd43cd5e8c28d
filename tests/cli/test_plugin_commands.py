"""Commands that plugins add to `zoo`, through the hook `zoo_cli_commands`."""

from __future__ import annotations

from types import SimpleNamespace

import click
import pytest

from zoo.cli import main as cli_main
from zoo.registry import CommandContext, LoadPolicy, Registry, discovery, hookimpl, use_registry


@hookimpl
def _adds_hello(context: CommandContext) -> None:
    @context.group.command("hello", help="Greet.")
    def hello() -> int:
        click.echo("good day")
        return 0


@hookimpl
def _adds_nothing(context: CommandContext) -> None:
    raise LookupError("no greeting known")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """``run(hook, *arguments)``: the status of `zoo` with one plugin whose `zoo_cli_commands` is `hook`."""

    def with_plugin(hook, *arguments: str) -> int:
        found = discovery.discover(LoadPolicy(), entry_points=[])
        found.manager.register(SimpleNamespace(zoo_cli_commands=hook), name="zoo-greetings")
        fresh = cli_main.Verbs(name="zoo", params=cli_main.cli.params, callback=cli_main.cli.callback)
        monkeypatch.setattr(cli_main, "cli", fresh)
        with use_registry(Registry(found)):
            return cli_main.main(arguments)

    return with_plugin


def test_a_plugins_command_is_listed_and_run(run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(_adds_hello, "--help") == 0
    assert "Greet." in capsys.readouterr().out
    assert run(_adds_hello, "hello") == 0
    assert capsys.readouterr().out == "good day\n"


def test_a_plugin_that_cannot_add_its_commands_costs_a_warning(run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(_adds_nothing, "--help") == 0
    shown = capsys.readouterr()
    assert "check" in shown.out
    assert shown.err == "zoo: warning: plugin 'zoo-greetings' cannot add its commands: LookupError: no greeting known\n"
