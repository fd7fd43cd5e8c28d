"""What is asked of every component, whatever its kind: its record, its options, its documentation."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ValidationError

from zoo.registry import RegisteredComponent, current_registry
from zoo.spec.options import Chosen, Options
from zoo.testing.lightness import heavy_imports

NETWORK = "ZOO_TEST_NETWORK"
"""Set to 1, this environment variable lets components with the trait ``network`` be tried."""

_REFERENCE = re.compile(
    r"arXiv:(\d{4}\.\d{4,5}(v\d+)?|[a-z.-]+/\d{7})|doi:10\.\d{4,9}/\S+|ACL:[A-Z]\d{2}-\d{4}|ACL:\d{4}\.[\w.-]+|https://\S+"
)


class ComponentSuite:
    """Subclass the suite of your component's kind and set `component`; `options` lists what to try it with."""

    kind: ClassVar[str] = ""
    component: ClassVar[str] = ""
    """Name or ``<distribution>/<name>``."""
    options: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """Options to try; where empty, the record's trait ``example``, else the defaults."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each behaviour test once for each set of options."""
        if "given" in metafunc.fixturenames:
            cases = self.cases()
            metafunc.parametrize("given", cases, ids=[_label(case) for case in cases])

    @classmethod
    def cases(cls) -> list[dict[str, Any]]:
        """The sets of options to try."""
        if cls.options:
            return [dict(case) for case in cls.options]
        example = cls.registered().traits.get("example")
        return [dict(example)] if example is not None else [{}]

    @classmethod
    def registered(cls) -> RegisteredComponent:
        """The component's record. Raises InputError where none is installed under that name."""
        return current_registry().get(cls.kind, cls.component)

    @pytest.fixture
    def chosen(self, given: Mapping[str, Any]) -> Chosen:
        """The component with the options of this case."""
        return self._choose(given)

    @pytest.fixture
    def first_chosen(self) -> Chosen:
        """The component with the options of the first case: for what takes too long to try with each."""
        return self._choose(self.cases()[0])

    def _choose(self, given: Mapping[str, Any]) -> Chosen:
        record = self.registered()
        if record.traits.get("network") and os.environ.get(NETWORK) != "1":
            pytest.skip(f"{record.id} needs the network: set {NETWORK}=1")
        if record.traits.get("files") and not self.options:
            pytest.skip(f"{record.id} needs files: a suite that gives it options tries it")
        model: type[Options] = record.load_options()
        return Chosen(record, model.model_validate(dict(given)))

    # The record

    def test_summary_is_one_line(self) -> None:
        summary = self.registered().summary
        assert summary == " ".join(summary.split()), "one line, without surrounding space"
        assert len(summary) <= 120, f"a summary of {len(summary)} characters does not fit a table"

    def test_references_can_be_resolved(self) -> None:
        for reference in self.registered().component.references:
            assert _REFERENCE.fullmatch(reference), (
                f"{reference!r}: expected arXiv:2104.09864, doi:10.x/y, ACL:N18-2074 or an https address"
            )

    def test_traits_are_plain_data(self) -> None:
        traits = dict(self.registered().traits)
        assert json.loads(json.dumps(traits, allow_nan=False)) == _plain(traits)

    def test_implementation_is_of_its_kind_and_documented(self) -> None:
        record = self.registered()
        implementation = record.load()
        assert callable(implementation)
        assert (implementation.__doc__ or "").strip(), f"{record.component.target} has no docstring"
        if inspect.isclass(implementation):
            module, _, attribute = current_registry().kind(record.kind).protocol.partition(":")
            protocol = getattr(importlib.import_module(module), attribute)
            assert issubclass(implementation, protocol), f"expected a subclass of {module}.{attribute}"

    # The options

    def test_options_are_frozen_and_refuse_unknown_keys(self) -> None:
        record = self.registered()
        model = record.load_options()
        module, _, attribute = current_registry().kind(record.kind).options_base.partition(":")
        base = getattr(importlib.import_module(module), attribute)
        assert issubclass(model, base), f"expected a subclass of {module}.{attribute}"
        assert model.model_config.get("frozen"), "options are part of a model's identity: they must be frozen"
        with pytest.raises(ValidationError, match="unknown key 'no-such-option'"):
            model.model_validate({"no-such-option": 1})

    def test_options_import_without_torch(self) -> None:
        target = self.registered().component.options
        if target is not None:
            assert heavy_imports().get(target) == "", f"importing {target} loads {heavy_imports().get(target)}"

    def test_every_option_is_described(self) -> None:
        undescribed = list(_undescribed(self.registered().load_options()))
        assert not undescribed, f"options without a description: {', '.join(undescribed)}"

    def test_options_have_a_json_schema(self) -> None:
        model: type[BaseModel] = self.registered().load_options()
        schema = model.model_json_schema()
        assert schema["type"] == "object"
        assert schema.get("additionalProperties") is False
        assert json.loads(json.dumps(schema, allow_nan=False)) == _plain(schema)

    def test_component_can_be_tried(self) -> None:
        record = self.registered()
        model: type[Options] = record.load_options()
        required = [name for name, field in model.model_fields.items() if field.is_required()]
        if self.options or record.traits.get("files"):
            return
        if required and record.traits.get("example") is None:
            pytest.fail(
                f"{record.id} cannot be tried with its defaults ({', '.join(required)} must be given): "
                "declare options to try in the record's trait 'example', or the trait 'files'"
            )
        model.model_validate(self.cases()[0])

    def test_options_survive_the_lock_file(self, given: Mapping[str, Any]) -> None:
        model: type[Options] = self.registered().load_options()
        if self.registered().traits.get("files") and not self.options:
            pytest.skip("no options to try")
        options = model.model_validate(dict(given))
        written = json.loads(json.dumps(options.model_dump(mode="json"), allow_nan=False))
        assert model.model_validate(written) == options


def _label(case: Mapping[str, Any]) -> str:
    text = ",".join(f"{key}={value}" for key, value in case.items()) or "defaults"
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(value: Any) -> Any:
    """`value` with tuples as lists, which is how JSON gives them back."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _undescribed(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        if not (field.description or "").strip():
            found.append(prefix + name)
        if inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            found += _undescribed(field.annotation, f"{prefix}{name}.")
    return found
