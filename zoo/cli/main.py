"""The `zoo` command: finds the verb, runs it, and turns errors into one line and an exit status."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from zoo import __version__, startup
from zoo.errors import InputError, ZooError, did_you_mean

# verb -> (module:command, help). The help stands here so that `zoo --help` imports no verb.
VERBS: dict[str, tuple[str, str]] = {
    "list": ("zoo.cli.list:command", "List installed components, all or of one kind."),
    "show": ("zoo.cli.show:command", "Show one component, or parameters and FLOPs of a spec's model."),
    "schema": ("zoo.cli.schema:command", "Write a JSON Schema of specs over what is installed."),
    "check": ("zoo.cli.check:command", "Check a spec without importing torch."),
    "build": ("zoo.cli.build:command", "Assemble the model of a spec."),
    "train": ("zoo.cli.train:command", "Train the model of a spec."),
    "evaluate": ("zoo.cli.evaluate:command", "Score a trained model."),
    "export": ("zoo.cli.export:command", "Write a trained model as another program reads it, such as ONNX."),
    "translate": ("zoo.cli.translate:command", "Translate lines of text with a trained or exported model."),
    "recognize": ("zoo.cli.recognize:command", "Read the texts in images with a trained or exported model."),
    "detect": ("zoo.cli.detect:command", "Find boxes in images with a trained or exported model."),
    "measure": ("zoo.cli.measure:command", "Latency, throughput and memory of models; compare them in turn."),
    "backends": ("zoo.cli.backends:command", "Attention kernels, time and memory of a step, model by model of a grid."),
    "bench": ("zoo.cli.bench:command", "Train, score and measure every cell of specs; append records."),
    "leaderboard": ("zoo.cli.leaderboard:command", "Build or serve the leaderboard site."),
    "data": ("zoo.cli.data:command", "List or prepare corpora."),
    "plugins": ("zoo.cli.plugins:command", "List plugins, find out what is wrong with them, or begin one."),
    "records": ("zoo.cli.records:command", "Check, query or publish benchmark records."),
}


class Verbs(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, context: click.Context) -> list[str]:
        self._add_plugin_commands()
        return [*VERBS, *sorted(self.commands)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in VERBS:
            module, _, attribute = VERBS[name][0].partition(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command
        self._add_plugin_commands()
        return self.commands.get(name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        self._add_plugin_commands()
        rows = [(name, summary) for name, (_, summary) in VERBS.items()]
        rows += [(name, command.get_short_help_str()) for name, command in sorted(self.commands.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(context, args[0]) is None and not args[0].startswith("-"):
            raise InputError(f"unknown command '{args[0]}': {did_you_mean(args[0], self.list_commands(context))}")
        return super().resolve_command(context, args)

    def _add_plugin_commands(self) -> None:
        from zoo.registry import CommandContext, current_registry

        if getattr(self, "_asked_plugins", False):
            return
        self._asked_plugins = True
        for implementation in current_registry().hook.zoo_cli_commands.get_hookimpls():
            try:
                implementation.function(CommandContext(self))
            except Exception as error:
                warnings.warn(
                    f"plugin '{implementation.plugin_name}' cannot add its commands: {type(error).__name__}: {error}",
                    stacklevel=2,
                )


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zoo")
@click.option("--no-plugin", multiple=True, metavar="NAME", help="Leave a plugin out, unimported; repeatable.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(no_plugin: tuple[str, ...], debug: bool) -> None:
    """A model zoo whose parts are plugins and whose claims can be run."""
    if no_plugin:
        from zoo.registry.discovery import refuse_unknown

        refuse_unknown(no_plugin, where="--no-plugin")
        # Through the environment, so that the fresh processes of a benchmark leave the plugin out too.
        blocked = [os.environ.get("ZOO_BLOCK", ""), *no_plugin]
        os.environ["ZOO_BLOCK"] = ",".join(name for name in blocked if name)


def _one_line_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    sys.stderr.write(f"zoo: warning: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 the run failed, 2 the input is wrong."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    with warnings.catch_warnings():
        if not debug:
            warnings.filterwarnings("ignore")
            for about in ("plugin ", "device "):
                warnings.filterwarnings("default", category=UserWarning, message=about)
            warnings.showwarning = _one_line_warning
        try:
            status = cli.main(arguments, prog_name="zoo", standalone_mode=False)
            return status if isinstance(status, int) else 0
        except ZooError as error:
            return _failed(str(error), error.exit_code, debug)
        except click.exceptions.NoArgsIsHelpError as error:
            sys.stderr.write(f"{error.format_message()}\n")
            return 2
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "zoo"
            return _failed(f"{error.format_message()} (see '{command} --help')", 2, debug)
        except click.ClickException as error:
            return _failed(error.format_message(), error.exit_code, debug)
        except click.exceptions.Exit as error:
            return error.exit_code
        except (click.Abort, KeyboardInterrupt):
            return _failed("interrupted", 130, debug)
        except BrokenPipeError:
            # The reader of our output has gone: nothing is wrong, and nothing more can be said.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            return _failed(f"{place}{error.strerror or error}", 1, debug)
        except Exception as error:
            text = f"unexpected {type(error).__name__}: {error} (a traceback: zoo --debug ...)"
            return _failed(" ".join(text.split()), 1, debug)


def _failed(message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    for line in message.splitlines() or [""]:
        sys.stderr.write(f"zoo: {line}\n")
    return status


def run() -> NoReturn:
    """Entry point of the console script."""
    startup.begin()
    sys.exit(main())


if __name__ == "__main__":
    run()
