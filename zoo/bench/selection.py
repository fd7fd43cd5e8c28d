"""What the two sides of a comparison name: a model, a record, a file or a folder of records; and who meets whom."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.bench.record import Record
from zoo.bench.standings import Standing, order, standings
from zoo.bench.store import Problem, RecordStore
from zoo.errors import InputError, did_you_mean, visible

_SHORTEST_ID = 8
"""Characters of a record's id that may stand for it."""


@dataclass(frozen=True, eq=False)
class Model:
    """One model on one data revision, and the folder that its records lie in."""

    standing: Standing
    folder: Path

    @property
    def records(self) -> tuple[Record, ...]:
        """The records that count: the newest good one of each seed."""
        return self.standing.counted


@dataclass(frozen=True, eq=False)
class Side:
    """What one argument names."""

    text: str
    models: tuple[Model, ...]
    is_folder: bool
    """A folder stands for all its models; anything else for one, perhaps on several tasks or data revisions."""
    problems: tuple[Problem, ...] = ()
    """Files of its folder that are no records."""


@dataclass(frozen=True)
class Pairing:
    """Who is compared with whom."""

    pairs: tuple[tuple[Model, Model], ...]
    only_before: tuple[Model, ...] = ()
    only_after: tuple[Model, ...] = ()


def side(text: str, store: Path) -> Side:
    """What `text` names: a folder or file of records, else a model or record of the `store`.

    A model is its name, or ``task:name``, ``name@revision``, ``task:name@revision`` with a beginning of the data
    revision. A record is its id or a beginning of it, of 8 characters at least. A model of the store goes before a
    folder of the same name, unless that is written as a path (``./name``). Raises InputError.
    """
    if not text.strip():
        raise InputError("expected a model, a record, a file or a folder of records, found nothing")
    path = Path(text)
    written_as_path = os.sep in text or text.startswith(".")
    if written_as_path or (text.endswith(".json") and path.is_file()):
        return _of_path(text, path)
    reading = RecordStore(store).read()
    models = _models(reading.records, store)
    named = _named(text, models) or _of_id(text, reading.records, store)
    if named:
        return Side(text, named, is_folder=False, problems=reading.problems)
    if path.is_dir():
        return _of_path(text, path)
    if not store.exists():
        raise InputError("no such folder of records", where=visible(str(store)))
    if not models:
        raise InputError(f"no file or folder '{text}', and no records in the store", where=visible(str(store)))
    names = {model.standing.name for model in models} | {_task_and_name(model) for model in models}
    # A name with its task is the nearest only to one that has a task too.
    valid = [visible(name) for name in names if (":" in name) == (":" in text) or name == text]
    raise InputError(f"no model, record, file or folder '{text}': {did_you_mean(text, valid)}", where=str(store))


def pairing(before: Side, after: Side) -> Pairing:
    """Who meets whom. One model meets one; where a folder takes part, models meet by task, role and name.

    Of several data revisions the newest that both have is taken. Raises InputError where a name is a model of several
    tasks or two folders have no model in common.
    """
    if not before.is_folder and not after.is_folder:
        return Pairing((_one_pair(before, after),))
    ours, theirs = (_by_name(each) for each in (before, after))
    common = [key for key in ours if key in theirs]
    if not common and len(ours) == len(theirs) == 1:
        return Pairing((_newest_common(*ours.values(), *theirs.values()),))
    if not common:
        names = ", ".join(sorted({visible(name) for *_, name in theirs})[:12])
        raise InputError(f"no model of '{before.text}' is in '{after.text}' by task and name (there: {names})")
    return Pairing(
        tuple(_newest_common(ours[key], theirs[key]) for key in common),
        tuple(found[-1] for key, found in ours.items() if key not in theirs),
        tuple(found[-1] for key, found in theirs.items() if key not in ours),
    )


def _of_path(text: str, path: Path) -> Side:
    if path.is_dir():
        reading = RecordStore(path).read()
        if not reading.records:
            raise InputError("no records in this folder", where=visible(text))
        return Side(text, _models(reading.records, path), is_folder=True, problems=reading.problems)
    if not path.exists():
        raise InputError("there is no such file or folder", where=visible(text))
    if path.suffix != ".json":
        raise InputError("expected a record (ID.json) or a folder of records", where=visible(text))
    record = RecordStore(path.parent).one(path.name.removesuffix(".json"))
    return Side(text, _models([record], path.parent), is_folder=False)


def _models(records: Sequence[Record], folder: Path) -> tuple[Model, ...]:
    return tuple(Model(standing, folder) for standing in standings(records))


def _named(text: str, models: Sequence[Model]) -> tuple[Model, ...]:
    """The models that `text` can mean; names may themselves hold ':' and '@', so the plainest reading goes first."""
    for task, name, revision in _readings(text):
        found = [
            model
            for model in models
            if model.standing.name == name
            and task in (None, model.standing.task)
            and _begins(model.standing.data_revision, revision)
        ]
        # A control or a peer that is called as a model is meant only where there is no such model.
        for role in ("model", "peer"):
            chosen = [model for model in found if model.standing.role == role]
            if chosen:
                return tuple(chosen)
        if found:
            return tuple(found)
    return ()


def _readings(text: str) -> Iterator[tuple[str | None, str, str | None]]:
    """(task, name, beginning of the data revision)."""
    yield None, text, None
    task, colon, rest = text.partition(":")
    if colon:
        yield task, rest, None
    name, at, revision = text.rpartition("@")
    if at and revision:
        yield None, name, revision
        task, colon, rest = name.partition(":")
        if colon:
            yield task, rest, revision


def _begins(revision: str, beginning: str | None) -> bool:
    return beginning is None or revision.startswith(beginning) or revision.partition(":")[2].startswith(beginning)


def _of_id(text: str, records: Sequence[Record], folder: Path) -> tuple[Model, ...]:
    found = [record for record in records if record.id == text]
    if not found and len(text) >= _SHORTEST_ID:
        found = [record for record in records if record.id.startswith(text)]
    if len(found) > 1:
        listed = ", ".join(record.id for record in found[:4]) + (", ..." if len(found) > 4 else "")
        raise InputError(f"'{text}' begins the ids of {len(found)} records ({listed}): write more of it")
    return _models(found, folder)


def _task_and_name(model: Model) -> str:
    return f"{model.standing.task}:{model.standing.name}"


def _by_name(named: Side) -> dict[tuple[str, str, str], list[Model]]:
    """The data revisions of each model, oldest first."""
    found: dict[tuple[str, str, str], list[Model]] = defaultdict(list)
    for model in sorted(named.models, key=lambda model: order(model.standing.newest)):
        found[model.standing.task, model.standing.role, model.standing.name].append(model)
    return dict(sorted(found.items()))


def _newest_common(before: Sequence[Model], after: Sequence[Model]) -> tuple[Model, Model]:
    """The pair on the newest data that both know; the newest of each where they have none in common."""
    shared = [
        (one, other) for one in before for other in after if one.standing.data_revision == other.standing.data_revision
    ]
    if not shared:
        newest = [max(models, key=lambda model: order(model.standing.newest)) for models in (before, after)]
        return newest[0], newest[1]
    return max(shared, key=lambda pair: max(order(model.standing.newest) for model in pair))


def _one_pair(before: Side, after: Side) -> tuple[Model, Model]:
    tasks = [{model.standing.task for model in each.models} for each in (before, after)]
    common = sorted(tasks[0] & tasks[1])
    if len(common) == 1:
        chosen = [[model for model in each.models if model.standing.task == common[0]] for each in (before, after)]
        return _newest_common(*chosen)
    for each, its_tasks in zip((before, after), tasks, strict=True):
        if len(its_tasks) > 1:
            choices = " or ".join(visible(f"{task}:{each.models[0].standing.name}") for task in sorted(its_tasks))
            raise InputError(f"'{each.text}' is a model of {len(its_tasks)} tasks: write {choices}")
    return _newest_common(before.models, after.models)
