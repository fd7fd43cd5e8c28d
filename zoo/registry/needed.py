"""Whether the plugins that a saved model names are here."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.errors import InputError
from zoo.registry.registry import Registry


def refuse_missing_plugins(plugins: Mapping[str, str], registry: Registry, where: str | None) -> None:
    """Raise InputError, with what to install, unless each of `plugins` (distribution -> version) can be used."""
    reports = {report.distribution: report for report in registry.plugins}
    unusable = [name for name in plugins if name not in reports or reports[name].status != "ok"]
    if not unusable:
        return
    absent = [name for name in unusable if name not in reports]
    if absent:
        names = ", ".join(f"'{name}' ({plugins[name]})" for name in absent)
        raise InputError(
            f"the model needs the plugin {names}, not installed here: pip install {' '.join(absent)}", where=where
        )
    states = ", ".join(f"'{name}' is {reports[name].status} ({reports[name].reason})" for name in unusable)
    raise InputError(f"the model needs a plugin that cannot be used: {states}", where=where)
