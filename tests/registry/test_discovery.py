"""Discovery: lazy, blockable before import, and one broken plugin costs one warning."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.errors import InputError, ZooError
from zoo.registry import LoadPolicy, PluginReport, Registry

Install = Callable[..., Path]
NOTHING_ELSE = LoadPolicy(only=frozenset({"zoo-acme", "zoo-other"}))


def yields(*names: str, kind: str = "activation") -> str:
    """Plugin code that yields one component per name."""
    lines = ["@hookimpl", "def zoo_components():"]
    lines += [f"    yield Component({kind!r}, {name!r}, 'math:{name}', 'summary of {name}')" for name in names]
    return "\n".join(lines) + "\n"


def report(registry: Registry, distribution: str) -> PluginReport:
    return next(item for item in registry.plugins if item.distribution == distribution)


def test_a_component_is_identified_by_the_distribution_that_brings_it(install: Install) -> None:
    install("zoo-acme", yields("sin"), version="2.3")
    item = Registry.load(NOTHING_ELSE).get("activation", "sin")
    assert (item.id, item.version) == ("zoo-acme/sin", "2.3")


def test_a_component_is_imported_on_first_use_only(install: Install) -> None:
    code = yields("sin").replace("math:sin", "colorsys:rgb_to_hls")
    install("zoo-acme", code)
    sys.modules.pop("colorsys", None)
    item = Registry.load(NOTHING_ELSE).get("activation", "sin")
    assert "colorsys" not in sys.modules
    assert item.load().__name__ == "rgb_to_hls"


def test_qualified_names_work_and_bare_names_work_while_unique(install: Install) -> None:
    install("zoo-acme", yields("sin", "cos"))
    install("zoo-other", yields("sin"))
    registry = Registry.load(NOTHING_ELSE)
    assert registry.get("activation", "zoo-other/sin").distribution == "zoo-other"
    assert registry.get("activation", "cos").id == "zoo-acme/cos"
    assert registry.names("activation") == ["cos", "zoo-acme/sin", "zoo-other/sin"]
    with pytest.raises(InputError, match=r"several plugins.*'zoo-acme/sin'.*'zoo-other/sin'"):
        registry.get("activation", "sin")


def test_an_unknown_name_gets_the_nearest_and_an_absent_plugin_its_install_line(install: Install) -> None:
    install("zoo-acme", yields("softsign"))
    registry = Registry.load(NOTHING_ELSE)
    with pytest.raises(InputError, match=r"did you mean 'softsign'.*; left out: .*zoo-positional"):
        registry.get("activation", "sofsign")
    with pytest.raises(InputError, match="pip install zoo-absent"):
        registry.get("activation", "zoo-absent/sin")
    with pytest.raises(InputError, match="did you mean 'activation'"):
        registry.get("activations", "sin")


@pytest.mark.parametrize("variable", ["ZOO_BLOCK", "ZOO_PLUGINS"])
def test_a_plugin_that_is_not_admitted_is_never_imported(
    install: Install, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    install("zoo-acme", "raise SystemExit('imported')\n")
    install("zoo-other", yields("sin"))
    monkeypatch.setenv(variable, {"ZOO_BLOCK": "Zoo_Acme", "ZOO_PLUGINS": "zoo-other"}[variable])
    registry = Registry.load()
    assert report(registry, "zoo-acme").status == "blocked"
    assert "zoo_acme_plugin" not in sys.modules
    assert registry.get("activation", "zoo-other/sin")


def test_a_plugin_can_be_blocked_by_its_entry_point_name(install: Install) -> None:
    install("zoo-acme", yields("sin"), entry_point="short")
    policy = LoadPolicy.from_environment({"ZOO_PLUGINS": "zoo-acme"}, block=["short"])
    assert report(Registry.load(policy), "zoo-acme").status == "blocked"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise RuntimeError('boom')\n", "RuntimeError: boom"),
        ("import a_module_that_is_not_there\n", "ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "SystemExit"),
        ("def broken(:\n", "SyntaxError"),
        ("@hookimpl\ndef zoo_components():\n    yield 3\n", "zoo_components yielded int, expected Component"),
        ("@hookimpl\ndef zoo_components():\n    1 / 0\n    yield\n", "ZeroDivisionError"),
        ("@hookimpl\ndef zoo_componets():\n    return []\n", "zoo_componets"),
        (yields("sin", kind="no-such-kind"), "unknown kind 'no-such-kind'"),
        (yields("sin", "sin"), "activation/sin is declared twice"),
        (yields("Sin!"), "lower-case"),
        (
            "@hookimpl\ndef zoo_components():\n    yield Component('activation', 'a', 'no target', 's')\n",
            "module:attribute",
        ),
        ("@hookimpl\ndef zoo_components():\n    yield Component('activation', 'a', 'm:t', ' ')\n", "summary"),
        ("@hookimpl\ndef zoo_components():\n    yield Component('activation', 'a', 'm:t', 's', api=99)\n", "upgrade"),
        ("@hookimpl\ndef zoo_kinds():\n    yield Kind('position', 's', 'm:p')\n", "already declared"),
    ],
)
def test_a_broken_plugin_is_named_and_survived(install: Install, code: str, reason: str) -> None:
    install("zoo-acme", code)
    install("zoo-other", yields("cos"))
    with pytest.warns(UserWarning, match="plugin 'zoo-acme'.*zoo plugins doctor"):
        registry = Registry.load(NOTHING_ELSE)
    assert report(registry, "zoo-acme").status == "broken"
    assert reason in report(registry, "zoo-acme").reason
    assert [item.id for item in registry.components()] == ["zoo-other/cos"]
    with pytest.raises(InputError, match="plugin 'zoo-acme' is broken"):
        registry.get("activation", "zoo-acme/sin")


def test_a_plugin_can_bring_a_kind_that_another_plugin_fills(install: Install) -> None:
    install("zoo-other", "@hookimpl\ndef zoo_kinds():\n    yield Kind('sampler', 'Draws', 'zoo_other:Sampler')\n")
    install("zoo-acme", yields("sin", kind="sampler"))
    registry = Registry.load(NOTHING_ELSE)
    assert registry.get("sampler", "sin").id == "zoo-acme/sin"
    assert registry.kind("sampler").summary == "Draws"


def test_a_target_that_cannot_be_imported_names_component_and_plugin(install: Install) -> None:
    install("zoo-acme", yields("sin").replace("math:sin", "math:no_such_thing"))
    item = Registry.load(NOTHING_ELSE).get("activation", "sin")
    with pytest.raises(ZooError, match="implementation of activation 'zoo-acme/sin'.*math:no_such_thing"):
        item.load()


def test_behavioural_hooks_reach_every_plugin(install: Install) -> None:
    hook = "@hookimpl\ndef zoo_training_callbacks(context):\n    return [context.extra['who'] + '{}']\n"
    install("zoo-acme", hook.format("1"))
    install("zoo-other", hook.format("2"))
    from zoo.registry import TrainingContext

    context = TrainingContext(model=None, spec=None, directory=Path(), extra={"who": "me"})
    answers = Registry.load(NOTHING_ELSE).hook.zoo_training_callbacks(context=context)
    assert sorted(answer for answer in answers) == [["me1"], ["me2"]]
