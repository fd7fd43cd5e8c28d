"""`zoo plugins new`: a package with one component that works, its tests, and a spec that uses it."""

from __future__ import annotations

import importlib.util
import json
import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template as Text

from zoo.atomic import atomic_directory
from zoo.errors import InputError, did_you_mean
from zoo.registry.discovery import installed_entry_points
from zoo.scaffold.kinds import TEMPLATES, Template

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 48
_SLOTS = {
    "position": "sinusoidal",
    "block": "pre-norm",
    "normalization": "layer-norm",
    "feedforward": "mlp",
    "fusion": "top",
    "objective": "cross-entropy",
    "optimizer": "{use: adamw, lr: 3e-3}",
    "metrics": "[chrf]",
}
"""What stands in the slots of ``spec.yaml`` that the component does not fill."""


def write_plugin(name: str, kind: str, out: Path) -> list[Path]:
    """Write the package `name` with a component of `kind` to the folder `out`: all of it or nothing.

    Returns the files, relative to `out`. Raises InputError for a name that is none or is taken, a kind without a
    template, and a folder that is there already.
    """
    template = _template(kind)
    package = _package(name)
    if out.exists() or out.is_symlink():
        raise InputError("is there already: choose another name, or another folder with --out", where=str(out))
    above = next(folder for folder in out.absolute().parents if folder.exists())
    if not above.is_dir():
        raise InputError("is a file, expected a folder to write the package in", where=str(above))
    files = rendered(name, package, template)
    with atomic_directory(out) as folder:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
    return [Path(path) for path in files]


def rendered(name: str, package: str, template: Template) -> dict[str, str]:
    """Path -> text of every file of the package."""
    component = name.removeprefix("zoo-")
    component = component if component[:1].isalpha() else name
    use = f"{{use: {name}/{component}}}"
    slots = {**_SLOTS, template.slot: Text(template.filled).substitute(use=use)}
    values = {
        **slots,
        "distribution": name,
        "package": package,
        "component": component,
        "kind": template.kind,
        "module": template.module,
        "Class": template.implementation,
        "Suite": template.suite,
        "does": template.does,
        "reference": template.reference,
        "url": f"https://arxiv.org/abs/{template.reference.removeprefix('arXiv:')}",
        "traits": f"\n        traits={json.dumps(dict(template.traits))}," if template.traits else "",
    }
    sources = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "spec.yaml": "spec.yaml",
        f"{package}/__init__.py": "init.py",
        f"{package}/py.typed": "py.typed",
        f"{package}/plugin.py": "plugin.py",
        f"{package}/options.py": f"kinds/{template.kind}/options.py",
        f"{package}/{template.module}.py": f"kinds/{template.kind}/component.py",
        "tests/test_conformance.py": "test_conformance.py",
        f"tests/test_{template.module}.py": f"kinds/{template.kind}/test.py",
    }
    folder = resources.files("zoo.scaffold") / "templates"
    return {
        path: Text((folder / f"{source}.tmpl").read_text(encoding="utf-8")).substitute(values)
        for path, source in sources.items()
    }


def _template(kind: str) -> Template:
    if kind not in TEMPLATES:
        raise InputError(f"no template for the kind '{kind}': {did_you_mean(kind, TEMPLATES)}", where="--kind")
    return TEMPLATES[kind]


def _package(name: str) -> str:
    """The import name of a distribution's package. Raises InputError where either cannot be."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        normal = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:_LONGEST]
        hint = f"; write '{normal}'" if _NAME.fullmatch(normal) else ""
        raise InputError(
            f"expected a name of lower-case letters, digits and single '-', at most {_LONGEST} characters, "
            f"such as zoo-acme{hint}",
            where=repr(name[: 2 * _LONGEST]),
        )
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        raise InputError("is a word of Python itself: choose another name", where=repr(name))
    taken = {point.dist.name for point in installed_entry_points() if point.dist is not None}
    if name in taken or importlib.util.find_spec(package) is not None:
        raise InputError(f"a package '{package}' is installed already: choose another name", where=repr(name))
    return package
